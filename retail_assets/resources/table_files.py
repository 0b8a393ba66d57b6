"""Parquet and CSV files that a person hands to a command."""

import csv
import itertools
import mmap
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as parquet

from retail_assets.core.errors import RetailError
from retail_assets.resources import duck

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

READERS = {".parquet": "read_parquet", ".csv": "read_csv"}
DELIMITERS = ",;\t|"
RENAMED = re.compile(r"(_\d+)+$")
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE")
OTHER_BASE = r"0[xXbBoO][0-9a-fA-F]"  # 0x5 is 5 to DuckDB, and a code or an accident to a retailer


def read_table_file(path: Path, error: type[RetailError], text: Collection[str] = ()) -> pa.Table:
    """Every row of the file. Raises `error` where it is absent, of another kind, unreadable, torn or empty.

    A CSV file does not say what its columns hold: those named in `text` come as they are written, so that 007 stays
    itself and 30.01.23 is not taken for a day of 2030; the others are read as what they look like. Instants of a
    Parquet file keep their zone.
    """
    import duckdb

    reader = READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise error(f"{path.name} {_no_file(path)}", where=str(path))
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
    unknown = bool(text) and not set(text) & set(table.column_names)
    if path.suffix.lower() == ".csv" and (table.num_columns == 1 or unknown):
        _refuse_uneven(path, error)
    if not table.num_rows:
        raise error("the file has no rows", where=str(path))
    return table


def _no_file(path: Path) -> str:
    """Why the path is no file that can be read."""
    if path.is_dir():
        return "is a folder"
    if path.suffix.lower() not in READERS:
        return f"is neither of {', '.join(READERS)}"
    return "is no file" if path.exists() else "does not exist"


def _query(
    path: Path, reader: str, text: Collection[str], connection: "DuckDBPyConnection"
) -> tuple[str, list[str | dict[str, str]], list[str]]:
    """The query for all rows, its parameters, and for CSV the names of its columns as the file has them.

    Brackets in a file's name are no pattern, and no folder's name is a column.
    """
    name = duck.exact(path)
    if path.suffix.lower() != ".csv":
        return f"select * from {reader}(?, hive_partitioning = false)", [name], []
    described = connection.execute(f"describe from {reader}(?, hive_partitioning = false)", [name]).fetchall()
    header = [column for column, *_ in described]
    written = _as_written(path, header, connection)
    strange = _of_other_bases(path, [column for column, kind, *_ in described if kind in NUMBERS], connection)
    kept = {column: "VARCHAR" for column, own in zip(header, written, strict=True) if own in text or column in strange}
    if not kept:
        return f"select * from {reader}(?, hive_partitioning = false)", [name], written
    return f"select * from {reader}(?, types = ?, header = true, hive_partitioning = false)", [name, kept], written


def _of_other_bases(path: Path, numbers: list[str], connection: "DuckDBPyConnection") -> set[str]:
    """Those of the columns that DuckDB takes for numbers only because it reads 0x5, 0b11 and 0o7."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if not numbers or re.search(OTHER_BASE.encode(), content) is None:
            return set()
    kept = dict.fromkeys(numbers, "VARCHAR")
    names = (name.replace('"', '""') for name in numbers)
    asked = ", ".join(f"""coalesce(bool_or(regexp_matches("{name}", '{OTHER_BASE}')), false)""" for name in names)
    query = f"select {asked} from read_csv(?, types = ?, header = true, hive_partitioning = false)"
    found = connection.execute(query, [duck.exact(path), kept]).fetchone() or ()
    return {name for name, strange in zip(numbers, found, strict=True) if strange}


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


def _refuse_uneven(path: Path, error: type[RetailError]) -> None:
    """A CSV file whose lines differ in their number of values is read as one column, or without its header where all
    have more than that: names the first such line.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
        delimiter = max(DELIMITERS, key=header.count)
        if delimiter not in header:
            return
        file.seek(0)
        lines = csv.reader(file, delimiter=delimiter)
        columns = len(next(lines))
        for values in lines:
            if values and len(values) != columns:
                raise error(
                    f"a line has {len(values)} values where the header has {columns}: {delimiter.join(values)[:80]}",
                    where=f"{path}, line {lines.line_num}",
                    todo="complete the line, leave it out, or put a value with a delimiter in it in quotes",
                )
