"""Parquet and CSV files that a person hands to a command."""

import csv
from pathlib import Path

import pyarrow as pa

from retail_assets.core.errors import RetailError

READERS = {".parquet": "read_parquet", ".csv": "read_csv"}
DELIMITERS = ",;\t|"


def read_table_file(path: Path, error: type[RetailError]) -> pa.Table:
    """Every row of the file. Raises `error` where it is absent, of another kind, unreadable, torn or empty."""
    import duckdb

    reader = READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        problem = "does not exist" if reader else f"is neither of {', '.join(READERS)}"
        raise error(f"{path.name} {problem}", where=str(path))
    if not path.stat().st_size:
        raise error("the file is empty", where=str(path))
    try:
        with duckdb.connect() as connection:
            connection.execute("set enable_progress_bar = false")
            table: pa.Table = connection.execute(f"select * from {reader}(?)", [str(path)]).to_arrow_table()
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
