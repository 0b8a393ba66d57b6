"""For a letter or digit of any script, the others of its kind: same case, same script, same length in every encoding.

A byte that is no UTF-8 is here as Python's `surrogateescape` gives it (U+DC80 to U+DCFF), and is read as cp1252, whose
letters are where Latin-1 and the Cyrillic, Greek and East Asian code pages have theirs, too.
"""

import string
import unicodedata
from collections.abc import Callable
from functools import lru_cache

FIRST_BYTE, LAST_BYTE = "\udc80", "\udcff"
SIGNS = frozenset(
    b"\x80\x82\x84\x85\x8b\x91\x92\x93\x94\x95\x96\x97\x99\x9b\xa0\xa3\xa5\xa7\xa9\xab\xad\xae\xb0\xb7\xbb"
)
"""Bytes of cp1252 that are quotes, currencies and spaces: alone they may be what a file fails by."""
UNKNOWN_TO_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
LETTER_BYTES = frozenset(range(0x80, 0x100)) - SIGNS - UNKNOWN_TO_CP1252
"""All others: in some code page each of them is a letter, or half of one."""
TWO_WORDS = ("HANGUL", "CJK", "FULLWIDTH", "HALFWIDTH")  # names of several scripts begin so


def is_byte(sign: str) -> bool:
    """Whether `sign` stands for one byte that is no UTF-8."""
    return FIRST_BYTE <= sign <= LAST_BYTE


def is_part_of_word(sign: str) -> bool:
    """Whether `sign` is a letter, a digit or a mark over one, of any script; a byte, if it may be one."""
    return ord(sign) - 0xDC00 in LETTER_BYTES if is_byte(sign) else _is_part_of_word(sign)


@lru_cache(maxsize=65536)
def _is_part_of_word(sign: str) -> bool:
    kind = unicodedata.category(sign)
    if kind[0] in "LNM" or kind == "Co":
        return True
    if kind == "Cn":  # letters of a Unicode later than Python's; the last two of a plane are none and never will be
        return ord(sign) & 0xFFFE != 0xFFFE and not 0xFDD0 <= ord(sign) <= 0xFDEF
    name = unicodedata.name(sign, "") if kind == "So" else ""
    return ("LETTER " in name and "REGIONAL" not in name) or name.startswith("BRAILLE PATTERN")


def other_byte(byte: int, chance: int, continued: bool) -> int:
    """Another byte of the kind of `byte`, chosen by `chance`.

    Before a byte that could go on a UTF-8 sequence only what never begins one: the copy is as wrong as the file.
    """
    if byte >= 0xC0:
        is_upper = byte < 0xE0
        pool = range(0xC0, 0xDF) if is_upper else range(0xE0, 0xFF)
        if continued:
            pool = range(0xC0, 0xC2) if is_upper else range(0xF5, 0xFF)
        candidates = [one for one in pool if one != byte and one not in (0xD7, 0xF7)]
    elif byte < 0xA0:
        candidates = [one for one in range(0x80, 0xA0) if one != byte and one not in UNKNOWN_TO_CP1252]
    else:
        candidates = [one for one in range(0xA1, 0xC0) if one not in (byte, 0xAD)]
    return candidates[chance % len(candidates)]


@lru_cache(maxsize=65536)
def others(sign: str) -> str:
    """The signs of the kind of `sign` without itself; none of what is no part of a word, of a mark, of the only one."""
    for letters in (string.ascii_lowercase, string.ascii_uppercase):
        if sign in letters:
            return letters.replace(sign, "")
    if not _is_part_of_word(sign) or unicodedata.category(sign)[0] == "M":
        return ""
    if (digit := unicodedata.digit(sign, None)) is not None and unicodedata.category(sign) == "Nd":
        return "".join(chr(ord(sign) - digit + value) for value in range(1, 10) if value != digit)
    first = ord(sign) & ~0xFF
    near = [chr(point) for point in range(first, first + 256) if point != ord(sign)]
    for kind in (_exact_kind, _script_kind, _kind):
        if found := _alike(sign, near, kind):
            return found
    return ""


def _alike(sign: str, near: list[str], kind: Callable[[str], tuple[object, ...]]) -> str:
    wanted = kind(sign)
    return "".join(one for one in near if kind(one) == wanted)


def _kind(sign: str) -> tuple[object, ...]:
    return unicodedata.category(sign), len(sign.encode("utf-8", "surrogatepass")), sign.isupper(), sign.islower()


def _script_kind(sign: str) -> tuple[object, ...]:
    words = unicodedata.name(sign, "").split()
    script = words[: 2 if words and words[0] in TWO_WORDS else 1]
    if script[:1] == ["CJK"]:
        script = ["CJK", words[1][:7]]
    return *_kind(sign), *script, unicodedata.bidirectional(sign)


def _exact_kind(sign: str) -> tuple[object, ...]:
    """Of the same width on a screen, and composed of as many signs in every normal form."""
    forms = len(unicodedata.normalize("NFD", sign)), len(unicodedata.normalize("NFKD", sign))
    is_composed = unicodedata.normalize("NFC", sign) == sign
    cased = len(sign.upper()), len(sign.lower())
    return *_script_kind(sign), unicodedata.east_asian_width(sign), *forms, is_composed, *cased
