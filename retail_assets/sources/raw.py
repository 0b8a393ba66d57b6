"""What readers pass on: delivered files and slices of their raw rows."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.resources import duck
from retail_assets.sources.contract import Feed
from retail_assets.sources.lines import LINE_LIMIT
from retail_assets.sources.names import FILE, LINE, PROBLEM, RAW, own

Layout = dict[str, str]
Told = dict[str, str]
"""What is to be said of columns, by their names; of a file that rows are derived from every heading is here, if with
nothing to say, as `<view>.<name>`."""
HEADINGS = own("headings")
ROWS_PER_SLICE = 500_000
SHOWN_BYTES = 500


@dataclass(frozen=True)
class RawFile:
    """One delivered file: where it is, what it holds (by hash) and when it came."""

    index: int
    path: Path
    name: str
    feed: Feed
    sha256: str
    size: int
    mtime_us: int
    delivered_at: datetime
    file_date: date | None
    problem: str | None = None  # why the whole of it cannot be read, where its name tells already
    stamp: tuple[int, ...] = ()  # of the moment before it was read for its hash, see discover.changed

    @property
    def root(self) -> Path:
        """The folder that `name` is relative to."""
        return self.path.parents[len(Path(self.name).parts) - 1]

    @property
    def load_id(self) -> str:
        """The first 16 hex digits of the content hash."""
        return self.sha256[:16]


@dataclass(frozen=True)
class Slice:
    """Raw rows of one feed and one layout.

    `rows` has FILE, LINE, RAW and PROBLEM (names of our own) and one column per name in `layout` (name -> DuckDB type);
    with `parse_json` the columns are still inside RAW. Per file, `read` counts rows, `layouts` gives the columns, and
    `told` what is to be said of them.
    """

    feed: Feed
    layout: Layout
    rows: pa.Table
    read: dict[int, int]
    layouts: dict[int, Layout] = field(default_factory=dict)
    parse_json: bool = False
    told: dict[int, Told] = field(default_factory=dict)


def layout_text(layout: Layout, headings: Collection[str] = ()) -> str:
    """A layout as ops/loads keeps it, with the headings of the files that its rows were derived from."""
    return json.dumps(layout | ({HEADINGS: sorted(headings)} if headings else {}))


def layout_of(text: str) -> Layout:
    """The columns in what ops/loads keeps."""
    return {name: kind for name, kind in json.loads(text).items() if name != HEADINGS}


def headings_of(text: str) -> frozenset[str] | None:
    """The headings in what ops/loads keeps; None where it keeps none."""
    found = json.loads(text).get(HEADINGS)
    return None if found is None else frozenset(found)


def raw_rows(file: RawFile, count: int, first: int = 1) -> pa.Table:
    """The common columns of `count` rows of one file, numbered from `first`; RAW and PROBLEM are null."""
    return pa.table(
        {
            FILE: pa.array(np.full(count, file.index, np.int32)),
            LINE: pa.array(np.arange(first, first + count, dtype=np.int32)),
            RAW: pa.nulls(count, pa.string()),
            PROBLEM: pa.nulls(count, pa.string()),
        }
    )


def typed_slice(file: RawFile, data: pa.Table, layout: Layout, first: int, told: Told | None = None) -> Slice:
    """Rows that have their types already, numbered from `first`."""
    rows = raw_rows(file, data.num_rows, first)
    for name in data.column_names:
        rows = rows.append_column(name, data[name])
    read, told_of = {file.index: data.num_rows}, {file.index: told or {}}
    return Slice(file.feed, layout, rows, read, {file.index: layout}, told=told_of)


def unreadable(file: RawFile, problem: str, content: str, line: int = 1) -> Slice:
    """A file that is no file of its format counts as one row, which goes to quarantine with the reason."""
    rows = raw_rows(file, 1, line).set_column(2, RAW, pa.array([content[:LINE_LIMIT]]))
    rows = rows.set_column(3, PROBLEM, pa.array([problem]))
    return Slice(file.feed, {}, rows, {file.index: 1}, {file.index: {}})


class NotRead(RetailError):
    """A file that was there when it was listed and cannot be read. `file` is which, `why` in the system's words."""

    def __init__(self, file: RawFile, why: str) -> None:
        super().__init__(f"it cannot be read: {why}", where=file.name, todo="load again once it can")
        self.file, self.why = file, why


def why_not_read(error: OSError, path: Path | None = None) -> str:
    """What the operating system says, and of which file where it is not the one at `path`."""
    other = f" ({error.filename})" if path is not None and error.filename not in (None, str(path)) else ""
    return f"{(error.strerror or str(error)).lower()}{other}"


def beginning(file: RawFile, count: int = SHOWN_BYTES) -> str:
    """What a person sees of a file that cannot be read."""
    return first_bytes(file, count).decode(errors="backslashreplace").replace("\0", "\\0")


def first_bytes(file: RawFile, count: int = SHOWN_BYTES) -> bytes:
    """The bytes that tell what a file is."""
    with file.path.open("rb") as content:
        return content.read(count)


def arrow_layout(schema: pa.Schema) -> Layout:
    """The DuckDB types of the columns of `schema`."""
    if not schema.names:
        return {}
    with duck.connect() as connection:
        connection.register("sample", schema.empty_table())
        return {row[0]: row[1] for row in connection.execute("DESCRIBE sample").fetchall()}
