"""The planted truth can be found again with the right controls, and is hidden without them."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from retail_assets.resources.environments import Home
from retail_assets.sample.config import load_config, scale_named
from retail_assets.sample.shops import Calendar, black_friday, black_friday_strength
from retail_assets.sample.world import build_world
from tests.sample.sample_files import truth


def poisson_slope(x: np.ndarray, y: np.ndarray, offset: np.ndarray) -> float:
    """Maximum likelihood slope of log E[y] = offset + slope * x, by Newton's method."""
    slope = 0.0
    for _ in range(30):
        mean = np.exp(offset + slope * x)
        slope += float((x * (y - mean)).sum() / (x * x * mean).sum())
    return slope


@pytest.fixture(scope="module")
def demand(middle: Home) -> pd.DataFrame:
    frame = truth(middle, "demand").astype({"store_id": str, "sku": str})
    return frame[frame["open"]].merge(truth(middle, "elasticities"), on="sku")


def slopes(demand: pd.DataFrame, x: str, y: str, offset: pd.Series) -> pd.Series:
    frame = demand.assign(offset=offset)
    return pd.Series(
        {
            name: poisson_slope(*(group[c].to_numpy(float) for c in (x, y, "offset")))
            for name, group in frame.groupby("category")
        }
    )


def test_controls_recover_the_planted_elasticities(demand: pd.DataFrame) -> None:
    """Scaling each SKU's true elasticity by a slope of one is the best fit, in every category nearly so."""
    frame = demand.assign(effect=demand["own_elasticity"] * demand["log_price"])
    x, y, offset = (frame[c].to_numpy(float) for c in ("effect", "demand", "control"))
    assert poisson_slope(x, y, offset) == pytest.approx(1.0, abs=0.03)
    scaled = slopes(frame, "effect", "demand", frame["control"])
    busy = frame.groupby("category")["demand"].sum() > 15_000
    assert busy.sum() >= 8
    assert (scaled[busy] - 1).abs().max() < 0.2


def test_naive_regression_is_biased_towards_zero(demand: pd.DataFrame) -> None:
    """Prices follow demand: without the season and the shocks shoppers look less sensitive than they are."""
    usual = np.log(demand.groupby(["store_id", "sku"])["sold"].transform("mean"))
    known = np.isfinite(usual)
    naive = slopes(demand[known], "log_price", "sold", usual[known])
    right = slopes(demand[known], "log_price", "demand", demand.loc[known, "control"].astype(float))
    assert (naive - right).median() > 0.2


def test_mean_is_control_plus_price_effect(demand: pd.DataFrame) -> None:
    expected = demand["control"] + demand["own_elasticity"] * demand["log_price"]
    assert np.allclose(np.log(demand["mean_demand"]), expected, atol=1e-3)


def test_stock_outs_hide_demand(demand: pd.DataFrame) -> None:
    assert (demand["sold"] <= demand["demand"]).all()
    hidden = demand[demand["demand"] > demand["sold"]]
    assert 0.003 < len(hidden) / len(demand) < 0.08
    assert (hidden["on_hand"] <= demand["demand"].max()).all()
    foods = hidden[hidden["department"].isin(["grocery", "frozen"])]
    assert (foods["on_hand"] == 0).all()


def test_noise_is_wider_than_poisson(demand: pd.DataFrame) -> None:
    chosen = demand[demand["mean_demand"] > 2]
    scatter = ((chosen["demand"] - chosen["mean_demand"]) ** 2 / chosen["mean_demand"]).mean()
    assert scatter > 1.2
    assert chosen["demand"].mean() == pytest.approx(chosen["mean_demand"].mean(), rel=0.02)


def test_promotions_fall_on_strong_days(demand: pd.DataFrame) -> None:
    """What a promotion adds by itself is in the control; even without it promoted days have the stronger control."""
    usual = demand.groupby(["store_id", "sku"])["control"].transform("mean")
    lift = (demand["control"] - usual)[demand["on_promotion"]] - demand.loc[demand["on_promotion"], "promotion_lift"]
    assert lift.mean() > (demand["control"] - usual)[~demand["on_promotion"]].mean() + 0.02


def test_weekend_and_black_friday_are_busy(demand: pd.DataFrame) -> None:
    days = pd.to_datetime(demand["business_date"])
    stores = demand[~demand["store_id"].str.endswith("WEB")]
    weekday = stores.groupby(days[stores.index].dt.weekday)["demand"].mean()
    assert weekday[5] > 1.2 * weekday[1]
    apparel = demand[demand["department"] == "apparel"]
    daily = apparel.groupby("business_date")["demand"].sum()
    assert daily[date(2025, 11, 28)] > 1.7 * daily[date(2025, 11, 14)]


def test_garden_peaks_in_summer_by_truth() -> None:
    from retail_assets.sample.demand import season

    world = build_world(1, scale_named("tiny"))
    garden = world.skus.department == list(world.config.departments).index("garden")
    october, june = (season(world, day)[garden].mean() for day in (0, 260))
    assert june - october > 1.0


@pytest.mark.parametrize(("year", "day"), [(2025, 28), (2026, 27), (2027, 26), (2024, 29), (2022, 25)])
def test_black_friday(year: int, day: int) -> None:
    assert black_friday(year) == date(year, 11, day)
    assert black_friday_strength(black_friday(year)) == 1.0
    assert black_friday_strength(date(year, 7, 1)) == 0.0


def test_holidays_of_each_country() -> None:
    config = load_config()
    calendars = {code: Calendar.of(c, config.first_day) for code, c in config.countries.items()}
    assert calendars["US"].closed(date(2025, 11, 27)) and not calendars["UK"].closed(date(2025, 11, 27))
    assert calendars["DE"].closed(date(2026, 5, 1)) and calendars["DE"].closed(date(2025, 10, 12))
    assert calendars["UK"].closed(date(2025, 12, 25)) and not calendars["UK"].closed(date(2025, 12, 26))
    assert calendars["UK"].holiday_eve(date(2025, 12, 24)) == 1.0
    assert calendars["US"].holiday_eve(date(2026, 8, 12)) == 0.0


def test_some_skus_are_new_and_some_end() -> None:
    skus = build_world(7, scale_named("demo")).skus
    assert 0.03 < ((skus.launched > 0) & (skus.launched < 400)).mean() < 0.15
    assert 0.02 < (skus.discontinued < 400).mean() < 0.12
    assert (skus.launched < skus.discontinued).all()
