"""Prophet's parts and the bottom-up sum are one story: equal sums, kept proportions, the difference in sight."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting.explain.contributions import GROUPS
from retail_assets.forecasting.explain.decomposition import PARTS
from retail_assets.forecasting.explain.reconciliation_view import decimals, grouped, millionths, reconciled

units = st.floats(-500, 5000)


@given(rows=st.lists(st.tuples(*[units] * len(PARTS), st.floats(0, 9000)), min_size=1, max_size=20))
def test_the_parts_add_up_to_the_bottom_up_sum_exactly(rows: list[tuple[float, ...]]) -> None:
    parts = pd.DataFrame([row[:-1] for row in rows], columns=list(PARTS))
    bottom_up = np.array([row[-1] for row in rows])
    made = reconciled(parts, bottom_up, 3.0)
    assert tuple(made.columns) == GROUPS
    for place, total in enumerate(decimals(millionths(bottom_up))):
        assert sum((decimals(made[group].to_numpy())[place] for group in GROUPS), Decimal(0)) == total


def test_one_factor_keeps_proportions_and_the_rest_of_a_day_is_other() -> None:
    parts = pd.DataFrame([[80.0, 10.0, 5.0, 0.0, 5.0]] * 2, columns=list(PARTS))
    made = reconciled(parts, np.array([40.0, 60.0]), 3.0) / 1e6
    told = {"level": 40.0, "season": 7.5, "holidays": 0.0, "promotion": 2.5}
    assert [row.to_dict() for _, row in made.iterrows()] == [told | {"other": -10.0}, told | {"other": 10.0}]
    assert made["other"].sum() == 0


@pytest.mark.parametrize("bottom_up", [0.0, 10.0, 1000.0])
def test_the_parts_stay_where_the_two_are_far_apart(bottom_up: float) -> None:
    parts = pd.DataFrame([[80.0, 10.0, 5.0, 0.0, 5.0]], columns=list(PARTS))
    made = reconciled(parts, np.array([bottom_up]), 3.0).iloc[0] / 1e6
    assert made["level"] == 80.0 and made["season"] == 15.0 and made["other"] == bottom_up - 100.0


@pytest.mark.parametrize("trend", [0.0, -4.0])
def test_a_prophet_of_nothing_or_less_scales_nothing(trend: float) -> None:
    parts = pd.DataFrame([[trend, 0.0, 0.0, 0.0, 0.0]], columns=list(PARTS))
    made = reconciled(parts, np.array([3.0]), 3.0).iloc[0] / 1e6
    assert made.tolist() == [trend, 0, 0, 0, 3.0 - trend]


def test_without_days_there_is_nothing_to_reconcile() -> None:
    assert reconciled(pd.DataFrame([], columns=list(PARTS), dtype=float), np.array([]), 3.0).empty


def test_every_part_of_prophet_has_its_group() -> None:
    parts = pd.DataFrame([[1.0, 2.0, 4.0, 8.0, 16.0]], columns=list(PARTS))
    assert grouped(parts).iloc[0].to_dict() == {
        "level": 1.0, "season": 6.0, "holidays": 8.0, "promotion": 16.0, "other": 0.0,
    }  # fmt: skip
