"""Periods without a row: those that a series lacks, those that the whole file lacks, and times that stand alone."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.forecasting.panel.reading.frequency import as_date
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.forecasting.panel.reading.timeline import Timeline

Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
Gaps = Literal["zero", "unknown"]
FEW_WEEKDAYS = 2


def refuse_stray_times(path: Path, table: pa.Table, name: str, at: Ints, longest: int) -> None:
    """Raises PanelError where the rows stop for more than `longest` periods: a time that was written wrong."""
    distinct, first, count = np.unique(at, return_index=True, return_counts=True)
    breaks = np.flatnonzero(np.diff(distinct) > longest)
    if not len(breaks):
        return
    later = breaks[0] + 1
    # The side with fewer rows is the one to look at.
    stray = later if count[later:].sum() < count[:later].sum() else later - 1
    apart = int(distinct[later] - distinct[later - 1])
    raise PanelError(
        f"{name} {table[name][int(first[stray])].as_py()} lies {apart:,} periods from the other rows",
        where=f"{path}, row {int(first[stray]) + 1}",
        todo=f"correct it, or leave out what lies beyond a break of more than {longest} periods",
    )


def fill_gaps(target: Singles, until: int, last: int, gaps: Gaps, unknown: Ints) -> list[str]:
    """Periods missing after a series' first row are nothing sold where `gaps` says so, but for those of `unknown`."""
    span = target[:, : last + 1]
    missing = np.isnan(span) & (np.cumsum(~np.isnan(span), axis=1) > 0)
    missing[:, unknown] = False
    inside = missing[:, :until]
    if gaps == "zero":
        span[missing] = 0.0
    if not inside.any():
        return []
    meaning = _meaning(gaps)
    return [f"{int(inside.sum()):,} periods are missing inside {int(inside.any(axis=1).sum()):,} series: {meaning}"]


def missing_everywhere(path: Path, timeline: Timeline, at: Ints, until: int, gaps: Gaps) -> tuple[Ints, list[str]]:
    """Tells the periods before `until` in which no series has a row: that may be a day on which all was closed, and may
    be a hole in the file. Returns the weeks 53 among them, counted from the file's first period: years that have 52
    weeks for the file, and 53 in the calendar.
    """
    start, end = int(at.min()), min(int(at.max()) + 1, until)
    seen = np.zeros(int(at.max()) + 1 - start, dtype=np.bool_)
    seen[at - start] = True
    absent = np.flatnonzero(~seen[: end - start]) + start
    odd = absent[np.array([timeline.is_week_53(int(number)) for number in absent], dtype=np.bool_)]
    rest = np.setdiff1d(absent, odd)
    found = []
    if len(odd):
        shown = ", ".join(str(timeline.label(int(number))) for number in odd)
        found.append(f"{path.name} has no row in a week 53 that the calendar has ({shown}): read as unknown")
    if len(rest):
        what = timeline.frequency.units if timeline.times.dated else "periods"
        lacks = f"{path.name} has no row of any series in {len(rest):,} of {end - start:,} {what}"
        shown = f"the first is {timeline.label(int(rest[0]))}{_weekdays(timeline, rest)}"
        hint = "; where the file lacks them, give --gaps unknown" if gaps == "zero" else ""
        found.append(f"{lacks}, {shown}: {_meaning(gaps)}{hint}")
    return odd - start, found


def _weekdays(timeline: Timeline, numbers: Ints) -> str:
    """Which weekdays days without a row are, where these are few: closed on Sundays."""
    days = timeline.days(numbers) if timeline.frequency.name == "D" else None
    if days is None or len(days) <= FEW_WEEKDAYS:
        return ""
    names = list(dict.fromkeys(f"{as_date(day):%A}" for day in days))
    return f", all are a {' or '.join(names)}" if len(names) <= FEW_WEEKDAYS else ""


def _meaning(gaps: Gaps) -> str:
    return "read as nothing sold" if gaps == "zero" else "read as unknown"
