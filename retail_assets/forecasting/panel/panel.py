"""Anybody's sales as a matrix of series and periods, with their attributes, calendar and what is known ahead."""

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from string import Formatter
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.panel.calendar import Calendar, read_calendar
from retail_assets.forecasting.panel.table import (
    PanelError,
    codes,
    day_of,
    numbers,
    periods,
    phase_of,
    read_table,
    refuse,
    require,
)

Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
Freq = Literal["D", "W"]
LONGEST_BREAK = {"D": 366, "W": 53}


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
    are in the file.
    """

    target: Singles
    until: int
    horizon: int
    keys: pd.DataFrame
    attributes: pd.DataFrame
    known: dict[str, Singles]
    calendar: Calendar
    time: list[date] | list[int]
    freq: Freq
    notes: list[str] = field(default_factory=list)

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
        raise PanelError("--future without --known says nothing", where=str(future), todo="name its columns by --known")
    table = read_table(sales)
    patterns = [_fields(sales, name, columns.series) for name in columns.known]
    plain = [name for name, keys in zip(columns.known, patterns, strict=True) if not keys]
    require(sales, table, [*columns.series, columns.time, columns.target, *plain])
    values = _target(sales, table, columns.target, rules)
    at, dated = periods(sales, table, columns.time, rules.freq)
    _refuse_stray_times(sales, table, columns.time, at, rules.freq)
    series, keys = _series(sales, table, columns.series)
    _refuse_repeats(sales, table, columns, series, at)
    sold = keys
    keys, extra, notes = _attributes(attributes, sold, columns.series, [columns.time, columns.target])
    series = _places(sold, keys)[series]
    phase, start, last = phase_of(table, columns.time, rules.freq), int(at.min()), int(at.max())
    until = last + 1 if train_until is None else _moment(sales, train_until, table, columns.time, rules, start, last)
    size = until + horizon - start
    seen = at < until + horizon
    place = (series[seen], at[seen] - start)
    target = _placed(values[seen], place, (len(keys), size))
    notes += _fill_gaps(target, until - start, last - start, rules)
    known = {
        name: _placed(_known(sales, table, name, fields)[seen], place, target.shape)
        for name, fields in zip(columns.known, patterns, strict=True)
    }
    if future is not None:
        _read_future(future, columns, rules, keys, known, start)
    time = [day_of(start + i, rules.freq, phase) if dated else start + i for i in range(size)]
    notes += _missing_known(known, until - start)
    seasons = read_calendar(calendar, columns.time, rules.freq, start, size, dated, pd.concat([keys, extra], axis=1))
    return Panel(
        target=target,
        until=until - start,
        horizon=horizon,
        keys=keys,
        attributes=extra,
        known=known,
        calendar=seasons,
        time=time,  # type: ignore[arg-type]
        freq=rules.freq,
        notes=notes + seasons.notes,
    )


def _placed(values: Singles, place: tuple[Ints, Ints], shape: tuple[int, ...]) -> Singles:
    """`values` at their series and periods; NaN elsewhere."""
    matrix = np.full(shape, np.nan, np.float32)
    matrix[place] = values
    return matrix


def _target(path: Path, table: pa.Table, name: str, rules: Rules) -> Singles:
    values = numbers(path, table, name)
    if rules.returns == "refuse":
        todo = "net demand cannot be negative: leave returns out, or give --returns keep"
        refuse(path, table, name, values < 0, "is below zero", todo)
    return values


def _fields(path: Path, name: str, keys: tuple[str, ...]) -> list[str]:
    try:
        fields = [part for _, part, _, _ in Formatter().parse(name) if part is not None]
    except ValueError as error:
        raise PanelError(f"--known {name}: {error}", where=str(path), todo="write it like price{brand}") from error
    unknown = [part for part in fields if part not in keys]
    if unknown:
        raise PanelError(f"--known {name}: {unknown[0]!r} is not a key of --series", where=str(path))
    return fields


def _known(path: Path, table: pa.Table, name: str, fields: list[str]) -> Singles:
    if not fields:
        require(path, table, [name])
        return numbers(path, table, name)
    rows = table.select(fields).to_pandas()
    found = np.empty(len(rows), np.float32)
    for values, indices in rows.groupby(fields).indices.items():
        picked = values if isinstance(values, tuple) else (values,)
        column = name.format(**dict(zip(fields, picked, strict=True)))
        require(path, table, [column])
        found[indices] = numbers(path, table, column)[indices]
    return found


def _series(path: Path, table: pa.Table, names: tuple[str, ...]) -> tuple[Ints, pd.DataFrame]:
    """Code of the series of each row, and the keys of each series in their order."""
    parts = [codes(path, table, name) for name in names]
    joint = np.zeros(table.num_rows, dtype=np.int64)
    for part, dictionary in parts:
        joint = joint * len(dictionary) + part
    size = int(np.prod([len(dictionary) for _, dictionary in parts]))
    present = np.zeros(size, dtype=bool)
    present[joint] = True
    cells = np.flatnonzero(present)
    keys, rest = {}, cells
    for name, (_, dictionary) in reversed(list(zip(names, parts, strict=True))):
        keys[name] = dictionary.to_pandas().to_numpy()[rest % len(dictionary)]
        rest = rest // len(dictionary)
    frame = pd.DataFrame({name: keys[name] for name in names})
    order = frame.sort_values(list(names)).index.to_numpy()
    rank = np.full(size, -1, dtype=np.int64)
    rank[cells[order]] = np.arange(len(cells))
    return rank[joint], frame.loc[order].reset_index(drop=True)


def _refuse_stray_times(path: Path, table: pa.Table, name: str, at: Ints, freq: Freq) -> None:
    """Raises PanelError where the rows stop for more than LONGEST_BREAK: a time that was written wrong."""
    distinct, first, count = np.unique(at, return_index=True, return_counts=True)
    breaks = np.flatnonzero(np.diff(distinct) > LONGEST_BREAK[freq])
    if not len(breaks):
        return
    later = breaks[0] + 1
    # The side with fewer rows is the one to look at.
    stray = later if count[later:].sum() < count[:later].sum() else later - 1
    apart = int(distinct[later] - distinct[later - 1])
    raise PanelError(
        f"{name} {table[name][int(first[stray])].as_py()} lies {apart:,} periods from the other rows",
        where=f"{path}, row {int(first[stray]) + 1}",
        todo=f"correct it, or leave out what lies beyond a break of more than {LONGEST_BREAK[freq]} periods",
    )


def _refuse_repeats(path: Path, table: pa.Table, columns: Columns, series: Ints, at: Ints) -> None:
    width = int(at.max() - at.min()) + 1
    cell = series * width + (at - at.min())
    counts = np.bincount(cell, minlength=(int(series.max()) + 1) * width)
    if counts.max() > 1:
        row = int(pd.Series(cell).duplicated().to_numpy().argmax())
        key = ", ".join(f"{name} {table[name][row].as_py()}" for name in (*columns.series, columns.time))
        raise PanelError(
            f"{key} is there twice",
            where=f"{path}, row {row + 1} ({int((counts - 1).clip(0).sum()):,} such rows)",
            todo="sum them into one row per series and time, or name the missing key in --series",
        )


def _moment(path: Path, text: str, table: pa.Table, name: str, rules: Rules, start: int, last: int) -> int:
    """The first period after `text`."""
    first = table[name][0].as_py()
    try:
        known: date | int = int(text) if isinstance(first, int) else date.fromisoformat(text)
    except ValueError as error:
        raise PanelError(f"--train-until {text!r} is no time like {first}", where=str(path)) from error
    if isinstance(known, int):
        at = known
    else:
        at = ((known - date(1970, 1, 1)).days - phase_of(table, name, rules.freq)) // (7 if rules.freq == "W" else 1)
    if not start <= at <= last:
        raise PanelError(
            f"--train-until {text} is outside the data",
            where=str(path),
            todo=f"the rows of {name} end earlier or begin later",
        )
    return at + 1


def _attributes(
    path: Path | None, keys: pd.DataFrame, names: tuple[str, ...], reserved: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Keys with those that only the file knows, their attributes, and what is particular."""
    if path is None:
        return keys, pd.DataFrame(index=keys.index), []
    table = read_table(path)
    shared = [name for name in names if name in table.column_names]
    if not shared:
        raise PanelError(
            f"no key of {', '.join(names)}", where=str(path), todo="it needs at least one of these columns"
        )
    found = table.to_pandas()
    for name in shared:
        refuse(path, table, name, found[name].isna().to_numpy(), "is empty", "every row needs its keys")
        if found[name].dtype.kind != keys[name].dtype.kind and {found[name].dtype.kind, keys[name].dtype.kind} != {
            "i",
            "u",
        }:
            raise PanelError(
                f"{name} holds {found[name].dtype}, but {keys[name].dtype} in the sales", where=f"{path}, column {name}"
            )
    refuse(
        path, table, shared[0], found.duplicated(shared).to_numpy(), f"repeats a key of {', '.join(shared)}", "keep one"
    )
    if not keys[shared].merge(found[shared], on=shared).size:
        first = ", ".join(f"{name} {keys[name].iloc[0]}" for name in shared)
        raise PanelError(
            "no series of the sales is in the file",
            where=f"{path}, columns {', '.join(shared)}",
            todo=f"the sales have {first}, this file {', '.join(str(v) for v in found[shared].iloc[0])}",
        )
    notes = []
    if len(shared) == len(names):
        everyone = pd.concat([keys, found[shared][list(names)]]).drop_duplicates().sort_values(list(names))
        keys = everyone.reset_index(drop=True)
    merged = keys.merge(found, on=shared, how="left", validate="many_to_one", indicator=True)
    absent = int((merged.pop("_merge") == "left_only").sum())
    if absent:
        notes.append(f"{absent:,} of {len(keys):,} series have no row in {path.name}")
    extra = merged[[name for name in merged if name not in names and name not in reserved]]
    return keys, extra, notes


