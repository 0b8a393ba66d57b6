"""Rows that a feed's SQL makes out of whole files: the file as `rows`, others beside it by the names in `also`.

SQL sees what a feed without `derive` sees: files go through the same readers, so that a heading, an empty value, an odd
encoding or a `#` at the beginning of a line means the same. As SQL may count, sum and number rows, a file with a row
that cannot be read is refused as a whole.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.resources import duck
from retail_assets.sources.arrow_types import plain
from retail_assets.sources.closed import TookTooLong, closed_memory, in_time
from retail_assets.sources.contract import Feed
from retail_assets.sources.discover import Fence
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.headers import header_of
from retail_assets.sources.json_structure import structure
from retail_assets.sources.names import LINE, PROBLEM, RAW, printed, unique_names
from retail_assets.sources.parquet_batches import UNREADABLE
from retail_assets.sources.raw import (
    ROWS_PER_SLICE,
    Layout,
    RawFile,
    Slice,
    Told,
    arrow_layout,
    beginning,
    typed_slice,
    unreadable,
)
from retail_assets.sources.staging import Own, literal, numbers_as_text, quoted

Reader = Callable[[RawFile], Iterator[Slice]]
"""Gives the rows of a file as a feed without `derive` has them."""
KINDS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".dat": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet",
}  # fmt: skip
"""What a file in `also` is by its ending."""
MISTAKES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)


class NotBeside(SourceConfigError):
    """A file that a feed reads beside its own is not there, or nothing that can be read."""


class Unusable(Exception):
    """A file with a row that cannot be read; `reason` says why, as in quarantine."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_derived(file: RawFile, reader: Reader) -> Iterator[Slice]:
    """The derived rows of `file`, numbered in the order the SQL gives them; one row that says why there are none."""
    try:
        with opened(file, reader) as (connection, told):
            # As a table first, so that a value that fails does so before any row is passed on.
            with in_time(connection, f"the SQL of feed {file.feed.name!r}", file.name):
                connection.execute(f"CREATE TEMP TABLE derived AS {file.feed.derive}")
            yield from _slices(file, connection.execute("FROM derived").to_arrow_reader(ROWS_PER_SLICE), told)
    except Unusable as error:
        yield unreadable(file, error.reason, beginning(file))
    except TookTooLong as error:
        yield unreadable(file, f"unreadable: {error.what}", beginning(file))
    except MISTAKES as error:
        what = f"feed {file.feed.name!r} cannot be derived: {str(error).splitlines()[0]}"
        raise SourceConfigError(what, where=file.name) from error
    except duckdb.Error as error:
        what = str(error).splitlines()[0]
        yield unreadable(file, f"unreadable: the feed's SQL fails on it ({what})", beginning(file))


@contextmanager
def opened(file: RawFile, reader: Reader) -> Iterator[tuple[duckdb.DuckDBPyConnection, Told]]:
    """A connection with the view `rows` over `file` and one view per file in `also`, and every heading they have.

    Text goes through a folder of temporary Parquet files, so that memory does not follow the size of the file. Raises
    Unusable, and NotBeside for a file that is not there.
    """
    told: Told = {}
    files = {"rows": _cut_nowhere(file), **_beside(file)}
    own = [one.path for one in files.values() if one.feed.format == "parquet"]
    with tempfile.TemporaryDirectory() as folder, closed_memory([Path(folder)], own) as connection:
        for name, one in files.items():
            try:
                said = _view(connection, name, one, reader, Path(folder, f"{name}.parquet"))
            except Unusable as error:
                if name == "rows":
                    raise
                raise NotBeside(f"{name} cannot be read: {error.reason}", where=one.name) from error
            names = [column for column, *_ in connection.execute(f"DESCRIBE {quoted(name)}").fetchall()]
            told |= {f"{name}.{column}": said.get(column, "") for column in names}
        yield connection, told


def _cut_nowhere(file: RawFile) -> RawFile:
    """`file`, whose last line is whole where it has all of its fields: exports often end without a line end."""
    dialect = file.feed.dialect.model_copy(update={"ends_with_newline": False})
    return replace(file, feed=file.feed.model_copy(update={"dialect": dialect}))


def _beside(file: RawFile) -> dict[str, RawFile]:
    """The files in `also` by the names that SQL has for them. Raises NotBeside."""
    feed, root, files = file.feed, file.root, {}
    for name, pattern in feed.also.items():
        found = [path for path in sorted(root.glob(pattern)) if path.is_file()]
        if len(found) != 1:
            many = f"{len(found)} files" if found else "no file"
            raise NotBeside(f"feed {feed.name!r} reads {name} beside its own; {pattern!r} is {many}", where=str(root))
        if (outside := Fence(root).outside(found[0])) is not None:
            what = f"feed {feed.name!r} reads {found[0].name} beside its own; it is a link that leads out of the folder"
            raise NotBeside(f"{what}, to {outside}", where=str(root), todo="copy what it leads to")
        kind = KINDS.get(found[0].suffix.lower())
        if kind is None:
            endings = ", ".join(KINDS)
            raise NotBeside(f"feed {feed.name!r} reads {found[0].name} beside its own; its ending is none of {endings}")
        files[name] = raw_of(found[0], _without_titles(feed, kind), root)
    return files


