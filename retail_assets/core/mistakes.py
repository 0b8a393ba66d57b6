"""What is wrong with the content of a settings file, in plain words and by the place where it stands in the file.

Pydantic finds most of it. What it takes although nobody means it is found here: a number where a day stands (it would
count as seconds since 1970), `true` or `1e2` where a whole number does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError

from retail_assets.core.spelling import as_written, did_you_mean

Location = tuple[str | int, ...]
Mistake = Mapping[str, Any]
LONGEST = 60  # characters of a value that is shown
WANTED: tuple[tuple[str, str], ...] = (
    ("datetime_", "an instant (2026-03-31T12:00:00Z)"),
    ("date_", "a day (2026-03-31)"),
    ("time_delta_", "a length of time (P1DT12H)"),
    ("time_", "a time of day (12:30)"),
    ("int_", "a whole number"),
    ("float_", "a number"),
    ("decimal_", "a number"),
    ("bool_", "true or false"),
    ("string_type", "text"),
    ("tuple_type", "a list (lines that begin with `- `)"),
    ("list_type", "a list (lines that begin with `- `)"),
    ("set_type", "a list (lines that begin with `- `)"),
    ("frozen_set_type", "a list (lines that begin with `- `)"),
    ("dict_type", "keys with values (`key: value`)"),
    ("model_", "keys with values (`key: value`)"),
)
"""What stands where a mistake of that kind was found; the first that a kind begins with."""
DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
WRITTEN: tuple[tuple[type, str, str], ...] = (
    (datetime, DAY + r"([Tt _].*)?", "datetime_"),
    (date, DAY, "date_"),
    (time, r"[0-9]{2}:[0-9]{2}.*", "time_"),
    (timedelta, r"[-+]?P.*", "time_delta_"),
)
"""How a value of each type is written. Pydantic would also take numbers, and text that consists of digits."""


def mistakes_of(error: ValidationError, content: Any, keys: Iterable[str]) -> list[tuple[Location, str]]:
    """Place and words of everything that `error` finds wrong with `content`, one for each place of the file.

    Of several things that may stand in a place pydantic says what is wrong with each: said is what comes closest.
    """
    found: dict[Location, list[Mistake]] = {}
    # A misspelt key is both unknown and missing; the line to correct is the one that has it.
    for mistake in sorted(error.errors(), key=lambda mistake: mistake["type"] == "missing"):
        place = _place(mistake["loc"], content, mistake["type"] == "missing")
        found.setdefault(place, []).append(mistake)
    inner = {place[:length] for place in found for length in range(len(place))}
    return [
        (place, _said(mistakes, keys))
        for place, mistakes in found.items()
        # A list that is wrong inside is a list; that it is no text does not matter then.
        if not (place in inner and all(_is_of_kind(m) for m in mistakes))
    ]


def _place(location: Sequence[str | int], content: Any, missing: bool) -> Location:
    """`location` without the names of the types that pydantic tried there."""
    place: list[str | int] = []
    for part in location:
        known = range(len(content)) if isinstance(content, list) else content if isinstance(content, dict) else ()
        if part in known:
            content = content[part]
            place.append(part)
        elif missing and part == location[-1]:
            place.append(part)
    return tuple(place)


def _is_of_kind(mistake: Mistake) -> bool:
    return str(mistake["type"]).endswith("_type")


def _said(mistakes: list[Mistake], keys: Iterable[str]) -> str:
    ours = [str(m["msg"]).partition(", ")[2] for m in mistakes if m["type"] in ("value_error", "assertion_error")]
    if ours:
        return ours[0]
    closest = [m for m in mistakes if not _is_of_kind(m)] or mistakes
    said = list(dict.fromkeys(_problem(mistake, keys) for mistake in closest))
    first, last = ", ".join(said[:-1]), said[-1]
    told = f"{first} or {last.removeprefix('must be ')}".replace(", must be ", ", ") if first else last
    return told + (_not(closest[0]["input"]) if told.startswith("must ") else "")


def _problem(mistake: Mistake, keys: Iterable[str]) -> str:
    """What is wrong, without the value; it begins with `must` where the value is to be said behind it."""
    kind, text = str(mistake["type"]), str(mistake["msg"])
    if kind == "extra_forbidden":
        return f"there is no such key{did_you_mean(str(mistake['loc'][-1]), keys)}"
    if kind == "missing":
        return "this key is missing"
    if kind == "too_short":
        return f"must have {mistake['ctx']['min_length']} or more entries"
    wanted = next((words for name, words in WANTED if kind.startswith(name)), None)
    return f"must be {wanted}" if wanted else re.sub(r"^\w+ should", "must", text)


def _not(value: object) -> str:
    if value is None:
        return ", nothing stands there"
    text = str(as_written(value))
    return f", not {text if len(text) <= LONGEST else f'{text[:LONGEST]}...'!r}"


def mistyped(content: Any, read: Any, place: Location = ()) -> Iterator[tuple[Location, str]]:
    """Place and words of every value in `content` that was `read` as something that nobody writes so."""
    if isinstance(read, BaseModel) and isinstance(content, dict):
        names = {field.alias or name: name for name, field in type(read).model_fields.items()}
        values = {key: getattr(read, name) for key, name in names.items() if key in content} | (read.model_extra or {})
        for key, value in values.items():
            yield from mistyped(content.get(key), value, (*place, key))
    elif isinstance(read, dict) and isinstance(content, dict) and len(read) == len(content):
        for key, value in zip(content, read.values(), strict=True):
            yield from mistyped(content[key], value, (*place, key))
    elif isinstance(read, list | tuple) and isinstance(content, list) and len(read) == len(content):
        for i, value in enumerate(read):
            yield from mistyped(content[i], value, (*place, i))
    elif (kind := _not_so_written(content, read)) is not None:
        yield place, f"must be {dict(WANTED)[kind]}{_not(content)}"


def _not_so_written(written: Any, read: Any) -> str | None:
    """The kind of `read`, where `written` is none such for anybody who looks at it."""
    for of, pattern, kind in WRITTEN:
        if isinstance(read, of):
            return None if isinstance(written, str) and re.fullmatch(pattern, written) else kind
    if isinstance(read, bool):
        return "bool_" if isinstance(written, int | float) and not isinstance(written, bool) else None
    if isinstance(read, int):
        return "int_" if isinstance(written, bool | float) else None
    return "float_" if isinstance(read, float | Decimal) and isinstance(written, bool) else None
