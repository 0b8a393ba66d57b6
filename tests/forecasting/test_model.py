"""The forecaster: the same bytes from the same rows, sane numbers for any row, and quick enough for one request."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.context import ForecastContext
from retail_assets.forecasting.encoding import ForecastModelError
from retail_assets.forecasting.frames import Gold, sampled
from retail_assets.forecasting.model import DemandForecaster, request_frame, variance_power
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import NEWEST, SKUS, Features

ORIGIN = NEWEST - timedelta(days=28)


@pytest.fixture(scope="module")
def examples(gold_lake: Lake, feature_store: Features, config: ForecastingConfig) -> pd.DataFrame:
    features = feature_store.training_set("demand_forecast", ORIGIN - timedelta(days=60), ORIGIN)
    return Gold(gold_lake, NEWEST).examples(sampled(features, 28, NEWEST, 12_000, 1))


@pytest.fixture(scope="module")
def names(feature_store: Features) -> list[str]:
    return feature_store.features("demand_forecast")


@pytest.fixture(scope="module")
def forecaster(examples: pd.DataFrame, names: list[str], config: ForecastingConfig) -> DemandForecaster:
    fitted = DemandForecaster.fit(examples, names, config)
    return fitted.calibrated(examples, fitted.mean(examples), config.intervals)


def test_the_same_rows_give_the_same_bytes(
    examples: pd.DataFrame, names: list[str], config: ForecastingConfig, forecaster: DemandForecaster
) -> None:
    again = DemandForecaster.fit(examples.copy(), names, config)
    again = again.calibrated(examples, again.mean(examples), config.intervals)
    assert again.files() == forecaster.files()


def test_another_seed_gives_other_bytes(
    examples: pd.DataFrame, names: list[str], config: ForecastingConfig, forecaster: DemandForecaster
) -> None:
    other = DemandForecaster.fit(examples, names, config.model_copy(update={"seed": config.seed + 1}))
    assert other.files()["model_mean.txt"] != forecaster.files()["model_mean.txt"]


def test_what_was_stored_forecasts_the_same(
    forecaster: DemandForecaster, examples: pd.DataFrame, tmp_path: Path
) -> None:
    for name, content in forecaster.files().items():
        (tmp_path / name).write_bytes(content)
    loaded = DemandForecaster.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(examples), forecaster.predict(examples))
    assert loaded.files() == forecaster.files()


def test_forecasts_are_ordered_numbers_from_zero_up(forecaster: DemandForecaster, examples: pd.DataFrame) -> None:
    made = forecaster.predict(examples)
    assert list(made.columns) == ["mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    assert np.isfinite(made.to_numpy()).all() and (made.to_numpy() >= 0).all()
    assert (np.diff(made.drop(columns="mean").to_numpy(), axis=1) >= 0).all()


def test_a_row_is_forecast_the_same_alone_and_among_others(
    forecaster: DemandForecaster, examples: pd.DataFrame
) -> None:
    whole = forecaster.predict(examples)
    some = examples.iloc[[3, 500, 11]]
    pd.testing.assert_frame_equal(forecaster.predict(some), whole.loc[some.index])


def test_planned_promotions_lift_the_forecast(forecaster: DemandForecaster, examples: pd.DataFrame) -> None:
    rows = examples[(examples["sku"] == SKUS[6])]
    regular = forecaster.mean(rows.assign(planned_discount=0.0))
    promoted = forecaster.mean(rows.assign(planned_discount=0.25))
    assert promoted.mean() > 1.4 * regular.mean()


def test_new_stores_new_skus_and_missing_features_still_get_a_forecast(
    forecaster: DemandForecaster, examples: pd.DataFrame, names: list[str]
) -> None:
    some = examples[examples["sku"] == SKUS[8]].head(200)
    strangers = some.assign(store_id="XX-999", sku="SKU-99999", category=None, department=None)
    blind = some.assign(**dict.fromkeys(names, np.nan))
    for frame in (strangers, blind):
        made = forecaster.predict(frame).to_numpy()
        assert np.isfinite(made).all() and (made >= 0).all()
    assert forecaster.mean(strangers).mean() == pytest.approx(some["units"].mean(), rel=0.25)


def test_a_missing_column_is_named(forecaster: DemandForecaster, examples: pd.DataFrame) -> None:
    with pytest.raises(ForecastModelError, match="units_mean_28"):
        forecaster.predict(examples.drop(columns="units_mean_28"))


def test_rows_without_known_demand_teach_nothing(
    examples: pd.DataFrame, names: list[str], config: ForecastingConfig
) -> None:
    unknown = examples.assign(units=np.nan)
    with pytest.raises(ForecastModelError, match="no example with known demand"):
        DemandForecaster.fit(unknown, names, config)
    half = pd.concat([examples, unknown], ignore_index=True)
    assert DemandForecaster.fit(half, names, config).files() == DemandForecaster.fit(examples, names, config).files()


def test_without_intervals_there_is_no_prediction(
    examples: pd.DataFrame, names: list[str], config: ForecastingConfig
) -> None:
    with pytest.raises(ForecastModelError, match="no intervals"):
        DemandForecaster.fit(examples, names, config).predict(examples)


@pytest.mark.parametrize("content", [None, b"{}", b"not json"])
def test_a_folder_that_holds_no_forecaster_is_refused(
    forecaster: DemandForecaster, tmp_path: Path, content: bytes | None
) -> None:
    (tmp_path / "model_mean.txt").write_bytes(forecaster.files()["model_mean.txt"])
    if content is not None:
        (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(ForecastModelError, match="holds no forecaster"):
        DemandForecaster.load(tmp_path)


def test_excluded_features_are_not_learnt_from(
    examples: pd.DataFrame, names: list[str], config: ForecastingConfig
) -> None:
    without = config.model_copy(update={"exclude_features": ["units_mean_28"]})
    assert "units_mean_28" in DemandForecaster.fit(examples, names, config).spec.features
    assert "units_mean_28" not in DemandForecaster.fit(examples, names, without).spec.features


def test_a_request_needs_only_what_the_feature_service_gives(
    forecaster: DemandForecaster, gold_lake: Lake, feature_store: Features
) -> None:
    rows = feature_store.training_set("demand_forecast", ORIGIN, ORIGIN).to_pylist()
    values = {name: rows[5][name] for name in feature_store.features("demand_forecast")}
    context = ForecastContext.read(gold_lake, since=ORIGIN)
    frame = request_frame(rows[5]["store_id"], rows[5]["sku"], values, context, ORIGIN, 28)
    made = forecaster.predict(frame)
    assert len(made) == 28 and np.isfinite(made.to_numpy()).all()
    empty = request_frame(rows[5]["store_id"], rows[5]["sku"], dict.fromkeys(values), context, ORIGIN, 7)
    assert np.isfinite(forecaster.predict(empty).to_numpy()).all()


@pytest.mark.parametrize(("power", "low", "high"), [(1.0, 1.05, 1.15), (1.7, 1.6, 1.8)])
def test_the_variance_power_is_read_from_the_series(power: float, low: float, high: float) -> None:
    chance = np.random.default_rng(11)
    means = np.geomspace(0.5, 200.0, 60)
    units = [chance.gamma(m ** (2 - power), m ** (power - 1), 400) for m in means]
    frame = pd.DataFrame({"store_id": "S", "sku": np.repeat(np.arange(60), 400), "units": np.concatenate(units)})
    assert low <= variance_power(frame) <= high


def test_a_few_short_series_say_nothing_about_the_variance() -> None:
    frame = pd.DataFrame({"store_id": "S", "sku": ["a"] * 5 + ["b"] * 5, "units": [1.0, 2.0, 0.0, 4.0, 9.0] * 2})
    assert variance_power(frame) == 1.5
