"""Lines of delimited text into columns of text, one row per physical line, whatever is wrong with a line.

A clean block goes through Arrow's CSV reader as a whole. Only lines that do not fit (another number of fields, an
unbalanced quote) are looked at one by one: they are the ones that need a reason.
"""

import csv
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from retail_assets.sources.config import Dialect
from retail_assets.sources.lines import line_array, text_of

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Parsed:
    """Text columns aligned with `rows` (positions of the lines) and with what is wrong with each, or None."""

    columns: pa.Table
    rows: npt.NDArray[np.int64]
    problems: list[str | None] | None


def unique_names(header: list[str]) -> tuple[str, ...]:
    """Printable column names without repetition (DuckDB compares names without case): a second `a` is `a_2`."""
    names: list[str] = []
    taken: set[str] = set()
    for i, cell in enumerate(header, start=1):
        base = "".join(filter(str.isprintable, cell)).strip() or f"column_{i}"
        name, n = base, 1
        while name.lower() in taken:
            n += 1
            name = f"{base}_{n}"
        taken.add(name.lower())
        names.append(name)
    return tuple(names)


def split_header(line: str, delimiter: str) -> tuple[str, ...]:
    """The column names of a header line."""
    return unique_names(next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), []))


def parse_lines(data: bytes, names: tuple[str, ...], dialect: Dialect, lines: int) -> Parsed:
    """Every one of the `lines` of `data` (UTF-8, none blank) as a row of text columns `names`."""
    whole = _read(data, names, dialect)
    if whole is not None and whole.num_rows == lines and not _has_stray_returns(data):
        return Parsed(whole, np.arange(lines), None)
    return _parse_apart(data, names, dialect)


def _parse_apart(data: bytes, names: tuple[str, ...], dialect: Dialect) -> Parsed:
    """Clean lines as a whole, the others one by one."""
    lines, offsets = line_array(data)
    clean = _clean_lines(data, offsets, len(names), dialect.delimiter)
    if not clean.any():
        return _parse_singly(lines, np.arange(len(lines)), names, dialect)
    kept = lines.filter(pa.array(clean))
    table = _read(text_of(kept)[0], names, dialect)
    if table is None or table.num_rows != int(clean.sum()):
        return _parse_singly(lines, np.arange(len(lines)), names, dialect)
    rest = _parse_singly(lines, np.flatnonzero(~clean), names, dialect)
    problems: list[str | None] = [None] * table.num_rows
    return Parsed(
        pa.concat_tables([table, rest.columns]),
        np.concatenate([np.flatnonzero(clean), rest.rows]),
        problems + (rest.problems or []),
    )


def _has_stray_returns(data: bytes) -> bool:
    returns = data.count(b"\r")
    return returns > 0 and returns != data.count(b"\r\n")


def _read(data: bytes, names: tuple[str, ...], dialect: Dialect) -> pa.Table | None:
    """All rows as text, or None as soon as one line has another number of fields."""
    misfits: list[int] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        misfits.append(row.actual_columns)
        return "skip"

    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=list(names), block_size=8 << 20),
            parse_options=pa_csv.ParseOptions(delimiter=dialect.delimiter, invalid_row_handler=skip),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=True,
                check_utf8=False,
                null_values=list(dialect.nulls),
            ),
        )
    except pa.ArrowInvalid:
        return None
    return None if misfits else table


def _clean_lines(data: bytes, offsets: npt.NDArray[np.int32], width: int, delimiter: str) -> Mask:
    """Lines with exactly `width` fields and without quotes or stray carriage returns."""
    characters = np.frombuffer(data, np.uint8)

    def per_line(hits: Mask) -> npt.NDArray[np.int64]:
        return np.diff(np.searchsorted(np.flatnonzero(hits), offsets))

    returns = characters == 13
    returns[:-1] &= characters[1:] != 10
    clean = per_line(characters == ord(delimiter)) == width - 1
    return np.asarray(clean & (per_line(characters == ord('"')) == 0) & (per_line(returns) == 0))


def _parse_singly(
    lines: pa.StringArray, rows: npt.NDArray[np.int64], names: tuple[str, ...], dialect: Dialect
) -> Parsed:
    # One line at a time, because each of these needs its own verdict; they are the exception.
    columns: list[list[str | None]] = [[] for _ in names]
    problems: list[str | None] = []
    for line in lines.take(pa.array(rows)).to_pylist():
        fields, problem = _split(line.rstrip("\r\n"), len(names), dialect.delimiter)
        problems.append(problem)
        for i, column in enumerate(columns):
            value = fields[i] if i < len(fields) else None
            column.append(None if value in dialect.nulls else value)
    table = pa.table([pa.array(column, pa.string()) for column in columns], names=list(names))
    return Parsed(table, rows, problems)


def _split(line: str, width: int, delimiter: str) -> tuple[list[str], str | None]:
    if '"' not in line:
        fields = line.split(delimiter)
    else:
        try:
            fields = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            return line.split(delimiter), f"broken_quotes: {error}"
    if len(fields) == width:
        return fields, None
    return fields, f"field_count: {len(fields)} fields instead of {width}"
