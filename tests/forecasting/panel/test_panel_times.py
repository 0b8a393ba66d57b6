"""Days, weeks, months, quarters and fiscal months: read in every spelling, written back in it, refused with advice that
works when it is followed.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.core.calendar import retail_calendar
from retail_assets.forecasting.panel.backtest import Files, backtest
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.reading import frequency
from retail_assets.forecasting.panel.reading.frequency import FREQUENCIES, detected
from retail_assets.forecasting.panel.reading.table import PanelError
from tests.forecasting.panel.simulated import FAST

COLUMNS = Columns(("item",), "time", "units")
Times = list[Any]
MONTHS = pd.period_range("2021-01", periods=36, freq="M")
QUARTERS = pd.period_range("2010Q1", periods=40, freq="Q")


def sales(times: Times, items: int = 3) -> pd.DataFrame:
    """Items that sell in every one of the times, with a season of twelve."""
    rng = np.random.default_rng(8)
    at = np.arange(len(times))
    mean = np.outer(np.exp(rng.normal(4, 1, items)), 1 + 0.5 * np.sin(2 * np.pi * at / 12))
    rows = [
        (f"i{i}", time, units) for i in range(items) for time, units in zip(times, rng.poisson(mean[i]), strict=True)
    ]
    return pd.DataFrame(rows, columns=["item", "time", "units"])


def read(folder: Path, table: pd.DataFrame, freq: Any, until: str | None = None, suffix: str = "csv") -> Panel:
    path = folder / f"sales.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    return read_panel(path, COLUMNS, Rules(freq), until, 3)


def fiscal(year: int, years: int, *, ends: bool = False) -> list[date]:
    """First or last days of the periods of the 4-5-4 calendar."""
    days = retail_calendar(date(year, 2, 20), date(year + years, 3, 20), ["US"]).to_pandas()
    periods = days.groupby(["fiscal_year", "fiscal_period"])["calendar_date"]
    return list(periods.max() if ends else periods.min())[1:-1]


def in_order(lengths: tuple[int, ...], periods: int) -> list[date]:
    """Dates of periods that have these lengths in weeks, in turn."""
    weeks = np.concatenate([[0], np.cumsum([lengths[i % 3] for i in range(periods - 1)])])
    return [date(2022, 1, 3) + timedelta(weeks=int(week)) for week in weeks]


SPELLINGS: dict[str, tuple[str, Callable[[pd.Period], Any]]] = {
    "first day": ("M", lambda m: str(m.start_time.date())),
    "last day": ("M", lambda m: str(m.end_time.date())),
    "the 15th": ("M", lambda m: f"{m}-15"),
    "the 30th, or the last": ("M", lambda m: f"{m}-{min(30, m.days_in_month)}"),
    "text": ("M", str),
    "slash": ("M", lambda m: f"{m.year}/{m.month:02d}"),
    "number": ("M", lambda m: m.year * 100 + m.month),
    "M": ("M", lambda m: f"{m.year}M{m.month:02d}"),
    "German": ("M", lambda m: f"01.{m.month:02d}.{m.year}"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_months_come_out_as_they_came_in(spelling: str, suffix: str, tmp_path: Path) -> None:
    freq, write = SPELLINGS[spelling]
    panel = read(tmp_path, sales([write(month) for month in MONTHS]), freq, suffix=suffix)
    plain = read(tmp_path, sales([str(month.start_time.date()) for month in MONTHS]), freq)
    assert np.array_equal(panel.target, plain.target, equal_nan=True)
    ahead = pd.period_range("2021-01", periods=39, freq="M")
    assert [str(time) for time in panel.time] == [str(write(month)) for month in ahead]
    assert type(panel.time[-1]) is type(panel.time[0])


@pytest.mark.parametrize("spelling", ["last day", "text", "number"])
def test_months_in_any_spelling_are_forecast_alike(spelling: str, tmp_path: Path) -> None:
    found = {}
    for name in ("first day", spelling):
        table = sales([SPELLINGS[name][1](month) for month in MONTHS])
        table.to_parquet(tmp_path / "sales.parquet")
        files = Files(tmp_path / "sales.parquet", tmp_path / "f.parquet")
        until = str(SPELLINGS[name][1](MONTHS[29]))
        found[name] = backtest(files, COLUMNS, Rules("M"), until, 6, FAST, lambda step: None)
        made = pd.read_parquet(tmp_path / "f.parquet")
        assert made["time"].astype(str).unique().tolist() == [str(SPELLINGS[name][1](m)) for m in MONTHS[30:]]
    assert [s.rmsse for s in found["first day"].levels] == [s.rmsse for s in found[spelling].levels]
    assert found["first day"].levels[0].rmsse < 0.6 * found["first day"].levels[0].recent_mean


@pytest.mark.parametrize(
    "write",
    [
        lambda q: f"{q.year}Q{q.quarter}",
        lambda q: f"{q.year}-Q{q.quarter}",
        lambda q: f"{q.year} Q{q.quarter}",
        lambda q: str(q.start_time.date()),
        lambda q: str(q.end_time.date()),
        lambda q: str((q.start_time + pd.DateOffset(months=1)).date()),
    ],
)
def test_quarters_come_out_as_they_came_in(write: Callable[[pd.Period], str], tmp_path: Path) -> None:
    panel = read(tmp_path, sales([write(quarter) for quarter in QUARTERS]), "Q")
    assert panel.target.shape == (3, 43)
    assert not np.isnan(panel.target[:, :40]).any()
    assert [str(time) for time in panel.time] == [write(q) for q in pd.period_range("2010Q1", periods=43, freq="Q")]


@pytest.mark.parametrize("ends", [False, True])
def test_the_retail_calendar_goes_on_with_its_53rd_week(ends: bool, tmp_path: Path) -> None:
    # The year 2023 of the calendar has 53 weeks: its last period has five.
    dates = fiscal(2020, 5, ends=ends)
    panel = read(tmp_path, sales(dates[:44]), "4-4-5")
    assert panel.time == dates[:47]
    assert not np.isnan(panel.target[:, :44]).any()


@pytest.mark.parametrize("lengths", [(4, 4, 5), (4, 5, 4), (5, 4, 4)])
def test_fiscal_months_go_on_in_the_order_of_the_file(lengths: tuple[int, ...], tmp_path: Path) -> None:
    dates = in_order(lengths, 27)
    table = sales(dates[:24])
    panel = read(tmp_path, table[table["time"] != dates[7]], "4-4-5")
    assert panel.time == dates
    assert (panel.target[:, 7] == 0).all()


@pytest.mark.parametrize(("freq", "step"), [("2W", 14), ("4W", 28)])
def test_two_and_four_weeks_are_periods(freq: Any, step: int, tmp_path: Path) -> None:
    dates = [date(2022, 1, 3) + timedelta(days=step * i) for i in range(33)]
    assert read(tmp_path, sales(dates[:30]), freq).time == dates


ISO_WEEKS = [date(2022, 1, 3) + timedelta(weeks=i) for i in range(60)]


@pytest.mark.parametrize(
    ("write", "freq"),
    [
        (lambda d: int(d.strftime("%G%V")), "W"),
        (lambda d: d.strftime("%G-W%V"), "W"),
        (lambda d: int(d.strftime("%Y%m%d")), "W"),
        (lambda d: d.strftime("%d/%m/%Y"), "W"),
    ],
)
def test_weeks_may_be_numbers_of_the_year(write: Callable[[date], Any], freq: Any, tmp_path: Path) -> None:
    panel = read(tmp_path, sales([write(day) for day in ISO_WEEKS[:57]]), freq)
    assert panel.time == [write(day) for day in ISO_WEEKS]
    assert not np.isnan(panel.target[:, :57]).any()


DAYS = [date(2023, 1, 1) + timedelta(days=i) for i in range(200)]
UNFIT: dict[str, tuple[Times, str, list[str]]] = {
    "weeks as days": (DAYS[::7], "D", ["no dates a day apart: 2023-01-01, 2023-01-08"]),
    "weeks as months": (DAYS[::7], "M", ["two dates in one month: 2023-01-01 and 2023-01-08", "rows 1 and 2"]),
    "days as weeks": (DAYS, "W", ["no whole number of weeks from 2023-01-01: 2023-01-02", "row 2"]),
    "days as months": (DAYS, "M", ["2023-01-01 and 2023-01-02", "rows 1 and 2"]),
    "months as days": ([str(m.start_time.date()) for m in MONTHS], "D", ["no dates a day apart: 2021-01-01"]),
    "months as weeks": ([str(m.end_time.date()) for m in MONTHS], "W", ["no whole number of weeks"]),
    "written months as days": ([str(m) for m in MONTHS], "D", ["no dates a day apart"]),
    "numbered months as days": ([m.year * 100 + m.month for m in MONTHS], "D", ["no dates a day apart"]),
    "numbered months as weeks": ([m.year * 100 + m.month for m in MONTHS], "W", ["are months of a year: 202101"]),
    "numbered weeks as days": ([int(d.strftime("%G%V")) for d in ISO_WEEKS], "D", ["are weeks of a year: 202201"]),
    "quarters as months": ([str(q.start_time.date()) for q in QUARTERS], "M", ["no dates a month apart"]),
    "quarters as days": ([str(q.end_time.date()) for q in QUARTERS], "D", ["no dates a day apart"]),
    "months as quarters": ([str(m.start_time.date()) for m in MONTHS], "Q", ["two dates in one quarter"]),
    "four weeks as weeks": (DAYS[::28] + [DAYS[-1] + timedelta(days=25)], "W", ["no dates a week apart"]),
    "two weeks as days": (DAYS[::14], "D", ["no dates a day apart"]),
    "fiscal months as months": (in_order((4, 4, 5), 24), "M", ["two dates in one month"]),
    "fiscal months as weeks": (in_order((4, 4, 5), 24), "W", ["no dates a week apart"]),
    "months as fiscal months": ([str(m.start_time.date()) for m in MONTHS], "4-4-5", ["no periods of 4 or 5 weeks"]),
}


@pytest.mark.parametrize("case", UNFIT)
def test_advice_about_dates_that_do_not_fit_works_when_it_is_followed(case: str, tmp_path: Path) -> None:
    times, freq, told = UNFIT[case]
    with pytest.raises(PanelError) as error:
        read(tmp_path, sales(times), freq)
    for part in told:
        assert part in str(error.value)
    advised = re.search(r"give --freq (\S+)", error.value.todo or "")
    assert advised is not None, error.value.todo
    panel = read(tmp_path, sales(times), advised[1])
    assert not np.isnan(panel.target[:, : panel.until]).any()
    assert (panel.target[:, : panel.until].sum(axis=0) > 0).all()


def test_one_wrong_date_among_weeks_is_named_and_not_taken_for_days(tmp_path: Path) -> None:
    times = [*DAYS[:180:7], date(2023, 4, 4)]
    for freq in ("D", "W"):
        with pytest.raises(PanelError) as error:
            read(tmp_path, sales(times), freq)
        assert "most dates stand a week apart, 2023-04-04 does not: correct it, and give --freq W" in str(error.value)


def test_numbers_that_stand_apart_count_no_periods(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="stand 7 apart: 7, 14, 21\n.*\n.*number the periods 1, 2, 3"):
        read(tmp_path, sales(list(range(7, 300, 7))), "W")


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (["30.01.23", "31.01.23", "01.02.23"], "is not a date: 30.01.23"),
        (["01/02/2023", "02/02/2023", "03/02/2023"], "may be 2023-02-01 and 2023-01-02: 01/02/2023"),
        (["2023-13", "2023-02", "2023-03"], "is not a date: 2023-13"),
        (["2023Q5", "2023Q1", "2023Q2"], "is not a date: 2023Q5"),
        (["2023-01-01", "2023-02-30", "2023-03-01"], "is not a date: 2023-02-30"),
    ],
)
def test_times_that_are_none_or_two_are_named(times: Times, told: str, tmp_path: Path) -> None:
    with pytest.raises(PanelError, match=re.escape(told)):
        read(tmp_path, sales(times), "M")


@pytest.mark.parametrize(
    ("spelling", "freq", "until"),
    [
        ("first day", "M", "2023-06"),
        ("first day", "M", "2023-06-01"),
        ("last day", "M", "2023-06-30"),
        ("text", "M", "2023-06"),
        ("text", "M", "2023-06-01"),
        ("number", "M", "202306"),
        ("M", "M", "2023M06"),
    ],
)
def test_the_end_of_learning_is_written_as_in_the_file(spelling: str, freq: str, until: str, tmp_path: Path) -> None:
    table = sales([SPELLINGS[spelling][1](month) for month in MONTHS])
    assert read(tmp_path, table, freq, until).until == 30


@pytest.mark.parametrize("until", ["2017Q2", "2017-06", "2017-05-04"])
def test_a_quarter_may_be_named_by_a_day_in_it(until: str, tmp_path: Path) -> None:
    assert read(tmp_path, sales([f"{q.year}Q{q.quarter}" for q in QUARTERS]), "Q", until).until == 30


def test_an_end_that_is_none_says_how_the_file_writes_it(tmp_path: Path) -> None:
    table = sales([str(month) for month in MONTHS])
    with pytest.raises(PanelError, match="'June' is no time like 2021-01\n.*\n.*2021-01 to 2023-12"):
        read(tmp_path, table, "M", "June")
    with pytest.raises(PanelError, match="2024-02 is outside the data\n.*\n.*from 2021-01 to 2023-12"):
        read(tmp_path, table, "M", "2024-02")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_days_of_a_zone_are_its_own(zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = sales(DAYS[:30])
    table["time"] = pd.to_datetime(table["time"]).dt.tz_localize(zone)
    for machine in ("UTC", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", machine)
        assert read(tmp_path, table, "D", suffix="parquet").time[:30] == DAYS[:30]


def test_keys_of_a_csv_file_stay_as_they_are_written(tmp_path: Path) -> None:
    table = sales(DAYS[:30])
    names = {"i0": "007", "i1": "90.750", "i2": "10E5"}
    panel = read(tmp_path, table.assign(item=table["item"].map(names)), "D")
    assert panel.keys["item"].tolist() == ["007", "10E5", "90.750"]
    plain = read(tmp_path, table.assign(item=table["item"].str[1:]), "D")
    assert plain.keys["item"].tolist() == [0, 1, 2]


def test_a_future_file_may_know_series_that_the_sales_do_not(tmp_path: Path) -> None:
    table = sales(DAYS[:30]).assign(price=5.0)
    table["item"] = table["item"].str[1:].astype(int)
    table.to_csv(tmp_path / "sales.csv", index=False)
    rows = [(item, day, 4.0) for item in ("0", "1", "2", "9A") for day in DAYS[30:33]]
    pd.DataFrame(rows, columns=["item", "time", "price"]).to_csv(tmp_path / "future.csv", index=False)
    columns = replace(COLUMNS, known=("price",))
    panel = read_panel(tmp_path / "sales.csv", columns, Rules(), None, 3, future=tmp_path / "future.csv")
    assert (panel.known["price"][:, 30:] == 4.0).all()


STEPS = {name: each.days for name, each in FREQUENCIES.items() if each.days}


@given(name=st.sampled_from(sorted(STEPS)), start=st.integers(9_000, 20_000), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_the_frequency_of_dates_is_seen_though_some_are_missing(name: str, start: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(60, size=50, replace=False))
    assert detected((start + STEPS[name] * kept).astype(np.int64)) == name


@given(place=st.integers(0, 31), first=st.integers(1990 * 12, 2030 * 12), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_months_on_any_day_are_months_and_come_back(place: int, first: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    months = first + np.sort(rng.choice(36, size=30, replace=False))
    days = np.array([frequency.day_in_month(int(month), place) for month in months])
    assert detected(days) == "M"
    found = frequency.place_in_month(days)
    assert found is not None
    assert [frequency.day_in_month(int(m), found) for m in frequency.months_of(days)] == list(days)
