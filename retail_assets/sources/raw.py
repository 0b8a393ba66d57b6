"""What readers pass on: delivered files and slices of their raw rows."""

from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from retail_assets.sources.contract import Feed

Layout = dict[str, str]


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

    @property
    def load_id(self) -> str:
        """The first 16 hex digits of the content hash."""
        return self.sha256[:16]


@dataclass(frozen=True)
class Slice:
    """Raw rows of one feed and one layout.

    `rows` has _file, _line, _raw and _problem and one column per name in `layout` (name -> DuckDB type); where
    `parse_json` is set the columns are still inside _raw. `read` counts rows, `layouts` gives the columns, per file.
    """

    feed: Feed
    layout: Layout
    rows: pa.Table
    read: dict[int, int]
    layouts: dict[int, Layout] = field(default_factory=dict)
    parse_json: bool = False


def raw_rows(file: RawFile, count: int, first: int = 1) -> pa.Table:
    """The common columns of `count` rows of one file, numbered from `first`; _raw and _problem are null."""
    return pa.table(
        {
            "_file": pa.array(np.full(count, file.index, np.int32)),
            "_line": pa.array(np.arange(first, first + count, dtype=np.int32)),
            "_raw": pa.nulls(count, pa.string()),
            "_problem": pa.nulls(count, pa.string()),
        }
    )
