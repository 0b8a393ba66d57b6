"""Which day is the newest follows from what stores told of, not from the largest date that any row has."""

from collections.abc import Iterable
from datetime import date, timedelta

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources import held_days
from retail_assets.warehouse.build import build_warehouse
from retail_assets.warehouse.checks import no_date_is_ahead_of_its_store
from tests.warehouse import bronze

DAY = bronze.START


def sell(lake: Lake, per_day: dict[int, int], store: str = "US-001") -> None:
    """So many lines on each day (counted from DAY) of a store."""
    rows = [
        bronze.sale(DAY + timedelta(days=offset), store, receipt_id=f"{offset}-{n}")
        for offset, lines in per_day.items()
        for n in range(lines)
    ]
    bronze.append(lake, "pos_lines", rows)


def count_stock(lake: Lake, offsets: Iterable[int], store: str = "US-001") -> None:
    rows = [
        {"store_id": store, "sku": sku, "counted_on": day, "on_hand": 5, "business_date": day}
        for offset in offsets
        for sku in bronze.SKUS
        for day in [DAY + timedelta(days=offset)]
    ]
    bronze.append(lake, "stock_levels", rows)


def held(lake: Lake) -> set[tuple[str, str, int]]:
    """(source, store, day counted from DAY) of what is held back."""
    found = held_days.find_held_days(lake).to_pylist()
    return {(row["source"], row["store_id"], (row["business_date"] - DAY).days) for row in found}


@pytest.fixture
def empty(lake: Lake) -> Lake:
    bronze.create(lake)
    return lake


def test_nothing_is_held_of_nothing_and_of_a_first_day(empty: Lake) -> None:
    assert held(empty) == set()
    sell(empty, {0: 3})
    assert held(empty) == set()


@pytest.mark.parametrize("offset", [30, 31, 400])
def test_one_row_makes_no_day(empty: Lake, offset: int) -> None:
    sell(empty, dict.fromkeys(range(30), 40))
    sell(empty, {offset: 1}, "US-002")
    sell(empty, {offset: 1})
    assert held(empty) == {("pos_lines", store, offset) for store in ("US-001", "US-002")}


def test_a_shop_of_one_line_a_day_has_a_next_day_but_not_one_next_year(empty: Lake) -> None:
    sell(empty, dict.fromkeys(range(30), 1))
    sell(empty, {30: 1})
    assert held(empty) == set()
    sell(empty, {400: 1})
    assert held(empty) == {("pos_lines", "US-001", 400)}


def test_a_shop_that_was_closed_for_a_month_is_back_on_its_first_whole_day(empty: Lake) -> None:
    sell(empty, dict.fromkeys(range(30), 40))
    sell(empty, {60: 30})
    assert held(empty) == set()


def test_who_sells_little_for_three_days_sells_little_now(empty: Lake) -> None:
    sell(empty, dict.fromkeys(range(30), 100))
    sell(empty, {30: 4, 31: 4})
    assert held(empty) == {("pos_lines", "US-001", 30), ("pos_lines", "US-001", 31)}
    sell(empty, {33: 4})
    assert held(empty) == set()


def test_a_day_of_one_small_store_is_none_of_the_chain(empty: Lake) -> None:
    for store in range(20):
        sell(empty, dict.fromkeys(range(30), 10), f"S-{store}")
    sell(empty, {395: 10}, "S-3")
    assert held(empty) == {("pos_lines", "S-3", 395)}
    for store in range(2):
        sell(empty, {30: 10}, f"S-{store}")
    assert held(empty) == {("pos_lines", "S-3", 395)}, "a tenth of the chain has told of its next day"


def test_the_last_hours_of_a_store_that_closed_are_not_held_for_ever(empty: Lake) -> None:
    for store in range(4):
        sell(empty, dict.fromkeys(range(30), 40), f"S-{store}")
    sell(empty, {30: 2}, "S-0")
    for store in range(1, 4):
        sell(empty, dict.fromkeys(range(30, 37), 40), f"S-{store}")
    assert held(empty) == {("pos_lines", "S-0", 30)}
    for store in range(1, 4):
        sell(empty, {37: 40}, f"S-{store}")
    assert held(empty) == set()


def test_old_days_are_history_whatever_they_look_like(empty: Lake) -> None:
    sell(empty, dict.fromkeys(range(30), 40) | {12: 1})
    assert held(empty) == set()


def test_counted_stock_waits_for_the_sales_of_its_day_but_not_for_ever(empty: Lake) -> None:
    sell(empty, dict.fromkeys(range(20), 5))
    count_stock(empty, range(22))
    count_stock(empty, range(20), "WAREHOUSE")
    assert held(empty) == {("stock_levels", "US-001", 20), ("stock_levels", "US-001", 21)}
    sell(empty, {20: 5})
    assert held(empty) == {("stock_levels", "US-001", 21)}
    count_stock(empty, range(22, 29))
    assert held(empty) == set(), "a week without a sale is a week without a sale"


def test_gold_stays_on_its_day_until_the_next_one_is_whole(built: Home, built_lake: Lake, dates: list[date]) -> None:
    def newest() -> date:
        return max(
            day.as_py()
            for table in ("fct_sales_daily", "fct_baskets", "feat_store")
            for day in built_lake.query(
                f"select max(business_date) as day from {built_lake.scan('gold', table)} where store_id = 'US-001'"
            )["day"]
        )

    calendar = built_lake.version("bronze", "retail_calendar")
    next_year, tomorrow = dates[-1] + timedelta(days=365), dates[-1] + timedelta(days=1)
    bronze.append(built_lake, "pos_lines", [bronze.sale(next_year), bronze.sale(tomorrow, receipt_id="first")])
    report = build_warehouse(built_lake, built)
    assert newest() == dates[-1]
    assert report.mode == "days", "a date of next year does not build the days until then"
    assert built_lake.version("bronze", "retail_calendar") == calendar
    told = held_days.held_days(built_lake)
    assert [str(day) for day in told if day.is_ahead] == [f"pos_lines of US-001 on {next_year}: 1 row, usually 10"]
    check = no_date_is_ahead_of_its_store(built_lake)
    assert not check.passed
    bronze.trade(built_lake, [tomorrow])
    build_warehouse(built_lake, built)
    assert newest() == tomorrow
    lines = f"select count(*) as n from {built_lake.scan('gold', 'fct_baskets')} where receipt_id = 'first'"
    assert built_lake.query(lines)["n"][0].as_py() == 1, "what waited is there"
