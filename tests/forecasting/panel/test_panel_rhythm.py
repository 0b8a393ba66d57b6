"""Periods are dates: the same data in any spelling gives the same forecasts; weeks are never joined a week off, and
periods that only a spelling makes never become zeros.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.forecasting.panel.backtest import Files, backtest
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.forecasting.panel.trees import ROWS_PER_THREAD, Settings
from tests.conftest import run_retail
from tests.forecasting.panel.simulated import FAST

COLUMNS = Columns(("item", "store"), "time", "units")
QUICK = replace(FAST, rounds=3)
SERIES = (("a", "s1"), ("a", "s2"), ("b", "s1"), ("b", "s2"))
SUNDAY, MONDAY = date(2022, 1, 2), date(2022, 1, 3)

Write = Callable[[date], Any]
DAYS: dict[str, Write] = {
    "2016-03-27": str,
    "2016/03/27": lambda d: d.strftime("%Y/%m/%d"),
    "2016.03.27": lambda d: d.strftime("%Y.%m.%d"),
    "27.03.2016": lambda d: d.strftime("%d.%m.%Y"),
    "20160327": lambda d: int(d.strftime("%Y%m%d")),
    "date": lambda d: d,
    "instant": lambda d: pd.Timestamp(d),
}
WEEKS: dict[str, Write] = DAYS | {
    "2016-W12": lambda d: d.strftime("%G-W%V"),
    "2016W12": lambda d: d.strftime("%GW%V"),
    "201612": lambda d: int(d.strftime("%G%V")),
}
MONTHS: dict[str, Write] = DAYS | {
    "last": lambda d: str((d + timedelta(days=31)).replace(day=1) - timedelta(days=1)),
    "the 15th": lambda d: str(d.replace(day=15)),
    "2016-03": lambda d: d.strftime("%Y-%m"),
    "2016/03": lambda d: d.strftime("%Y/%m"),
    "201603": lambda d: int(d.strftime("%Y%m")),
    "2016M03": lambda d: d.strftime("%YM%m"),
}
QUARTERS: dict[str, Write] = DAYS | {
    "mid": lambda d: str(d.replace(month=d.month + 1)),
    "2016Q1": lambda d: f"{d.year}Q{(d.month + 2) // 3}",
    "2016-Q1": lambda d: f"{d.year}-Q{(d.month + 2) // 3}",
}


def starts(freq: str, count: int, first: int) -> list[date]:
    """First days of periods; weeks begin on Mondays."""
    if freq in ("D", "W"):
        return [MONDAY + timedelta(days=(7 if freq == "W" else 1) * (first + n)) for n in range(count)]
    step = 3 if freq == "Q" else 1
    return [date(2010 + (step * (first + n)) // 12, (step * (first + n)) % 12 + 1, 1) for n in range(count)]


def table(times: Iterable[Any], series: Iterable[tuple[str, str]] = SERIES, seed: int = 8) -> pd.DataFrame:
    """Sales of series that have a row in every one of the times."""
    rng, times = np.random.default_rng(seed), list(times)
    rows = [(*keys, time, int(rng.integers(3, 20)), 5.0) for keys in series for time in times]
    return pd.DataFrame(rows, columns=["item", "store", "time", "units", "price"])


def save(path: Path, *parts: pd.DataFrame) -> Path:
    whole = pd.concat(parts)
    whole.to_csv(path, index=False) if path.suffix == ".csv" else whole.to_parquet(path, index=False)
    return path


def read(folder: Path, *parts: pd.DataFrame, freq: Any = "W", **files: Path) -> Panel:
    columns = replace(COLUMNS, known=("price",)) if files.get("future") else COLUMNS
    return read_panel(save(folder / "sales.csv", *parts), columns, Rules(freq), None, 4, **files)


def forecasts(folder: Path, times: list[Any], freq: Any, suffix: str) -> tuple[str, list[str]]:
    """What is written but for the times, and the times."""
    files = Files(save(folder / f"sales{suffix}", table(times)), folder / "out.csv")
    found = backtest(files, COLUMNS, Rules(freq), None, 4, QUICK, lambda step: None)
    assert not found.notices
    made = pd.read_csv(folder / "out.csv", dtype=str)
    return made.drop(columns="time").to_csv(), made["time"].unique().tolist()


def spellings() -> st.SearchStrategy[tuple[str, str, str]]:
    """A frequency and two ways to write its periods."""
    both = {"D": DAYS, "W": WEEKS, "M": MONTHS, "Q": QUARTERS}
    pairs = [(freq, one, other) for freq, ways in both.items() for one in ways for other in ways if one < other]
    return st.sampled_from(pairs)


@given(
    pair=spellings(),
    first=st.integers(0, 300),
    suffixes=st.tuples(st.sampled_from([".csv", ".parquet"]), st.sampled_from([".csv", ".parquet"])),
)
@settings(max_examples=25)
def test_the_same_sales_in_two_spellings_give_the_same_bytes(
    pair: tuple[str, str, str], first: int, suffixes: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    freq, *names = pair
    ways = {"D": DAYS, "W": WEEKS, "M": MONTHS, "Q": QUARTERS}[freq]
    days, written = starts(freq, 44, first % 60 if freq in "MQ" else first), {}
    for name, suffix in zip(names, suffixes, strict=True):
        folder = tmp_path_factory.mktemp("spelling")
        written[name], ahead = forecasts(folder, [ways[name](day) for day in days[:40]], freq, suffix)
        shown = [ways[name](day) for day in days[40:]]
        assert ahead == [str(time.date() if isinstance(time, pd.Timestamp) else time) for time in shown]
    assert written[names[0]] == written[names[1]]


def test_the_future_may_write_the_same_week_otherwise_and_that_is_told(tmp_path: Path) -> None:
    days = starts("W", 44, 0)
    plain = read(tmp_path, table(days[:40]), future=save(tmp_path / "same.csv", table(days[40:])))
    assert plain.notices == []
    for name in ("2016-W12", "201612", "27.03.2016"):
        future = save(tmp_path / "future.csv", table(map(WEEKS[name], days[40:])))
        panel = read(tmp_path, table(days[:40]), future=future)
        assert panel.notices == [f"future.csv: time {WEEKS[name](days[40])} is taken for {days[40]} of the sales"]
        assert np.array_equal(panel.known["price"], plain.known["price"], equal_nan=True)


@pytest.mark.parametrize("kind", ["future", "calendar"])
def test_weeks_by_another_weekday_in_another_file_are_refused_with_both_weekdays(kind: str, tmp_path: Path) -> None:
    days = [SUNDAY + timedelta(weeks=n) for n in range(44)]
    other = [day + timedelta(days=1) for day in (days[40:] if kind == "future" else days)]
    rows = table(other) if kind == "future" else pd.DataFrame({"time": other, "promo": 1})
    told = f"is a Monday, but the sales name their weeks by a Sunday: {other[0]}"
    with pytest.raises(PanelError, match=told) as error:
        read(tmp_path, table(days[:40]), **{kind: save(tmp_path / "other.csv", rows)})
    assert f"this one may be {other[0] - timedelta(days=1)} or {other[0] + timedelta(days=6)}" in str(error.value)


def test_two_weeks_that_start_a_week_later_are_named(tmp_path: Path) -> None:
    days = [SUNDAY + timedelta(weeks=2 * n) for n in range(44)]
    future = save(tmp_path / "future.csv", table([day + timedelta(weeks=1) for day in days[40:]]))
    with pytest.raises(PanelError, match=f"lies between two periods of the sales, {days[40]} and {days[41]}"):
        read(tmp_path, table(days[:40]), freq="2W", future=future)


def week(step: int, shift: int, count: int = 40) -> list[date]:
    return [SUNDAY + timedelta(days=shift, weeks=step * n) for n in range(count)]


MIXED: dict[str, tuple[list[Any], list[Any], list[str], list[str]]] = {
    "weekdays": (week(1, 0), week(1, 1), ["D", "W"], ["a week apart", "2022-01-02 (Sunday)", "2022-01-03 (Monday)"]),
    "two weeks": (week(2, 0), week(2, 7), ["D", "W", "2W"], ["two weeks apart", "2022-01-09 (Sunday)"]),
    "months": (
        [str(m.start_time.date()) for m in pd.period_range("2020-01", periods=40, freq="M")],
        [str(m.end_time.date()) for m in pd.period_range("2020-01", periods=40, freq="M")],
        ["D", "W", "M"],
        ["a month apart", "2020-01-01, 2020-02-01", "2020-01-31, 2020-02-29"],
    ),
    "quarters": (
        [f"{y}-{m:02d}-01" for y in range(2010, 2020) for m in (1, 4, 7, 10)],
        [f"{y}-{m:02d}-01" for y in range(2010, 2020) for m in (2, 5, 8, 11)],
        ["D", "M"],
        ["a quarter apart", "2010-01-01, 2010-04-01", "2010-02-01, 2010-05-01"],
    ),
    "weeks and months": (
        week(1, 0, 80),
        [str(m.end_time.date()) for m in pd.period_range("2022-01", periods=18, freq="M")],
        ["D"],
        ["2022-01-02 (Sunday)", "2022-01-31, 2022-02-28"],
    ),
    "numbers": (list(range(1, 80, 2)), list(range(2, 81, 2)), ["D", "W", "M"], ["has 1, 3", "has 2, 4"]),
}


@pytest.mark.parametrize("case", MIXED)
def test_stores_that_keep_different_times_are_refused_with_both(case: str, tmp_path: Path) -> None:
    one, other, freqs, told = MIXED[case]
    for freq in freqs:
        with pytest.raises(PanelError, match="the series have different") as error:
            read(tmp_path, table(one, SERIES[:2]), table(other, SERIES[2:]), freq=freq)
        for part in ["item a, store s1", "item b, store s1", *told]:
            assert part in str(error.value)


def test_stores_of_one_rhythm_may_miss_any_periods(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for step, freq in ((1, "D"), (7, "W"), (14, "2W")):
        parts = [
            table([SUNDAY + timedelta(days=step * int(n)) for n in np.sort(rng.choice(60, 25, replace=False))], [keys])
            for keys in SERIES
        ]
        assert read(tmp_path, *parts, freq=freq).target.shape[0] == len(SERIES)


@pytest.mark.parametrize(
    "times",
    [
        [str(day.date()) for day in pd.date_range("2020-01-01", "2023-06-30", freq="BME")],
        [MONDAY + timedelta(weeks=n, days=(0, 1, 0, -1, 0)[n % 5]) for n in range(60)],
    ],
    ids=["last working day", "weeks that wobble"],
)
def test_dates_that_are_nearly_weeks_or_months_are_no_days(times: list[Any], tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="no series has two dates less than"):
        read(tmp_path, table(times), freq="D")


NUMBERS: dict[str, tuple[list[int], list[str], str]] = {
    "a week 53 of a year that has 52": (
        [100 * y + w for y in (2022, 2023) for w in range(1, 54)],
        ["D", "W"],
        "no week of its year.*: 202253|weeks of a year|is no .*: 202253",
    ),
    "thirteen periods a year": (
        [100 * y + w for y in (2020, 2021, 2022, 2023) for w in range(1, 14)],
        ["W", "4W", "M", "D"],
        "never pass 13 in a year|is no month: 202013",
    ),
    "a month 0": ([100 * y + m for y in (2020, 2021, 2022) for m in range(13)], ["D", "M", "W"], ": 202000"),
    "30 February": (
        [*(20230000 + 100 * m + d for m in (1, 2, 3) for d in range(1, 29)), 20230230],
        ["D"],
        "is no date: 20230230",
    ),
    "years of two digits": (
        [100 * y + w for y in (22, 23, 24) for w in range(1, 53)],
        ["D", "W", "M"],
        "jump from 2252 to 2301",
    ),
}


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbers_that_are_half_dates_are_no_counts_with_gaps(case: str, suffix: str, tmp_path: Path) -> None:
    numbers, freqs, told = NUMBERS[case]
    for freq in freqs:
        with pytest.raises(PanelError, match=told):
            read_panel(save(tmp_path / f"sales{suffix}", table(numbers)), COLUMNS, Rules(freq), None, 4)  # type: ignore[arg-type]


def test_a_written_week_53_of_a_year_that_has_52_is_named(tmp_path: Path) -> None:
    times = [f"{year}-W{number:02d}" for year in (2022, 2023) for number in range(1, 54)]
    with pytest.raises(PanelError, match=re.escape("no week of its year (ISO 8601): 2022-W53")):
        read(tmp_path, table(times))


def test_a_week_53_that_the_file_does_not_know_is_unknown_and_no_zero(tmp_path: Path) -> None:
    times = [100 * year + number for year in (2019, 2020, 2021) for number in range(1, 53)]
    panel = read(tmp_path, table(times))
    at = panel.time.index(202053)
    assert np.isnan(panel.target[:, at]).all()
    assert panel.notices == ["sales.csv has no row in a week 53 that the calendar has (202053): read as unknown"]
    assert not np.isnan(np.delete(panel.target[:, : panel.until], at, axis=1)).any()


def test_periods_that_the_whole_file_lacks_are_told(tmp_path: Path) -> None:
    days = [MONDAY + timedelta(weeks=n) for n in range(60) if n not in (20, 21)]
    panel = read(tmp_path, table(days))
    assert panel.notices == [
        f"sales.csv has no row of any series in 2 of 60 weeks, the first is {MONDAY + timedelta(weeks=20)}: "
        "read as nothing sold; where the file lacks them, give --gaps unknown"
    ]
    unknown = read_panel(tmp_path / "sales.csv", COLUMNS, Rules("W", "unknown"), None, 4)
    assert np.isnan(unknown.target[:, 20:22]).all()
    closed = [day for day in (MONDAY + timedelta(days=n) for n in range(60)) if day.weekday() != 6]
    assert (
        "8 of 60 days, the first is 2022-01-09, all are a Sunday" in read(tmp_path, table(closed), freq="D").notices[0]
    )
    one = [table(days, SERIES[:1]), table(days[::2], SERIES[1:])]
    assert len(read(tmp_path, *one).notices) == 1


def test_some_weekly_series_among_daily_ones_are_told(tmp_path: Path) -> None:
    days = [MONDAY + timedelta(days=n) for n in range(200)]
    panel = read(tmp_path, table(days, SERIES[:2]), table(days[::7], SERIES[2:]), freq="D")
    assert panel.notices == [
        "sales.csv: the dates (time) of 2 of 4 series are no days: those of item b, store s1 stand a week apart, "
        "and the days between are read as days without a row"
    ]


def test_an_end_of_learning_inside_a_week_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "sales.csv", table([MONDAY + timedelta(weeks=n) for n in range(60)]))
    panel = read_panel(path, COLUMNS, Rules("W"), str(MONDAY + timedelta(weeks=40, days=3)), 4)
    assert panel.until == 41
    assert panel.notices == ["2022-10-13 is no period of the sales: 2022-10-10 is taken for it"]


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_tells_on_the_error_stream_what_it_took_for_what(as_json: bool, tmp_path: Path) -> None:
    days = starts("W", 44, 0)
    asked = ["backtest", "forecasting", str(save(tmp_path / "sales.csv", table(days[:40]))), "--series", "item,store"]
    asked += ["--time", "time", "--units", "units", "--freq", "W", "--horizon", "4", "--covariates", "price"]
    asked += ["--future", str(save(tmp_path / "f.csv", table(map(WEEKS["2016-W12"], days[40:]))))]
    told = run_retail(tmp_path, *asked, "--out", str(tmp_path / "o.csv"), *(["--json"] if as_json else []))
    notice = "f.csv: time 2022-W41 is taken for 2022-10-10 of the sales"
    assert f"notice: {notice}" in told.stderr
    assert (notice in told.stdout) == as_json


def test_few_examples_are_left_to_one_thread() -> None:
    assert Settings(threads=8).threads_for(4_000) == 1
    assert Settings(threads=8).threads_for(3 * ROWS_PER_THREAD) == 3
    assert Settings(threads=2).threads_for(100 * ROWS_PER_THREAD) == 2
