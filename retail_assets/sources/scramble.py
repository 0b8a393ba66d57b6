"""A file that nobody could read, with nobody's data in it: same structure and encoding, other letters and digits.

What may be what a file fails by stays: separators, quotes, line ends, spaces, marks over letters, bytes that are no
text of their encoding, dates, times, leading zeros, lengths, and words that say a kind of value (`true`, `NaN`, `EUR`).
Equal words stay equal under one key, so that files still refer to each other. What is no text, and so cannot be
replaced sign by sign, is refused.
"""

import codecs
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.core.errors import RetailError
from retail_assets.core.plain_text import one_line
from retail_assets.sources.scrambled_json import scrambled_json
from retail_assets.sources.scrambled_parquet import UnknownType, scrambled_table
from retail_assets.sources.scrambler import PARTS, Scrambler

__all__ = ["ScrambleError", "Scrambled", "Scrambler", "scramble_file"]
JSON_NAMES = (".json", ".jsonl", ".ndjson")
PARQUET = b"PAR1"
PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip (or a workbook of Excel)",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
    b"\xd0\xcf\x11\xe0": "an older workbook of Excel",
    b"%PDF": "PDF",
    b"SQLite format 3": "a database of SQLite",
    b"Obj\x01": "Avro",
    b"ORC": "ORC",
    b"ARROW1": "Arrow",
}
MARKS = {  # the longer ones first: UTF-32's begins as UTF-16's
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1b\x7f]")
MOST_CONTROL = 0.02  # of a file's signs; a few are what files fail by
LINE_END = re.compile("\r\n|\n|\r")
SEPARATORS = re.compile("[,;\t|]")


class ScrambleError(RetailError):
    """A file that cannot be scrambled, or whose copy would replace something."""


@dataclass(frozen=True)
class Scrambled:
    """What became of a file: values changed, header lines and JSON keys that stayed, keys that did not."""

    changed: int
    kept_lines: list[str]
    kept_keys: list[str]
    changed_keys: int = 0

    def told(self) -> list[str]:
        """What a person has to look at before the copy is sent."""
        lines = [f"stayed, as the header: {one_line(line)}" for line in self.kept_lines]
        if self.kept_keys:
            lines.append(f"stayed, as names of columns: {', '.join(map(one_line, self.kept_keys))}")
        if self.changed_keys:
            many = "key that is" if self.changed_keys == 1 else "keys that are"
            lines.append(f"changed, as data: {self.changed_keys:,} {many} not in most rows (--keep-key NAME keeps one)")
        return lines


def scramble_file(
    file: Path, out: Path, key: bytes, header_lines: int | None = None, kept_keys: Collection[str] = ()
) -> Scrambled:
    """Writes `file` with other letters and digits to `out`.

    The first `header_lines` of text stay (by default one, if it does not look like data), and the keys of JSON that
    are in most rows or in `kept_keys`. Raises ScrambleError.
    """
    if not file.is_file():
        raise ScrambleError("there is no such file", where=str(file))
    if out.exists():
        raise ScrambleError(
            "there is already a file of that name", where=str(out), todo="name another by --out, or move it"
        )
    scrambler = Scrambler(key)
    content = file.read_bytes()
    if file.suffix.lower() == ".parquet" or content.startswith(PARQUET):
        return _parquet(file, out, scrambler)
    text = _Text.of(content, file)
    if file.suffix.lower() in JSON_NAMES:
        said, stayed, gone = scrambled_json(text.said, scrambler, kept_keys)
        done = Scrambled(scrambler.changed, [], stayed, gone)
    else:
        head = _head(text.said, header_lines, file)
        said = head + scrambler.words(text.said[len(head) :])
        done = Scrambled(scrambler.changed, head.splitlines(), [])
    _refuse_unchanged(done.changed, file)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(text.mark + said.encode(text.encoding, text.errors) + text.rest)
    return done


