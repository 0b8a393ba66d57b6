"""JSON lines and JSON arrays: deep, cut in the middle of a character, with keys twice, of other kinds."""

import gzip
import json
import random
from collections.abc import Iterator

from benchmarks.faults.hostile_text import _hole, _repeated
from benchmarks.faults.rows import Content, click, clicks, weather

DEPTH = 100_000
NUMBERS = (
    "1e400",
    "-1e400",
    "9" * 400,
    "1" * 5_000,
    "0." + "0" * 400 + "1",
    "NaN",
    "Infinity",
    "01",
    "+1",
    ".5",
    "0x10",
)
KEYS = (
    "",
    "_raw",
    "_pos",
    "_file",
    "_problem",
    "\x1fpos",
    "a.b",
    "$",
    'a"b',
    "a'b",
    "a\nb",
    "k" * 200_000,
    "é",
    "\u200b",
)


def json_lines_contents(chance: random.Random, size: int) -> Iterator[tuple[str, Content]]:
    """Kind and content of every hostile file of JSON lines: two good rows and one that is odd, or no rows at all."""
    for what, line in _lines(chance):
        yield what, (clicks("".join(filter(str.isalnum, what))) + line + "\n").encode()
    yield "gzip", gzip.compress(clicks("gz").encode(), mtime=0)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1"):
        text = clicks(encoding).replace('"S1"', '"Sé"')
        yield encoding, text.encode(encoding)
    yield "BOM", b"\xef\xbb\xbf" + clicks("bom").encode()
    yield "Windows line ends", clicks("crlf").replace("\n", "\r\n").encode()
    yield "carriage returns only", clicks("cr").replace("\n", "\r").encode()
    yield (
        "other keys in every line",
        "".join(
            json.dumps(click(f"keys-{n}") | {f"k{n}-{m}": m for m in range(8)}) + "\n" for n in range(3_000)
        ).encode(),
    )
    yield "cut", clicks("cut", 9).encode()[: -chance.randrange(2, 60)]
    yield "written over lines", json.dumps(click("pretty"), indent=2).encode() + b"\n"
    yield "an array", json.dumps([click("arr-1"), click("arr-2")]).encode()
    yield (
        "surrogates in UTF-8",
        clicks("sur").encode() + json.dumps(click("X")).encode().replace(b"X", b"\xed\xa0\x80") + b"\n",
    )
    yield "NUL byte", clicks("nul").encode() + json.dumps(click("X")).encode().replace(b"X", b"\0") + b"\n"
    yield "empty", b""
    yield "page", b"<html>\n</html>\n"
    yield "only NULs", _hole(size)
    yield "one line", _repeated(b" ", size, b'{"a":"')
    yield "one line of open lists", _repeated(b"[", min(size, 1 << 20))
    yield "one line of open objects", _repeated(b'{"a":', min(size, 1 << 20))
    yield "line of a megabyte", (json.dumps(click("mb", query="q" * (1 << 20))) + "\n").encode()


def _lines(chance: random.Random) -> Iterator[tuple[str, str]]:
    good = json.dumps(click("odd"))
    yield "100,000 lists deep", "[" * DEPTH + "]" * DEPTH
    yield "100,000 objects deep", '{"a":' * DEPTH + "1" + "}" * DEPTH
    yield "deep below a good key", good[:-1] + ', "x": ' + "[" * DEPTH + "]" * DEPTH + "}"
    yield "999 deep below a good key", good[:-1] + ', "x": ' + "[" * 999 + "]" * 999 + "}"
    yield "half of a surrogate pair", good.replace("odd", "\\ud800")
    yield "the other half", good.replace("odd", "\\udc00\\ud800")
    yield "NUL as an escape", good.replace("odd", "o\\u0000d")
    yield "escape that is none", good.replace("odd", "\\x41")
    yield "key twice", good[:-1] + ', "event_id": "again"}'
    yield "key in two cases", good[:-1] + ', "Event_Id": "again"}'
    yield "key in another case", good.replace("event_id", "Event_Id")
    yield "all keys in another case", json.dumps({key.upper(): value for key, value in click("up").items()})
    yield "keys not there", '{"store_id": "US-WEB"}'
    yield "empty object", "{}"
    for value in ("null", "true", "1", '"text"', "[]", "[1]", "nonsense", "{'a': 1}", "{", "}", "//", '{"a":1,}'):
        yield f"line {value}", value
    for number in NUMBERS:
        yield f"number {number[:12]} of {len(number)}", good.replace('"odd"', number)
    for n, key in enumerate(KEYS):
        yield f"key {n}", json.dumps(click(f"key-{n}") | {key: 1})
    yield "object for a text", json.dumps(click("nested", store_id={"id": "US-WEB"}))
    yield "list for a text", json.dumps(click("list", store_id=["US-WEB"]))
    yield "truth for a text", json.dumps(click("truth", session_id=True))
    yield "number for a text", json.dumps(click("number", session_id=12.5))
    yield "thousands of keys", json.dumps(click("wide") | {f"k{n}": n for n in range(3_000)})
    yield "objects in a row", good + good
    yield "objects by commas", good + "," + good
    yield "control character", good.replace("odd", "o\x01d")
    yield "instant of no calendar", json.dumps(click("when", occurred_at="2025-02-30T12:00:00Z"))
    yield "instant of year 99999", json.dumps(click("far", occurred_at="99999-01-01T12:00:00Z"))
    yield "offset of no zone", json.dumps(click("offset", occurred_at="2025-10-06T12:00:00+99:99"))
    yield "instant as a number", json.dumps(click("epoch", occurred_at=chance.randrange(10**9, 10**10)))


