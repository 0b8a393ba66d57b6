"""The rows of a Parquet file in batches that are bounded by bytes, whatever the file makes of them.

A text that every row repeats stands in a Parquet file once, and a page of equal bytes is packed to nearly nothing: a
file of some kilobytes can stand for more than any memory holds.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retail_assets.sources.lines import JSON_LIMIT
from retail_assets.sources.raw import ROWS_PER_SLICE

BATCH_BYTES = 64 << 20
CHECKED = 20_000  # rows whose bytes are counted at once
FOOTER_BYTES = 64 << 20

UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError)
"""What pyarrow raises for files that are torn; a name in a footer need not be text."""


class TooWide(Exception):
    """A row that holds more than a row may."""


def opened(path: Path) -> pq.ParquetFile:
    """The file at `path`, whose texts stay written once where the file has them so. Raises what pyarrow raises."""
    parquet = _open(path)
    texts = _texts(parquet)
    return _open(path, texts) if texts else parquet


def _open(path: Path, once: list[str] | None = None) -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        read_dictionary=once,
        page_checksum_verification=True,
        thrift_string_size_limit=FOOTER_BYTES,
        thrift_container_size_limit=FOOTER_BYTES >> 4,
    )


def _texts(parquet: pq.ParquetFile) -> list[str]:
    """The columns of text. Which of them have a dictionary is not asked: pyarrow aborts on some that are torn."""
    names = parquet.schema_arrow.names
    return [f.name for f in parquet.schema_arrow if _is_text(f.type) and names.count(f.name) == 1]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind))


def batches(parquet: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """All rows in order, each batch of at most about BATCH_BYTES. Raises TooWide, and what pyarrow raises."""
    for batch in parquet.iter_batches(batch_size=_rows_at_once(parquet.metadata)):
        first = 0
        while first < batch.num_rows:
            rows = _fitting(batch.slice(first))
            yield _written_out(batch.slice(first, rows))
            first += rows


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """So many rows that they fit by what the file says of its size, unpacked."""
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    return int(min(ROWS_PER_SLICE, max(1, BATCH_BYTES // max(widest, 1))))


def _fitting(batch: pa.RecordBatch) -> int:
    """How many of the first rows of `batch` fit once their texts are written out. Raises TooWide for the first one."""
    rows = size = 0
    while rows < batch.num_rows:
        part = batch.slice(rows, CHECKED)
        lengths = _lengths(part)
        if lengths is None:
            return batch.num_rows
        fits = int(np.searchsorted(np.cumsum(lengths), BATCH_BYTES - size, side="right"))
        fits = min([fits, *np.flatnonzero(lengths > JSON_LIMIT)[:1].tolist()])
        if rows == fits == 0:
            raise TooWide(f"it holds {lengths[0]:,} bytes of text, at most {JSON_LIMIT:,} are allowed in a row")
        rows, size = rows + fits, size + int(lengths.sum())
        if fits < part.num_rows:
            break
    return rows


def _lengths(part: pa.RecordBatch) -> npt.NDArray[np.int64] | None:
    """The bytes of all texts of each row; None where there is no text."""
    total = None
    for column in part.columns:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not _is_text(kind):
            continue
        if pa.types.is_dictionary(column.type):
            found = pc.binary_length(column.dictionary).take(column.indices)
        else:
            found = pc.binary_length(column)
        lengths = pc.fill_null(found, 0).cast(pa.int64()).to_numpy(zero_copy_only=False)
        total = lengths if total is None else total + lengths
    return total


def _written_out(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` with every text where it stands."""
    columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
