"""A year of weeks: the first four must be the days everybody else plans with, the rest must know the season."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting.cold_start import ANALOGUES, OWN
from retail_assets.planning import weekly_assets, weekly_checks
from retail_assets.planning.config import PlanningConfig
from retail_assets.planning.weekly import YEAR, WeeklyHistory, WeeklySettings, fit, forecast, position, seasonal_naive
from retail_assets.planning.weekly_checks import agrees, beats_naive, every_week
from retail_assets.planning.weekly_promotions import promotion_factors
from retail_assets.planning.weekly_tables import (
    DAILY,
    WEEKLY,
    band,
    held_back,
    intervals,
    read_history,
    weekly_forecasts,
    weekly_scores,
)
from retail_assets.resources.lake import Lake
from tests.planning.small_plan import ORIGIN, SKUS, STORES, forecasts, write_plan

SETTINGS = WeeklySettings()
CONFIG = PlanningConfig.load().weekly
LEVELS = [0.05, 0.5, 0.95]


def seasonal(weeks: int = 104, series: int = 60, seed: int = 1) -> tuple[WeeklyHistory, np.ndarray]:
    """Poisson weeks of two categories in opposite seasons, and the true means of the 52 weeks after."""
    chance = np.random.default_rng(seed)
    code = np.arange(series) % 2
    place = position(weeks + YEAR) / YEAR * 2 * np.pi
    season = 1 + 0.5 * np.where(code[:, None] == 0, np.cos(place), -np.cos(place))[:, :]
    mean = chance.uniform(2, 30, series)[:, None] * season
    mean = np.roll(mean, 0, axis=1)
    units = chance.poisson(mean[:, :weeks]).astype(float)
    history = WeeklyHistory(units, np.ones_like(units), code, code, np.zeros(YEAR, dtype=bool))
    return history, mean[:, weeks:]


def error(made: np.ndarray, true: np.ndarray) -> float:
    return float(np.abs(made - true).sum() / true.sum())


def test_the_season_of_the_category_is_found_and_beats_last_year_s_week() -> None:
    history, true = seasonal()
    made = forecast(fit(history, SETTINGS), YEAR)
    assert error(made, true) < 0.12 and error(made, true) < 0.5 * error(seasonal_naive(history, YEAR), true)


def test_one_year_and_a_little_more_is_enough() -> None:
    history, true = seasonal(weeks=57)
    made = forecast(fit(history, SETTINGS), YEAR)
    assert error(made, true) < 0.6 * error(seasonal_naive(history, YEAR), true)


def test_an_event_stays_in_its_week() -> None:
    history, _ = seasonal()
    units = history.units.copy()
    units[:, position(104) == 20] *= 3.0
    events = np.arange(YEAR) == 20
    marked = fit(WeeklyHistory(units, history.exposure, history.group, history.category, events), SETTINGS).season
    smeared = fit(
        WeeklyHistory(units, history.exposure, history.group, history.category, ~(events | ~events)), SETTINGS
    )
    assert (marked[:, 20] / marked[:, 21]).mean() > 2.0 > (smeared.season[:, 20] / smeared.season[:, 21]).mean()
    assert (marked[:, 21] / marked[:, 22]).mean() == pytest.approx(1.0, abs=0.15)


@given(st.integers(1, 70), st.integers(1, 5), st.integers(0, 5))
def test_forecasts_are_numbers_and_never_negative_whatever_is_known(weeks: int, series: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    exposure = chance.integers(0, 2, (series, weeks)).astype(float)
    units = chance.poisson(3.0, (series, weeks)) * exposure
    code = np.zeros(series, dtype=np.int64)
    history = WeeklyHistory(units, exposure, code, code, np.zeros(YEAR, dtype=bool))
    made = forecast(fit(history, SETTINGS), 60)
    assert np.isfinite(made).all() and (made >= 0).all()
    assert np.isfinite(seasonal_naive(history, 60)).all()


def test_days_that_are_not_known_do_not_lower_the_level() -> None:
    history, _ = seasonal(series=2)
    half = history.exposure.copy()
    half[:, -8:] = 0.5
    units = history.units.copy()
    units[:, -8:] *= 0.5
    known = WeeklyHistory(units, half, history.group, history.category, history.events)
    assert fit(known, SETTINGS).level == pytest.approx(fit(history, SETTINGS).level, rel=0.02)


def test_intervals_cover_weeks_that_come_later() -> None:
    history, true = seasonal(weeks=115, series=300)
    proof = held_back(history, CONFIG)
    made = forecast(fit(history, SETTINGS), YEAR)
    units = np.random.default_rng(9).poisson(true)
    week = np.tile(np.arange(1, YEAR + 1), len(true))
    quantiles = intervals(proof, LEVELS, CONFIG).quantiles(made.ravel(), band(week))
    covered = ((units.ravel() >= quantiles[:, 0]) & (units.ravel() <= quantiles[:, -1])).mean()
    assert 0.87 <= covered <= 0.95
    scores = weekly_scores(proof, LEVELS, CONFIG)
    assert scores["weeks"].tolist() == ["1 to 4", "5 to 13", "14 to 26", "27 to 52"]
    assert (scores["wape"] < scores["wape_seasonal_naive"]).all()
    assert beats_naive(scores).passed and not beats_naive(scores.assign(wape=scores["wape_seasonal_naive"])).passed
    assert not beats_naive(scores.assign(wape=float("nan"))).passed


def test_a_band_nobody_could_prove_has_the_intervals_of_the_one_before() -> None:
    history, _ = seasonal(weeks=57, series=300)
    table = intervals(held_back(history, CONFIG), LEVELS, CONFIG)
    assert table.groups[3] == table.groups[2] and set(table.groups) >= {0, 1, 2, 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The weekly asset on a lake of its own; the second time nothing is done."""
    lake = write_plan(Lake.at(tmp_path_factory.mktemp("weekly") / "lake"), days=28 * 4)
    statuses = [(weekly_assets.forecasts_weekly(lake=lake).metadata or {})["status"] for _ in range(2)]
    assert statuses == ["forecast", "unchanged"]
    return lake


