"""Writes the retail calendar into bronze, for the countries and the dates that bronze knows."""

from datetime import date, timedelta

from retail_assets.core.calendar import SCHEMA, fiscal_year_of, fiscal_year_start, retail_calendar
from retail_assets.resources.lake import Lake
from retail_assets.sources.held_days import not_held

AHEAD = timedelta(days=366)  # promotions and forecasts look into the next year
NOWHERE = "ZZ"  # a retailer that names no country still has weeks
DATED = ("pos_lines", "stock_levels", "click_events", "payments")
PLACED = ("stores", "customers", "products", "price_list", "promotions")


def write_calendar(lake: Lake) -> bool:
    """Writes `bronze/retail_calendar` when its range or its countries changed; says whether it did.

    The range is whole 4-5-4 years, from the first business date of bronze to a year after the last that is not held
    back, so that it changes once a year. Without any business date the table is created empty.
    """
    span = _span(lake)
    if span is None:
        existed = lake.exists("bronze", "retail_calendar")
        lake.ensure("bronze", "retail_calendar", SCHEMA)
        return not existed
    wanted = (*span, _countries(lake))
    if lake.exists("bronze", "retail_calendar") and _written(lake) == wanted:
        return False
    lake.overwrite("bronze", "retail_calendar", retail_calendar(*wanted))
    return True


def _span(lake: Lake) -> tuple[date, date] | None:
    scans = [f"SELECT business_date FROM {not_held(lake, table)}" for table in DATED if lake.exists("bronze", table)]
    if not scans:
        return None
    found = lake.query(
        f"SELECT min(business_date) AS first, max(business_date) AS last FROM ({' UNION ALL '.join(scans)})"
    )
    first, last = found.to_pylist()[0].values()
    if first is None:
        return None
    return fiscal_year_start(fiscal_year_of(first)), fiscal_year_start(fiscal_year_of(last + AHEAD) + 1) - timedelta(
        days=1
    )


def _countries(lake: Lake) -> list[str]:
    scans = [f"SELECT country FROM {lake.scan('bronze', table)}" for table in PLACED if lake.exists("bronze", table)]
    if not scans:
        return [NOWHERE]
    union = " UNION ".join(scans)
    found = lake.query(f"SELECT country FROM ({union}) WHERE country IS NOT NULL ORDER BY country")
    return found.column("country").to_pylist() or [NOWHERE]


def _written(lake: Lake) -> tuple[date, date, list[str]] | None:
    scan = lake.scan("bronze", "retail_calendar")
    sql = f"SELECT min(calendar_date), max(calendar_date), list_sort(list(DISTINCT country)) FROM {scan}"
    first, last, countries = lake.query(sql).to_pylist()[0].values()
    return (first, last, countries) if first is not None else None
