"""Landing files of every format into bounded slices of raw rows that know their file and line.

Small files of one feed and layout come together in one slice; a large file comes in several.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.sources.arrow_types import UnreadableColumn, readable
from retail_assets.sources.contract import Feed
from retail_assets.sources.derived import read_derived
from retail_assets.sources.headers import COLUMN_LIMIT, Header, NoHeader, header_of, other_kind
from retail_assets.sources.json_arrays import DECODER, NotInEncoding, elements_of, is_array, refuse_cut, texts
from retail_assets.sources.lines import JSON_LIMIT, LINE_LIMIT, MOST_BAD_LINES, Block, NoText, read_blocks
from retail_assets.sources.names import PROBLEM, RAW, unique_names
from retail_assets.sources.parquet_batches import UNREADABLE, TooWide, batches, opened
from retail_assets.sources.raw import (
    SHOWN_BYTES,
    Layout,
    NotRead,
    RawFile,
    Slice,
    Told,
    arrow_layout,
    beginning,
    first_bytes,
    raw_rows,
    typed_slice,
    unreadable,
    why_not_read,
)
from retail_assets.sources.records import read_records
from retail_assets.sources.text_files import csv_slice, json_slice

ELEMENTS_PER_SLICE, LETTERS_PER_SLICE = 200_000, 32 << 20
NO_OBJECTS = 10_000  # elements of an array, after which no row is looked for any more
WAITING_BYTES = 16 << 20  # a piece that is larger does not wait for others


@dataclass
class Waiting:
    """Small pieces that wait for others like them."""

    csv: dict[tuple[str, Header], list[tuple[RawFile, Block]]] = field(default_factory=dict)
    json: dict[str, list[tuple[RawFile, Block]]] = field(default_factory=dict)
    tables: dict[tuple[str, bool, tuple[tuple[str, str], ...]], list[Slice]] = field(default_factory=dict)

    def add_table(self, piece: Slice) -> None:
        """Keeps `piece` until all files are read."""
        key = (piece.feed.name, piece.parse_json, tuple(piece.layout.items()))
        self.tables.setdefault(key, []).append(piece)

    def slices(self) -> Iterator[Slice]:
        """Everything that waited, put together."""
        for (_, names), blocks in self.csv.items():
            yield csv_slice(blocks, names)
        for blocks in self.json.values():
            yield json_slice(blocks)
        for pieces in self.tables.values():
            yield _joined(pieces)


def slices(files: Sequence[RawFile]) -> Iterator[Slice]:
    """The rows of `files` in bounded slices. Every file is counted in `read` of some slice, an empty one with 0.

    Raises NotRead for a file that the operating system does not give.
    """
    waiting = Waiting()
    for file in files:
        try:
            yield from _full_slices(file, waiting)
        except OSError as error:
            raise NotRead(file, why_not_read(error, file.path)) from error
    yield from waiting.slices()


def _full_slices(file: RawFile, waiting: Waiting) -> Iterator[Slice]:
    """The slices of `file` that are full; the last one waits."""
    if file.problem is not None:
        waiting.add_table(unreadable(file, file.problem, beginning(file)))
    elif file.feed.derive is not None:
        yield from _all_but_last(read_derived(file, as_written), waiting)
    else:
        yield from _as_written(file, waiting)


def as_written(file: RawFile) -> Iterator[Slice]:
    """The rows of `file` itself, whatever its feed derives from them."""
    waiting = Waiting()
    yield from _as_written(file, waiting)
    yield from waiting.slices()


def _as_written(file: RawFile, waiting: Waiting) -> Iterator[Slice]:
    if file.feed.format == "csv":
        yield from _csv(file, waiting)
    elif file.feed.format == "parquet":
        yield from _parquet(file, waiting)
    elif file.feed.format == "json" and is_array(file.path):
        yield from _all_but_last(_json_array(file), waiting)
    else:
        yield from _json_lines(file, waiting)


def _all_but_last(pieces: Iterator[Slice], waiting: Waiting) -> Iterator[Slice]:
    last: Slice | None = None
    for piece in pieces:
        if last is not None:
            yield last
        last = piece
    if last is not None and last.rows.nbytes > WAITING_BYTES:
        yield last
    elif last is not None:
        waiting.add_table(last)


def _csv(file: RawFile, waiting: Waiting) -> Iterator[Slice]:
    header = Header(())
    last: Block | None = None
    cut = False
    try:
        for header, block in read_records(read_blocks(file.path, file.feed.dialect.encoding), file.feed):
            cut = block.cut
            if not block.body:
                continue
            if last is not None:
                yield csv_slice([(file, last)], header)
            last = block
    except NoHeader as error:
        waiting.add_table(unreadable(file, f"unreadable: {error.what}", beginning(file)))
        return
    except NoText as error:
        if last is not None:
            yield csv_slice([(file, last)], header)
        waiting.add_table(_no_text(file, error))
        return
    if last is None and header.names and not any(map(file.feed.knows, header.names)):
        why = "unreadable: its only line names no column that the feed reads"
        waiting.add_table(unreadable(file, why, beginning(file)))
    elif last is None and cut and _ends_in_a_name(header, file.feed):
        why = f"truncated: its only line, the header, is cut at {header.headings[-1]!r}"
        waiting.add_table(unreadable(file, why, beginning(file)))
    elif last is None:
        waiting.add_table(_without_rows(file, dict.fromkeys(header.names, "VARCHAR"), header.told()))
    else:
        waiting.csv.setdefault((file.feed.name, header), []).append((file, last))


def _ends_in_a_name(header: Header, feed: Feed) -> bool:
    """Whether the header of a file that ends there may be cut: the last name in it is none that the feed knows."""
    return feed.dialect.header is None and bool(header.headings) and not feed.knows(header.headings[-1])


def _json_lines(file: RawFile, waiting: Waiting) -> Iterator[Slice]:
    last: Block | None = None
    try:
        for block in read_blocks(file.path, file.feed.dialect.encoding, longest=JSON_LIMIT):
            if block.first_line == 1 and (what := other_kind(block.data[:SHOWN_BYTES], file.feed)):
                waiting.add_table(unreadable(file, f"unreadable: {what}", beginning(file)))
                return
            if last is not None:
                yield json_slice([(file, last)])
            last = block
    except NoText as error:
        if last is not None:
            yield json_slice([(file, last)])
        waiting.add_table(_no_text(file, error))
        return
    if last is None:
        waiting.add_table(_without_rows(file, {}))
    else:
        waiting.json.setdefault(file.feed.name, []).append((file, last))


def _no_text(file: RawFile, error: NoText) -> Slice:
    why = f"unreadable from line {error.line:,} on: it is no text; more than {MOST_BAD_LINES:,} lines are {error.what}"
    return unreadable(file, why, beginning(file), error.line)


def _json_array(file: RawFile) -> Iterator[Slice]:
    """The elements of an array, which is looked at as a whole before any of them is passed on."""
    problem = None
    try:
        refuse_cut(file.path)
        problem = _no_objects(_elements(file))
    except NotInEncoding as error:
        problem = f"unreadable: {error}: say `dialect: {{encoding: ...}}`"
    except ValueError as error:
        problem = f"truncated: not a whole JSON array ({error})"
    except RecursionError:
        problem = "unreadable: its values are nested too deeply"
    if problem is not None:
        yield unreadable(file, problem, beginning(file, LINE_LIMIT))
        return
    first, waiting, letters = 1, [], 0
    for element in _elements(file):
        waiting.append(_json_text(element))
        letters += len(element)
        if len(waiting) >= ELEMENTS_PER_SLICE or letters >= LETTERS_PER_SLICE:
            yield _json_elements(file, waiting, first)
            first, waiting, letters = first + len(waiting), [], 0
    yield _json_elements(file, waiting, first)


def _no_objects(elements: Iterator[str]) -> str | None:
    """Why none of `elements` can be a row, if so; all of them are looked at. Raises what they raise."""
    objects = 0
    for count, element in enumerate(elements, start=1):
        objects += element[0] == "{"
        if not objects and count == NO_OBJECTS:
            return f"unreadable: the first {NO_OBJECTS:,} elements of its array are no objects"
    return None


def _elements(file: RawFile) -> Iterator[str]:
    return elements_of(texts(file.path, file.feed.dialect.encoding))


def _json_elements(file: RawFile, elements: Sequence[tuple[str, str | None]], first: int) -> Slice:
    rows = raw_rows(file, len(elements), first)
    rows = rows.set_column(2, RAW, pa.array([text for text, _ in elements], pa.string()))
    rows = rows.set_column(3, PROBLEM, pa.array([problem for _, problem in elements], pa.string()))
    return Slice(file.feed, {}, rows, {file.index: len(elements)}, parse_json=True)


def _json_text(text: str) -> tuple[str, str | None]:
    """One element of an array, and what is wrong with it: half of a character cannot be stored."""
    if "\\ud" not in text.lower():
        return text, None
    try:
        json.dumps(DECODER.decode(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return text, "not_utf8: half of a surrogate pair (a character that was cut in two)"
    return text, None


def _parquet(file: RawFile, waiting: Waiting) -> Iterator[Slice]:
    try:
        parquet = opened(file.path)
        names = parquet.schema_arrow.names
    except UNREADABLE as error:
        _raise_of_system(error)
        start = first_bytes(file)
        what = other_kind(start, file.feed)
        if what is None and start and not start.startswith(b"PAR"):
            what = "it is no Parquet file, which begins with PAR1"
        why = f"unreadable: {what}" if what else f"truncated: not a whole Parquet file ({_first_line(error)})"
        waiting.add_table(unreadable(file, why, file.name))
        return
    header = header_of(names, file.feed)
    if len(names) > COLUMN_LIMIT:
        why = f"unreadable: it has {len(names):,} columns, at most {COLUMN_LIMIT:,} are read"
        waiting.add_table(unreadable(file, why, file.name))
        return
    if header.problem:
        waiting.add_table(unreadable(file, header.problem, ", ".join(names)))
        return
    yield from _all_but_last(_batches(file, parquet, header.told()), waiting)


def _batches(file: RawFile, parquet: pq.ParquetFile, told: Told) -> Iterator[Slice]:
    """The rows of a Parquet file; one that says so from where on they cannot be read."""
    names = parquet.schema_arrow.names
    kept = _unlike(names, file.feed)
    titles = unique_names([names[at] for at in kept], file.feed.ignored)
    first = 1
    try:
        empty = readable(parquet.schema_arrow.empty_table().select(kept).rename_columns(titles))
        layout = arrow_layout(empty.schema)
        for batch in batches(parquet):
            table = pa.Table.from_batches([batch]).select(kept).rename_columns(titles)
            yield typed_slice(file, readable(table), layout, first, told)
            first += batch.num_rows
    except (UnreadableColumn, TooWide, *UNREADABLE) as error:
        _raise_of_system(error)
        since = f" from row {first:,} on" if first > 1 else ""
        yield unreadable(file, f"unreadable{since}: {_first_line(error)}", file.name, first)
        return
    if first == 1:
        yield typed_slice(file, empty, layout, 1, told)


def _raise_of_system(error: Exception) -> None:
    """Raises what the operating system has against a file; Arrow's own OSError has no number."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _unlike(names: Sequence[str], feed: Feed) -> list[int]:
    """The places of `names` without ignored ones that another one equals but for case: a table holds one of them."""
    lower = [name.lower() for name in names]
    return [at for at, name in enumerate(names) if name not in feed.ignored or lower.count(name.lower()) == 1]


def _without_rows(file: RawFile, layout: Layout, told: Told | None = None) -> Slice:
    """A file without rows has no columns to judge, but it has been read, and its layout is known."""
    return Slice(file.feed, {}, raw_rows(file, 0), {file.index: 0}, {file.index: layout}, told={file.index: told or {}})


def _joined(pieces: list[Slice]) -> Slice:
    first = pieces[0]
    return Slice(
        first.feed,
        first.layout,
        pa.concat_tables([piece.rows for piece in pieces]),
        {file: count for piece in pieces for file, count in piece.read.items()},
        {file: layout for piece in pieces for file, layout in piece.layouts.items()},
        first.parse_json,
        {file: told for piece in pieces for file, told in piece.told.items()},
    )
