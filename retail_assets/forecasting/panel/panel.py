"""Anybody's sales as a matrix of series and periods, with their attributes, calendar and what is known ahead."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.panel.reading.calendar import Calendar, read_calendar
from retail_assets.forecasting.panel.reading.frequency import FREQUENCIES, Freq, Frequency
from retail_assets.forecasting.panel.reading.gaps import fill_gaps, missing_everywhere, refuse_stray_times
from retail_assets.forecasting.panel.reading.keys import attributes_of, places_of, refuse_repeats, series_of
from retail_assets.forecasting.panel.reading.known import fields_of, known_values, missing_known, read_future
from retail_assets.forecasting.panel.reading.moments import Time, moments
from retail_assets.forecasting.panel.reading.rhythm import refuse_rhythms
from retail_assets.forecasting.panel.reading.table import PanelError, numbers, read_table, refuse, require
from retail_assets.forecasting.panel.reading.timeline import Timeline, timeline_of

Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
MOST_CELLS = 110_000_000  # 37 million took 4.8 GB, features and simple forecasts included


@dataclass(frozen=True)
class Columns:
    """Which columns of a sales file mean what.

    `known` are columns whose values are known for the periods to forecast, too; `price{brand}` names a column per
    value of the key brand.
    """

    series: tuple[str, ...]
    time: str
    target: str
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """How a file is read: the step of time, what a missing period inside a series means, and negative targets."""

    freq: Freq = "D"
    gaps: Literal["zero", "unknown"] = "zero"
    returns: Literal["refuse", "keep"] = "refuse"


@dataclass(frozen=True)
class Panel:
    """Series x periods. `target` (S, N) is NaN before a series' first row, where unknown, and in the future.

    The first `until` periods may be learnt from, the next `horizon` are to be forecast. `keys` holds the key columns of
    each series, `attributes` what else is known of it; `known` maps a column to (S, N). `time` are the N times as they
    are in the file, `dated` whether they name days. `notices` are what was taken for something that it may not be.
    """

    target: Singles
    until: int
    horizon: int
    keys: pd.DataFrame
    attributes: pd.DataFrame
    known: dict[str, Singles]
    calendar: Calendar
    time: list[Time]
    freq: Freq
    dated: bool = True
    notes: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def frequency(self) -> Frequency:
        """The step of time."""
        return FREQUENCIES[self.freq]

    @cached_property
    def whole(self) -> bool:
        """Whether only whole units are sold."""
        known = self.target[~np.isnan(self.target)]
        return bool((known == np.rint(known)).all())

    @property
    def actual(self) -> Singles:
        """Targets of the periods to forecast, (S, horizon); NaN where they are not known."""
        return self.target[:, self.until : self.until + self.horizon]

    def as_of(self, until: int) -> "Panel":
        """The same panel as it was after `until` periods: later targets are not there."""
        target = self.target.copy()
        target[:, until:] = np.nan
        return replace(self, target=target, until=until)

    def ends(self, until: int) -> "Panel":
        """Learns from the first `until` periods; later targets stay, to be scored against."""
        return replace(self, until=until)


def read_panel(
    sales: Path,
    columns: Columns,
    rules: Rules,
    train_until: str | None,
    horizon: int,
    attributes: Path | None = None,
    calendar: Path | None = None,
    future: Path | None = None,
) -> Panel:
    """Reads and checks the files; raises PanelError for the first thing that is wrong with them.

    Without `train_until` everything is learnt from and the forecast lies beyond the data. `future` has the keys, the
    time and the known columns of periods to forecast.
    """
    if not columns.series:
        raise PanelError("--series names no column", where=str(sales), todo="name the columns that make a series")
    if future is not None and not columns.known:
        raise PanelError("--future says nothing without --covariates", where=str(future), todo="name its columns")
    table = read_table(sales, columns.series, [columns.time])
    patterns = [fields_of(sales, table, name, columns.series) for name in columns.known]
    plain = [name for name, keys in zip(columns.known, patterns, strict=True) if not keys]
    require(sales, table, [*columns.series, columns.time, columns.target, *plain])
    values = _target(sales, table, columns.target, rules)
    times = moments(sales, table, columns.time, rules.freq)
    series, keys = series_of(sales, table, columns.series)
    notices = refuse_rhythms(sales, columns.time, keys, series, times, rules.freq)
    timeline, at = timeline_of(sales, table, columns.time, times, rules.freq)
    refuse_stray_times(sales, table, columns.time, at, timeline.frequency.breaks)
    refuse_repeats(sales, table, (*columns.series, columns.time), series, at)
    sold = keys
    keys, extra, notes = attributes_of(attributes, sold, columns.series, [columns.time, columns.target])
    series = places_of(sold, keys)[series]
    start, last = int(at.min()), int(at.max())
    until = last + 1
    if train_until is not None:
        until = _moment(sales, train_until, table, columns.time, timeline, (start, last))
    size = until + horizon - start
    _refuse_vast(sales, len(keys), size, columns)
    seen = at < until + horizon
    place = (series[seen], at[seen] - start)
    target = _placed(values[seen], place, (len(keys), size))
    unknown, told = missing_everywhere(sales, timeline, at, until, rules.gaps)
    notices += told
    notes += fill_gaps(target, until - start, last - start, rules.gaps, unknown)
    known = {
        name: _placed(known_values(sales, table, name, fields)[seen], place, target.shape)
        for name, fields in zip(columns.known, patterns, strict=True)
    }
    if future is not None:
        read_future(future, columns.series, columns.time, timeline, keys, known, start)
    notes += missing_known(known, until - start)
    span = np.arange(start, start + size)
    seasons = read_calendar(calendar, columns.time, timeline, span, pd.concat([keys, extra], axis=1))
    return Panel(
        target=target,
        until=until - start,
        horizon=horizon,
        keys=keys,
        attributes=extra,
        known=known,
        calendar=seasons,
        time=[timeline.label(int(number)) for number in span],
        dated=timeline.times.dated,
        freq=rules.freq,
        notes=notes + seasons.notes,
        notices=timeline.notices + notices,
    )


def _refuse_vast(path: Path, series: int, periods: int, columns: Columns) -> None:
    """Raises PanelError before more is asked for than a machine of 16 GB holds: a cell for each series and period."""
    if series * periods > MOST_CELLS:
        raise PanelError(
            f"{series:,} series over {periods:,} periods are {series * periods:,} cells, more than {MOST_CELLS:,}",
            where=f"{path}, columns {', '.join([*columns.series, columns.time])}",
            todo="name fewer keys in --series (a receipt is none), sum to longer periods, or split the file",
        )


def _placed(values: Singles, place: tuple[Ints, Ints], shape: tuple[int, ...]) -> Singles:
    """`values` at their series and periods; NaN elsewhere."""
    matrix = np.full(shape, np.nan, np.float32)
    matrix[place] = values
    return matrix


def _target(path: Path, table: pa.Table, name: str, rules: Rules) -> Singles:
    if pa.types.is_boolean(table[name].type):
        todo = "give the column that counts them"
        raise PanelError(f"{name} holds true and false, no units", where=f"{path}, column {name}", todo=todo)
    values = numbers(path, table, name)
    if rules.returns == "refuse":
        todo = "net demand cannot be negative: leave returns out, or give --returns keep"
        refuse(path, table, name, values < 0, "is below zero", todo)
    return values


def _moment(path: Path, text: str, table: pa.Table, name: str, timeline: Timeline, span: tuple[int, int]) -> int:
    """The first period after `text`; `span` has the first and the last period of the file."""
    at = timeline.asked(text)
    first, last = (timeline.label(number) for number in span)
    if at is None:
        todo = f"write it as in the file: {first} to {last}"
        raise PanelError(f"--train-until {text!r} is no time like {first}", where=str(path), todo=todo)
    if not span[0] <= at <= span[1]:
        todo = f"the rows of {name} go from {first} to {last}"
        raise PanelError(f"--train-until {text} is outside the data", where=str(path), todo=todo)
    return at + 1
