"""How words and numbers are written in a settings file, and which word was most likely meant."""

import difflib
import os
from collections.abc import Iterable

ALIKE = 0.5  # of 1, as difflib measures; `qty` and `quantity` are 0.55


class WrittenInt(int):
    """A whole number of a file, and how it is written there."""

    written: str


class WrittenFloat(float):
    """A number of a file, and how it is written there (`1.50`)."""

    written: str


def as_written(value: object) -> object:
    """The text that stands in the file where `value` is a number or a truth value of it; anything else as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(getattr(value, "written", value)) if isinstance(value, int | float) else value


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` names that `word` is most likely a misspelling of, whatever the case; None for none."""
    wanted = word.lower()
    matcher = difflib.SequenceMatcher(b=wanted)
    scored: list[tuple[float, int, str]] = []
    for name in dict.fromkeys(known):
        matcher.set_seq1(name.lower())
        # Of names equally alike the one that begins alike: `itme` is `item`, not `time`.
        scored.append((matcher.ratio(), len(os.path.commonprefix([wanted, name.lower()])), name))
    best = max(scored, key=lambda score: score[:2], default=(0.0, 0, ""))
    return best[2] if best[0] >= ALIKE else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; the nearest is 'x'`, to be put behind a message about `word`, or nothing."""
    name = nearest(word, known)
    return "" if name is None else f"; the nearest is {name!r}"
