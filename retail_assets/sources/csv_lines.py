"""Records of delimited text into columns of text, one row per record, whatever is wrong with it.

A clean block goes through Arrow's CSV reader as a whole. Only records that do not fit (another number of fields, an
unbalanced quote) are looked at one by one: they are the ones that need a reason.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from retail_assets.sources.contract import Dialect
from retail_assets.sources.lines import LINE_LIMIT, text_of

csv.field_size_limit(LINE_LIMIT)  # Python's own limit of 128 kB is below what a record may hold here
Mask = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Parsed:
    """Text columns aligned with `rows` (positions of the lines) and with what is wrong with each, or None."""

    columns: pa.Table
    rows: npt.NDArray[np.int64]
    problems: list[str | None] | None


def parse_records(data: bytes, offsets: Offsets, names: tuple[str, ...], dialect: Dialect) -> Parsed:
    """Every record of `data` (UTF-8, none blank), from each of the n + 1 `offsets` to the next, as a row of `names`."""
    records = len(offsets) - 1
    whole = _read(data, offsets, names, dialect)
    if whole is not None and not _has_stray_returns(data):
        return Parsed(whole, np.arange(records), None)
    lines = pa.StringArray.from_buffers(records, pa.py_buffer(offsets), pa.py_buffer(data))
    for fits in _fitting(data, offsets, len(names), dialect.delimiter):
        parsed = _parse_apart(lines, fits, names, dialect)
        if parsed is not None:
            return parsed
    return _parse_singly(lines, np.arange(records), names, dialect)


def _parse_apart(lines: pa.StringArray, fits: Mask, names: tuple[str, ...], dialect: Dialect) -> Parsed | None:
    """Records that fit as a whole, the others one by one; None where one does not fit after all."""
    if not fits.any():
        return None
    table = _read(*text_of(lines.filter(pa.array(fits))), names, dialect)
    if table is None:
        return None
    rest = _parse_singly(lines, np.flatnonzero(~fits), names, dialect)
    problems: list[str | None] = [None] * table.num_rows
    return Parsed(
        pa.concat_tables([table, rest.columns]),
        np.concatenate([np.flatnonzero(fits), rest.rows]),
        problems + (rest.problems or []),
    )


def _has_stray_returns(data: bytes) -> bool:
    returns = data.count(b"\r")
    return returns > 0 and returns != data.count(b"\r\n")


def _read(data: bytes, offsets: Offsets, names: tuple[str, ...], dialect: Dialect) -> pa.Table | None:
    """All records as text, or None as soon as one has another number of fields."""
    misfits: list[int] = []
    several_lines = data.count(b"\n") != len(offsets) - 1

    def skip(row: pa_csv.InvalidRow) -> str:
        misfits.append(row.actual_columns)
        return "skip"

    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=list(names), block_size=8 << 20),
            parse_options=pa_csv.ParseOptions(
                delimiter=dialect.delimiter, invalid_row_handler=skip, newlines_in_values=several_lines
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=True,
                check_utf8=False,
                null_values=list(dialect.nulls),
            ),
        )
    except pa.ArrowInvalid:
        return None
    return None if misfits or table.num_rows != len(offsets) - 1 else table


def _fitting(data: bytes, offsets: Offsets, width: int, delimiter: str) -> Iterator[Mask]:
    """Which records may be read as a whole: first those without torn quotes, then those without any.

    Quotes are balanced in the first; the second have exactly `width` fields. Neither has stray carriage returns.
    """
    characters = np.frombuffer(data, np.uint8)

    def per_line(hits: Mask) -> npt.NDArray[np.int64]:
        return np.diff(np.searchsorted(np.flatnonzero(hits), offsets))

    returns = characters == 13
    returns[:-1] &= characters[1:] != 10
    steady = per_line(returns) == 0
    quotes = per_line(characters == ord('"'))
    exact = per_line(characters == ord(delimiter)) == width - 1
    if (quotes > 0).any():
        yield np.asarray(steady & (quotes % 2 == 0) & (exact | (quotes > 0)))
    yield np.asarray(steady & (quotes == 0) & exact)


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
