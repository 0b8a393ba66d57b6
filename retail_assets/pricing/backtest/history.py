"""Anybody's sales history as arrays: checked row by row, so that a wrong value is named and never repaired."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.core.column_patterns import fields, filled
from retail_assets.core.errors import RetailError
from retail_assets.core.written_times import EXAMPLES, ISO, Spelling, spelling_of
from retail_assets.resources.keyed_files import read_keyed_file

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


FEWEST_WEEKS = 5  # of a series, so that its weekday is no chance


class HistoryError(RetailError):
    """A sales history that cannot be used as it is; names the file, the column and the value."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a history mean what.

    `price` may hold `{key}`: then it names a column per value of that key. `item` is the key whose series share what is
    known of their demand, the last one where it is None.
    """

    series: tuple[str, ...]
    time: str
    units: str
    price: str
    covariates: tuple[str, ...] = ()
    logarithm: bool = False
    item: str | None = None

    @property
    def item_key(self) -> str | None:
        """The key that names the item; None where a series is all there is."""
        return (self.item or self.series[-1]) if len(self.series) > 1 else None


@dataclass(frozen=True)
class History:
    """Rows sorted by series and time, arrays of shape (rows,); `features` is (rows, k): log price, then the covariates.

    `keys` has a row per series (its key columns), `item_of_series` the code of its item (0 where there is only one
    key), `items` the values of those codes. `time` are whole numbers or points in time, `period` their rank, `spelling`
    how the file writes points in time as text.
    """

    units: Floats
    features: Floats
    names: tuple[str, ...]
    series: Ints
    period: Ints
    time: "pd.Series[Any]"
    keys: pd.DataFrame
    item_of_series: Ints
    items: list[Any]
    spelling: Spelling | None = None

    @property
    def item(self) -> Ints:
        """The item of each row."""
        return self.item_of_series[self.series]

    def where(self, rows: npt.NDArray[np.bool_]) -> "History":
        """The rows of the mask; every code keeps its meaning."""
        picked = (self.units[rows], self.features[rows], self.names, self.series[rows], self.period[rows])
        return History(*picked, self.time[rows], self.keys, self.item_of_series, self.items, self.spelling)

    def written(self) -> "pd.Series[Any]":
        """The time of each row as the file has it: dates as dates, instants with their time of day."""
        if pd.api.types.is_integer_dtype(self.time):
            return self.time
        if self.spelling is not None and self.spelling.name != ISO.name:
            return self.time.map(self.spelling.write)
        return self.time.dt.date if (self.time == self.time.dt.normalize()).all() else self.time

    def shown(self, at: Any) -> str:
        """One time as the file writes it."""
        if isinstance(at, int | np.integer):
            return str(at)
        if self.spelling is not None and self.spelling.name != ISO.name:
            return self.spelling.write(at)
        return str(at.date() if at == at.normalize() else at)


def read_history(path: Path, columns: Columns) -> History:
    """Reads and checks a Parquet or CSV file; raises HistoryError for the first thing that is wrong with it."""
    table = _frame(read_keyed_file(path, HistoryError, columns.series, [columns.time]))
    needed = [*columns.series, columns.time, columns.units, *columns.covariates]
    _require(path, table, needed)
    if table.empty:
        raise HistoryError("the history has no rows", where=str(path))
    for name in (*columns.series, columns.time):
        _refuse(path, table, name, table[name].isna().to_numpy(), "is empty")
    time, spelling = _time(path, table, columns.time)
    units = _units(path, table, columns)
    price = _price(path, table, columns)
    covariates = [_numbers(path, table, name) for name in columns.covariates]
    keys = [*columns.series]
    _refuse_repeats(path, table, keys, columns.time, time)
    series = table.groupby(keys, sort=True).ngroup().to_numpy().astype(np.int64)
    _refuse_weekdays(path, table, columns, series, time)
    order = np.lexsort((time.to_numpy(), series))
    known = table.iloc[order].drop_duplicates(keys)[keys].reset_index(drop=True)
    item_of_series, items = _items(path, known, columns)
    return History(
        units=units[order],
        features=np.column_stack([np.log(price), *covariates])[order],
        names=("log_price", *columns.covariates),
        series=series[order],
        period=time.rank(method="dense").to_numpy()[order].astype(np.int64) - 1,
        time=time.iloc[order].reset_index(drop=True),
        keys=known,
        item_of_series=item_of_series,
        items=items,
        spelling=spelling,
    )


def _frame(table: pa.Table) -> pd.DataFrame:
    """The table for pandas; instants keep the zone of the file, in which their day is meant."""
    frame = duckdb.from_arrow(table).df()
    # DuckDB renames what differs by case alone.
    frame.columns = pd.Index(table.column_names)
    for field in table.schema:
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            frame[field.name] = frame[field.name].dt.tz_convert(field.type.tz)
    return frame


def moment(text: str, history: History, path: Path) -> Any:
    """`text` (of --train-until) as a time of this history; raises HistoryError where it is none, or splits nothing."""
    first, last = history.time.min(), history.time.max()
    span = f"{history.shown(first)} to {history.shown(last)}"
    try:
        at = _asked(text, history)
    except ValueError as error:
        what = f"--train-until {text!r} is not a time like {history.shown(first)}"
        raise HistoryError(what, where=str(path), todo=f"write it as in the file: {span}") from error
    if not first <= at < last:
        what = f"--train-until {text} leaves no rows on one side of it"
        raise HistoryError(what, where=str(path), todo=f"give a time of {span}")
    return at


def _asked(text: str, history: History) -> Any:
    if pd.api.types.is_integer_dtype(history.time):
        return int(text)
    own = history.spelling.parse(text) if history.spelling is not None else None
    return pd.Timestamp(own if own is not None else text, tz=history.time.dt.tz)


def _require(path: Path, table: pd.DataFrame, names: list[str]) -> None:
    absent = [name for name in names if name not in table.columns]
    if absent:
        there = ", ".join(map(str, table.columns))
        raise HistoryError(f"no column {absent[0]!r}", where=str(path), todo=f"use one of: {there}")
    if len(set(names)) < len(names):
        raise HistoryError(f"a column is named twice in {', '.join(names)}", where=str(path))


def _refuse(path: Path, table: pd.DataFrame, name: str, wrong: npt.NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise HistoryError(
            f"{name} {what}: {table[name].iloc[row]}",
            where=f"{path}, row {int(table.index[row]) + 1}, column {name} ({int(wrong.sum())} such rows)",
            todo="correct or leave out these rows",
        )


def _numbers(path: Path, table: pd.DataFrame, name: str) -> Floats:
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(path, table, name, ~np.isfinite(values), "is not a finite number")
    return values


def _quantities(path: Path, table: pd.DataFrame, name: str) -> Floats:
    """Numbers of which true and false are none, as they are in a covariate."""
    values = table[name]
    if values.dtype in (bool, object):
        _refuse(
            path, table, name, values.map(lambda value: isinstance(value, bool | np.bool_)).to_numpy(), "is no number"
        )
    return _numbers(path, table, name)


def _units(path: Path, table: pd.DataFrame, columns: Columns) -> Floats:
    values = _quantities(path, table, columns.units)
    if columns.logarithm:
        _refuse(path, table, columns.units, np.abs(values) > 50, "is not a natural logarithm of units")
        return np.exp(values)
    _refuse(path, table, columns.units, values < 0, "is below zero (returns are no demand)")
    return values


def _price(path: Path, table: pd.DataFrame, columns: Columns) -> Floats:
    if columns.price in table.columns:
        return _prices(path, table, columns.price)
    try:
        keys = fields(columns.price)
    except ValueError as error:
        what, todo = f"--price {columns.price}: {error}", "write it like price{brand}"
        raise HistoryError(what, where=str(path), todo=todo) from error
    unknown = [key for key in keys if key not in columns.series]
    if unknown:
        raise HistoryError(f"--price {columns.price}: {unknown[0]!r} is not a key of --series", where=str(path))
    price = np.empty(len(table))
    for value, rows in table.groupby(keys).indices.items() if keys else [((), np.arange(len(table)))]:
        values = value if isinstance(value, tuple) else (value,)
        name = filled(columns.price, {key: _plain(v) for key, v in zip(keys, values, strict=True)})
        _require(path, table, [name])
        price[rows] = _prices(path, table.iloc[rows], name)
    return price


def _prices(path: Path, table: pd.DataFrame, name: str) -> Floats:
    values = _quantities(path, table, name)
    _refuse(path, table, name, values <= 0, "is not a price above zero")
    return values


def _plain(value: Any) -> Any:
    """A key as it stands in a column's name: 7.0 is 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _time(path: Path, table: pd.DataFrame, name: str) -> "tuple[pd.Series[Any], Spelling | None]":
    """Whole numbers as they are, everything else as points in time, with the spelling of text."""
    values = table[name]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        whole = values.to_numpy(dtype=np.float64)
        _refuse(path, table, name, ~np.isfinite(whole) | (whole != np.round(whole)), "is not a whole number")
        return values.astype(np.int64), None
    if values.dtype == object and isinstance(values.iloc[0], str):
        found = spelling_of(values.unique())
        if len(found) > 1:
            both = " and ".join(str(spelling.parse(values.iloc[0])) for spelling in found)
            _refuse(path, table, name, np.arange(len(values)) == 0, f"may be {both}")
        if found and found[0].name != ISO.name:
            return pd.to_datetime(values.map(found[0].parse)), found[0]
        strange = ~values.str.match(r"\s*\d{4}-\d{2}-\d{2}").to_numpy(dtype=bool)
        _refuse(path, table, name, strange, f"is neither a whole number nor a date (write {EXAMPLES})")
    points = pd.to_datetime(values, errors="coerce")
    _refuse(path, table, name, points.isna().to_numpy(), "is neither a whole number nor a date")
    return points, None


