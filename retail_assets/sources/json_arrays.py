"""The elements of a JSON array as they are written, from a file that is never in memory as a whole."""

import codecs
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from retail_assets.sources.lines import BOM, JSON_LIMIT

CHUNK_BYTES = 1 << 20
SPACE = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder(parse_int=str, parse_float=str)  # a number is digits here, however many


class NotInEncoding(Exception):
    """A byte of a file, counted from 1, that is no text of the encoding it was read by."""

    def __init__(self, at: int, byte: int, encoding: str) -> None:
        super().__init__(f"its byte {at:,} is 0x{byte:02X}, which is no {encoding}")


def is_array(path: Path) -> bool:
    """Whether the first sign of a file that is no space begins an array."""
    with path.open("rb") as content:
        start = content.read(CHUNK_BYTES).removeprefix(BOM)
        while start and not start.strip():
            start = content.read(CHUNK_BYTES)
    return start.lstrip()[:1] == b"["


def refuse_cut(path: Path) -> None:
    """Raises ValueError for an array that does not end, which is soon seen, however long it is."""
    with path.open("rb") as content:
        content.seek(-min(CHUNK_BYTES, path.stat().st_size), os.SEEK_END)
        end = content.read().rstrip(b" \t\r\n\0")  # with the zeros of other encodings
    if not end.endswith(b"]"):
        raise ValueError("it does not end with ]")


def texts(path: Path, encoding: str) -> Iterator[str]:
    """The text of a JSON file in pieces. `encoding` is of files that do not say theirs. Raises NotInEncoding."""
    with path.open("rb") as content:
        data = content.read(CHUNK_BYTES)
        found = json.detect_encoding(data)
        encoding = encoding if found == "utf-8" else found
        decoder, done = codecs.getincrementaldecoder(encoding)(), 0
        while data:
            waiting = len(decoder.getstate()[0])
            following = content.read(CHUNK_BYTES)
            try:
                yield decoder.decode(data, final=not following)
            except UnicodeDecodeError as error:
                at = done - waiting + error.start
                raise NotInEncoding(at + 1, error.object[error.start], encoding) from error
            done += len(data)
            data = following


def elements_of(pieces: Iterator[str]) -> Iterator[str]:
    """The elements of the array that `pieces` are. Raises ValueError for what is none, RecursionError."""
    text = _Window(pieces)
    if text.next_sign() != "[":
        raise ValueError("it does not begin with [")
    text.at += 1
    ended = text.next_sign() == "]"
    while not ended:
        yield text.value()
        sign = text.next_sign()
        if sign not in (",", "]"):
            raise ValueError(f"there is no comma or ] after character {text.place:,}")
        ended = sign == "]"
        if not ended:
            text.at += 1
            text.next_sign()
    text.at += 1
    if text.next_sign():
        raise ValueError(f"there is more after its end: {text.text[text.at : text.at + 20]}")


class _Window:
    """As much of a text as the value at `at` needs."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces, self._before, self._ended = pieces, 0, False
        self.text, self.at = "", 0

    @property
    def place(self) -> int:
        """How many characters of the file are before `at`."""
        return self._before + self.at

    def next_sign(self) -> str:
        """The sign at the next place that is no space, where `at` is then; empty at the end."""
        while True:
            self.at = SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def value(self) -> str:
        """The JSON value at `at`, which is behind it then."""
        while True:
            try:
                _, end = DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self._is_long():
                    raise ValueError(f"what begins at character {self.place + 1:,} has no end within 16 MB") from error
                if not self._more():
                    raise ValueError(f"{error.msg} at character {self._before + error.pos + 1:,}") from error
                continue
            if end < len(self.text) or not self._more():
                found = self.text[self.at : end]
                self.at = end
                return found

    def _is_long(self) -> bool:
        return len(self.text) - self.at > JSON_LIMIT

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._before += self.at
        self.text, self.at = self.text[self.at :] + piece, 0
        return True
