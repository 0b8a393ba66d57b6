"""The columns a file says it has: readable, unlike each other, and none that a reader could confuse with another."""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from retail_assets.core.errors import RetailError
from retail_assets.sources.contract import Dialect, Feed

NAME_LIMIT = 1_000
SEARCHED = 1 << 20
SEPARATOR = re.compile(rb"sep=(.)", re.IGNORECASE)
OURS = ("_pos", "_file", "_line", "_raw", "_problem")
MAGIC = {
    b"\x1f\x8b": "it is packed by gzip: unpack it",
    b"PK\x03\x04": "it is a ZIP or Excel file: save it as CSV",
    b"PAR1": "it is a Parquet file: say `format: parquet`",
}


class NoHeader(RetailError):
    """A file whose first line names no columns, because the file is no text of the kind that the feed expects."""


@dataclass(frozen=True)
class Header:
    """Column names, unlike each other without regard to case, and why no row below them can be trusted, if so."""

    names: tuple[str, ...]
    problem: str | None = None


def above_header(data: bytes | memoryview, dialect: Dialect) -> int:
    """How many lines at the beginning of a CSV file are above its header. Raises NoHeader for another `sep=`."""
    lines = bytes(data[:SEARCHED]).split(b"\n")
    count = min(dialect.skip_lines, len(lines) - 1)
    while count < len(lines) - 1:
        line = lines[count].strip(b" \t\r")
        separator = SEPARATOR.fullmatch(line)
        if line and separator is None:
            break
        if separator is not None and separator[1] != dialect.delimiter.encode():
            said, expected = separator[1].decode(errors="backslashreplace"), dialect.delimiter
            raise NoHeader(f'its first line says sep={said}, and the mapping says `delimiter: "{expected}"`')
        count += 1
    return count


def read_header(line: bytes, feed: Feed) -> Header:
    """The header in the first record of a CSV file; raises NoHeader where that is none."""
    for magic, what in MAGIC.items():
        if line.startswith((magic, magic.decode(errors="backslashreplace").encode())):
            raise NoHeader(what)
    if b"\0" in line:
        raise NoHeader("its first line holds NUL bytes, as binary files and UTF-16 do: save it as UTF-8")
    text = line.decode().rstrip("\r\n")
    if "\r" in text and "\n" not in text:
        raise NoHeader("its lines end with carriage returns only: save it with line feeds")
    try:
        cells = next(csv.reader([text], delimiter=feed.dialect.delimiter), [])
    except csv.Error as error:
        raise NoHeader(f"its first line names no columns ({error})") from error
    if longest := max((len(cell) for cell in cells if len(cell) > NAME_LIMIT), default=0):
        raise NoHeader(f"its first line names no columns (one would have {longest:,} characters)")
    return header_of(cells, feed)


def header_of(cells: Sequence[str], feed: Feed) -> Header:
    """The header made of `cells`; columns that `feed` ignores give way to the others and are never in doubt."""
    return Header(unique_names(cells, feed.ignored), next(_problems(cells, feed), None))


def unique_names(cells: Sequence[str], last: Collection[str] = ()) -> tuple[str, ...]:
    """Printable column names without repetition (DuckDB compares names without case): a second `a` is `a_2`.

    Those in `last` get what the others leave; the names that every raw row has (`_line`) count as taken.
    """
    names: dict[int, str] = {}
    taken = set(OURS)
    cleaned = [_cleaned(cell) or f"column_{i}" for i, cell in enumerate(cells, start=1)]
    for i, base in sorted(enumerate(cleaned), key=lambda item: item[1] in last):
        name, n = base, 1
        while name.lower() in taken:
            n += 1
            name = f"{base}_{n}"
        taken.add(name.lower())
        names[i] = name
    return tuple(names[i] for i in range(len(cells)))


def _cleaned(cell: str) -> str:
    return "".join(filter(str.isprintable, cell)).strip()


def _problems(cells: Iterable[str], feed: Feed) -> Iterator[str]:
    """Pairs of columns that a mapping could confuse, and names that are taken."""
    seen: dict[str, str] = {}
    for name in map(_cleaned, cells):
        if not name or name in feed.ignored:
            continue
        if name.lower() in OURS:
            yield f"reserved_column: the loader calls a column of its own {name!r}; rename it, or name it in `ignored`"
        first = seen.get(name.lower())
        seen.setdefault(name.lower(), name)
        if first is not None and first != name:
            yield f"ambiguous_columns: {first!r} and {name!r} differ only by case; rename one, or name one in `ignored`"
        elif first is not None and feed.reads(name):
            yield f"ambiguous_columns: the column {name!r} is there twice; rename one"
