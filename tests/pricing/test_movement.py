"""Prices that hardly or rarely moved say nothing of demand, and an estimate at its bound says that it is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retail_assets.pricing.backtest.backtest import Backtest
from retail_assets.pricing.backtest.history import Columns, read_history
from retail_assets.pricing.backtest.history_model import shrunken
from retail_assets.pricing.backtest.movement import moved_items, moved_series
from tests.pricing.simulated_history import COLUMNS, run, simulate

Price = Callable[[pd.DataFrame], "pd.Series[float]"]
OWN = Columns(("store", "item"), "week", "units", "price")


def shop(price: Price, *, constant: bool = False, stores: int = 2) -> pd.DataFrame:
    """Thirty weeks of two items, whose sales do not depend on their price."""
    places = [(f"S{s}", f"I{i}", week) for s in range(stores) for i in (1, 2) for week in range(30)]
    table = pd.DataFrame(places, columns=["store", "item", "week"])
    table["units"] = 40 if constant else np.random.default_rng(2).integers(30, 51, len(table))
    return table.assign(price=price(table))


def step(size: float) -> Price:
    return lambda table: 5 + size * (table["week"] % 2)


def tables(found: Backtest) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_parquet(found.files[0]), pd.read_parquet(found.files[1])


@pytest.mark.parametrize(
    "price",
    [
        step(0.01),
        step(1e-9),
        lambda table: np.round(5.123 * table["units"], 2) / table["units"],
        lambda table: np.round(0.512 * (1 + table["week"] % 7), 2) / (1 + table["week"] % 7),
        lambda table: 5 + 1.0 * (table["week"] == 29),
        lambda table: 5 + 1.0 * table["week"].isin([3, 17]),
    ],
)
def test_rounding_and_one_week_are_no_elasticity(price: Price, written: Callable) -> None:
    found = run(written(shop(price)), OWN)
    for table in tables(found):
        assert set(table["source"]) == {"none"}
        assert table[["elasticity", "lo", "hi"]].isna().all(axis=None)
    assert {row.others for row in found.items} == {None}
    assert "by more than 1 % with at least 3 periods at either price" in found.notes[0]


def test_three_weeks_at_another_price_are_enough(written: Callable) -> None:
    found = run(written(shop(lambda table: 5 + 1.0 * table["week"].isin([3, 11, 17]))), OWN)
    assert {row.source for row in found.own} == {"own"}


def test_items_that_moved_by_a_cent_get_what_others_have_and_change_nothing_of_them(written: Callable) -> None:
    table = simulate()
    cent = table.assign(price=np.where(table["brand"] == 2, 2.99 + 0.01 * (table["week"] % 2), table["price"]))
    still = table.assign(price=np.where(table["brand"] == 2, 2.99, table["price"]))
    (series, items), (plain, plain_items) = (tables(run(written(each))) for each in (cent, still))
    assert series["source"].equals(plain["source"])
    assert items["source"].tolist() == ["own", "own", "others", "own", "own"]
    assert np.allclose(series["elasticity"], plain["elasticity"], atol=1e-3)
    assert np.allclose(items["others"], plain_items["others"], atol=1e-3, equal_nan=True)


def test_a_store_with_one_promotion_has_its_items_elasticity_and_adds_to_it(written: Callable) -> None:
    table = simulate()
    still, week = (table["store"] == 3) & (table["brand"] == 2), table["week"]
    once = table.assign(price=np.where(still, 2.99 - 0.6 * (week == 130), table["price"]))
    series, items = tables(run(written(once)))
    row, item = series.query("store == 3 and brand == 2").iloc[0], items.query("brand == 2").iloc[0]
    assert (row["source"], row["weight"]) == ("item", 0.0)
    assert row["elasticity"] == pytest.approx(item["elasticity"], abs=0.1)
    never = table.assign(price=np.where(still, 2.99, table["price"]))
    assert item["elasticity"] != tables(run(written(never)))[1].query("brand == 2").iloc[0]["elasticity"]


def test_stores_that_share_the_weeks_make_an_item_move(written: Callable) -> None:
    table = shop(step(0.0), stores=4)
    own = table["store"].str[1:].astype(int) * 5 + 3
    history = read_history(written(table.assign(price=5 - 1.0 * (table["week"] == own))), OWN)
    assert not moved_series(history).any()
    assert moved_items(history).all()
    found = shrunken(history, "log")
    assert found.item_moved.all() and not found.weight[:, 0].any()
    assert np.ptp(found.theta[:, 0].reshape(2, 4, order="F"), axis=1) == pytest.approx([0, 0])


def test_a_series_that_says_little_of_a_moved_price_still_has_its_own_elasticity(written: Callable) -> None:
    found = run(written(shop(step(0.06))), OWN)
    assert {row.source for row in found.own} == {"own"}
    assert all(row.elasticity is not None and row.elasticity > -6 for row in found.own)


@pytest.mark.parametrize(
    ("price", "constant"),
    [
        (step(1.0), True),
        (lambda table: 5 + 1.0 * table["week"], True),
        (lambda table: np.where(table["week"] % 2, 5.0, 1e9), False),
    ],
)
def test_an_estimate_that_is_cut_off_says_so_and_its_interval_holds_what_the_data_say(
    price: Price, constant: bool, written: Callable
) -> None:
    found = run(written(shop(price, constant=constant)), OWN)
    for row in found.own:
        assert row.cut_off and row.lo is not None and row.hi is not None and row.ols is not None
        assert row.lo <= -0.1 < row.hi
        assert row.lo < row.ols < row.hi
    assert found.notes[0].startswith("4 of 4 series seem to sell no less at a higher price: cut off at -0.1")
    for table in tables(found):
        assert table["cut_off"].all()
        assert (table["lo"] < table["hi"]).all()


def test_estimates_below_the_bound_are_not_cut_off(written: Callable) -> None:
    found = run(written(simulate()), COLUMNS)
    for table in tables(found):
        assert not table["cut_off"].any()
        assert (table["hi"] < -0.1).all()


def test_the_command_marks_what_is_cut_off(retail: Callable, tmp_path: Path) -> None:
    shop(step(1.0), constant=True).to_csv(tmp_path / "s.csv", index=False)
    asked = ["backtest", "pricing", str(tmp_path / "s.csv"), "--series", "store,item", "--time", "week"]
    asked += ["--units", "units", "--price", "price", "--out", str(tmp_path / "e.csv")]
    assert "own, cut off" in " ".join(retail(tmp_path, *asked).stdout.split())
