"""The calendar decides which weeks are compared: one day in the wrong fiscal week moves a season."""

from datetime import date, timedelta

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.core import calendar

YEARS = st.integers(min_value=1971, max_value=2149)
DAYS = st.dates(min_value=date(1971, 3, 1), max_value=date(2149, 1, 1))


@pytest.mark.parametrize(
    "start",
    [date(2022, 1, 30), date(2023, 1, 29), date(2024, 2, 4), date(2025, 2, 2), date(2026, 2, 1), date(2027, 1, 31)],
)
def test_years_start_where_the_published_calendar_says(start: date) -> None:
    assert calendar.fiscal_year_start(start.year) == start


@pytest.mark.parametrize(("year", "weeks"), [(2012, 53), (2017, 53), (2022, 52), (2023, 53), (2024, 52), (2025, 52)])
def test_long_years_have_a_53rd_week(year: int, weeks: int) -> None:
    assert calendar.weeks_in_fiscal_year(year) == weeks


@settings(deadline=None)
@given(YEARS)
def test_a_year_begins_on_the_sunday_within_three_days_of_the_first_of_february(year: int) -> None:
    start = calendar.fiscal_year_start(year)
    assert start.isoweekday() == 7
    assert abs((start - date(year, 2, 1)).days) <= 3
    assert calendar.weeks_in_fiscal_year(year) in (52, 53)


@settings(deadline=None)
@given(DAYS, st.integers(min_value=0, max_value=800))
def test_every_day_lies_in_one_fiscal_week_and_whole_weeks_have_seven_days(start: date, length: int) -> None:
    table = calendar.retail_calendar(start, start + timedelta(days=length), ["US"])
    assert table.column("calendar_date").to_pylist() == [start + timedelta(days=i) for i in range(length + 1)]
    weeks = table.group_by(["fiscal_year", "fiscal_week"]).aggregate([("calendar_date", "count")])
    inner = sorted(weeks.column("calendar_date_count").to_pylist())
    assert inner[-1] <= 7
    assert sum(count < 7 for count in inner) <= 2
    assert pc.min_max(table.column("fiscal_week")).as_py()["max"] <= 53


@settings(deadline=None)
@given(YEARS)
def test_a_fiscal_year_has_four_quarters_of_four_five_four(year: int) -> None:
    start, following = calendar.fiscal_year_start(year), calendar.fiscal_year_start(year + 1)
    table = calendar.retail_calendar(start, following - timedelta(days=1), ["US"])
    periods = table.group_by("fiscal_period").aggregate([("fiscal_week", "count_distinct")]).sort_by("fiscal_period")
    weeks = periods.column("fiscal_week_count_distinct").to_pylist()
    assert weeks[:11] == [4, 5, 4] * 3 + [4, 5]
    assert weeks[11] == 4 + calendar.weeks_in_fiscal_year(year) - 52


@settings(deadline=None)
@given(DAYS)
def test_iso_week_and_weekday_are_those_of_the_standard_library(day: date) -> None:
    row = calendar.retail_calendar(day, day, ["DE"]).to_pylist()[0]
    assert (row["iso_year"], row["iso_week"], row["weekday"]) == tuple(day.isocalendar())
    assert (row["calendar_year"], row["calendar_month"]) == (day.year, day.month)
    assert row["fiscal_week_start"] <= day < row["fiscal_week_start"] + timedelta(days=7)


def _rows(country: str, *days: date) -> list[dict[str, object]]:
    return [calendar.retail_calendar(day, day, [country]).to_pylist()[0] for day in days]


def test_holidays_are_those_of_the_country() -> None:
    day = date(2026, 7, 4)
    assert _rows("US", day)[0]["holiday_name"] == "Independence Day"
    assert not _rows("UK", day)[0]["is_holiday"]
    assert _rows("DE", date(2026, 10, 3))[0]["is_holiday"]


def test_a_country_nobody_knows_has_no_holidays() -> None:
    assert not _rows("ZZ", date(2026, 12, 25))[0]["is_holiday"]


def test_black_friday_week_runs_from_monday_to_cyber_monday() -> None:
    assert calendar.black_friday(2025) == date(2025, 11, 28)
    assert calendar.black_friday(2026) == date(2026, 11, 27)
    days = [date(2026, 11, 22), date(2026, 11, 23), date(2026, 11, 30), date(2026, 12, 1)]
    assert [row["is_black_friday_week"] for row in _rows("UK", *days)] == [False, True, True, False]


def test_back_to_school_starts_when_the_country_says() -> None:
    july = date(2026, 7, 20)
    assert _rows("US", july)[0]["is_back_to_school"]
    assert not _rows("DE", july)[0]["is_back_to_school"]
    assert _rows("DE", date(2026, 9, 14))[0]["is_back_to_school"]


def test_the_order_of_the_countries_does_not_matter() -> None:
    start, end = date(2026, 1, 1), date(2026, 1, 3)
    assert calendar.retail_calendar(start, end, ["US", "DE"]) == calendar.retail_calendar(
        start, end, ["DE", "US", "DE"]
    )
    assert calendar.retail_calendar(start, end, []).num_rows == 0


def test_a_range_that_ends_before_it_begins_is_an_error() -> None:
    with pytest.raises(calendar.CalendarError, match="before it begins"):
        calendar.retail_calendar(date(2026, 1, 2), date(2026, 1, 1), ["US"])
