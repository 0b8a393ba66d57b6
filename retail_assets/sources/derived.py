"""Rows that a feed's SQL makes out of whole files: the file as `rows`, others beside it by the names in `also`."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.resources import duck
from retail_assets.sources.contract import Feed
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.headers import Header, NoHeader, above_header, header_of, other_kind, read_header
from retail_assets.sources.lines import BOM, LINE_LIMIT, read_blocks
from retail_assets.sources.names import printed, unique_names
from retail_assets.sources.raw import (
    ROWS_PER_SLICE,
    RawFile,
    Slice,
    Told,
    arrow_layout,
    beginning,
    first_bytes,
    typed_slice,
    unreadable,
)
from retail_assets.sources.staging import literal, quoted

UUID = re.compile(r"\bUUID\b(?![\"( ])")
READ_FUNCTIONS = {"parquet": "read_parquet", "csv": "read_csv", "json": "read_json", "jsonl": "read_json"}
MISTAKES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)


class NotBeside(SourceConfigError):
    """A file that a feed reads beside its own is not there."""


def read_derived(file: RawFile) -> Iterator[Slice]:
    """The derived rows of `file`, numbered in the order the SQL gives them; one row that says why there are none."""
    headers = _headers(file)
    if problem := next((header.problem for header in headers.values() if header.problem), None):
        yield unreadable(file, problem, beginning(file))
        return
    try:
        connection = connect(file.path, file.feed, file.root)
    except duckdb.Error as error:
        what = other_kind(first_bytes(file), file.feed)
        why = f"unreadable: {what}" if what else f"truncated: not a whole {file.feed.format} file ({error})"
        yield unreadable(file, why[:300], file.name)
        return
    with connection:
        try:
            # As a table first, so that a value that fails does so before any row is passed on.
            connection.execute(f"CREATE TEMP TABLE derived AS {file.feed.derive}")
        except MISTAKES as error:
            what = f"feed {file.feed.name!r} cannot be derived: {str(error).splitlines()[0]}"
            raise SourceConfigError(what, where=file.name) from error
        except duckdb.Error as error:
            what = str(error).splitlines()[0]
            yield unreadable(file, f"unreadable: the feed's SQL fails on it ({what})", beginning(file))
            return
        told = _told(file.feed, headers, connection)
        yield from _slices(file, connection.execute("FROM derived").to_arrow_reader(ROWS_PER_SLICE), told)


def connect(path: Path, feed: Feed, root: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the view `rows` over the file at `path` and one view per file in `also`, found below `root`.

    Raises duckdb.Error for a file that is none of its format, NotBeside for one that is not there.
    """
    sources = {"rows": _source(path, feed, feed.format)}
    for name, beside in _beside(feed, root).items():
        sources[name] = _source(beside, _plain(feed), beside.suffix.removeprefix("."))
    connection = duck.connect()
    for name, source in sources.items():
        connection.execute(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {source}")
    return connection


def _beside(feed: Feed, root: Path) -> dict[str, Path]:
    """The files in `also` by the names that SQL has for them. Raises NotBeside."""
    files = {}
    for name, pattern in feed.also.items():
        found = [path for path in sorted(root.glob(pattern)) if path.is_file()]
        if len(found) != 1:
            many = f"{len(found)} files" if found else "no file"
            raise NotBeside(f"feed {feed.name!r} reads {name} beside its own; {pattern!r} is {many}", where=str(root))
        files[name] = found[0]
    return files


def _plain(feed: Feed) -> Feed:
    """`feed` for files beside its own: the lines of title and the names for want of a header are those of its own."""
    return feed.model_copy(update={"dialect": feed.dialect.model_copy(update={"skip_lines": 0, "header": None})})


def _source(path: Path, feed: Feed, kind: str) -> str:
    if kind == "csv" and feed.text:
        delimiter = literal(feed.dialect.delimiter)
        text = f"all_varchar = true, {_heading(feed)}, delim = {delimiter}, quote = '\"'"
        return f"read_csv({literal(duck.exact(path))}, {text}, skip = {lines_above(path, feed)})"
    if kind == "csv":
        above = lines_above(path, feed)
        said = f", {_heading(feed)}" if feed.dialect.header else ""
        return f"read_csv({literal(duck.exact(path))}{said}{f', skip = {above}' if above else ''})"
    if kind in ("json", "jsonl") and feed.text:
        return _json_as_written(path)
    return f"{READ_FUNCTIONS[kind]}({literal(duck.exact(path))})"


def _heading(feed: Feed) -> str:
    """Where read_csv finds the names of columns."""
    if feed.dialect.header is None:
        return "header = true"
    return f"header = false, names = [{', '.join(map(literal, feed.dialect.header))}]"


def _json_as_written(path: Path) -> str:
    """The rows of a JSON file whose strings stay text: by itself DuckDB makes dates and UUIDs of those that look so."""
    never = "dateformat = '-%Y-', timestampformat = '-%Y-'"
    with duck.connect() as connection:
        found = connection.execute(f"DESCRIBE FROM read_json({literal(duck.exact(path))}, {never})").fetchall()
    columns = ", ".join(f"{literal(name)}: {literal(re.sub(UUID, 'VARCHAR', kind))}" for name, kind, *_ in found)
    return f"read_json({literal(duck.exact(path))}, {never}, columns = {{{columns}}})"


def lines_above(path: Path, feed: Feed) -> int:
    """How many lines of a CSV file stand above its header."""
    block = next(read_blocks(path, feed.dialect.encoding, LINE_LIMIT), None)
    return 0 if block is None else above_header(block.body, feed.dialect)


def _slices(file: RawFile, reader: pa.RecordBatchReader, told: Told) -> Iterator[Slice]:
    names, first = unique_names(reader.schema.names, clean=printed), 1
    layout = arrow_layout(reader.schema.empty_table().rename_columns(names).schema)
    for batch in reader:
        yield typed_slice(file, pa.Table.from_batches([batch]).rename_columns(names), layout, first, told)
        first += batch.num_rows
    if first == 1:
        yield typed_slice(file, reader.schema.empty_table().rename_columns(names), layout, 1, told)


def _headers(file: RawFile) -> dict[str, Header]:
    """The headers of the file and of those beside it, by the names that SQL has for them; none of what has none."""
    found = {"rows": _header(file.path, file.feed, file.feed.format)}
    for name, path in _beside(file.feed, file.root).items():
        found[name] = _header(path, _plain(file.feed), path.suffix.removeprefix("."))
    return {name: header for name, header in found.items() if header is not None}


def _header(path: Path, feed: Feed, kind: str) -> Header | None:
    try:
        if kind == "parquet":
            return header_of(pq.read_schema(path).names, feed)
        if kind == "csv":
            return _csv_header(path, feed)
    except NoHeader as error:
        return Header((), f"unreadable: {error.what}")
    except (pa.ArrowInvalid, OSError):
        pass  # said by whoever reads the rows
    return None


def _csv_header(path: Path, feed: Feed) -> Header:
    with path.open("rb") as content:
        for _ in range(lines_above(path, feed)):
            content.readline(LINE_LIMIT)
        line = content.readline(LINE_LIMIT).removeprefix(BOM).decode(errors="backslashreplace")
    return read_header(line.encode(), feed)


def _told(feed: Feed, headers: dict[str, Header], connection: duckdb.DuckDBPyConnection) -> Told:
    """Every heading of the file and of those beside it, with what is to be said of it."""
    told: Told = {}
    for view in ("rows", *feed.also):
        names = [name for name, *_ in connection.execute(f"DESCRIBE {quoted(view)}").fetchall()]
        said = headers.get(view, Header(())).told(names)
        told |= {f"{view}.{name}": said.get(name, "") for name in names}
    return told
