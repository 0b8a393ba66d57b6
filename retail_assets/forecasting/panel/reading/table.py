"""Files of a panel, read and checked column by column, so that a wrong value is named and never repaired."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.errors import RetailError
from retail_assets.resources.keyed_files import read_keyed_file

Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]


class PanelError(RetailError):
    """A panel that cannot be used as it is; names the file, row, column and value."""


def read_table(path: Path, keys: Collection[str] = (), times: Collection[str] = ()) -> pa.Table:
    """A Parquet or CSV file; raises PanelError where it cannot be read.

    Keys and times of a CSV file come as they are written: 007 is not 7. Keys of a Parquet file are codes: 7.0 is 7.
    """
    return read_keyed_file(path, PanelError, keys, times)


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
    encoded = column.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary
