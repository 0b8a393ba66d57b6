"""The columns of a retailer's files, read from as little of each file as shows them."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from retail_assets.sources.arrow_types import UnreadableColumn, readable
from retail_assets.sources.contract import Feed
from retail_assets.sources.derived import MISTAKES, Unusable, opened, raw_of
from retail_assets.sources.headers import COLUMN_LIMIT, Header, NoHeader
from retail_assets.sources.json_arrays import DECODER, NotInEncoding, elements_of, is_array, texts
from retail_assets.sources.lines import LINE_LIMIT, NoText, read_blocks
from retail_assets.sources.names import printed, unique_names
from retail_assets.sources.parquet_batches import UNREADABLE
from retail_assets.sources.raw import Layout, RawFile, Slice, arrow_layout, raw_rows
from retail_assets.sources.readers import as_written
from retail_assets.sources.records import without_header

TITLE_LINES, SHOWN, SAMPLED = 20, 80, 10_000
VALUE = re.compile(r"[-+]?\d[-\d.,:/TZ ]*")


class NotDerived(Exception):
    """The SQL that a feed derives its rows by does not fit any of its files. `columns` are those it could have used."""

    def __init__(self, what: str, columns: Sequence[str], file: Path) -> None:
        super().__init__(what)
        self.columns, self.file = columns, file


def file_layouts(files: Sequence[Path], feed: Feed, root: Path) -> Iterator[Layout]:
    """The columns of `files`, below `root`, as `feed` reads them; empty for a file that cannot be read.

    The whole of files of JSON lines is read only by whoever goes on after the last file's beginning. Raises NotDerived.
    """
    if feed.derive is not None:
        yield from _derived(files, feed, root)
    elif feed.format == "csv":
        yield from (dict.fromkeys(csv_header(file, feed).names, "VARCHAR") for file in files)
    elif feed.format == "parquet":
        yield from (_parquet(file) for file in files)
    else:
        for whole in (False, True):
            yield from (_json(file, feed, whole) for file in files)


def csv_header(file: Path, feed: Feed) -> Header:
    """The header of a CSV file, without a name where there is none."""
    try:
        block = next(read_blocks(file, feed.dialect.encoding, LINE_LIMIT), None)
        return Header(()) if block is None else without_header(block, feed)[0]
    except (NoHeader, NoText, OSError):
        return Header(())


def header_below(file: Path, feed: Feed) -> int | None:
    """The number of the line, of the first twenty, that has most names the feed reads, if that is not the first."""
    wanted = {name for column in feed.columns for name in feed.names(column)}
    best, found = 1, 0
    block = next(read_blocks(file, feed.dialect.encoding, LINE_LIMIT), None)
    lines = bytes(block.body).decode(errors="replace").splitlines()[:TITLE_LINES] if block is not None else []
    for number, line in enumerate(lines, start=1):
        cells = {cell.strip().strip('"') for cell in line.split(feed.dialect.delimiter)}
        if len(cells & wanted) > found:
            best, found = number, len(cells & wanted)
    return best if found > 1 and best > feed.dialect.lines_above + 1 else None


def row_for_header(file: Path, feed: Feed) -> str | None:
    """The first line of a CSV file where it seems to be no header, but a row: numbers and times name no columns."""
    headings = csv_header(file, feed).headings
    wanted = {name for column in feed.columns for name in feed.names(column)}
    if feed.dialect.header is not None or wanted & set(headings) or not any(map(VALUE.fullmatch, headings)):
        return None
    return feed.dialect.delimiter.join(headings)[:SHOWN]


def _parquet(file: Path) -> Layout:
    try:
        table = pq.read_schema(file).empty_table()
        return arrow_layout(readable(table.rename_columns(unique_names(table.column_names))).schema)
    except (UnreadableColumn, *UNREADABLE):
        return {}


def _json(file: Path, feed: Feed, whole: bool) -> Layout:
    """The keys of the objects in `file`, or in its first lines."""
    keys: dict[str, None] = {}
    try:
        for text in _json_texts(file, feed, whole):
            try:
                found = DECODER.decode(text if isinstance(text, str) else text.decode(errors="replace"))
            except (ValueError, RecursionError):
                continue
            keys |= dict.fromkeys(found) if isinstance(found, dict) and len(keys) < COLUMN_LIMIT else {}
    except (OSError, ValueError, RecursionError, NotInEncoding, NoText):
        pass  # what was found until there counts; the rest is said when the file is loaded
    return dict.fromkeys(filter(None, map(printed, keys)), "VARCHAR")


def _json_texts(file: Path, feed: Feed, whole: bool) -> Iterator[str | bytes]:
    if feed.format == "json" and is_array(file):
        found = elements_of(texts(file, feed.dialect.encoding))
        yield from found if whole else islice(found, SAMPLED)
        return
    for block in read_blocks(file, feed.dialect.encoding, LINE_LIMIT):
        yield from bytes(block.body).splitlines()
        if not whole:
            return


def _derived(files: Sequence[Path], feed: Feed, root: Path) -> Iterator[Layout]:
    wrong: NotDerived | None = None
    fits = False
    for file in files:
        try:
            with opened(raw_of(file, feed, root), _headings) as (connection, _):
                columns = [name for name, *_ in connection.execute("DESCRIBE rows").fetchall()]
                try:
                    described = connection.execute(f"DESCRIBE {feed.derive}").fetchall()
                except MISTAKES as error:
                    wrong = wrong or NotDerived(str(error).splitlines()[0], columns, file)
                    continue
        except (duckdb.Error, Unusable, OSError):
            continue  # the file is none of its format, or is not given, which is said of it when it is loaded
        fits = True
        names = unique_names([name for name, *_ in described], clean=printed)
        yield {name: kind for name, (_, kind, *_) in zip(names, described, strict=True)}
    if wrong is not None and not fits:
        raise wrong


def _headings(file: RawFile) -> Iterator[Slice]:
    """Of a CSV file of text its columns without any row, of others everything: what SQL is tried on."""
    if file.feed.format != "csv" or not file.feed.text:
        yield from as_written(file)
        return
    layout: Layout = dict.fromkeys(csv_header(file.path, file.feed).names, "VARCHAR")
    if layout:
        yield Slice(file.feed, {}, raw_rows(file, 0), {file.index: 0}, {file.index: layout})
