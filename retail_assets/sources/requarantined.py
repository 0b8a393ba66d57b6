"""Quarantined rows as the slices they once were, so that they can be judged again."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from retail_assets.resources.lake import Lake
from retail_assets.sources.contract import Feed
from retail_assets.sources.csv_lines import parse_records
from retail_assets.sources.discover import file_date
from retail_assets.sources.headers import read_header
from retail_assets.sources.lines import text_of
from retail_assets.sources.raw import Layout, RawFile, Slice
from retail_assets.sources.staging import literal, rebuild

# What the bytes of the file were cannot be seen from the text that was kept of them.
LOST = ("not_utf8", "line_too_long")
ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class QuarantinedFile:
    """A loaded file that has rows in quarantine, and the columns it had."""

    raw: RawFile
    layout: Layout


def quarantined_files(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: str, feeds: dict[str, Feed]
) -> list[QuarantinedFile]:
    """Files with rows in quarantine that came by one of `feeds` (label in ops/loads -> feed)."""
    listed = ", ".join(literal(label) for label in feeds)
    rows = connection.execute(
        "SELECT load_id, file, feed, layout, sha256, bytes, mtime_us, CAST(delivered_at AS TIMESTAMP) "
        f"FROM {lake.scan('ops', 'loads')} WHERE source = {literal(source)} AND status = 'committed' "
        f"AND feed IN ({listed}) AND load_id IN (SELECT load_id FROM {lake.scan('quarantine', source)}) ORDER BY file"
    ).fetchall()
    return [
        QuarantinedFile(
            RawFile(i, Path(file), file, feeds[label], sha256, size, mtime, delivered, file_date(feeds[label], file)),
            json.loads(layout),
        )
        for i, (_, file, label, layout, sha256, size, mtime, delivered) in enumerate(rows)
    ]


def quarantined_slices(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: str, files: list[QuarantinedFile]
) -> Iterator[Slice]:
    """The quarantined rows of `files`, one slice per feed and layout."""
    groups: dict[tuple[str, str], list[QuarantinedFile]] = {}
    for file in files:
        groups.setdefault((file.raw.feed.name, json.dumps(file.layout)), []).append(file)
    for group in groups.values():
        rows = _rows(connection, lake, source, group)
        feed, layout = group[0].raw.feed, group[0].layout
        read = _counts(rows)
        if feed.derive is None and feed.format == "csv":
            yield _csv(feed, layout, rows, read)
        elif feed.derive is None and feed.format in ("json", "jsonl"):
            yield Slice(feed, {}, rows, read, parse_json=True)
        else:
            yield _typed(connection, feed, layout, rows, read)


def _rows(connection: duckdb.DuckDBPyConnection, lake: Lake, source: str, files: list[QuarantinedFile]) -> pa.Table:
    connection.register(
        "wanted",
        pa.table(
            {"load_id": [f.raw.load_id for f in files], "_file": pa.array([f.raw.index for f in files], pa.int32())}
        ),
    )
    feed = files[0].raw.feed
    lost = list(LOST) if feed.dialect.encoding == "utf-8" else ["line_too_long"]
    lost += ["truncated"] if feed.dialect.ends_with_newline and feed.format == "csv" else []
    starts = ", ".join(literal(kind) for kind in lost)
    table = connection.execute(
        "SELECT _file, line AS _line, raw AS _raw, "
        f"CASE WHEN split_part(reasons[1], ':', 1) IN ({starts}) THEN reasons[1] END AS _problem "
        f"FROM {lake.scan('quarantine', source)} JOIN wanted USING (load_id) ORDER BY _file, _line"
    ).to_arrow_table()
    connection.unregister("wanted")
    return table


def _counts(rows: pa.Table) -> dict[int, int]:
    counted = rows["_file"].value_counts().to_pylist()
    return {value["values"]: value["counts"] for value in counted}


def _csv(feed: Feed, layout: Layout, rows: pa.Table, read: dict[int, int]) -> Slice:
    """Splits the kept lines again, by the dialect as it is now."""
    names = tuple(layout)
    if len(names) == 1 and feed.dialect.delimiter in names[0]:
        names = read_header(names[0].encode(), feed).names  # the delimiter was wrong when the header was read
    raw = [f"{text}\n" for text in rows["_raw"].to_pylist()]
    if feed.dialect.encoding != "utf-8":
        raw = [_decoded(text, feed.dialect.encoding) for text in raw]
    records = pa.array(raw, pa.string())
    parsed = parse_records(*text_of(records), names, feed.dialect)
    rows = rows.set_column(2, "_raw", records).take(pa.array(parsed.rows))
    if parsed.problems is not None:
        kept = rows["_problem"].to_pylist()
        problems = [old or new for old, new in zip(kept, parsed.problems, strict=True)]
        rows = rows.set_column(3, "_problem", pa.array(problems, pa.string()))
    for name in names:
        rows = rows.append_column(name, parsed.columns[name])
    return Slice(feed, dict.fromkeys(names, "VARCHAR"), rows, read)


def _decoded(text: str, encoding: str) -> str:
    """Undoes the `\\xNN` that bytes of another encoding became when they were read as UTF-8."""
    return ESCAPED.sub(lambda m: bytes([int(m[1], 16)]).decode(encoding).encode(), text.encode()).decode()


def _typed(
    connection: duckdb.DuckDBPyConnection, feed: Feed, layout: Layout, rows: pa.Table, read: dict[int, int]
) -> Slice:
    """Rows of Parquet and of derived feeds were kept as JSON; they get their types back."""
    if not layout:
        return Slice(feed, {}, rows, read)
    connection.register("kept", rows)
    table = connection.execute(
        f"SELECT _file, _line, _raw, _problem, unnest({rebuild(layout)}) FROM kept"
    ).to_arrow_table()
    connection.unregister("kept")
    return Slice(feed, layout, table, read)