def raw_of(path: Path, feed: Feed, root: Path) -> RawFile:
    """`path` as something to read, without its hash."""
    status = path.stat()
    now = datetime.now(UTC).replace(tzinfo=None)
    name = path.relative_to(root).as_posix()
    return RawFile(0, path, name, feed, "", status.st_size, status.st_mtime_ns // 1000, now, None)


def _without_titles(feed: Feed, kind: str) -> Feed:
    """`feed` for files beside its own: the lines of title and the names for want of a header are those of its own."""
    own = {"skip_lines": 0, "header_row": None, "header": None, "ends_with_newline": False}
    dialect = feed.dialect.model_copy(update=own)
    return feed.model_copy(update={"dialect": dialect, "format": kind, "ignored": ()})


def _view(connection: duckdb.DuckDBPyConnection, name: str, file: RawFile, reader: Reader, place: Path) -> Told:
    """Creates the view `name` over `file`; returns what is to be said of its columns."""
    if file.feed.format == "csv" and not file.feed.text:
        return _guessed(connection, name, file, reader, place)
    if file.feed.format == "parquet" and _is_plain(file.path):
        return _parquet(connection, name, file)
    told, written = _written(file, reader, place)
    if written == "json":
        _json_table(connection, name, place)
    else:
        connection.execute(f"CREATE VIEW {quoted(name)} AS FROM {_parquet_rows(place)}")
    return told


def _written(file: RawFile, reader: Reader, place: Path) -> tuple[Told, str]:
    """Writes the rows of `file` to `place`; says whether they are columns or JSON that is still to be parsed."""
    told: Told = {}
    layout: Layout = {}
    writer: pq.ParquetWriter | None = None
    is_json = False
    try:
        for piece in reader(file):
            _refuse_problems(piece)
            told |= piece.told.get(file.index, {})
            layout |= piece.layouts.get(file.index, {})
            is_json = is_json or piece.parse_json
            if is_json or piece.layout:
                table = piece.rows.select([RAW] if is_json else list(piece.layout))
                writer = writer or pq.ParquetWriter(place, table.schema, compression="zstd", compression_level=1)
                writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        if not layout:
            raise Unusable("unreadable: the file is empty")
        empty = pa.table({column: pa.array([], pa.string()) for column in layout})
        pq.write_table(empty, place)
    return told, "json" if is_json else "columns"


def _refuse_problems(piece: Slice) -> None:
    problems = piece.rows[PROBLEM]
    if problems.null_count == len(problems):
        return
    at = next(i for i, problem in enumerate(problems.to_pylist()) if problem is not None)
    problem, line = problems[at].as_py(), piece.rows[LINE][at].as_py()
    whole = not piece.layout and not piece.parse_json
    raise Unusable(problem if whole else f"unreadable: line {line:,} is {problem}; what is derived needs every line")


def _json_table(connection: duckdb.DuckDBPyConnection, name: str, place: Path) -> None:
    """The objects written to `place` as a table whose strings, and what is a string somewhere, stay text."""
    raw = f"(SELECT row_number() OVER () AS line, {Own.RAW} AS raw FROM {_parquet_rows(place)})"
    bad = f"SELECT min(line) FROM {raw} WHERE NOT json_valid(raw) OR json_type(raw) <> 'OBJECT'"
    (line,) = connection.execute(bad).fetchone() or (None,)
    if line is not None:
        raise Unusable(f"unreadable: row {line:,} is no JSON object; what is derived needs every row")
    kinds = structure(connection, raw)
    fields = f"from_json({numbers_as_text('raw')}, {literal(kinds)})"
    connection.execute(
        f"CREATE TEMP TABLE {quoted(name)} AS SELECT unnest(fields) FROM (SELECT {fields} AS fields FROM {raw})"
    )


def _parquet(connection: duckdb.DuckDBPyConnection, name: str, file: RawFile) -> Told:
    """A Parquet file that DuckDB reads by itself, under the names that the reader would give its columns."""
    header = header_of(pq.read_schema(file.path).names, file.feed)
    if header.problem is not None:
        raise Unusable(header.problem)
    columns = ", ".join(map(quoted, header.names))
    connection.execute(f"CREATE VIEW {quoted(name)}({columns}) AS FROM {_parquet_rows(file.path)}")
    return header.told()


def _parquet_rows(path: Path) -> str:
    """SQL for the rows of one Parquet file: a folder above it that is called `year=2024` is no column."""
    return f"read_parquet({literal(duck.exact(path))}, hive_partitioning = false)"


def _is_plain(path: Path) -> bool:
    """Whether DuckDB reads every column of a Parquet file by itself; not so where the file is none."""
    try:
        return all(plain(kind) == kind for kind in pq.read_schema(path).types)
    except UNREADABLE:
        return False


def _guessed(connection: duckdb.DuckDBPyConnection, name: str, file: RawFile, reader: Reader, place: Path) -> Told:
    """A CSV file whose types DuckDB may guess (`text: false`), out of what the reader made of it."""
    text, plain_csv = place, place.with_suffix(".csv")
    told, _ = _written(file, reader, text)
    there = literal(str(plain_csv))
    connection.execute(f"COPY (FROM {_parquet_rows(text)}) TO {there} (HEADER, DELIMITER ',', QUOTE '\"')")
    connection.execute(
        f"CREATE TEMP TABLE {quoted(name)} AS FROM read_csv({literal(duck.exact(plain_csv))}, header = true, "
        "delim = ',', quote = '\"', escape = '\"', comment = '', sample_size = -1, hive_partitioning = false)"
    )
    plain_csv.unlink()
    return told


def _slices(file: RawFile, reader: pa.RecordBatchReader, told: Told) -> Iterator[Slice]:
    names, first = unique_names(reader.schema.names, clean=printed), 1
    layout = arrow_layout(reader.schema.empty_table().rename_columns(names).schema)
    for batch in reader:
        yield typed_slice(file, pa.Table.from_batches([batch]).rename_columns(names), layout, first, told)
        first += batch.num_rows
    if first == 1:
        yield typed_slice(file, reader.schema.empty_table().rename_columns(names), layout, 1, told)
