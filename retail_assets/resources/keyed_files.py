"""Files of series that a person hands to a command: their keys as they were before a writer changed their type."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from retail_assets.core.errors import RetailError
from retail_assets.core.number_codes import code_of
from retail_assets.resources import duck
from retail_assets.resources.table_files import read_table_file

PLAIN_NUMBER = r"^(0|-?[1-9]\d{0,17})$"
FLOATS = {"double": "DOUBLE", "float": "FLOAT", "halffloat": "HALFFLOAT"}
AS_TEXT = "write keys as text, or as whole numbers"


def read_keyed_file(
    path: Path, error: type[RetailError], keys: Collection[str], times: Collection[str] = ()
) -> pa.Table:
    """`read_table_file` with keys and times as they are written, those of CSV that are plain whole numbers as numbers.

    Floats of a Parquet file are codes (536365.0 is 536365), decimals and bytes are text; NaN and '' are no key, null.
    Raises `error` for keys that cannot be told any more: floats that have lost digits, bytes that are no text, lists.
    """
    table = read_table_file(path, error, [*keys, *times])
    if path.suffix.lower() == ".csv":
        for name in {*keys, *times} & set(table.column_names):
            table = _with(table, name, _whole(table[name]))
        return table
    with path.open("rb") as file:
        written = {field.name: str(field.type) for field in parquet.read_schema(file)}
    for name in set(keys) & set(table.column_names):
        table = _with(table, name, _key(path, table, name, written.get(name, ""), error))
    return table


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text as numbers where it holds whole numbers only, none with a zero in front."""
    if not pa.types.is_string(column.type) or len(column) == column.null_count:
        return column
    plain = pc.all(pc.match_substring_regex(column, PLAIN_NUMBER)).as_py()
    return column.cast(pa.int64()) if plain else column


def _key(path: Path, table: pa.Table, name: str, written: str, error: type[RetailError]) -> pa.ChunkedArray:
    """A key column of a Parquet file that has it as the type `written`."""
    column = table[name]
    if pa.types.is_nested(column.type):
        raise error(f"{name} holds {column.type}: text or numbers are needed", where=f"{path}, column {name}")
    if pa.types.is_floating(column.type):
        return _whole(_codes(path, name, column, FLOATS.get(written, FLOATS[str(column.type)]), error))
    if pa.types.is_decimal(column.type):
        return _whole(column.cast(pa.string()))
    if pa.types.is_binary(column.type):  # what is text is text by now
        wrong = np.array([not _is_text(value) for value in column.to_pylist()])
        _refuse(path, name, column, wrong, "is no text in UTF-8", error)
    if pa.types.is_string(column.type):
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    return column


def _codes(path: Path, name: str, column: pa.ChunkedArray, kind: str, error: type[RetailError]) -> pa.ChunkedArray:
    """Floats of the type `kind` as the text of the codes they were; raises `error` for what has lost digits."""
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    encoded = column.combine_chunks().dictionary_encode()
    with duck.connect() as connection:
        connection.register("keys_once", pa.table({"value": encoded.dictionary}))
        found = connection.execute(f"SELECT {code_of('value', kind)} FROM keys_once").to_arrow_table().column(0)
    codes = found.take(encoded.indices)
    lost = pc.and_(pc.is_null(codes), pc.is_valid(column)).to_numpy()
    _refuse(path, name, column, lost, "is a number that may have lost digits", error)
    return codes


def _is_text(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False


def _refuse(
    path: Path,
    name: str,
    column: pa.ChunkedArray,
    wrong: npt.NDArray[np.bool_],
    what: str,
    error: type[RetailError],
) -> None:
    """Raises `error` for the first row of the mask."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        where = f"{path}, row {row + 1}, column {name} ({int(wrong.sum()):,} such rows)"
        raise error(f"{name} {what}: {column[row].as_py()}", where=where, todo=AS_TEXT)
