"""Bytes of text files into bounded blocks of whole lines, with physical line numbers and without losing a byte."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BLOCK_BYTES = 64 << 20
LINE_LIMIT = 1 << 20
JSON_LIMIT = 16 << 20  # of one JSON value, which DuckDB would not read either if it were longer
BOM = b"\xef\xbb\xbf"
MOST_BAD_LINES = 1_000_000  # of a block, each of which gets a reason of its own
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


class NoText(Exception):
    """From line `line` on a file is no text: nearly every line of the block that begins there has bytes that are none.

    `what` is the reason of one of them.
    """

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line, self.what = line, what


@dataclass(frozen=True)
class Block:
    """Whole lines of one file as UTF-8: `data` ends with a line end (added when the file's last one is `cut`).

    `first_line` is the 1-based number of the line at `start`; `problems` maps a line number to what is wrong with its
    bytes; `inner` are the sorted numbers of lines that continue the record of the line before.
    """

    data: bytes
    first_line: int
    cut: bool = False
    problems: dict[int, str] = field(default_factory=dict)
    start: int = 0
    inner: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def body(self) -> memoryview:
        """The lines from `start` on, not copied."""
        return memoryview(self.data)[self.start :]

    @property
    def last_line(self) -> int:
        """The number of the last line."""
        return self.first_line + self.data.count(b"\n", self.start) - 1


def read_blocks(
    path: Path, encoding: str = "utf-8", limit: int = BLOCK_BYTES, longest: int = LINE_LIMIT
) -> Iterator[Block]:
    """The lines of `path` in blocks of about `limit` bytes. Bytes that are no text of `encoding` become `\\xNN`.

    Of a line over `longest` bytes that many come, and one more: enough to refuse it, whatever its length. Raises
    NoText.
    """
    line, before = 1, b""
    for data in _whole_lines(path, limit, longest):
        line += before.count(b"\n")
        if line == 1 and data.startswith(BOM):
            data, encoding = data.removeprefix(BOM), "utf-8"  # the file says so itself
        cut = not data.endswith(b"\n")
        yield _decoded(data + b"\n" if cut else data, encoding, line, cut)
        before = data


def _whole_lines(path: Path, limit: int, longest: int) -> Iterator[bytes]:
    """Blocks of whole lines; what follows the last line end of the file comes with the last block."""
    block = rest = b""
    with path.open("rb") as file:
        while read := file.read(limit):
            end = read.rfind(b"\n") + 1
            if end == 0:
                rest = (rest + read)[: longest + 1]
                continue
            if block:
                yield block
            block, rest = _shortened(rest + read[:end], longest), read[end:]
    if block or rest:
        yield block + rest[: longest + 1]


def _shortened(data: bytes, longest: int) -> bytes:
    """`data`, whose lines over `longest` bytes end one byte behind that."""
    pieces, start = [], 0  # what is before `start` is in `pieces`, or fits
    kept = 0
    while start + longest < len(data):
        end = data.rfind(b"\n", start, start + longest + 1)
        if end < 0:
            pieces.append(data[kept : start + longest + 1])
            end = data.find(b"\n", start + longest)
            kept = end
        start = end + 1
    return b"".join([*pieces, data[kept:]]) if pieces else data


def _decoded(data: bytes, encoding: str, first_line: int, cut: bool) -> Block:
    if encoding != "utf-8":
        # cp1252 leaves five byte values undefined; they are kept visible instead of failing the file.
        data = data.decode(encoding, errors="backslashreplace").encode()
    problems = _with_nul(data, first_line)
    if data.isascii():
        return Block(data, first_line, cut, problems)
    try:
        data.decode()
    except UnicodeDecodeError:
        problems |= _undecodable(data, first_line)
        data = data.decode(errors="backslashreplace").encode()
    return Block(data, first_line, cut, problems)


def _with_nul(data: bytes, first_line: int) -> dict[int, str]:
    """Line number -> reason, for the lines that hold a NUL, which no text does."""
    if b"\0" not in data:
        return {}
    zeros = np.frombuffer(data, np.uint8) == 0
    starts = np.flatnonzero(np.frombuffer(data, np.uint8) == 10) + 1
    lines = np.flatnonzero(np.logical_or.reduceat(zeros, np.concatenate([[0], starts[:-1]])))
    what = "not_text: it holds a NUL byte"
    if len(lines) > MOST_BAD_LINES:
        raise NoText(first_line, what)
    return dict.fromkeys((lines + first_line).tolist(), what)


def _undecodable(data: bytes, first_line: int) -> dict[int, str]:
    """Line number -> reason, for the lines that hold bytes which are not UTF-8."""
    text = data.decode(errors="surrogateescape")
    problems: dict[int, str] = {}
    line, position = first_line, 0
    for match in _ESCAPED_BYTE.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
        problems.setdefault(line, f"not_utf8: byte 0x{ord(match.group()) - 0xDC00:02X}")
        if len(problems) > MOST_BAD_LINES:
            raise NoText(first_line, problems[line])
    return problems


def line_array(data: bytes) -> tuple[pa.StringArray, npt.NDArray[np.int32]]:
    """The lines of `data` (line ends included) as an Arrow array over the same memory, and their n + 1 offsets."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    offsets = np.zeros(len(ends) + 1, np.int32)
    np.add(ends, 1, out=offsets[1:], casting="unsafe")
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
    return lines, offsets


def blank_lines(data: bytes, offsets: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which lines hold nothing but their line end; such lines are no rows."""
    lengths = np.diff(offsets)
    blank = lengths == 1
    two = np.flatnonzero(lengths == 2)
    blank[two] = np.frombuffer(data, np.uint8)[offsets[two]] == 13
    return np.asarray(blank)


def text_of(lines: pa.StringArray) -> tuple[bytes, npt.NDArray[np.int32]]:
    """The bytes of all values of `lines` in a row, and their n + 1 offsets."""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(data)[int(ends[0]) : int(ends[-1])]), ends - ends[0]
