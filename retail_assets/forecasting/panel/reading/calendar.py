"""What the calendar says of each period: weekday, day of the month, flags and events from a file."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.panel.reading.table import PanelError, read_table, refuse, require
from retail_assets.forecasting.panel.reading.timeline import Timeline

Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Calendar:
    """N periods. `flags` are 0/1 per period (N,), `own` 0/1 per series and period (S, N); `events` codes, -1 for none.

    `own` comes from flags named after the value of an attribute: snap_CA is for the series of CA.
    """

    weekday: Ints
    day_of_month: Ints
    day_of_year: Ints
    flags: dict[str, Singles]
    own: dict[str, Singles]
    events: dict[str, Ints]
    notes: list[str] = field(default_factory=list)


def read_calendar(path: Path | None, time: str, timeline: Timeline, span: Ints, attributes: pd.DataFrame) -> Calendar:
    """The calendar of the periods numbered `span`; without a file only what dates say. Raises PanelError.

    Flags are columns of 0/1 or true/false, events columns of text that repeats; other columns are named in `notes`.
    """
    empty = Calendar(*_dates(timeline, span), {}, {}, {})
    if path is None:
        return empty
    table = read_table(path, times=[time])
    require(path, table, [time])
    at = timeline.numbers(path, table, time)
    twice = pd.Series(at).duplicated().to_numpy()
    refuse(path, table, time, twice, "is there twice", "keep one row per period")
    row = np.full(len(span), -1)
    inside = (at >= span[0]) & (at <= span[-1])
    row[at[inside] - span[0]] = np.flatnonzero(inside)
    if (row < 0).any():
        first = int(np.argmax(row < 0))
        raise PanelError(
            f"{int((row < 0).sum()):,} of {len(span):,} periods are missing, the first is number {first + 1}"
            f" ({timeline.label(int(span[first]))})",
            where=f"{path}, column {time}",
            todo="the calendar must cover the history and the horizon",
        )
    return _columns(table.take(pa.array(row)), time, empty, attributes)


def _dates(timeline: Timeline, span: Ints) -> tuple[Ints, Ints, Ints]:
    """Weekday, day of the month and day of the year of each period; without dates only its place in a year."""
    known, year = timeline.days(span), timeline.frequency.year
    if known is None:
        nothing = np.zeros(len(span), dtype=np.int64)
        return nothing, nothing, span % year * 364 // year
    if timeline.frequency.months:
        # A month is the same month whichever of its days the file names it by.
        months = known.astype("datetime64[D]").astype("datetime64[M]")
        known = (
            (months - (months.astype(np.int64) % timeline.frequency.months)).astype("datetime64[D]").astype(np.int64)
        )
    days = pd.to_datetime(known, unit="D")
    weekday, day, day_of_year = (x.to_numpy(np.int64) for x in (days.dayofweek, days.day, days.dayofyear))
    return weekday, day, day_of_year


def _columns(table: pa.Table, time: str, calendar: Calendar, attributes: pd.DataFrame) -> Calendar:
    ignored = []
    shared: dict[str, dict[str, Singles]] = {}
    for name in (n for n in table.column_names if n != time):
        values = table[name].to_pandas()
        if values.dtype == object and not isinstance(values.dropna().iloc[0] if values.notna().any() else "", bool):
            codes, labels = pd.factorize(values, sort=True)
            if len(labels) > len(values) / 2:
                ignored.append(name)
            elif len(labels):
                calendar.events[name] = codes.astype(np.int64)
        elif set(pd.unique(values.dropna())) <= {0, 1}:
            stem, _, value = name.rpartition("_")
            flag = values.fillna(0).to_numpy(np.float32)
            shared.setdefault(stem, {})[value] = flag
            calendar.flags[name] = flag
        else:
            ignored.append(name)
    for stem, flags in shared.items():
        column = _attribute(list(flags), attributes)
        if stem and column is not None:
            nothing = np.zeros(len(calendar.weekday), np.float32)
            calendar.own[stem] = np.stack([flags.get(str(value), nothing) for value in attributes[column]])
            for value in flags:
                del calendar.flags[f"{stem}_{value}"]
    if ignored:
        calendar.notes.append(f"calendar columns that are neither flags nor events: {', '.join(ignored)} (not used)")
    return calendar


def _attribute(values: list[str], attributes: pd.DataFrame) -> str | None:
    """The attribute or key that has all these values."""
    for name in attributes:
        if set(values) <= set(attributes[name].astype(str).unique()):
            return str(name)
    return None