def _places(sold: pd.DataFrame, keys: pd.DataFrame) -> Ints:
    """Where the series with sales stand among all: listing others moves them."""
    names = list(keys)
    found = sold.merge(keys.reset_index(names="place"), on=names, how="left", validate="one_to_one")
    return found["place"].to_numpy(np.int64)


def _fill_gaps(target: Singles, until: int, last: int, rules: Rules) -> list[str]:
    """Periods missing after a series' first row are nothing sold where the rules say so."""
    span = target[:, : last + 1]
    missing = np.isnan(span) & (np.cumsum(~np.isnan(span), axis=1) > 0)
    inside = missing[:, :until]
    if rules.gaps == "zero":
        span[missing] = 0.0
    if not inside.any():
        return []
    meaning = "read as nothing sold" if rules.gaps == "zero" else "read as unknown"
    return [f"{int(inside.sum()):,} periods are missing inside {int(inside.any(axis=1).sum()):,} series: {meaning}"]


def _read_future(
    path: Path, columns: Columns, rules: Rules, keys: pd.DataFrame, known: dict[str, Singles], start: int
) -> None:
    """Puts the known columns of `path` in place; rows outside the panel are left out."""
    table = read_table(path)
    require(path, table, [*columns.series, columns.time])
    at, _ = periods(path, table, columns.time, rules.freq)
    _refuse_repeats(path, table, columns, _series(path, table, columns.series)[0], at)
    rows = table.select(list(columns.series)).to_pandas()
    index = keys.reset_index().merge(rows.reset_index(names="row"), on=list(columns.series))
    for name in columns.known:
        values = _known(path, table, name, _fields(path, name, columns.series))
        column = at[index["row"]] - start
        inside = (column >= 0) & (column < known[name].shape[1])
        known[name][index["index"].to_numpy()[inside], column[inside]] = values[index["row"]][inside]


def _missing_known(known: dict[str, Singles], until: int) -> list[str]:
    found = []
    for name, values in known.items():
        absent = int(np.isnan(values[:, until:]).sum())
        if absent:
            found.append(
                f"{name} is not known for {absent:,} of {values[:, until:].size:,} forecasts: give --future FILE"
            )
    return found
