"""Each metric against a figure worked out by hand, and NaN where there is nothing to measure."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core import accuracy

ACTUAL = np.array([0.0, 2.0, 4.0, 4.0])
FORECAST = np.array([1.0, 2.0, 2.0, 5.0])


def test_metrics_by_hand() -> None:
    assert accuracy.wape(ACTUAL, FORECAST) == 0.4
    assert accuracy.bias(ACTUAL, FORECAST) == 0.0
    assert accuracy.bias(ACTUAL, FORECAST + 1.0) == 0.4
    assert accuracy.rmse(ACTUAL, FORECAST) == pytest.approx(math.sqrt(1.5))
    assert accuracy.scaled_rmse(ACTUAL, FORECAST, ACTUAL + 2.0) == pytest.approx(math.sqrt(1.5) / 2.0)
    assert accuracy.coverage(ACTUAL, FORECAST - 1.0, FORECAST + 1.0) == 0.75


def test_pinball_by_hand() -> None:
    levels = np.array([0.1, 0.9])
    quantiles = np.array([[1.0, 3.0]])
    assert accuracy.pinball(np.array([2.0]), quantiles, levels) == pytest.approx((0.1 + 0.1) / 2)
    assert accuracy.pinball(np.array([5.0]), quantiles, levels) == pytest.approx((0.4 + 1.8) / 2)


def test_the_median_of_a_slow_seller_may_be_zero() -> None:
    actual = np.array([0.0] * 60 + [1.0] * 40)
    zero, one = np.zeros((100, 1)), np.ones((100, 1))
    assert accuracy.calibration_gap(actual, zero, np.array([0.5])) == 0.0
    assert accuracy.calibration_gap(actual, zero, np.array([0.7])) == pytest.approx(0.1)
    assert accuracy.calibration_gap(actual, one, np.array([0.5])) == pytest.approx(0.1)


def test_nothing_to_measure_is_not_a_number() -> None:
    none = np.array([])
    values = [
        accuracy.wape(none, none),
        accuracy.bias(none, none),
        accuracy.rmse(none, none),
        accuracy.scaled_rmse(none, none, none),
        accuracy.pinball(none, np.empty((0, 2)), np.array([0.1, 0.9])),
        accuracy.coverage(none, none, none),
        accuracy.calibration_gap(none, np.empty((0, 1)), np.array([0.5])),
        accuracy.harm(none, none, none, np.array([], dtype=np.int64)),
        accuracy.wape(np.zeros(3), np.ones(3)),
        accuracy.scaled_rmse(np.ones(3), np.zeros(3), np.ones(3)),
    ]
    assert all(math.isnan(value) for value in values)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=50), st.floats(0.01, 0.99), st.floats(0, 100))
def test_the_empirical_quantile_has_the_least_pinball_loss(units: list[int], level: float, other: float) -> None:
    actual, levels = np.array(units, float), np.array([level])
    best = float(np.quantile(actual, level, method="inverted_cdf"))
    loss = accuracy.pinball(actual, np.full((len(units), 1), best), levels)
    assert loss <= accuracy.pinball(actual, np.full((len(units), 1), other), levels) + 1e-9


def test_harm_needs_many_series_that_lose_not_one_bulk_order() -> None:
    chance = np.random.default_rng(1)
    series = np.repeat(np.arange(200), 7)
    actual = chance.poisson(3.0, 1400).astype(float)
    good, bad = np.full(1400, 3.0), np.full(1400, 5.0)
    assert accuracy.harm(actual, bad, good, series) > 5
    assert accuracy.harm(actual, good, bad, series) < -5
    assert accuracy.harm(actual, good, good, series) == 0.0
    one_order = good.copy()
    one_order[0] = 500.0
    assert accuracy.rmse(actual, one_order) > 5 * accuracy.rmse(actual, good)
    assert 0 < accuracy.harm(actual, one_order, good, series) < 3


def test_a_lone_series_that_loses_is_harm() -> None:
    one = np.zeros(3, dtype=np.int64)
    assert accuracy.harm(np.ones(3), np.zeros(3), np.ones(3), one) == math.inf
    assert accuracy.harm(np.ones(3), np.ones(3), np.zeros(3), one) == 0.0


def test_the_error_of_a_ratio_by_hand() -> None:
    loss, other, unit = np.array([1.0, 1.0, 3.0]), np.array([2.0, 2.0, 4.0]), np.array([0, 0, 1])
    residual = np.array([2.0 - 0.625 * 4.0, 3.0 - 0.625 * 4.0])
    assert accuracy.ratio_error(loss, other, unit) == pytest.approx(math.sqrt(2 * residual.var(ddof=1)) / 8.0)


def test_a_lone_series_and_a_perfect_baseline_have_no_error() -> None:
    one = np.zeros(3, dtype=np.int64)
    assert math.isnan(accuracy.ratio_error(np.ones(3), np.ones(3), one))
    assert math.isnan(accuracy.ratio_error(np.ones(3), np.zeros(3), np.arange(3)))
    assert math.isnan(accuracy.rmse_ratio_error(np.ones(3), np.zeros(3), np.ones(3), np.arange(3)))


@pytest.mark.parametrize("measure", ["rmse", "wape"])
def test_intervals_of_a_ratio_cover_what_they_claim(measure: str) -> None:
    """Series differ in level and their days depend on each other; 90 % intervals over 400 samples of 150 series."""
    chance = np.random.default_rng(7)
    unit = np.repeat(np.arange(150), 7)

    def sample(series: int) -> tuple[float, float]:
        codes = np.repeat(np.arange(series), 7)
        level = chance.lognormal(0.5, 0.6, series)[codes] * chance.lognormal(0, 0.3, series)[codes]
        actual = chance.poisson(level).astype(float)
        forecast, other = level * 1.1, level + chance.normal(0, 1.0, series)[codes]
        if measure == "rmse":
            ratio = accuracy.rmse(actual, forecast) / accuracy.rmse(actual, other)
            return ratio, accuracy.rmse_ratio_error(actual, forecast, other, codes)
        ratio = accuracy.wape(actual, forecast) / accuracy.wape(actual, other)
        return ratio, accuracy.wape_ratio_error(actual, forecast, other, codes)

    truth, _ = sample(60_000)
    found = [sample(len(np.unique(unit))) for _ in range(400)]
    covered = np.mean([abs(ratio - truth) <= 1.645 * error for ratio, error in found])
    assert 0.84 <= covered <= 0.94


def _poisson_interval(mean: np.ndarray, wrong: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    from scipy.stats import poisson

    return poisson.ppf(0.05, mean * wrong), poisson.ppf(0.95, mean * wrong)


def test_an_honest_interval_of_counts_covers_what_it_says_and_a_wrong_one_does_not() -> None:
    chance = np.random.default_rng(5)
    mean = np.repeat(np.geomspace(0.2, 50.0, 40), 500)
    units = chance.poisson(mean).astype(float)
    low, high = _poisson_interval(mean)
    assert accuracy.coverage(units, low, high) > 0.92
    assert accuracy.coverage_of_counts(units, low, high, mean, 0.9) == pytest.approx(0.9, abs=0.01)
    wide = accuracy.coverage_of_counts(units, np.zeros(len(mean)), high * 2 + 1, mean, 0.9)
    few, many = _poisson_interval(mean, 0.8)
    assert wide > 0.93 and accuracy.coverage_of_counts(units, few, many, mean, 0.9) < 0.85
    assert np.isnan(accuracy.coverage_of_counts(*(np.array([]),) * 4, 0.9))


def test_of_few_series_each_week_is_an_observation() -> None:
    series, week = np.repeat(np.arange(3), 28), np.tile(np.arange(28) // 7, 3)
    assert len(np.unique(accuracy.clusters(series, week))) == 12
    many = np.repeat(np.arange(10), 28)
    assert np.array_equal(accuracy.clusters(many, np.tile(np.arange(28) // 7, 10)), many)
    alone = accuracy.clusters(np.zeros(28, dtype=np.int64), np.arange(28) // 7)
    assert 0 < accuracy.ratio_error(np.arange(28.0), np.ones(28), alone) < math.inf
    assert len(accuracy.clusters(np.array([], dtype=np.int64), np.array([], dtype=np.int64))) == 0


@pytest.mark.parametrize("rows", [84, 2_000])
def test_a_right_quantile_lies_within_its_error_of_its_level(rows: int) -> None:
    """600 samples of days that are independent: a gap beyond chance is rare, and a wrong quantile is found."""
    from scipy.stats import norm

    chance, levels = np.random.default_rng(3), np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    unit, right = np.arange(rows), norm.ppf(levels)[None, :].repeat(rows, axis=0)
    beyond, missed = 0, 0
    for _ in range(600):
        actual = chance.normal(size=rows)
        beyond += _surely_off(actual, right, levels, unit)
        missed += not _surely_off(actual, right + 1.0, levels, unit)
    assert beyond <= 30 and missed <= 30  # one in twenty


def _surely_off(actual: np.ndarray, quantiles: np.ndarray, levels: np.ndarray, unit: np.ndarray) -> bool:
    error = accuracy.calibration_gap_error(actual, quantiles, levels, unit)
    return accuracy.calibration_gap(actual, quantiles, levels) - 1.645 * error > 0.05


def test_the_error_of_a_share_is_that_of_its_binomial_and_never_nothing() -> None:
    assert accuracy.share_error(0.5, 10_000) == pytest.approx(0.005, rel=0.01)
    assert accuracy.share_error(1.0, 8) > 0.05
    assert accuracy.share_error(0.0, 1) == pytest.approx(math.sqrt(0.4 * 0.6 / 5))
