"""What the calendar says of each period: weekday, day of the month, flags and events from a file."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.panel.table import STEPS, PanelError, periods, read_table, refuse, require

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


def read_calendar(
    path: Path | None, time: str, freq: str, start: int, size: int, dated: bool, attributes: pd.DataFrame
) -> Calendar:
    """The calendar of `size` periods from `start`; without a file only what dates say. Raises PanelError.

    Flags are columns of 0/1 or true/false, events columns of text that repeats; other columns are named in `notes`.
    """
    weekday = day_of_month = day_of_year = np.zeros(size, dtype=np.int64)
    if dated:
        days = pd.to_datetime((start + np.arange(size)) * STEPS[freq], unit="D")
        weekday, day_of_month, day_of_year = (x.to_numpy(np.int64) for x in (days.dayofweek, days.day, days.dayofyear))
    else:
        day_of_year = (start + np.arange(size)) % 52 * 7
    empty = Calendar(weekday, day_of_month, day_of_year, {}, {}, {})
    if path is None:
        return empty
    table = read_table(path)
    require(path, table, [time])
    at, _ = periods(path, table, time, freq)
    twice = pd.Series(at).duplicated().to_numpy()
    refuse(path, table, time, twice, "is there twice", "keep one row per period")
    row = np.full(size, -1)
    inside = (at >= start) & (at < start + size)
    row[at[inside] - start] = np.flatnonzero(inside)
    if (row < 0).any():
        first = int(np.argmax(row < 0))
        raise PanelError(
            f"{int((row < 0).sum()):,} of {size:,} periods are missing, the first is number {first + 1}",
            where=f"{path}, column {time}",
            todo="the calendar must cover the history and the horizon",
        )
    return _columns(table.take(pa.array(row)), time, empty, attributes)


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
