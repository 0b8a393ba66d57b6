"""Parquet and CSV files that a person hands to a command."""

import csv
import itertools
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from retail_assets.core.errors import RetailError
from retail_assets.resources import duck

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

READERS = {".parquet": "read_parquet", ".csv": "read_csv"}
DELIMITERS = ",;\t|"
RENAMED = re.compile(r"(_\d+)+$")
PLAIN_NUMBER = r"^(0|-?[1-9]\d{0,17})$"


def read_table_file(path: Path, error: type[RetailError], text: Collection[str] = ()) -> pa.Table:
    """Every row of the file. Raises `error` where it is absent, of another kind, unreadable, torn or empty.

    A CSV file does not say what its columns hold: those named in `text` come as they are written, so that 007 stays
    itself and 30.01.23 is not taken for a day of 2030; the others are read as what they look like. Instants of a
    Parquet file keep their zone.
    """
    import duckdb

    reader = READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        problem = "does not exist" if reader else f"is neither of {', '.join(READERS)}"
        raise error(f"{path.name} {problem}", where=str(path))
    if not path.stat().st_size:
        raise error("the file is empty", where=str(path))
    try:
        with duck.connect() as connection:
            query, values, names = _query(path, reader, text, connection)
            table = connection.execute(query, values).to_arrow_table()
            table = _typed(path, table.rename_columns(names) if names else table)
    except duckdb.Error as raised:
        if path.suffix.lower() == ".csv":
            _refuse_other_encodings(path, error)
        said = str(raised).splitlines()[0]
        todo = "was it written to its end? save or download it again"
        raise error(f"the file cannot be read: {said}", where=str(path), todo=todo) from raised
    if table.num_columns == 1:
        _refuse_uneven(path, table.column_names[0], error)
    if not table.num_rows:
        raise error("the file has no rows", where=str(path))
    return table


def read_keyed_file(path: Path, error: type[RetailError], names: Collection[str]) -> pa.Table:
    """`read_table_file` with the keys and times of `names` as they are written, plain whole numbers as numbers."""
    table = read_table_file(path, error, names)
    for at, name in enumerate(table.column_names if path.suffix.lower() == ".csv" else ()):
        if name in names and _plain_numbers(table[name]):
            table = table.set_column(at, name, table[name].cast(pa.int64()))
    return table


def _plain_numbers(column: pa.ChunkedArray) -> bool:
    """Whether a column of text holds whole numbers only, none with a zero in front."""
    if not pa.types.is_string(column.type) or len(column) == column.null_count:
        return False
    return bool(pc.all(pc.match_substring_regex(column, PLAIN_NUMBER)).as_py())


def _query(
    path: Path, reader: str, text: Collection[str], connection: "DuckDBPyConnection"
) -> tuple[str, list[str | dict[str, str]], list[str]]:
    """The query for all rows, its parameters, and for CSV the names of its columns as the file has them.

    Brackets in a file's name are no pattern, and no folder's name is a column.
    """
    name = duck.exact(path)
    if path.suffix.lower() != ".csv":
        return f"select * from {reader}(?, hive_partitioning = false)", [name], []
    header = [
        column
        for column, *_ in connection.execute(f"describe from {reader}(?, hive_partitioning = false)", [name]).fetchall()
    ]
    written = _as_written(path, header, connection)
    kept = {column: "VARCHAR" for column, own in zip(header, written, strict=True) if own in text}
    if not kept:
        return f"select * from {reader}(?, hive_partitioning = false)", [name], written
    return f"select * from {reader}(?, types = ?, header = true, hive_partitioning = false)", [name, kept], written


def _as_written(path: Path, header: list[str], connection: "DuckDBPyConnection") -> list[str]:
    """The names of a CSV file's columns: DuckDB puts a number behind those that differ from others by case alone."""
    known = {column.casefold() for column in header}
    if not any(RENAMED.sub("", column).casefold() in known - {column.casefold()} for column in header):
        return header
    found = connection.execute("select SkipRows, Delimiter, Quote from sniff_csv(?)", [duck.exact(path)]).fetchone()
    skip, delimiter, quote = found if found is not None else (0, ",", '"')
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = itertools.islice(file, skip, None)
        first = next(csv.reader(lines, delimiter=delimiter, quotechar=quote if len(quote) == 1 else '"'))
    written = [column.strip() for column in first]
    return written if len(written) == len(header) == len(set(written)) else header


def _typed(path: Path, table: pa.Table) -> pa.Table:
    """The table with the names and the zones that a Parquet file has (DuckDB gives every instant in UTC, and a number
    to names that differ by case alone), and text where some writers leave it as bytes.
    """
    if path.suffix.lower() != ".parquet":
        return table
    with path.open("rb") as file:
        schema = parquet.read_schema(file)
    if len(set(schema.names)) == len(schema.names) == table.num_columns:
        table = table.rename_columns(schema.names)
    for field in schema:
        at = table.schema.get_field_index(field.name)
        if at < 0:
            continue
        column = table.column(at)
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            table = table.set_column(at, field.name, column.cast(pa.timestamp(column.type.unit, field.type.tz)))
        elif pa.types.is_binary(column.type) and _is_text(column):
            table = table.set_column(at, field.name, column.cast(pa.string()))
    return table


def _is_text(column: pa.ChunkedArray) -> bool:
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _refuse_other_encodings(path: Path, error: type[RetailError]) -> None:
    """Names the first line of a CSV file that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as raised:
                value = line[max(0, raised.start - 20) : raised.start + 20].decode("latin-1").strip()
                todo = "save the file as CSV in UTF-8"
                raise error(f"not UTF-8: {value!r}", where=f"{path}, line {number}", todo=todo) from raised


def _refuse_uneven(path: Path, header: str, error: type[RetailError]) -> None:
    """A CSV file whose lines differ in their number of values is read as one column: names the first such line."""
    delimiter = max(DELIMITERS, key=header.count)
    if delimiter not in header:
        return
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = csv.reader(file, delimiter=delimiter)
        columns = len(next(lines))
        for values in lines:
            if len(values) != columns:
                raise error(
                    f"a line has {len(values)} values where the header has {columns}: {delimiter.join(values)[:80]}",
                    where=f"{path}, line {lines.line_num}",
                    todo="complete the line, or leave it out",
                )
