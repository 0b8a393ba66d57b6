"""JSON, whole or broken, one document or lines of them, with other values in it; keys stay where they name columns."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from retail_assets.sources.scrambler import Scrambler

TOKEN = re.compile(r'"(?P<string>(?:[^"\\\n]|\\.)*)(?P<end>"?)(?P<colon>\s*:)?|(?P<sign>[{}\[\]\n])', re.S)
Path = tuple[str, ...]


@dataclass
class _Rows:
    """Objects in one place: how many, how many of them in an array or on lines, how often each key is in one."""

    objects: int = 0
    listed: bool = False
    keys: Counter[str] = field(default_factory=Counter)

    def columns(self) -> set[str]:
        """Keys of most objects. One object that is no element of an array tells nothing: it may be a map of people."""
        if self.objects < 2 and not self.listed:
            return set()
        return {key for key, times in self.keys.items() if 2 * times > self.objects}


@dataclass
class _Open:
    """An object or array that is not closed yet, the key that is being read in it, and those it has had."""

    is_object: bool
    path: Path
    key: str = "{}"
    seen: set[str] = field(default_factory=set)


def scrambled_json(text: str, scrambler: Scrambler, kept_keys: Collection[str]) -> tuple[str, list[str], int]:
    """`text` with its values replaced, the keys that stayed, and how many others were replaced, too."""
    columns = column_keys(text) | set(kept_keys)
    made, at, stayed, gone = list[str](), 0, dict[str, None](), set[str]()
    for token in TOKEN.finditer(text):
        if token["sign"]:
            continue
        made.append(scrambler.words(text[at : token.start()]))
        at = token.end()
        said = token["string"]
        if token["colon"] and _read(said) in columns:
            stayed[_read(said)] = None
        else:
            gone |= {said} if token["colon"] else set()
            said = scrambler.escaped(said)
        made.append(f'"{said}{token["end"]}{token["colon"] or ""}')
    return "".join([*made, scrambler.words(text[at:])]), list(stayed), len(gone)


def column_keys(text: str) -> set[str]:
    """The keys that name columns: those of most objects that are in the same place, whatever the keys on the way."""
    places: dict[Path, _Rows] = {}
    for path, listed, key in _keys(text, _has_lines(text)):
        rows = places.setdefault(path, _Rows())
        if key is None:
            rows.objects += 1
            rows.listed |= listed
        else:
            rows.keys[key] += 1
    return {key for rows in places.values() for key in rows.columns()}


def _has_lines(text: str) -> bool:
    """Whether each line is a document of its own: then a broken one does not touch the next."""
    first, _, more = text.lstrip("\ufeff").partition("\n")
    try:
        return isinstance(json.loads(first), dict) and bool(more.strip())
    except (ValueError, RecursionError):
        return False


def _keys(text: str, has_lines: bool) -> Iterator[tuple[Path, bool, str | None]]:
    """Each object as (its place, whether in an array, None), then its keys, each once; by both sorts of place."""
    stack: list[_Open] = []
    for token in TOKEN.finditer(text):
        sign = token["sign"]
        if sign == "\n":
            stack = [] if has_lines else stack
        elif sign in ("}", "]"):
            stack = stack[:-1]
        elif sign:
            above = stack[-1] if stack else None
            step = () if above is None else (*above.path, above.key if above.is_object else "[]")
            stack.append(_Open(sign == "{", step))
            if sign == "{":
                listed = above is not None and not above.is_object
                yield from ((place, listed, None) for place in _places(step))
        elif token["colon"] and stack and stack[-1].is_object:
            here = stack[-1]
            here.key = _read(token["string"])
            if here.key not in here.seen:
                here.seen.add(here.key)
                yield from ((place, False, here.key) for place in _places(here.path))


def _places(path: Path) -> tuple[Path, Path]:
    """By the names of the keys on the way to it, and without the last: the values of a map are rows as well."""
    named = ("by name", *path)
    last = max((at for at, step in enumerate(path) if step != "[]"), default=None)
    return named, ("by depth", *path) if last is None else ("by depth", *path[:last], "*", *path[last + 1 :])


def _read(said: str) -> str:
    """A key as it is meant, however it is written."""
    if "\\" not in said:
        return said
    try:
        return str(json.loads(f'"{said}"', strict=False))
    except ValueError:
        return said
