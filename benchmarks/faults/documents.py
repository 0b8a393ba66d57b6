"""Hostile files of every sort that is text: JSON, CSV and whatever else, with one fault in it, named, from a seed.

    for name, content in mutations(seed=7, content=path.read_bytes()): ...

What a disk or a copy does to any file, and for JSON what a hand or a program can write that is still JSON.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

PAGE = 4096
ODD: tuple[Any, ...] = (
    None,
    True,
    "",
    "x",
    -1,
    1e308,
    -1e308,
    2**63,
    10**400,
    [],
    {},
    [[]],
    {"": None},
    "\ud800",
    "\0",
)
CONSTANTS = ("NaN", "Infinity", "-Infinity", "1e999", "-0.0", "0x10", "'x'", "undefined")
DEEP = 100_000


def mutations(seed: int, content: bytes, rounds: int = 3) -> Iterator[tuple[str, bytes]]:
    """Names and contents of faulty files; those that only JSON can have come where `content` is JSON."""
    for number in range(rounds):
        for name, change in _BYTES.items():
            yield f"{name} #{number}", change(content, random.Random(f"{seed}|{name}|{number}"))
        document = _document(content)
        if document is not None:
            for name, write in _JSON.items():
                yield f"{name} #{number}", write(json.loads(content), random.Random(f"{seed}|{name}|{number}"))


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _spot(size: int, chance: random.Random) -> slice:
    start = chance.randrange(0, max(size, 1), min(PAGE, max(size // 4, 1)))
    return slice(start, min(start + PAGE, size))


def _zeroed(content: bytes, chance: random.Random) -> bytes:
    spot = _spot(len(content), chance)
    return content[: spot.start] + bytes(spot.stop - spot.start) + content[spot.stop :]


def _noise(content: bytes, chance: random.Random) -> bytes:
    spot = _spot(len(content), chance)
    return content[: spot.start] + chance.randbytes(spot.stop - spot.start) + content[spot.stop :]


def _flipped(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def _digit(content: bytes, chance: random.Random) -> bytes:
    places = [place for place, byte in enumerate(content) if chr(byte).isdigit()] or [0]
    place = chance.choice(places)
    return (
        content[:place] + chance.choice((b"9999999999", b"-", b"e", b".", b"nan", b"inf", b",")) + content[place + 1 :]
    )


def _lines(content: bytes, chance: random.Random, change: Callable[[list[bytes], random.Random], list[bytes]]) -> bytes:
    return b"".join(change(content.splitlines(keepends=True), chance))


def _lost_line(lines: list[bytes], chance: random.Random) -> list[bytes]:
    del lines[chance.randrange(len(lines))]
    return lines


def _swapped_lines(lines: list[bytes], chance: random.Random) -> list[bytes]:
    first, second = (chance.randrange(len(lines)) for _ in range(2))
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def _doubled_line(lines: list[bytes], chance: random.Random) -> list[bytes]:
    place = chance.randrange(len(lines))
    return [*lines[: place + 1], *lines[place:]]


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys or places."""
    found: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        found += [(document, key) for key in document]
    elif isinstance(document, list):
        found += [(document, place) for place in range(len(document))]
    return found + [place for container, key in found for place in _places(container[key])]


def _dumped(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _odd_value(document: Any, chance: random.Random) -> bytes:
    container, key = chance.choice(_places(document))
    container[key] = chance.choice(ODD)
    return _dumped(document)


def _odd_top(document: Any, chance: random.Random) -> bytes:
    document[chance.choice([*document])] = chance.choice(ODD)
    return _dumped(document)


def _constant(document: Any, chance: random.Random) -> bytes:
    container, key = chance.choice(_places(document))
    container[key] = "@@here@@"
    return _dumped(document).replace(b'"@@here@@"', chance.choice(CONSTANTS).encode())


def _deleted(document: Any, chance: random.Random) -> bytes:
    del document[chance.choice([*document])]
    return _dumped(document)


def _list_of(document: Any, chance: random.Random) -> list[Any]:
    found = [container[key] for container, key in _places(document) if isinstance(container[key], list)]
    return chance.choice([values for values in found if values] or [[0]])


def _longer(document: Any, chance: random.Random) -> bytes:
    values = _list_of(document, chance)
    values.append(values[0])
    return _dumped(document)


def _shorter(document: Any, chance: random.Random) -> bytes:
    _list_of(document, chance).pop()
    return _dumped(document)


def _negative(document: Any, chance: random.Random) -> bytes:
    numbers = [(c, k) for c, k in _places(document) if isinstance(c[k], int | float) and not isinstance(c[k], bool)]
    container, key = chance.choice(numbers)
    container[key] = -container[key]
    return _dumped(document)


def _deep(document: Any, chance: random.Random) -> bytes:
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    name = json.dumps(chance.choice([*document]))
    rest = _dumped(document).strip()[1:]
    return f"{{{name}: {opening * DEEP}0{closing * DEEP}, ".encode() + rest


def _twice(document: Any, chance: random.Random) -> bytes:
    name = json.dumps(chance.choice([*document]))
    return f"{{{name}: 0, ".encode() + _dumped(document).strip()[1:]


_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut off": lambda content, c: content[: c.randrange(len(content))],
    "empty": lambda content, c: b"",
    "zeros only": lambda content, c: bytes(len(content)),
    "page of zeros": _zeroed,
    "page of noise": _noise,
    "bit flipped": _flipped,
    "bit flipped elsewhere": _flipped,
    "digit changed": _digit,
    "digit changed elsewhere": _digit,
    "line lost": lambda content, c: _lines(content, c, _lost_line),
    "lines swapped": lambda content, c: _lines(content, c, _swapped_lines),
    "line doubled": lambda content, c: _lines(content, c, _doubled_line),
    "written twice": lambda content, c: content + content,
    "one line of a megabyte": lambda content, c: content + b"7" * 10**6,
    "UTF-16": lambda content, c: content.decode(errors="replace").encode("utf-16"),
    "a page of HTML": lambda content, c: b"<!doctype html><title>Sign in to the guest network</title>",
}
_JSON: dict[str, Callable[[Any, random.Random], bytes]] = {
    "odd value": _odd_value,
    "odd value at the top": _odd_top,
    "odd constant": _constant,
    "key lost": _deleted,
    "list longer": _longer,
    "list shorter": _shorter,
    "sign changed": _negative,
    "deep": _deep,
    "key twice": _twice,
}
