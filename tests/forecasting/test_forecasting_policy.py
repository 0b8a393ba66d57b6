"""Each decision in every direction: what passes, what fails, and what is missing."""

from datetime import UTC, date, datetime
from math import nan

import pandas as pd
import pytest

from retail_assets.core.manifest import Manifest
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.policy import (
    beats_baselines,
    calibrated,
    complete,
    needs_training,
    never_negative,
    quantiles_ascend,
)

REPORT = ForecastingConfig.load().report
GOLD = {"fct_sales_daily": 3, "dim_store": 1}


def manifest() -> Manifest:
    return Manifest(
        product="forecasting", created_at=datetime(2026, 11, 8, tzinfo=UTC), gold=GOLD, feature_service="s",
        features=["a", "b"], git_commit="c", config={"code_version": "1"}, seed=1, metrics={},
        train_from=date(2026, 1, 1), train_until=date(2026, 11, 8), rows=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gold", "features", "config", "reason"),
    [
        (GOLD | {"fct_sales_daily": 4}, ["a", "b"], {"code_version": "1"}, "fct_sales_daily is at version 4"),
        ({"fct_sales_daily": 3}, ["a", "b"], {"code_version": "1"}, "dim_store is at version None"),
        (GOLD, ["b", "a"], {"code_version": "1"}, "features differ"),
        (GOLD, ["a", "b"], {"code_version": "2"}, "code or the configuration differs"),
    ],
)
def test_any_difference_is_a_reason_to_train(
    gold: dict[str, int], features: list[str], config: dict[str, str], reason: str
) -> None:
    verdict = needs_training(manifest(), gold, features, config)
    assert verdict.passed and reason in "; ".join(verdict.reasons)


def test_no_difference_is_none_and_no_model_is_one() -> None:
    assert not needs_training(manifest(), GOLD, ["a", "b"], {"code_version": "1"}).passed
    assert needs_training(None, GOLD, [], {}).passed


def forecasts(*series: str, days: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        [{"store_id": "S", "sku": sku, "horizon": day} for sku in series for day in range(1, days + 1)],
        columns=["store_id", "sku", "horizon"],
    )


def expected(*series: str) -> pd.DataFrame:
    return pd.DataFrame({"store_id": ["S"] * len(series), "sku": list(series)})


def test_complete_means_every_series_and_every_day_once() -> None:
    assert complete(expected("a", "b"), forecasts("a", "b"), 3, 10).passed
    assert complete(expected("a"), forecasts("a", "b"), 3, 10).passed
    assert not complete(expected("a", "b", "c"), forecasts("a", "b"), 3, 10).passed
    assert not complete(expected("a"), forecasts("a", days=2), 3, 10).passed
    twice = forecasts("a").assign(horizon=[1, 1, 2])
    assert not complete(expected("a"), twice, 3, 10).passed
    assert not complete(expected(), forecasts("a"), 3, 10).passed


def test_of_more_series_than_the_limit_that_many_must_be_complete() -> None:
    assert complete(expected("a", "b", "c"), forecasts("a", "b"), 3, 2).passed
    verdict = complete(expected("a", "b", "c"), forecasts("a"), 3, 2)
    assert verdict.reasons[0].startswith("1 series lack days")


@pytest.mark.parametrize(("value", "passed"), [(0.0, True), (3.5, True), (-0.001, False), (nan, False)])
def test_negative_and_missing_forecasts_are_found(value: float, passed: bool) -> None:
    frame = pd.DataFrame({"mean": [1.0, value], "q05": [0.0, 0.0]})
    assert never_negative(frame, ["mean", "q05"]).passed is passed


@pytest.mark.parametrize(
    ("values", "passed"),
    [((1.0, 2.0, 3.0), True), ((2.0, 2.0, 2.0), True), ((1.0, 3.0, 2.0), False), ((1.0, nan, 2.0), False)],
)
def test_crossing_quantiles_are_found(values: tuple[float, float, float], passed: bool) -> None:
    frame = pd.DataFrame([values], columns=["q05", "q50", "q95"])
    assert quantiles_ascend(frame, ["q05", "q50", "q95"]).passed is passed


@pytest.mark.parametrize(
    ("covered", "gap", "passed"),
    [(0.9, 0.0, True), (0.95, 0.01, True), (0.85, 0.05, True), (0.84, 0.01, False), (0.96, 0.01, False),
     (0.9, 0.06, False),
     (nan, 0.01, False), (0.9, nan, False)],
)  # fmt: skip
def test_intervals_that_cover_too_little_or_too_much_or_miss_their_level_are_found(
    covered: float, gap: float, passed: bool
) -> None:
    assert calibrated({"coverage_90": covered, "calibration_gap": gap}, REPORT).passed is passed
    assert not calibrated({}, REPORT).passed


def test_an_interval_of_few_days_is_held_to_no_more_than_they_say() -> None:
    few = {"coverage_90": 0.82, "coverage_90_error": 0.03, "calibration_gap": 0.08, "calibration_gap_error": 0.03}
    assert calibrated(few, REPORT).passed
    assert not calibrated(few | {"coverage_90_error": 0.01}, REPORT).passed
    assert not calibrated(few | {"calibration_gap_error": 0.01}, REPORT).passed


def test_a_baseline_must_lose_overall_and_in_each_segment() -> None:
    good = {"rmse_ratio/all": 0.8, "wape_ratio/all": 0.9, "wape": 1.4, "rmse_ratio/department=a/b": 0.99}
    assert beats_baselines(good).passed
    assert not beats_baselines(good | {"rmse_ratio/department=a/b": 1.0}).passed
    assert not beats_baselines(good | {"wape_ratio/all": 1.2}).passed
    assert not beats_baselines(good | {"wape_ratio/all": nan}).passed
    assert beats_baselines({"rmse_ratio/all": 0.8}).reasons == ("wape_ratio/all was not measured",)
    assert not beats_baselines({}).passed
