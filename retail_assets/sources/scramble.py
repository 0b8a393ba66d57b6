"""A file that nobody could read, with nobody's data in it: same bytes of structure, other letters and digits.

What may be what a file fails by stays: separators, quotes, line ends, spaces, bytes beyond ASCII, dates, times, leading
zeros, lengths, and words that say a kind of value (`true`, `NaN`, `EUR`). Equal values stay equal under one key, so
that files still refer to each other.
"""

import hmac
import re
import string
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.core.errors import RetailError

KEPT = frozenset(
    b"true false null none nan inf infinity epoch yes no na utc gmt am pm "
    b"usd eur gbp chf sek nok dkk pln czk jpy cad aud inr brl mxn cny".split()
)
CLOCK = rb"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?(?:Z|[+-]\d{2}:?\d{2}))?"
# A name of a month stays in a date only: May and Jan are people, too.
MONTH = rb"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[A-Za-z]{0,6}"
NAMED = rb"\d{1,2}[ -]%b[ -]\d{2,4}|%b \d{1,2},? \d{4}" % (MONTH, MONTH)
DAY = rb"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|(?:19|20)\d{6}|%b)" % NAMED
PARTS = re.compile(
    rb"(?P<time>(?<![\w.])(?:%b(?:[T ]%b)?|%b)(?!\w|\.\d))" % (DAY, CLOCK, CLOCK)
    + rb"|(?P<number>(?<!\w)\d+(?:\.\d+)*(?:[eE][-+]?\d+)?(?!\w))"  # a comma may be the end of a field
    + rb"|(?P<word>[A-Za-z0-9]+)"
)
JSON_KEY = re.compile(rb'"(?:[^"\\]|\\.)*"\s*:')
EXPONENT = re.compile(rb"[eE][-+]?\d+$")
LETTERS = {
    **dict.fromkeys(string.ascii_lowercase, string.ascii_lowercase),
    **dict.fromkeys(string.ascii_uppercase, string.ascii_uppercase),
}


class ScrambleError(RetailError):
    """A file that cannot be scrambled, or whose copy would replace something."""


def scramble_file(file: Path, out: Path, key: bytes, header_lines: int = 1) -> int:
    """Writes `file` with other letters and digits to `out`; returns how many values were changed.

    The first `header_lines` of text and the keys of JSON stay. Raises ScrambleError.
    """
    if not file.is_file():
        raise ScrambleError("there is no such file", where=str(file))
    if out.exists():
        raise ScrambleError(
            "there is already a file of that name", where=str(out), todo="name another by --out, or move it"
        )
    scrambler = Scrambler(key)
    out.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() == ".parquet":
        _parquet(file, out, scrambler)
    elif file.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        out.write_bytes(_json(file.read_bytes(), scrambler))
    else:
        content = file.read_bytes()
        at = 0
        for _ in range(header_lines):
            end = content.find(b"\n", at)
            at = len(content) if end < 0 else end + 1
        out.write_bytes(content[:at] + scrambler.text(content[at:]))
    return scrambler.changed


class Scrambler:
    """Other letters and digits of the same kinds, the same ones for the same value."""

    def __init__(self, key: bytes) -> None:
        self._key, self._known = key, dict[bytes, bytes]()
        self.changed = 0

    def text(self, content: bytes) -> bytes:
        """`content` with its words and numbers replaced; times and single characters stay."""
        return PARTS.sub(self._part, content)

    def _part(self, found: "re.Match[bytes]") -> bytes:
        said = found.group()
        if found.lastgroup == "time" or len(said) == 1 or said.lower() in KEPT:
            return said
        if found.lastgroup == "number" and (exponent := EXPONENT.search(said)):
            return self._replaced(said[: exponent.start()]) + exponent.group()
        return self._replaced(said)

    def _replaced(self, said: bytes) -> bytes:
        if said not in self._known:
            self._known[said] = self._made(said)
        self.changed += 1
        return self._known[said]

    def _made(self, said: bytes) -> bytes:
        digest = hmac.new(self._key, said, sha256).digest()
        while len(digest) < len(said):
            digest += hmac.new(self._key, digest, sha256).digest()
        made, leading = [], True
        for byte, chance in zip(said.decode("latin-1"), digest, strict=False):
            if byte.isdigit() and byte.isascii():
                leading = leading and byte == "0"
                # Zeros in front stay, and what was no zero does not become one: a count stays a count.
                made.append("0" if leading else str(chance % 10) if byte == "0" else str(1 + chance % 9))
            else:
                leading = leading and byte not in LETTERS
                alphabet = LETTERS.get(byte)
                made.append(byte if alphabet is None else alphabet[chance % 26])
        return "".join(made).encode("latin-1")


def _json(content: bytes, scrambler: Scrambler) -> bytes:
    made, at = [], 0
    for key in JSON_KEY.finditer(content):
        made += [scrambler.text(content[at : key.start()]), key.group()]
        at = key.end()
    return b"".join([*made, scrambler.text(content[at:])])


def _parquet(file: Path, out: Path, scrambler: Scrambler) -> None:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        todo = "a damaged file has to be sent as it is: cut it down to what still fails"
        raise ScrambleError(f"no whole Parquet file: {str(error)[:200]}", where=str(file), todo=todo) from error
    columns = [_column(table.column(at), field, file, scrambler) for at, field in enumerate(table.schema)]
    pq.write_table(pa.Table.from_arrays(columns, schema=table.schema), out)


def _column(values: pa.ChunkedArray, field: pa.Field, file: Path, scrambler: Scrambler) -> pa.ChunkedArray:
    kind = field.type
    if pa.types.is_temporal(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return values
    read: Callable[[str], object] | None = None
    if pa.types.is_integer(kind):
        read = int
    elif pa.types.is_floating(kind):
        read = float
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        read = str
    if read is None:
        todo = "leave the column out, or write it as text"
        raise ScrambleError(f"column {field.name!r} of the type {kind} cannot be scrambled", where=str(file), todo=todo)
    made = [None if v is None else read(scrambler.text(str(v).encode()).decode()) for v in values.to_pylist()]
    return pa.chunked_array([pa.array(made, kind)], kind)
