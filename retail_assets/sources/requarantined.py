"""Quarantined rows as the slices they once were, so that they can be judged again."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.resources.lake import Lake
from retail_assets.sources.contract import Contract, Feed
from retail_assets.sources.csv_lines import parse_records
from retail_assets.sources.discover import file_date
from retail_assets.sources.headers import read_header
from retail_assets.sources.judging import reads_nulls
from retail_assets.sources.lines import text_of
from retail_assets.sources.names import FILE, LINE, PROBLEM, RAW
from retail_assets.sources.raw import Layout, RawFile, Slice, arrow_layout, layout_of
from retail_assets.sources.rowwise import NotRowwise, derived_again
from retail_assets.sources.staging import Own, literal, rebuild
from retail_assets.sources.text_files import REPEATED_HEADER

DeriveThen = Callable[[Feed, datetime], str | None]
# What the bytes of the file were cannot be seen from the text that was kept of them, nor what its columns were.
LOST = ("not_utf8", "line_too_long", REPEATED_HEADER)
WHOLE = ("unreadable", "ambiguous_columns", "reserved_column")
ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class QuarantinedFile:
    """A loaded file that has rows in quarantine, the columns it had, and the SQL that its rows were derived by.

    `derive` is empty where they were not, and None where it is not known by which mapping the file was loaded.
    """

    raw: RawFile
    layout: Layout
    derive: str | None = None


def quarantined_files(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: str, feeds: dict[str, Feed], derive_then: DeriveThen
) -> list[QuarantinedFile]:
    """Files with rows in quarantine that came by one of `feeds` (label in ops/loads -> feed as it is now).

    `derive_then` says by which SQL a feed derived its rows when a file of it was loaded.
    """
    listed = ", ".join(literal(label) for label in feeds)
    rows = connection.execute(
        "SELECT file, feed, layout, sha256, bytes, mtime_us, CAST(delivered_at AS TIMESTAMP), loaded_at "
        f"FROM {lake.scan('ops', 'loads')} WHERE source = {literal(source)} AND status = 'committed' "
        f"AND feed IN ({listed}) "
        f"AND load_id IN (SELECT load_id FROM {lake.scan('quarantine', source)} WHERE status = 'open') "
        "QUALIFY row_number() OVER (PARTITION BY load_id ORDER BY loaded_at DESC) = 1 ORDER BY file"
    ).fetchall()
    found = []
    for i, (file, label, layout, sha256, size, mtime, delivered, loaded_at) in enumerate(rows):
        feed = feeds[label]
        raw = RawFile(i, Path(file), file, feed, sha256, size, mtime, delivered, file_date(feed, file))
        found.append(QuarantinedFile(raw, layout_of(layout), derive_then(feed, loaded_at)))
    return found


def quarantined_slices(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    contract: Contract,
    files: list[QuarantinedFile],
    notes: list[str],
) -> Iterator[Slice]:
    """The quarantined rows of `files`, one slice per feed and layout; what cannot be read again is told in `notes`."""
    groups: dict[tuple[str, str, str | None], list[QuarantinedFile]] = {}
    for file in files:
        groups.setdefault((file.raw.feed.name, json.dumps(file.layout), file.derive), []).append(file)
    for group in groups.values():
        rows = _rows(connection, lake, contract.source, group)
        if rows.num_rows:
            yield _slice(connection, contract, group[0], rows, notes)


def _slice(
    connection: duckdb.DuckDBPyConnection, contract: Contract, like: QuarantinedFile, rows: pa.Table, notes: list[str]
) -> Slice:
    """Kept rows as their feed reads them now, whatever it was when they were loaded."""
    feed, layout, read = like.raw.feed, like.layout, _counts(rows)
    if not layout:
        return Slice(feed, {}, rows, read)
    as_objects = _are_objects(rows, layout)
    if like.derive and feed.derive and like.derive.split() != feed.derive.split():
        notes.append(
            f"feed {feed.name} derives its rows by other SQL now; other rows of the same files are in bronze, "
            f"so kept ones are judged by what it gave then: {', '.join(layout)}"
        )
    if feed.derive is not None and not (like.derive or (like.derive is None and as_objects)):
        return _derived(connection, feed, layout, rows, notes)
    if feed.derive is None and feed.format in ("json", "jsonl") and not like.derive:
        return Slice(feed, {}, rows, read, parse_json=True)
    if as_objects:
        return _typed(connection, contract, feed, layout, rows)
    return _csv(feed, layout, rows, read)


def _are_objects(rows: pa.Table, layout: Layout) -> bool:
    """Whether rows were kept as objects with the columns of `layout`, not as lines of text."""
    for text in rows.filter(pc.is_null(rows[PROBLEM]))[RAW].to_pylist()[:1]:
        try:
            found = json.loads(text)
        except ValueError:
            return False
        return isinstance(found, dict) and found.keys() <= layout.keys()
    return False


def _derived(
    connection: duckdb.DuckDBPyConnection, feed: Feed, layout: Layout, rows: pa.Table, notes: list[str]
) -> Slice:
    read = _counts(rows)
    try:
        table = derived_again(connection, feed, layout, rows)
    except NotRowwise as error:
        notes.append(
            f"{rows.num_rows:,} rows of feed {feed.name} were loaded without the `derive` it has now, "
            f"which cannot be done to kept rows: {error}"
        )
        stay = pa.array(["not_derived: the feed derives its rows now, these are kept as they came"] * rows.num_rows)
        return Slice(feed, {}, rows.set_column(3, PROBLEM, stay), read)
    columns = arrow_layout(table.drop_columns([FILE, LINE, RAW, PROBLEM]).schema)
    return Slice(feed, columns, table, read)


def _rows(connection: duckdb.DuckDBPyConnection, lake: Lake, source: str, files: list[QuarantinedFile]) -> pa.Table:
    connection.register(
        "wanted",
        pa.table(
            {"load_id": [f.raw.load_id for f in files], "_file": pa.array([f.raw.index for f in files], pa.int32())}
        ),
    )
    feed, whole = files[0].raw.feed, not files[0].layout
    lost = [*LOST, *WHOLE] if feed.dialect.encoding == "utf-8" else [*LOST[1:], *WHOLE]
    lost += ["truncated"] if feed.dialect.ends_with_newline and feed.format == "csv" else []
    starts = ", ".join(literal(kind) for kind in lost)
    table = connection.execute(
        f"SELECT _file AS {Own.FILE}, line AS {Own.LINE}, raw AS {Own.RAW}, "
        f"CASE WHEN {whole} OR split_part(reasons[1], ':', 1) IN ({starts}) THEN reasons[1] END AS {Own.PROBLEM} "
        f"FROM {lake.scan('quarantine', source)} JOIN wanted USING (load_id) WHERE status = 'open' "
        "ORDER BY _file, line"
    ).to_arrow_table()
    connection.unregister("wanted")
    return table


def _counts(rows: pa.Table) -> dict[int, int]:
    counted = rows[FILE].value_counts().to_pylist()
    return {value["values"]: value["counts"] for value in counted}


def _csv(feed: Feed, layout: Layout, rows: pa.Table, read: dict[int, int]) -> Slice:
    """Splits the kept lines again, by the dialect as it is now."""
    names = tuple(layout)
    if len(names) == 1 and feed.dialect.delimiter in names[0]:
        names = read_header(names[0].encode(), feed).names  # the delimiter was wrong when the header was read
    raw = [f"{text}\n" for text in rows[RAW].to_pylist()]
    if feed.dialect.encoding != "utf-8":
        raw = [_decoded(text, feed.dialect.encoding) for text in raw]
    records = pa.array(raw, pa.string())
    parsed = parse_records(*text_of(records), names, feed.dialect)
    rows = rows.set_column(2, RAW, records).take(pa.array(parsed.rows))
    if parsed.problems is not None:
        kept = rows[PROBLEM].to_pylist()
        problems = [old or new for old, new in zip(kept, parsed.problems, strict=True)]
        rows = rows.set_column(3, PROBLEM, pa.array(problems, pa.string()))
    for name in names:
        rows = rows.append_column(name, parsed.columns[name])
    return Slice(feed, dict.fromkeys(names, "VARCHAR"), rows, read)


def _decoded(text: str, encoding: str) -> str:
    """Undoes the `\\xNN` that bytes of another encoding became when they were read as UTF-8."""
    return ESCAPED.sub(lambda m: bytes([int(m[1], 16)]).decode(encoding).encode(), text.encode()).decode()


def _typed(
    connection: duckdb.DuckDBPyConnection, contract: Contract, feed: Feed, layout: Layout, rows: pa.Table
) -> Slice:
    """Rows of Parquet and of derived feeds were kept as JSON; they get their types back, but for what text is made of.

    Text of a CSV feed is taken over from the rows as it is, so it must be text in them.
    """
    if reads_nulls(feed):
        texts = {n for column, spec in contract.columns.items() if spec.type == "text" for n in feed.names(column)}
        layout = {name: "VARCHAR" if name in texts else kind for name, kind in layout.items()}
    connection.register("kept", rows)
    table = connection.execute(f"SELECT {Own.ALL}, unnest({rebuild(layout)}) FROM kept").to_arrow_table()
    connection.unregister("kept")
    return Slice(feed, layout, table, _counts(rows))