@dataclass(frozen=True)
class _Text:
    """The text of a file, between its byte order mark and bytes at its end that are half a sign."""

    said: str
    encoding: str
    errors: str
    mark: bytes = b""
    rest: bytes = b""

    @classmethod
    def of(cls, content: bytes, file: Path) -> "_Text":
        """Raises ScrambleError if it is not text."""
        packed = next((name for begins, name in PACKED.items() if content.startswith(begins)), None)
        if packed is not None:
            todo = "unpack it, or write it as CSV, JSON or Parquet, and scramble that"
            raise ScrambleError(
                f"it is no text but {packed}: what is in it cannot be replaced", where=str(file), todo=todo
            )
        mark = next((one for one in MARKS if content.startswith(one)), b"")
        encoding = MARKS[mark] if mark else _wide(content)
        if encoding is None:
            text = cls(content.decode("utf-8", "surrogateescape"), "utf-8", "surrogateescape")
        else:
            body = content[len(mark) :]
            whole = len(body) - len(body) % (4 if "32" in encoding else 2)
            text = cls._wide(body[:whole], encoding, mark, body[whole:], file)
        if len(CONTROL.findall(text.said)) > max(4, MOST_CONTROL * len(text.said)):
            todo = "write it as CSV, JSON or Parquet, and scramble that"
            raise ScrambleError("it is no text: what is in it cannot be replaced safely", where=str(file), todo=todo)
        return text

    @classmethod
    def _wide(cls, body: bytes, encoding: str, mark: bytes, rest: bytes, file: Path) -> "_Text":
        try:
            return cls(body.decode(encoding, "surrogatepass"), encoding, "surrogatepass", mark, rest)
        except UnicodeDecodeError as error:
            what = f"it is no {encoding.upper()}, as it begins: byte {error.start + len(mark)} is part of no sign"
            raise ScrambleError(what, where=str(file), todo="write it in UTF-8, and scramble that") from error


def _wide(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: its line ends have zeros beside them, as those of a file with stray ones do not.

    Without a line end it is a matter of how many zeros there are.
    """
    ends = content.count(b"\n") + content.count(b"\r")
    if not (content.count(b"\0") if ends else 10 * content.count(b"\0") > 3 * len(content)):
        return None
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        size = 4 if "32" in encoding else 2
        said = content[: len(content) // size * size].decode(encoding, "replace")
        if 2 * (said.count("\n") + said.count("\r")) >= ends and said and _share_of_text(said) > 0.95:
            return encoding
    return None


def _share_of_text(said: str) -> float:
    """How much of it is what texts are made of; read in a wrong width, there is what is no sign in any language."""
    fine = sum(unicodedata.category(sign) not in ("Cc", "Cn", "Co", "Cs") or sign in "\r\n\t" for sign in said)
    return fine / len(said)


def _head(text: str, header_lines: int | None, file: Path) -> str:
    """The lines at the top that stay. Raises ScrambleError where nobody said how many, and the first is data."""
    ends = [found.end() for found, _ in zip(LINE_END.finditer(text), range(header_lines or 1), strict=False)]
    wanted = 1 if header_lines is None else header_lines
    head = text[: 0 if not wanted else ends[wanted - 1] if len(ends) >= wanted else len(text)]
    if header_lines is None and (data := _data_in(head.lstrip("\ufeff"))):
        raise ScrambleError(
            f"the first line would stay as it is, and {data!r} in it looks like data, not like the name of a column",
            where=f"{file}, line 1",
            todo="say how many lines stay: --header-lines 0 where there is no header, --header-lines 1 if it is one",
        )
    return head


def _data_in(line: str) -> str | None:
    cells = (cell.strip().strip("\"'") for cell in SEPARATORS.split(line))
    return next((cell for cell in cells if "@" in cell or _is_number_or_time(cell)), None)


def _is_number_or_time(cell: str) -> bool:
    found = PARTS.fullmatch(cell.lstrip("+-"))
    return found is not None and (found.lastgroup in ("number", "time") or cell.isdecimal())


def _refuse_unchanged(changed: int, file: Path) -> None:
    if not changed:
        todo = "--header-lines 0 changes the first lines, too; if nobody's data is in it, send the file itself"
        raise ScrambleError("there is nothing in it to change: the copy would be the file", where=str(file), todo=todo)


def _parquet(file: Path, out: Path, scrambler: Scrambler) -> Scrambled:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        todo = "a damaged file has to be sent as it is: cut it down to what still fails"
        raise ScrambleError(f"no whole Parquet file: {str(error)[:200]}", where=str(file), todo=todo) from error
    try:
        made = scrambled_table(table, scrambler)
    except UnknownType as error:
        todo = "leave the column out, or write it as text"
        raise ScrambleError(str(error), where=str(file), todo=todo) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, out)
    return Scrambled(scrambler.changed, [], table.column_names)
