"""Standard input, output and error as any machine gives them: closed, full, unread, or of few signs.

What was done is done, whatever becomes of what is said about it: a sign that a stream does not know is written in
another way, and a stream that takes nothing ends in one sentence or in silence.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO, cast

from retail_assets.commands.unforeseen import refusal
from retail_assets.core.errors import RetailError

SPELT = {
    "\u2713": "ok",
    "\u2717": "no",
    "\u2192": "->",
    "\u2190": "<-",
    "\u2212": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2022": "*",
    "\u2026": "...",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u00d7": "x",
}
"""Signs of ours, for a stream that does not have them; others' are written as Python writes them: `\\xfc`."""


class NotWritten(RetailError):
    """Standard output took nothing more: a full disk, a closed descriptor."""


class NobodyReads(Exception):
    """Whoever read standard output has stopped, as `head` does: no fault, and nobody to tell."""


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    left = error.object[error.start : error.end]
    said = "".join(SPELT.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in left)
    return said, error.end


codecs.register_error("spelt", _spelt)


class Output(io.TextIOWrapper):
    """Standard output or error: once it takes nothing more, all else that is written to it goes nowhere."""

    failed = False

    def __init__(self, stream: io.TextIOWrapper, silent: bool) -> None:
        encoding, lines, through = stream.encoding, stream.line_buffering, stream.write_through
        super().__init__(
            cast(Any, stream.detach()), encoding, "spelt", newline="\n", line_buffering=lines, write_through=through
        )
        self._silent = silent

    def write(self, text: str, /) -> int:
        """Raises NotWritten or NobodyReads, the first time only."""
        if not self.failed:
            try:
                return super().write(text)
            except OSError as error:
                self._fail(error)
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        """Raises NotWritten or NobodyReads, the first time only."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Raises NotWritten or NobodyReads, the first time only."""
        if not self.failed:
            try:
                super().flush()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        """What is still in the buffers goes to nowhere, so that Python's end does not stumble over it again."""
        self.failed = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):
            os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if self._silent:
            return
        if isinstance(error, BrokenPipeError):
            raise NobodyReads from error
        refused = refusal(error)
        raise NotWritten(
            f"what there is to say could not be written: {refused.what if refused else error}",
            where="standard output",
            todo="send it elsewhere, or free some space; what the command had done by then is done",
        ) from error


def make_usable() -> None:
    """Lets this process write and read whatever it was started with. Call it first, and once."""
    _fill_gaps()
    sys.stdin = sys.stdin or _nowhere("r")
    sys.stdout = sys.__stdout__ = _usable(sys.stdout, silent=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _usable(sys.stderr, silent=True)  # type: ignore[misc]


def _fill_gaps() -> None:
    """A file opened while a standard descriptor is closed would get its number, and children would write into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


def _usable(stream: TextIO | None, silent: bool) -> io.TextIOWrapper:
    if stream is None:
        return _nowhere("w")
    return Output(stream, silent) if type(stream) is io.TextIOWrapper else cast(io.TextIOWrapper, stream)


def _nowhere(mode: Literal["r", "w"]) -> io.TextIOWrapper:
    return Path(os.devnull).open(mode, encoding="utf-8")