def json_contents(chance: random.Random, size: int) -> Iterator[tuple[str, Content]]:
    """Kind and content of every hostile JSON array."""
    days = iter(f"2024-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29))
    for what, element in _elements():
        yield what, f"[{json.dumps(weather(next(days)))}, {element}]".encode()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"):
        yield encoding, json.dumps([weather(next(days))]).encode(encoding)
    yield "100,000 lists deep", b"[" * DEPTH + b"]" * DEPTH
    yield "open lists", b"[" * DEPTH
    yield "BOM", b"\xef\xbb\xbf" + json.dumps([weather(next(days))]).encode()
    yield "cut", json.dumps([weather(next(days)) for _ in range(9)]).encode()[: -chance.randrange(2, 80)]
    yield "array after array", json.dumps([weather(next(days))]).encode() * 2
    yield "comma at the end", json.dumps([weather(next(days))]).encode()[:-1] + b",]"
    yield "object with the array", json.dumps({"data": [weather(next(days))]}).encode()
    yield "array of arrays", json.dumps([[weather(next(days))]]).encode()
    yield "empty array", b"[]"
    yield "empty", b""
    yield "spaces", b" " * 5_000
    yield "array after 5,000 spaces", b" " * 5_000 + json.dumps([weather(next(days))]).encode()
    yield "text", b'"hello"'
    yield "number", b"12"
    yield "null", b"null"
    yield "gzip", gzip.compress(json.dumps([weather(next(days))]).encode(), mtime=0)
    yield "latin-1", json.dumps([weather(next(days), note="Zoë")], ensure_ascii=False).encode("latin-1")
    yield "page", b"<!DOCTYPE html>\n<html></html>"
    yield "only NULs", _hole(size)
    yield "NULs after the bracket", _hole(size, b"[")
    yield "one long text", _repeated(b"x", size, b'["')
    yield "many small elements", _repeated(b"0,", size, b"[")
    yield "many whole elements", _repeated(b"0,", size, b"[", b"0]")
    yield "many objects", _repeated(b'{"a":1},', size, b"[")


def _elements() -> Iterator[tuple[str, str]]:
    good = json.dumps(weather("2025-10-06"))
    yield "deep element", "[" * DEPTH + "]" * DEPTH
    yield "deep value", good[:-1] + ', "x": ' + '{"a":' * DEPTH + "1" + "}" * DEPTH + "}"
    yield "half of a surrogate pair", '{"store_id": "\\ud800"}'
    yield "half of a surrogate pair in a key", '{"\\ud800": 1, "store_id": "US-001"}'
    yield "key twice", good[:-1] + ', "store_id": "UK-001"}'
    yield "key in another case", good.replace("store_id", "Store_Id")
    for value in ("null", "1", '"text"', "[]", "{}"):
        yield f"element {value}", value
    for number in NUMBERS:
        yield f"number {number[:12]} of {len(number)}", good.replace("21.5", number)
    yield "NUL as an escape", good.replace("US-001", "\\u0000")
    yield "object for a number", good.replace("21.5", '{"c": 21.5}')
    yield "day of no calendar", json.dumps(weather("2025-02-30"))
    yield "day of year 0", json.dumps(weather("0000-01-01"))
    yield "day of year 99999", json.dumps(weather("99999-01-01"))
    yield "day as a number", good.replace('"2025-10-06"', "20251006")
