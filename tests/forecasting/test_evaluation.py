"""The proof is honest: nothing of the proving window reaches the model that is proven."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import (
    ShortHistory,
    Training,
    by_segment,
    metrics,
    origin_days,
    plan_windows,
    scores,
    train,
)
from retail_assets.forecasting.frames import Gold
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import FIRST, NEWEST, Features, write_gold

SHIPPED = ForecastingConfig.load()


def features_for(store: Features, config: ForecastingConfig, newest: date = NEWEST) -> pa.Table:
    days = origin_days(FIRST, newest, config)
    frame = store.frame[store.frame["business_date"].isin(days)]
    return pa.Table.from_pandas(frame, preserve_index=False)


@pytest.fixture(scope="module")
def training(gold_lake: Lake, feature_store: Features, config: ForecastingConfig) -> Training:
    names = feature_store.features("demand_forecast")
    return train(Gold(gold_lake, NEWEST), features_for(feature_store, config), names, config)


def test_the_windows_follow_each_other_and_end_on_the_newest_day() -> None:
    windows = plan_windows(FIRST, NEWEST, SHIPPED)
    assert (windows.prove - windows.calibrate).days == (windows.newest - windows.prove).days == windows.days == 28
    assert windows.newest == NEWEST


@given(st.integers(0, 300))
def test_short_histories_get_short_windows_or_a_clear_no(days: int) -> None:
    newest = FIRST + timedelta(days=days)
    if days < 3 * SHIPPED.backtest.shortest_window_days:
        with pytest.raises(ShortHistory, match="too short"):
            plan_windows(FIRST, newest, SHIPPED)
        return
    windows = plan_windows(FIRST, newest, SHIPPED)
    assert SHIPPED.backtest.shortest_window_days <= windows.days <= 28
    assert (windows.calibrate - FIRST).days >= windows.days


def test_origins_keep_off_the_warm_up_and_include_the_days_of_each_window(config: ForecastingConfig) -> None:
    days = origin_days(FIRST, NEWEST, config)
    windows = plan_windows(FIRST + timedelta(days=config.training.warmup_days), NEWEST, config)
    assert min(days) >= FIRST + timedelta(days=config.training.warmup_days)
    assert {windows.calibrate, windows.prove, windows.newest} <= set(days)
    assert len({day.weekday() for day in days}) == 7


def test_the_forecaster_beats_seasonal_naive_and_ties_with_the_truth_of_the_simulation(training: Training) -> None:
    found = training.metrics
    assert found["wape"] < 0.8 * found["wape_seasonal_naive"]
    assert found["rmse"] < 1.02 * found["rmse_weekday_mean"]
    assert abs(found["bias"]) < 0.06
    assert 0.86 < found["coverage_90"] < 0.94 and found["calibration_gap"] < 0.01


def test_changing_the_proving_window_changes_no_forecast_of_it(
    own_lake: Lake, sales: pd.DataFrame, feature_store: Features, config: ForecastingConfig, training: Training
) -> None:
    future = sales["day"] > pd.Timestamp(training.windows.prove)
    tripled = sales.assign(gross_units=np.where(future, sales["gross_units"] * 3 + 5, sales["gross_units"]))
    lake = write_gold(own_lake, tripled, feature_store.frame)
    names = feature_store.features("demand_forecast")
    again = train(Gold(lake, NEWEST), features_for(feature_store, config), names, config)
    columns = ["store_id", "sku", "target_date", "mean", "q05", "q95", "seasonal_naive", "weekday_mean"]
    pd.testing.assert_frame_equal(again.proof[columns], training.proof[columns])
    assert again.metrics["wape"] > training.metrics["wape"]


def test_training_twice_gives_the_same_files_and_metrics(
    gold_lake: Lake, feature_store: Features, config: ForecastingConfig, training: Training
) -> None:
    names = feature_store.features("demand_forecast")
    again = train(Gold(gold_lake, NEWEST), features_for(feature_store, config), names, config)
    assert again.forecaster.files() == training.forecaster.files()
    assert again.metrics == training.metrics


def small_proof(config: ForecastingConfig) -> pd.DataFrame:
    rows = pd.DataFrame({"units": [1.0, 3.0, 0.0, 4.0], "mean": [1.0, 2.0, 1.0, 4.0]})
    levels = {"q05": 0.0, "q10": 0.0, "q25": 0.5, "q50": 2.0, "q75": 3.0, "q90": 3.5, "q95": 3.5}
    segments = {
        "store_id": "S",
        "sku": ["x", "y", "x", "y"],
        "country": "US",
        "store": "S",
        "volume": "1 to 5",
        "promotion": "regular",
        "week": "1",
    }
    return rows.assign(
        seasonal_naive=[2.0, 3.0, 0.0, 2.0], weekday_mean=2.0, department=["a", "a", "b", "b"], **levels, **segments
    )


def test_scores_by_hand(config: ForecastingConfig) -> None:
    found = scores(small_proof(config), config)
    assert found["wape"] == 0.25 and found["wape_seasonal_naive"] == 0.375 and found["wape_weekday_mean"] == 0.75
    assert found["wape_baseline"] == 0.375 and found["bias"] == 0.0
    assert found["coverage_90"] == pytest.approx((1.0 + 1.0 + 0.95 + 0.0) / 4) and found["coverage_90_closed"] == 0.75


def test_only_segments_of_size_are_recorded_for_the_gates(config: ForecastingConfig) -> None:
    proof = small_proof(config)
    table = by_segment(proof, config)
    assert set(zip(table["segment"], table["value"], strict=True)) >= {("department", "a"), ("department", "b")}
    two = config.model_copy(update={"report": config.report.model_copy(update={"gated_rows": 2})})
    three = config.model_copy(update={"report": config.report.model_copy(update={"gated_rows": 3})})
    assert "rmse_ratio/department=a" in metrics(proof, two) and "rmse_ratio/country=US" in metrics(proof, three)
    assert "rmse_ratio/department=a" not in metrics(proof, three) and "rmse_ratio/all" in metrics(proof, three)


def test_a_segment_in_which_nothing_was_sold_is_not_gated(config: ForecastingConfig) -> None:
    proof = small_proof(config).assign(units=[0.0, 0.0, 3.0, 4.0])
    two = config.model_copy(update={"report": config.report.model_copy(update={"gated_rows": 2})})
    found = metrics(proof, two)
    assert "rmse_ratio/department=a" not in found and found["wape_ratio/department=b"] == 1.0


def test_a_window_of_a_promotion_is_a_segment_of_its_own(training: Training) -> None:
    assert set(training.proof["promotion"]) == {"promoted", "regular"}
    assert replace(training, rows=1).windows.days == 28
