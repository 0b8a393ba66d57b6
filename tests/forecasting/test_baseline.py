"""The baseline finds what a simulated retailer's demand was made of, and censored days do not pull it down."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.forecasting.baseline import demand_facts
from retail_assets.forecasting.baseline.baseline import COLUMNS, Baseline
from retail_assets.forecasting.baseline.baseline_days import EVENTS, Days, _rising
from retail_assets.forecasting.baseline.demand_facts import Groups, sums
from retail_assets.forecasting.baseline.structure import expected_beyond, fit

FIRST, KNOWN, AHEAD = date(2025, 1, 6), 364, 35
ELASTICITY, LIFT, WAVE = -2.2, 0.3, 0.5


@pytest.fixture(scope="module")
def truth() -> tuple[Days, np.ndarray]:
    """Twelve SKUs in six stores of two countries, and their mean demand (S, T)."""
    chance = np.random.default_rng(5)
    keys = pd.DataFrame(
        [(f"{country}-{n}", f"K{k:02d}", country, f"c{k % 2}", "d0") for country in ("DE", "UK") for n in range(3)
         for k in range(12)], columns=["store_id", "sku", "country", "category", "department"])  # fmt: skip
    size, days = len(keys), KNOWN + AHEAD
    weeks = np.exp(chance.normal(0, 0.12, (size, days // 7 + 1)))
    price = 4.0 * np.repeat(weeks, 7, axis=1)[:, :days]
    discount = np.where(chance.random((size, days // 7 + 1)) < 0.08, 0.25, 0.0)
    discount = np.repeat(discount, 7, axis=1)[:, :days]
    events = np.zeros((2, len(EVENTS), days))
    events[:, 0, ::45] = 1.0
    weekday = np.tile([0.8, 0.8, 0.9, 1.0, 1.2, 1.5, 0.8], days // 7 + 1)[:days]
    closed = (keys["country"] == "DE").to_numpy()[:, None] & (np.arange(days) % 7 == 6)
    turn = 2 * np.pi * pd.date_range(FIRST, periods=days).dayofyear.to_numpy() / 365.25
    wave = np.where((keys["category"] == "c0").to_numpy()[:, None], WAVE * np.cos(turn), 0.0)
    level = chance.gamma(2.0, 2.0, size)
    mean = level[:, None] * weekday * np.exp(wave) * np.where(closed, 0.0, 1.0)
    mean = mean * (price / 4.0 * (1 - discount)) ** ELASTICITY * np.exp(LIFT * (discount > 0))
    mean = mean * np.exp(-0.5 * events[0, 0])
    units = chance.poisson(mean[:, :KNOWN]).astype(float)
    known, hidden = np.ones((size, KNOWN), bool), np.zeros((size, KNOWN), bool)
    days_of = Days(FIRST, keys, units, known, hidden, price, discount, events, ["DE", "UK"])
    return days_of, mean


@pytest.fixture(scope="module")
def baseline(truth: tuple[Days, np.ndarray]) -> Baseline:
    return Baseline.learn(truth[0])


def frame(days: Days, origin: int) -> pd.DataFrame:
    """Every series on each day ahead of day `origin`."""
    size = len(days.keys)
    ahead = np.tile(np.arange(1, 29), size)
    discount = np.concatenate([row[origin + 1 : origin + 29] for row in days.discount])
    return days.keys.loc[np.repeat(np.arange(size), 28)].assign(
        business_date=pd.Timestamp(FIRST + timedelta(days=origin)), horizon=ahead, planned_discount=discount
    )


def test_effects_are_those_that_demand_was_made_with(truth: tuple[Days, np.ndarray], baseline: Baseline) -> None:
    learnt = baseline.structure
    assert learnt.elasticity == pytest.approx(np.full(72, ELASTICITY), abs=0.25)
    assert learnt.lift == pytest.approx(np.full(72, LIFT), abs=0.1)
    assert learnt.season == pytest.approx(np.array([[WAVE, 0.0], [0.0, 0.0]]), abs=0.1)
    assert learnt.events[:, 0, 0] == pytest.approx([-0.5, -0.5], abs=0.1)


def test_days_to_come_are_forecast_close_to_their_true_mean(truth: tuple[Days, np.ndarray], baseline: Baseline) -> None:
    days, mean = truth
    steady = replace(days, price=np.where(np.arange(days.price.shape[1]) > KNOWN, days.price[:, [KNOWN]], days.price))
    factor = (steady.price / days.price) ** ELASTICITY
    rows = frame(days, KNOWN - 1)
    made = baseline.of(rows)["baseline"].to_numpy().reshape(len(days.keys), 28)
    expected = (mean * factor)[:, KNOWN : KNOWN + 28]
    assert np.abs(made - expected).sum() < 0.12 * expected.sum()
    closed = rows["store_id"].str.startswith("DE").to_numpy().reshape(-1, 28) & (np.arange(KNOWN, KNOWN + 28) % 7 == 6)
    assert made[closed].max() < 0.1


def test_parts_multiply_to_the_baseline_and_unknown_series_have_none(
    truth: tuple[Days, np.ndarray], baseline: Baseline
) -> None:
    rows = frame(truth[0], 200)
    made = baseline.of(rows)
    weekday_and_season = made["baseline"] / made["baseline_level"] / np.exp(made["baseline_price"])
    assert (weekday_and_season / np.exp(made["baseline_holidays"]) > 0).all()
    assert baseline.of(rows.head(3).assign(sku="none")).isna().all(axis=None)
    assert baseline.of(rows.head(3).assign(business_date=FIRST - timedelta(days=1))).isna().all(axis=None)
    later = baseline.since(FIRST + timedelta(days=200))
    pd.testing.assert_frame_equal(later.of(rows), made, check_exact=True)
    assert list(made.columns) == list(COLUMNS)


def test_a_planned_discount_raises_the_baseline(truth: tuple[Days, np.ndarray], baseline: Baseline) -> None:
    rows = frame(truth[0], 300).assign(planned_discount=0.0)
    plain, cheap = baseline.of(rows)["baseline"], baseline.of(rows.assign(planned_discount=0.2))["baseline"]
    assert (cheap / plain).median() == pytest.approx(0.8**ELASTICITY * np.exp(LIFT), rel=0.15)


def test_days_that_sold_out_count_as_more_than_they_sold(truth: tuple[Days, np.ndarray]) -> None:
    """Shelves that hold six units hide what more shoppers wanted; leaving those days out hides it as well."""
    days, mean = truth
    hidden = days.units >= 6
    cut = replace(days, units=np.minimum(days.units, 6.0), censored=hidden)
    left_out = replace(cut, known=days.known & ~hidden, censored=np.zeros_like(hidden))
    as_sold = replace(cut, censored=np.zeros_like(hidden))
    groups = Groups.of(days.keys, days.countries)
    off = {}
    for name, given_days in (("censored", cut), ("left out", left_out), ("as sold", as_sold)):
        learnt, _ = fit(given_days, groups)
        off[name] = abs(np.log(learnt.level.sum() / fit(days, groups)[0].level.sum()))
    assert off["censored"] < 0.5 * off["left out"] and off["censored"] < 0.5 * off["as sold"]


def test_series_gone_through_in_parts_give_what_all_at_once_give(
    truth: tuple[Days, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    days, _ = truth
    cut = replace(days, units=np.minimum(days.units, 6.0), censored=days.units >= 6)
    whole = Baseline.learn(cut)
    monkeypatch.setattr(demand_facts, "AT_ONCE", 7)
    parts = Baseline.learn(cut)
    for name in ("level", "state", "price"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-4, abs=1e-5)
    for name in ("level", "weekday", "season", "events", "elasticity", "lift", "dispersion"):
        assert getattr(parts.structure, name) == pytest.approx(getattr(whole.structure, name), rel=1e-4, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 30.0), st.integers(0, 40), st.floats(0.02, 1.5))
def test_demand_beyond_a_bound_is_the_mean_of_the_tail(mean: float, least: int, dispersion: float) -> None:
    made = expected_beyond(np.array([mean]), np.array([float(least)]), dispersion)[0]
    assert made >= max(least, mean) - 1e-6
    counts, shape = np.arange(4000), 1 / dispersion
    odds = mean / (shape + mean)
    steps = np.log((counts[1:] - 1 + shape) / counts[1:] * odds)
    chance = np.exp(np.concatenate([[0.0], np.cumsum(steps)]) + shape * np.log1p(-odds))
    tail = chance[least:]
    if tail.sum() > 1e-4:
        assert made == pytest.approx((tail * counts[least:]).sum() / tail.sum(), rel=0.02, abs=0.02)


def test_sums_keep_the_order_of_codes() -> None:
    code = np.array([2, 0, 1, 0, 2])
    assert sums(np.arange(5.0)[:, None], code)[:, 0].tolist() == [4.0, 2.0, 4.0]


def test_a_season_rises_to_its_end() -> None:
    season = np.zeros((1, 60))
    season[0, 5:45] = 1.0
    made = _rising(season)
    assert (made[season == 0] == 0).all() and (np.diff(made[0, 5:45]) >= 0).all()
    assert made[0, 38:45].min() > 0.99 and made[0, 5] < 0.15