def _refuse_repeats(path: Path, table: pd.DataFrame, keys: list[str], name: str, time: "pd.Series[Any]") -> None:
    moments = table[keys].copy()
    moments[name] = time
    repeated = moments.duplicated().to_numpy()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        key = ", ".join(f"{k} {table[k].iloc[row]}" for k in [*keys, name])
        raise HistoryError(
            f"{key} is there twice",
            where=f"{path}, row {row + 1}, columns {', '.join([*keys, name])} ({int(repeated.sum())} such rows)",
            todo="sum them into one row per series and time, or name the missing key in --series",
        )


def _refuse_weekdays(path: Path, table: pd.DataFrame, columns: Columns, series: Ints, time: "pd.Series[Any]") -> None:
    """Raises HistoryError where all series are weekly, and name the same week by different weekdays: what hits them all
    in one week would count as two weeks' evidence.
    """
    if pd.api.types.is_integer_dtype(time):
        return
    days = (time.dt.tz_localize(None) if time.dt.tz is not None else time).to_numpy().astype("datetime64[D]")
    rows = pd.DataFrame({"series": series, "day": days.astype(np.int64)})
    first = rows.drop_duplicates("series").set_index("series")["day"]
    own = rows["day"] - rows["series"].map(first)
    several = rows["day"].groupby(rows["series"]).nunique()
    usual = several[several >= FEWEST_WEEKS].index
    steps = own[rows["series"].isin(usual)]
    weekday = first.loc[usual] % 7
    if not len(usual) or (steps % 7).any() or weekday.nunique() < 2:
        return
    one, other = usual[0], weekday.index[weekday != weekday.iloc[0]][0]
    shown = []
    for code in (one, other):
        row = int(np.argmax(series == code))
        key = ", ".join(f"{name} {table[name].iloc[row]}" for name in columns.series)
        shown.append(f"{key} by a {pd.Timestamp(days[row]):%A} ({table[columns.time].iloc[row]})")
    raise HistoryError(
        f"the series name their weeks by different weekdays: {'; '.join(shown)}",
        where=f"{path}, column {columns.time}",
        todo="write the same date for the same week in all series",
    )


def _items(path: Path, keys: pd.DataFrame, columns: Columns) -> tuple[Ints, list[Any]]:
    if columns.item is not None and columns.item not in columns.series:
        raise HistoryError(f"--item {columns.item!r} is not a key of --series", where=str(path))
    if columns.item_key is None:
        return np.zeros(len(keys), dtype=np.int64), ["all"]
    codes, items = pd.factorize(keys[columns.item_key], sort=True)
    return codes.astype(np.int64), list(items)
