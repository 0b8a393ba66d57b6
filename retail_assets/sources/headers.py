"""The columns a file says it has: readable, unlike each other, and none that a reader could confuse with another."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retail_assets.core.errors import RetailError
from retail_assets.sources.contract import Dialect, Feed
from retail_assets.sources.names import cleaned, unique_names

NAME_LIMIT = 1_000
COLUMN_LIMIT = 10_000
SEARCHED = 1 << 20
SEPARATOR = re.compile(rb"sep=(.)", re.IGNORECASE)
UNPACK = "it is packed by {}: unpack it"
MAGIC = {
    b"\x1f\x8b": UNPACK.format("gzip"),
    b"BZh": UNPACK.format("bzip2"),
    b"\xfd7zXZ": UNPACK.format("xz"),
    b"7z\xbc\xaf\x27\x1c": UNPACK.format("7-Zip"),
    b"\x28\xb5\x2f\xfd": UNPACK.format("Zstandard"),
    b"PK\x03\x04": "it is a ZIP or Excel file: save it as {}",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "it is an old Excel file (.xls): save it as {}",
    b"PAR1": "it is a Parquet file: say `format: parquet`",
    b"%PDF": "it is a PDF: ask for {}",
}
WRITTEN = {"csv": "CSV", "json": "JSON", "jsonl": "JSON lines", "parquet": "Parquet"}
PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|error)\b", re.IGNORECASE)
OBJECT = re.compile(rb"\s*(\{\s*(\"|$)|\[\s*(\{|$))")
UTF_16 = re.compile(rb"\xff\xfe|\xfe\xff|\\xff\\xfe|\\xfe\\xff|[{\[]\0|\0[{\[]")


class NoHeader(RetailError):
    """A file whose first line names no columns, because the file is no text of the kind that the feed expects."""


@dataclass(frozen=True)
class Header:
    """Column names, unlike each other without regard to case, and why no row below them can be trusted, if so.

    `headings` are what is written; `doubled` says at which places one stands twice, or in another case than before.
    """

    names: tuple[str, ...]
    problem: str | None = None
    doubled: tuple[tuple[int, str], ...] = ()
    headings: tuple[str, ...] = ()

    def told(self, names: Sequence[str] = ()) -> dict[str, str]:
        """What is to be said of columns by their names: those here, or the `names` that a reader gave them instead."""
        names = names if len(names) == len(self.names) else self.names
        return {names[at]: f"{twice}: the second is {names[at]} here" for at, twice in self.doubled}


def above_header(data: bytes | memoryview, dialect: Dialect) -> int:
    """How many lines at the beginning of a CSV file are above its header. Raises NoHeader for another `sep=`."""
    lines = bytes(data[:SEARCHED]).split(b"\n")
    count = min(dialect.lines_above, len(lines) - 1)
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


def other_kind(start: bytes, feed: Feed) -> str | None:
    """What a file is by its first bytes, or by its first line as `read_blocks` gives it, if not what `feed` expects."""
    for magic, what in MAGIC.items():
        read = {magic.decode(name, errors="backslashreplace").encode() for name in ("utf-8", "latin-1", "cp1252")}
        if start.startswith((magic, *read)) and not (magic == b"PAR1" and feed.format == "parquet"):
            return what.format(WRITTEN[feed.format])
    if PAGE.match(start):
        return (
            f"it is a page of HTML or XML, perhaps what a server said instead of a file: fetch {WRITTEN[feed.format]}"
        )
    if feed.format in ("json", "jsonl") and UTF_16.match(start):
        return "it is UTF-16: save it as UTF-8"
    if feed.format == "csv" and OBJECT.match(start.splitlines()[0] if start else b""):
        return "it is JSON, perhaps what a server said instead of a file: say `format: json` if that is meant"
    return None


def first_text(line: bytes, feed: Feed) -> str:
    """The first record of a file of text; raises NoHeader where it is none."""
    if what := other_kind(line, feed):
        raise NoHeader(what)
    if b"\0" in line:
        raise NoHeader("its first line holds NUL bytes, as binary files and UTF-16 do: save it as UTF-8")
    text = line.decode().rstrip("\r\n")
    if "\r" in text and "\n" not in text:
        raise NoHeader("its lines end with carriage returns only: save it with line feeds")
    return text


def read_header(line: bytes, feed: Feed) -> Header:
    """The header in the first record of a CSV file, or the one that its dialect gives; raises NoHeader for no text."""
    text = first_text(line, feed)
    if feed.dialect.header is not None:
        return header_of(feed.dialect.header, feed)
    if (marks := text.count(feed.dialect.delimiter)) >= COLUMN_LIMIT:
        raise NoHeader(f"its first line would name {marks + 1:,} columns, at most {COLUMN_LIMIT:,} are read")
    try:
        cells = next(csv.reader([text], delimiter=feed.dialect.delimiter), [])
    except csv.Error as error:
        raise NoHeader(f"its first line names no columns ({error})") from error
    if longest := max((len(cell) for cell in cells if len(cell) > NAME_LIMIT), default=0):
        raise NoHeader(f"its first line names no columns (one would have {longest:,} characters)")
    return header_of(cells, feed)


def header_of(cells: Sequence[str], feed: Feed) -> Header:
    """The header made of `cells`; columns that `feed` ignores give way to the others and are never in doubt."""
    names, headings = unique_names(cells, feed.ignored), [cleaned(cell) for cell in cells]
    problem: str | None = None
    doubled: dict[int, str] = {}
    for heading, first, at in _repeated(headings):
        if heading in feed.ignored or first in feed.ignored:
            continue
        if feed.reads(first) or feed.reads(heading):
            problem = problem or _in_doubt(first, heading)
        twice = (
            f"column {heading} stands twice" if first == heading else f"columns {first} and {heading} differ by case"
        )
        doubled[at] = twice
    return Header(names, problem, tuple(doubled.items()), tuple(headings))


def _in_doubt(first: str, second: str) -> str:
    if first == second:
        return f"ambiguous_columns: the column {first!r} is there twice; rename one"
    return f"ambiguous_columns: {first!r} and {second!r} differ only by case; rename one, or name one in `ignored`"


def _repeated(headings: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Headings that one before equals but for case, with that one and their place."""
    seen: dict[str, str] = {}
    for at, heading in enumerate(headings):
        if heading and heading.lower() in seen:
            yield heading, seen[heading.lower()], at
        seen.setdefault(heading.lower(), heading)
