"""The calendar follows bronze, and is not written again every day."""

from datetime import date, timedelta

from retail_assets.core.calendar import fiscal_year_start
from retail_assets.resources.lake import Lake
from retail_assets.sources.held_days import write_held_days
from retail_assets.warehouse.retail_calendar import NOWHERE, write_calendar
from tests.warehouse import bronze


def span(lake: Lake) -> tuple[date, date, list[str]]:
    sql = f"SELECT min(calendar_date), max(calendar_date), list_sort(list(DISTINCT country)) FROM {lake.scan('bronze', 'retail_calendar')}"  # noqa: E501
    return tuple(lake.query(sql).to_pylist()[0].values())  # type: ignore[return-value]


def test_without_bronze_it_is_empty(lake: Lake) -> None:
    assert write_calendar(lake)
    assert not write_calendar(lake)
    assert lake.query(f"SELECT * FROM {lake.scan('bronze', 'retail_calendar')}").num_rows == 0


def test_it_covers_whole_fiscal_years_and_the_countries_that_are_named(lake: Lake) -> None:
    bronze.create(lake)
    bronze.master_data(lake, 1)
    bronze.append(lake, "pos_lines", [bronze.sale(date(2026, 1, 5)), bronze.sale(date(2026, 3, 1))])
    assert write_calendar(lake)
    assert span(lake) == (fiscal_year_start(2025), fiscal_year_start(2028) - timedelta(days=1), ["UK", "US"])
    bronze.append(lake, "pos_lines", [bronze.sale(date(2026, 3, 2))])
    assert not write_calendar(lake)
    assert lake.version("bronze", "retail_calendar") == 0
    bronze.append(lake, "pos_lines", [bronze.sale(date(2027, 6, 2))])
    write_held_days(lake)
    assert not write_calendar(lake), "one row opens no year"
    bronze.append(lake, "pos_lines", [bronze.sale(date(2027, 6, 3))])
    write_held_days(lake)
    assert write_calendar(lake)


def test_a_retailer_without_countries_has_weeks_all_the_same(lake: Lake) -> None:
    bronze.create(lake)
    bronze.append(lake, "pos_lines", [bronze.sale(date(2026, 1, 5))])
    write_calendar(lake)
    assert span(lake)[2] == [NOWHERE]
