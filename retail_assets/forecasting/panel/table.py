"""Files of a panel, read and checked column by column, so that a wrong value is named and never repaired."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.errors import RetailError
from retail_assets.resources.table_files import read_table_file

Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
STEPS = {"D": 1, "W": 7}
EPOCH = date(1970, 1, 1)


class PanelError(RetailError):
    """A panel that cannot be used as it is; names the file, row, column and value."""


def read_table(path: Path) -> pa.Table:
    """A Parquet or CSV file; raises PanelError where it cannot be read."""
    return read_table_file(path, PanelError)


def require(path: Path, table: pa.Table, names: list[str]) -> None:
    """Raises PanelError for the first of `names` that is no column, or is named twice."""
    absent = [name for name in names if name not in table.column_names]
    if absent:
        raise PanelError(f"no column {absent[0]!r}", where=str(path), todo=f"use: {', '.join(table.column_names)}")
    if len(set(names)) < len(names):
        raise PanelError(f"a column is named twice in {', '.join(names)}", where=str(path))


def refuse(path: Path, table: pa.Table, name: str, wrong: npt.NDArray[np.bool_], what: str, todo: str) -> None:
    """Raises PanelError for the first row of the mask."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        where = f"{path}, row {row + 1}, column {name} ({int(wrong.sum()):,} such rows)"
        raise PanelError(f"{name} {what}: {table[name][row].as_py()}", where=where, todo=todo)


def numbers(path: Path, table: pa.Table, name: str) -> Singles:
    """A column as finite numbers; raises PanelError for the first that is none."""
    column = table[name]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        looks = pc.match_substring_regex(column, r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$").fill_null(False)
        refuse(path, table, name, ~looks.to_numpy(), "is not a number", "correct or leave out these rows")
        column = pc.cast(pc.utf8_trim_whitespace(column), pa.float64())
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif not (
        pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)
    ):
        raise PanelError(f"{name} holds {column.type}, no numbers", where=f"{path}, column {name}")
    values = column.cast(pa.float64()).to_numpy().astype(np.float32)
    refuse(path, table, name, ~np.isfinite(values), "is not a finite number", "correct or leave out these rows")
    return values


def codes(path: Path, table: pa.Table, name: str) -> tuple[Ints, pa.Array]:
    """A key column as codes 0.. and their values; raises PanelError for an empty key."""
    column = table[name].combine_chunks()
    empty = column.is_null().to_numpy(zero_copy_only=False)
    refuse(path, table, name, empty, "is empty", "every row needs all keys")
    if pa.types.is_nested(column.type):
        raise PanelError(f"{name} holds {column.type}: text or numbers are needed", where=f"{path}, column {name}")
    encoded = column.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def periods(path: Path, table: pa.Table, name: str, freq: str) -> tuple[Ints, bool]:
    """A time column in steps of `freq`, and whether it holds dates (steps since 1970-01-01) or whole numbers."""
    column = table[name].combine_chunks()
    refuse(path, table, name, column.is_null().to_numpy(zero_copy_only=False), "is empty", "every row needs a time")
    if pa.types.is_integer(column.type):
        return column.to_numpy().astype(np.int64), False
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        looks = pc.match_substring_regex(column, r"^\d{4}-\d{2}-\d{2}").to_numpy(zero_copy_only=False)
        refuse(path, table, name, ~looks, "is not a date", "write dates as 2016-03-27")
        days = pc.utf8_slice_codeunits(column, 0, 10)
        real = pc.strptime(days, "%Y-%m-%d", "s", error_is_null=True).is_valid().to_numpy(zero_copy_only=False)
        refuse(path, table, name, ~real, "is not a date", "write dates as 2016-03-27")
        column = _dated(path, name, days)
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        raise PanelError(
            f"{name} holds {column.type}: dates or whole numbers are needed", where=f"{path}, column {name}"
        )
    days = _dated(path, name, column).cast(pa.int32()).to_numpy().astype(np.int64)
    step = STEPS[freq]
    off = (days - days[0]) % step != 0
    refuse(path, table, name, off, f"is no whole number of weeks from {table[name][0].as_py()}", "or give --freq D")
    return days // step, True


def _dated(path: Path, name: str, column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.date32(), safe=False) if not pa.types.is_date32(column.type) else column
    except pa.ArrowInvalid as error:
        raise PanelError(f"{name} has a value that is no date: {error}", where=f"{path}, column {name}") from error


def day_of(period: int, freq: str, phase: int) -> date:
    """The date of a period; `phase` is the weekday of weekly data (days after 1970-01-01 modulo 7)."""
    return EPOCH + timedelta(days=period * STEPS[freq] + phase)


def phase_of(table: pa.Table, name: str, freq: str) -> int:
    """Days that the dates of a weekly column stand after a multiple of 7; 0 for whole numbers and daily data."""
    first = table[name][0].as_py()
    if freq == "D" or isinstance(first, int):
        return 0
    return (date.fromisoformat(str(first)[:10]) - EPOCH).days % STEPS[freq]
