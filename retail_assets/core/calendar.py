"""The retail calendar: 4-5-4 fiscal weeks, ISO weeks, holidays by country and the seasons a retailer plans by.

The 4-5-4 year is the one of the National Retail Federation (https://nrf.com/resources/4-5-4-calendar): weeks run from
Sunday to Saturday, the year ends on the Saturday nearest to 31 January, and the weeks of a quarter form months of
4, 5 and 4. A 53rd week, where there is one, belongs to the last month.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retail_assets.core.errors import RetailError

Days = NDArray[np.datetime64]
Flags = NDArray[np.bool_]

SCHEMA = pa.schema(
    [
        ("country", pa.string()),
        ("calendar_date", pa.date32()),
        ("weekday", pa.int32()),
        ("is_weekend", pa.bool_()),
        ("iso_year", pa.int32()),
        ("iso_week", pa.int32()),
        ("calendar_year", pa.int32()),
        ("calendar_month", pa.int32()),
        ("fiscal_year", pa.int32()),
        ("fiscal_quarter", pa.int32()),
        ("fiscal_period", pa.int32()),
        ("fiscal_week", pa.int32()),
        ("fiscal_week_start", pa.date32()),
        ("holiday_name", pa.string()),
        ("is_holiday", pa.bool_()),
        ("is_black_friday_week", pa.bool_()),
        ("is_back_to_school", pa.bool_()),
        ("is_holiday_season", pa.bool_()),
    ]
)

# First and last (month, day) of the weeks in which families buy for the new school year.
BACK_TO_SCHOOL = {"US": ((7, 15), (9, 7)), "UK": ((8, 1), (9, 7)), "GB": ((8, 1), (9, 7)), "DE": ((8, 1), (9, 15))}
BACK_TO_SCHOOL_ELSEWHERE = ((8, 1), (9, 7))
HOLIDAY_SEASON = ((11, 1), (12, 24))


class CalendarError(RetailError):
    """A range of dates that ends before it begins."""


def fiscal_year_start(year: int) -> date:
    """First day, a Sunday, of the 4-5-4 year named for `year`: the day after the Saturday nearest 31 January."""
    last = date(year, 1, 31)
    days_after_saturday = (last.weekday() - 5) % 7
    nearest = last - timedelta(days=days_after_saturday)
    if days_after_saturday > 3:
        nearest += timedelta(days=7)
    return nearest + timedelta(days=1)


def fiscal_year_of(day: date) -> int:
    """The 4-5-4 year that `day` lies in."""
    return day.year if day >= fiscal_year_start(day.year) else day.year - 1


def weeks_in_fiscal_year(year: int) -> int:
    """52 or 53."""
    return (fiscal_year_start(year + 1) - fiscal_year_start(year)).days // 7


def black_friday(year: int) -> date:
    """The day after the fourth Thursday of November."""
    first = date(year, 11, 1)
    return first + timedelta(days=(3 - first.weekday()) % 7 + 22)


def retail_calendar(start: date, end: date, countries: Sequence[str]) -> pa.Table:
    """One row per country and day from `start` to `end`, both included, in the columns of SCHEMA.

    `weekday` is 1 on Monday and 7 on Sunday, as in ISO 8601. `is_black_friday_week` runs from the Monday before Black
    Friday to the Monday after it, everywhere: the event has spread. A country that the `holidays` package does not
    know has no holidays. Raises CalendarError when `end` is before `start`.
    """
    if end < start:
        raise CalendarError(f"the calendar ends on {end}, before it begins on {start}")
    days = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D") + 1)
    shared = _iso(days) | _fiscal(days) | {"is_black_friday_week": _black_friday_week(days)}
    tables = [_of_country(days, shared, country) for country in sorted(set(countries))]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def _of_country(days: Days, shared: dict[str, np.ndarray], country: str) -> pa.Table:
    names = _holiday_names(days, country)
    columns = shared | {
        "country": pa.array([country] * len(days)),
        "calendar_date": days,
        "holiday_name": names,
        "is_holiday": names.is_valid(),
        "is_back_to_school": _between(days, *BACK_TO_SCHOOL.get(country, BACK_TO_SCHOOL_ELSEWHERE)),
        "is_holiday_season": _between(days, *HOLIDAY_SEASON),
    }
    arrays = [pa.array(columns[f.name]).cast(f.type) for f in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _iso(days: Days) -> dict[str, np.ndarray]:
    number = days.astype(np.int64)
    weekday = (number + 3) % 7 + 1  # 1970-01-01, day 0, was a Thursday
    thursday = (days - (weekday - 4).astype("timedelta64[D]")).astype("datetime64[D]")
    iso_year = thursday.astype("datetime64[Y]").astype(np.int64) + 1970
    first = thursday.astype("datetime64[Y]").astype("datetime64[D]")
    months = days.astype("datetime64[M]").astype(np.int64)
    return {
        "weekday": weekday,
        "is_weekend": weekday >= 6,
        "iso_year": iso_year,
        "iso_week": (thursday - first).astype(np.int64) // 7 + 1,
        "calendar_year": months // 12 + 1970,
        "calendar_month": months % 12 + 1,
    }


def _fiscal(days: Days) -> dict[str, np.ndarray]:
    first, last = days[0].astype(date), days[-1].astype(date)
    years = np.arange(fiscal_year_of(first), fiscal_year_of(last) + 1)
    starts = np.array([fiscal_year_start(int(year)) for year in years], dtype="datetime64[D]")
    index = np.searchsorted(starts, days, side="right") - 1
    week = (days - starts[index]).astype(np.int64) // 7 + 1
    quarter = np.minimum((week - 1) // 13, 3)
    month = np.searchsorted([5, 10], week - quarter * 13, side="right")
    return {
        "fiscal_year": years[index],
        "fiscal_quarter": quarter + 1,
        "fiscal_period": quarter * 3 + month + 1,
        "fiscal_week": week,
        "fiscal_week_start": starts[index] + ((week - 1) * 7).astype("timedelta64[D]"),
    }


def _holiday_names(days: Days, country: str) -> pa.Array:
    import holidays

    years = range(days[0].astype(date).year, days[-1].astype(date).year + 1)
    try:
        known = holidays.country_holidays(country, years=years)
    except NotImplementedError:
        return pa.nulls(len(days), pa.string())
    return pa.array([known.get(day) for day in days.astype(object)], pa.string())


def _black_friday_week(days: Days) -> Flags:
    years = days.astype("datetime64[Y]").astype(np.int64) + 1970
    fridays = {int(year): black_friday(int(year)) for year in np.unique(years)}
    offset = (days - np.array([fridays[int(year)] for year in years], dtype="datetime64[D]")).astype(np.int64)
    return (offset >= -4) & (offset <= 3)


def _between(days: Days, first: tuple[int, int], last: tuple[int, int]) -> Flags:
    month = days.astype("datetime64[M]")
    key = (month.astype(np.int64) % 12 + 1) * 100 + (days - month).astype(np.int64) + 1
    return (key >= first[0] * 100 + first[1]) & (key <= last[0] * 100 + last[1])
