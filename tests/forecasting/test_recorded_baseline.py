"""One request makes the batch's forecast again from its features and the baseline that gold/forecasts recorded."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.forecasting import training
from retail_assets.forecasting.baseline.baseline import COLUMNS
from retail_assets.forecasting.baseline.stored import Baselines
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.context import ForecastContext
from retail_assets.forecasting.evaluation import origin_days
from retail_assets.forecasting.explain.contributions import GROUPS, contributions
from retail_assets.forecasting.forecast_tasks import forecast_part
from retail_assets.forecasting.frames import Gold, sampled
from retail_assets.forecasting.model import DemandForecaster, recorded_baseline, request_frame
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import NEWEST, Features


@pytest.fixture(scope="module")
def model(gold_lake: Lake, feature_store: Features, config: ForecastingConfig) -> DemandForecaster:
    few = config.lightgbm.model_copy(update={"num_iterations": 10})
    small = config.model_copy(update={"lightgbm": few})
    span = training.feature_span(gold_lake)
    assert span is not None
    features = training.features_of(feature_store, origin_days(*span, small), None, small)
    gold = Gold(gold_lake, NEWEST)
    try:
        gold.learn_baseline(NEWEST, small.reach)
        examples = gold.examples(sampled(features, small.horizon, NEWEST, 20_000, 3))
    finally:
        gold.close()
    made = DemandForecaster.fit(examples, feature_store.features("demand_forecast"), small)
    return made.calibrated(examples, made.mean(examples, 2), small.intervals)


@pytest.fixture(scope="module")
def batch(
    gold_lake: Lake, feature_store: Features, model: DemandForecaster, config: ForecastingConfig
) -> tuple[pa.Table, pd.DataFrame]:
    """Features of the newest day, and the forecasts made of them."""
    days = [NEWEST - timedelta(days=back) for back in range(config.series.origin_days)]
    recent = training.features_of(feature_store, sorted(days), None, config)
    gold = Gold(gold_lake, NEWEST)
    try:
        series = gold.at_origin(recent, NEWEST, config.series)
        gold.baseline = gold.learn_baseline(NEWEST, config.reach).since(min(days))
        return series, forecast_part(gold, series, model, NEWEST, config)
    finally:
        gold.close()


def test_every_forecast_starts_from_a_baseline(batch: tuple[pa.Table, pd.DataFrame]) -> None:
    made = batch[1]
    assert made[list(COLUMNS)].notna().all(axis=None) and (made["baseline"] >= 0).all()


def test_a_request_gives_the_batchs_forecast_and_its_reasons_add_up(
    gold_lake: Lake, model: DemandForecaster, batch: tuple[pa.Table, pd.DataFrame], config: ForecastingConfig
) -> None:
    context, (series, made) = ForecastContext.read(gold_lake), batch
    for features in series.to_pylist()[::4]:
        rows = made[(made["store_id"] == features["store_id"]) & (made["sku"] == features["sku"])]
        day = features.pop("business_date")
        reach = (rows["target_date"].max() - day).days
        recorded = recorded_baseline(rows.to_dict("records"))
        frame = request_frame(features["store_id"], features["sku"], features, context, day, reach, recorded)
        again = model.predict(frame)
        np.testing.assert_allclose(again["mean"].to_numpy()[-len(rows) :], rows["mean"].to_numpy(), rtol=1e-9)
        told = contributions(model, frame)
        np.testing.assert_allclose(told[list(GROUPS)].sum(axis=1), model.mean(frame), rtol=1e-9)


def test_a_service_keeps_the_baselines_of_the_newest_origin(
    tmp_path_factory: pytest.TempPathFactory, batch: tuple[pa.Table, pd.DataFrame]
) -> None:
    lake, rows = Lake.at(tmp_path_factory.mktemp("lake")), batch[1].assign(business_date=NEWEST)
    kept = Baselines(lake)
    kept.poll()
    assert kept.of("US-001", "SKU-00001") == {}
    older = rows.assign(business_date=NEWEST - timedelta(days=1), baseline=-1.0)
    table = pa.Table.from_pandas(pd.concat([older, rows]), preserve_index=False)
    lake.overwrite("gold", "forecasts", table, ["business_date"])
    kept.poll()
    own = rows[(rows["store_id"] == "US-001") & (rows["sku"] == "SKU-00001")]
    assert kept.of("US-001", "SKU-00001") == recorded_baseline(own.to_dict("records"))
    assert kept.of("US-001", "no such SKU") == {}