def test_the_table_has_52_weeks_whose_first_four_are_the_days(made: Lake) -> None:
    rows = made.open("gold", "forecasts_weekly").to_pyarrow_table().to_pandas()
    assert len(rows) == len(STORES) * len(SKUS) * 52
    results = {r.check_name: r.passed for r in weekly_checks.weekly_checks(lake=made)}
    blocking = {name: results[name] for name in weekly_checks.BLOCKING}
    assert all(blocking.values()), results
    assert rows.groupby("method").size().to_dict() == {DAILY: 18 * 4, WEEKLY: 18 * 48}
    first = rows[(rows["week"] == 1)].iloc[0]
    assert (first["first_date"], first["last_date"]) == (ORIGIN + timedelta(days=1), ORIGIN + timedelta(days=7))
    level = rows.pivot_table(index=["store_id", "sku"], columns="method", values="mean")
    assert (level[WEEKLY] / level[DAILY]).between(0.6, 1.6).all(), "the season of less than a year is none"


def test_a_lost_week_and_a_changed_one_are_found(made: Lake) -> None:
    rows = made.open("gold", "forecasts_weekly").to_pyarrow_table().to_pandas()
    daily = forecasts()
    assert agrees(rows, daily).passed and every_week(rows, daily, 52).passed
    assert not agrees(rows.assign(mean=rows["mean"] * 1.0001), daily).passed
    assert not every_week(rows.iloc[1:], daily, 52).passed
    assert not every_week(rows[rows["sku"] != "SKU-00001"], daily, 52).passed


def test_a_sku_that_has_not_sold_has_the_weeks_of_its_category(made: Lake) -> None:
    kinds = pd.DataFrame({"sku": list(SKUS), "category": list(SKUS.values())})
    daily = forecasts().merge(kinds).assign(country=lambda rows: rows["store_id"].map(STORES), department="d")
    new = daily["sku"] == "SKU-00001"
    daily["rung"] = np.where(new, ANALOGUES, OWN)
    series = daily.drop_duplicates(["store_id", "sku"]).reset_index(drop=True)
    history = read_history(made, series, ORIGIN, CONFIG)
    table = intervals(held_back(history, CONFIG), LEVELS, CONFIG)
    rows = weekly_forecasts(daily, history, np.ones((len(series), 52)), table, ORIGIN, CONFIG).to_pandas()
    late = rows[rows["week"] == 30].set_index(["store_id", "sku"])["mean"]
    alike = next(sku for sku, kind in SKUS.items() if kind == SKUS["SKU-00001"] and sku != "SKU-00001")
    assert late["US-001", "SKU-00001"] == pytest.approx(late["US-001", alike])


def test_a_promotion_that_is_announced_lifts_its_week_and_nothing_else(own_plan: Lake) -> None:
    """Promoted days of the past sold twice as much, in three weeks of the year; one is announced for week 6."""
    days = pd.date_range(ORIGIN - timedelta(days=363), ORIGIN)
    grid = pd.MultiIndex.from_product([sorted(STORES), sorted(SKUS), days], names=["store_id", "sku", "day"])
    rows = grid.to_frame(index=False)
    promoted = rows["day"].dt.dayofyear.between(60, 80).to_numpy()
    rows = rows.assign(business_date=rows["day"].dt.date, on_promotion=promoted, is_stocked_out=False)
    rows["gross_units"] = np.where(promoted, 8.0, 4.0)
    own_plan.overwrite("gold", "fct_sales_daily", pa.Table.from_pandas(rows.drop(columns="day"), preserve_index=False))
    starts = {"SKU-00001": ORIGIN - timedelta(days=3), "SKU-00002": ORIGIN + timedelta(days=3)}
    planned = [
        {"country": "US", "sku": sku, "starts_on": ORIGIN + timedelta(days=36), "ends_on": ORIGIN + timedelta(days=42),
         "discount_pct": 20.0, "announced_on": day} for sku, day in starts.items()
    ]  # fmt: skip
    own_plan.overwrite("gold", "dim_promotion", pa.Table.from_pylist(planned))
    series = rows[["store_id", "sku"]].drop_duplicates().assign(category=lambda frame: frame["sku"].map(SKUS))
    factors = promotion_factors(own_plan, series.reset_index(drop=True), ORIGIN, 52)
    changed = np.argwhere(factors != 1.0).tolist()
    assert [series["store_id"].iloc[row] for row, _ in changed] == ["US-001", "US-002"]
    assert {week for _, week in changed} == {5} and {series["sku"].iloc[row] for row, _ in changed} == {"SKU-00001"}
    assert factors.max() == pytest.approx(2.0 / (1 + 21 / 364)), "its level holds the promotions of the past"


def test_a_history_too_short_to_prove_anything_makes_no_forecast(own_plan: Lake, lake: Lake) -> None:
    assert (weekly_assets.forecasts_weekly(lake=own_plan).metadata or {})["status"] == weekly_assets.SHORT
    assert (weekly_assets.forecasts_weekly(lake=lake).metadata or {})["status"] == "no forecasts yet"
    assert all(result.passed for result in weekly_checks.weekly_checks(lake=lake))
