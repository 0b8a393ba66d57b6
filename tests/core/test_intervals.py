"""An interval that says 90 % holds 90 %, for fast and slow sellers, and never turns over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core.accuracy import calibration_gap, coverage
from retail_assets.core.intervals import POOLED, QuantileTable

LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]


def counts(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    mean = np.exp(chance.uniform(np.log(0.2), np.log(50.0), rows))
    actual = chance.negative_binomial(3.0, 3.0 / (3.0 + mean)).astype(float)
    return actual, mean, (chance.random(rows) < 0.3).astype(np.int64)


def test_new_counts_fall_where_the_quantiles_say() -> None:
    actual, mean, group = counts(40_000, 1)
    table = QuantileTable.fit(actual, mean, group, LEVELS)
    fresh, fresh_mean, fresh_group = counts(40_000, 2)
    quantiles = table.quantiles(fresh_mean, fresh_group)
    assert calibration_gap(fresh, quantiles, np.array(LEVELS)) < 0.015
    fast = fresh_mean > 10
    assert coverage(fresh[fast], quantiles[fast, 0], quantiles[fast, -1]) == pytest.approx(0.9, abs=0.02)


def test_groups_that_scatter_more_get_wider_intervals() -> None:
    chance = np.random.default_rng(3)
    group = np.repeat([0, 1], 5000)
    actual = np.maximum(100 + chance.normal(0, np.where(group == 0, 5, 30)), 0)
    table = QuantileTable.fit(actual, np.full(10_000, 100.0), group, LEVELS)
    width = np.ptp(table.quantiles(np.array([100.0, 100.0]), np.array([0, 1])), axis=1)
    assert width[1] > 4 * width[0]


def test_a_group_that_was_never_seen_is_served_by_all_rows() -> None:
    actual, mean, group = counts(5000, 4)
    table = QuantileTable.fit(actual, mean, group, LEVELS)
    assert np.array_equal(
        table.quantiles(np.array([5.0]), np.array([99])), table.quantiles(np.array([5.0]), np.array([POOLED]))
    )


def test_one_row_is_enough_and_none_is_not() -> None:
    one = QuantileTable.fit(np.array([3.0]), np.array([2.0]), np.array([0]), LEVELS)
    assert one.quantiles(np.array([4.0]), np.array([0])).tolist() == [[6.0] * len(LEVELS)]
    with pytest.raises(ValueError, match="no row"):
        QuantileTable.fit(np.array([]), np.array([]), np.array([], dtype=np.int64), LEVELS)


def test_quantiles_of_whole_units_are_whole_and_hold_the_days_that_lie_on_them() -> None:
    chance = np.random.default_rng(6)
    mean = chance.uniform(1.9, 2.1, 20_000)
    actual = chance.poisson(2.0, 20_000).astype(float)
    group = np.zeros(20_000, dtype=np.int64)
    seen, fresh = slice(0, 10_000), slice(10_000, None)
    table = QuantileTable.fit(actual[seen], mean[seen], group[seen], LEVELS, counts=True)
    quantiles = table.quantiles(mean[fresh], group[fresh])
    assert np.array_equal(quantiles, np.rint(quantiles))
    broken = QuantileTable.fit(actual[seen], mean[seen], group[seen], LEVELS).quantiles(mean[fresh], group[fresh])
    gaps = [calibration_gap(actual[fresh], made, np.array(LEVELS)) for made in (quantiles, broken)]
    assert gaps[0] < 0.01 and gaps[1] > 0.05


def test_quantiles_of_weighed_goods_stay_fractions() -> None:
    actual, mean, group = counts(3000, 7)
    actual[17] = 1.25
    table = QuantileTable.fit(actual, mean, group, LEVELS, counts=True)
    made = table.quantiles(mean, group)
    assert not table.whole and not np.array_equal(made, np.rint(made))


def test_the_table_survives_json() -> None:
    actual, mean, group = counts(3000, 5)
    table = QuantileTable.fit(actual, mean, group, LEVELS)
    again = QuantileTable.model_validate_json(table.model_dump_json())
    assert np.array_equal(again.quantiles(mean, group), table.quantiles(mean, group))


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 60), st.integers(0, 3)), min_size=1, max_size=60),
    st.lists(st.tuples(st.floats(0, 1e4), st.integers(-1, 5)), min_size=1, max_size=20),
)
def test_quantiles_are_never_negative_and_never_cross(
    seen: list[tuple[int, float, int]], asked: list[tuple[float, int]]
) -> None:
    table = QuantileTable.fit(
        np.array([row[0] for row in seen], float),
        np.array([row[1] for row in seen]),
        np.array([row[2] for row in seen]),
        LEVELS,
        bands=4,
        rows_per_band=5,
    )
    quantiles = table.quantiles(np.array([row[0] for row in asked]), np.array([row[1] for row in asked]))
    assert np.isfinite(quantiles).all() and (quantiles >= 0).all() and (np.diff(quantiles, axis=1) >= 0).all()
