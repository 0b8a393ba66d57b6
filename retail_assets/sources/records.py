"""Lines of a CSV file into records: a quoted field may hold line ends (RFC 4180), and a torn quote swallows nothing.

Only lines with an odd number of quotes are looked at one by one. One that ends inside a quoted field begins a record of
several lines if the quote closes soon and the record then has as many fields as the header; otherwise the quote is torn
and every line is a record of its own.
"""

import csv
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from retail_assets.sources.contract import Feed
from retail_assets.sources.headers import Header, above_header, read_header
from retail_assets.sources.lines import LINE_LIMIT, Block, NoText

MAX_LINES, MAX_BYTES = 1_000, LINE_LIMIT
Offsets = npt.NDArray[np.int64]


class _Lines:
    """The lines of one attempt to read a record: at most MAX_LINES and MAX_BYTES; `ran_out` says the block ended."""

    def __init__(self, data: memoryview, offsets: Offsets, first: int) -> None:
        self._data, self._offsets, self._first = data, offsets, first
        self.ran_out = False

    def __iter__(self) -> Iterator[str]:
        for line in range(self._first, self._first + MAX_LINES):
            if line + 1 >= len(self._offsets):
                self.ran_out = True
                return
            start, end = int(self._offsets[line]), int(self._offsets[line + 1])
            if end - int(self._offsets[self._first]) > MAX_BYTES:
                return
            yield bytes(self._data[start:end]).decode()


def read_records(blocks: Iterable[Block], feed: Feed) -> Iterator[tuple[Header, Block]]:
    """The header and, block for block, whole records below it; `Block.inner` names the lines that continue a record.

    A block may be empty. Raises NoHeader where the first line is none, and NoText after what is before it.
    """
    header = Header(())
    waiting: Block | None = None
    try:
        for read in blocks:
            block = read
            if read.first_line == 1:
                header, block = without_header(read, feed)
            elif waiting is not None:
                block = _joined(waiting, read)
            block, waiting = _whole(block, len(header.names), feed.dialect.delimiter)
            yield header, block
    except NoText:
        if waiting is not None:
            yield header, _whole(waiting, len(header.names), feed.dialect.delimiter, final=True)[0]
        raise
    if waiting is not None:
        yield header, _whole(waiting, len(header.names), feed.dialect.delimiter, final=True)[0]


def without_header(block: Block, feed: Feed) -> tuple[Header, Block]:
    """The header at the beginning of the first block of a file, and what is below it. Raises NoHeader."""
    offsets = _line_offsets(block)
    above = min(above_header(block.body, feed.dialect), len(offsets) - 2)
    count = above + max(1, _record(_Lines(block.body, offsets, above), feed.dialect.delimiter)[1])
    start, end = int(offsets[above]), int(offsets[count])
    header = read_header(bytes(block.body[start:end]), feed)
    if feed.dialect.header is not None:
        count, end = above, start
    return header, replace(block, first_line=1 + count, start=block.start + end)


def _joined(before: Block, block: Block) -> Block:
    return Block(bytes(before.body) + bytes(block.body), before.first_line, block.cut, before.problems | block.problems)


def _whole(block: Block, width: int, delimiter: str, final: bool = False) -> tuple[Block, Block | None]:
    """`block` up to the last record that is whole, and the lines after it if more of the file may complete them."""
    if block.data.find(b'"', block.start) < 0:
        return block, None
    inner: list[npt.NDArray[np.int64]] = []
    offsets = _line_offsets(block)
    done = 0
    for first in _odd_lines(block, offsets):
        if first < done:
            continue
        lines = _Lines(block.body, offsets, first)
        fields, count = _record(lines, delimiter)
        if lines.ran_out and fields is None and not final:
            return _split(replace(block, inner=_line_numbers(block, inner)), first, int(offsets[first]))
        if count > 1 and fields == width:
            done = first + count
            inner.append(np.arange(first + 1, done))
    return replace(block, inner=_line_numbers(block, inner)), None


def _record(lines: _Lines, delimiter: str) -> tuple[int | None, int]:
    """The fields of the record at the first of `lines`, None where its quotes are torn, and how many lines it has."""
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    try:
        return len(next(reader, [])), reader.line_num
    except csv.Error:
        return None, 1


def _split(block: Block, line: int, at: int) -> tuple[Block, Block]:
    number = block.first_line + line
    before = {n: what for n, what in block.problems.items() if n < number}
    after = {n: what for n, what in block.problems.items() if n >= number}
    head = replace(block, data=block.data[: block.start + at], cut=False, problems=before)
    return head, Block(bytes(block.body[at:]), number, block.cut, after)


def _line_offsets(block: Block) -> Offsets:
    ends = np.flatnonzero(np.frombuffer(block.body, np.uint8) == 10)
    return np.concatenate([np.zeros(1, np.int64), ends + 1])


def _odd_lines(block: Block, offsets: Offsets) -> list[int]:
    """The positions of lines with an odd number of quotes, in order."""
    quotes = np.flatnonzero(np.frombuffer(block.body, np.uint8) == ord('"'))
    counts = np.diff(np.searchsorted(quotes, offsets))
    return [int(line) for line in np.flatnonzero(counts & 1)]


def _line_numbers(block: Block, inner: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *inner]) + block.first_line


def first_line_of(block: Block, line: int) -> int:
    """The number of the line at which the record begins that the line numbered `line` is part of."""
    while (at := bisect_left(block.inner, line)) < len(block.inner) and block.inner[at] == line:
        line -= 1
    return line
