"""A forecast's reasons: in units, named by group, and adding up to the forecast exactly."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.encoding import KNOWN_AHEAD, ForecastModelError
from retail_assets.forecasting.explain.contributions import GROUPS, contributions, group_of, in_units
from retail_assets.forecasting.frames import Gold, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.resources.lake import Lake
from tests.forecasting.small_gold import NEWEST, SKUS, Features

ORIGIN = NEWEST - timedelta(days=28)


@pytest.fixture(scope="module")
def examples(gold_lake: Lake, feature_store: Features) -> pd.DataFrame:
    features = feature_store.training_set("demand_forecast", ORIGIN - timedelta(days=60), ORIGIN)
    return Gold(gold_lake, NEWEST).examples(sampled(features, 28, NEWEST, 8_000, 1))


@pytest.fixture(scope="module")
def forecaster(examples: pd.DataFrame, feature_store: Features, config: ForecastingConfig) -> DemandForecaster:
    return DemandForecaster.fit(examples, feature_store.features("demand_forecast"), config)


def test_the_reasons_add_up_to_the_forecast(forecaster: DemandForecaster, examples: pd.DataFrame) -> None:
    some = examples.sample(400, random_state=3)
    found = contributions(forecaster, some)
    assert tuple(found.columns) == GROUPS and found.index.equals(some.index)
    np.testing.assert_allclose(found.sum(axis=1), forecaster.mean(some), rtol=1e-9, atol=1e-12)


def test_they_add_up_where_the_factor_is_bounded_and_where_a_series_never_sold(
    forecaster: DemandForecaster, examples: pd.DataFrame
) -> None:
    some = examples.head(50)
    bounded = DemandForecaster(forecaster.booster, forecaster.spec.model_copy(update={"largest_factor": 0.5}))
    found = contributions(bounded, some)
    np.testing.assert_allclose(found.sum(axis=1), bounded.mean(some), rtol=1e-9)
    assert (found["other"] < contributions(forecaster, some)["other"]).any()
    empty = some.assign(**{name: 0.0 for name in some.columns if name.startswith("units_") and "mean" in name})
    found = contributions(forecaster, empty)
    np.testing.assert_allclose(found.sum(axis=1), forecaster.mean(empty), rtol=1e-9)


def test_a_planned_promotion_is_told_as_a_promotion(forecaster: DemandForecaster, examples: pd.DataFrame) -> None:
    rows = examples[examples["sku"] == SKUS[6]].head(200)
    told = {deal: contributions(forecaster, rows.assign(planned_discount=deal)).mean() for deal in (0.0, 0.25)}
    gained = told[0.25] - told[0.0]
    assert gained["promotion"] > 0 and gained["promotion"] > 0.8 * gained.drop("promotion").abs().max()


def test_a_strong_weekday_is_told_as_the_weekday(forecaster: DemandForecaster, examples: pd.DataFrame) -> None:
    fast = examples[(examples["sku"] == SKUS[9]) & (examples["country"] == "US")]
    found = contributions(forecaster, fast)
    told = found["season"].groupby(fast["target_weekday"]).mean()
    assert told[6] > 0 > told[1]
    assert abs(found["season"].mean()) < 0.1 * found["level"].mean()


def test_a_missing_column_is_named(forecaster: DemandForecaster, examples: pd.DataFrame) -> None:
    with pytest.raises(ForecastModelError, match="planned_discount"):
        contributions(forecaster, examples.drop(columns="planned_discount").head(2))


@given(
    base=st.floats(0.02, 1e4),
    logs=st.lists(st.floats(-4, 4) | st.sampled_from([0.0, 1e-14, -1e-14, 1e-8]), min_size=5, max_size=5),
)
def test_units_of_factors_add_up_to_their_product(base: float, logs: list[float]) -> None:
    made = in_units(np.array([base]), {g: np.array([v]) for g, v in zip(GROUPS, logs, strict=True)})
    product = base * np.exp(np.sum(logs))
    assert sum(value[0] for value in made.values()) == pytest.approx(product, rel=1e-9)
    for group, value in zip(GROUPS, logs, strict=True):
        gain = made[group][0] - (base if group == "level" else 0.0)
        assert gain * value >= 0


@pytest.mark.parametrize(
    ("feature", "group"),
    [
        ("units_mean_28", "level"), ("store_id", "level"), ("horizon", "level"), ("target_weekday", "season"),
        ("units_target_weekday_mean_8", "season"), ("is_black_friday_week", "holidays"),
        ("is_holiday_season", "holidays"), ("days_to_holiday", "holidays"),
        ("planned_discount", "promotion"), ("competitor_ratio", "promotion"),
        ("store_promo_share_28", "promotion"), ("stockout_share_28", "other"), ("temp_max_c", "other"),
        ("something_new", "other"),
    ],
)  # fmt: skip
def test_each_feature_has_its_group(feature: str, group: str) -> None:
    assert group_of(feature) == group


def test_what_is_known_ahead_is_never_an_unnamed_reason() -> None:
    assert "other" not in {group_of(name) for name in KNOWN_AHEAD}
