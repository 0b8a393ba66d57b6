"""Text with other letters and digits of the same kinds, the same ones for the same word under one key."""

import hmac
import re
from itertools import groupby

from retail_assets.sources.other_letters import SIGNS, is_byte, is_part_of_word, other_byte, others

KINDS = "true false null none nan inf infinity epoch yes no na utc gmt am pm"
CURRENCIES = "usd eur gbp chf sek nok dkk pln czk jpy cad aud inr brl mxn cny"
KEPT = frozenset([*KINDS.split(), *CURRENCIES.split()])
CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:\s?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?"
# A name of a month stays in a date only: May and Jan are people, too.
MONTH = (
    r"(?i:jan(?:uary?|vier)?|feb(?:ruary?)?|mar(?:ch|zo|s)?|apr(?:ile?)?|may|mai|june?|juni|july?|juli|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
NAMED = rf"[0-9]{{1,2}}[ -]{MONTH}[ -][0-9]{{2,4}}|{MONTH} [0-9]{{1,2}},? [0-9]{{4}}"
COMPACT = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
DAY = (
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:[0-9]{4}|[0-9]{2})"
    rf"|{COMPACT}|{NAMED})"
)
PARTS = re.compile(
    rf"(?P<time>(?<![\w.])(?:{DAY}(?:[T ]{CLOCK})?|{CLOCK})(?!\w|\.[0-9]))"
    r"|(?P<number>(?<!\w)[0-9]+(?:\.[0-9]+)*(?:[eE][-+]?[0-9]+)?(?![\w\u0300-\u036f]))"  # a comma may end a field
    r"|(?P<word>(?:[A-Za-z0-9]|[^\x00-\x7f])+)"
)
ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]|\\", re.S)
HAS_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}")
ESCAPED_WORDS = re.compile(r"(?:\\u[0-9a-fA-F]{4}|\w)*\\u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4}|\w)*")
NO_WORD = "\ufffc"  # stands for an escape that is no letter, and is none itself
LOW, HIGH = 0xD800, 0xE000


class Scrambler:
    """Other letters and digits of the same kinds, the same ones for the same word."""

    def __init__(self, key: bytes) -> None:
        self._key, self._known = key, dict[str, str]()
        self.changed = 0

    def text(self, content: bytes) -> bytes:
        """`content`, UTF-8 but for single bytes, with its words and numbers replaced."""
        return self.words(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def words(self, text: str) -> str:
        """`text` with its words and numbers replaced; times and single ASCII signs stay. Its length stays."""
        if "\\" not in text or not HAS_ESCAPE.search(text):
            return PARTS.sub(self._part, text)
        made, at = list[str](), 0
        for found in ESCAPED_WORDS.finditer(text):
            made += [PARTS.sub(self._part, text[at : found.start()]), self.escaped(found.group())]
            at = found.end()
        return "".join([*made, PARTS.sub(self._part, text[at:])])

    def escaped(self, text: str) -> str:
        r"""`text` between the quotes of a JSON string: `Jos\u00e9` is replaced as José is, and written as it was."""
        if "\\" not in text:
            return PARTS.sub(self._part, text)
        units = ESCAPE.findall(text)
        made = PARTS.sub(self._part, "".join(map(_meant, units)))
        return "".join(_written(unit, sign) for unit, sign in zip(units, made, strict=True))

    def noise(self, value: bytes) -> bytes:
        """As many other bytes, the same ones for the same value."""
        self.changed += bool(value)
        return self._stream(value, len(value))

    def _stream(self, value: bytes, length: int) -> bytes:
        made = digest = hmac.digest(self._key, value, "sha256")
        while len(made) < length:
            digest = hmac.digest(self._key, digest, "sha256")
            made += digest
        return made[:length]

    def _part(self, found: "re.Match[str]") -> str:
        said = found.group()
        if found.lastgroup == "time":
            return said
        if found.lastgroup == "number":
            mantissa, exponent = re.fullmatch(r"([^eE]+)(.*)", said, re.S).groups()  # type: ignore[union-attr]
            return self._word(mantissa) + exponent
        return self._word(said) if said.isascii() else self._mixed(said)

    def _mixed(self, said: str) -> str:
        """Words of any script, and the signs between them."""
        is_word = [is_part_of_word(sign) for sign in said]
        for at in _sequences(said):
            is_word[at] = True
        runs = groupby(zip(said, is_word, strict=True), key=lambda pair: pair[1])
        parts = ((inside, "".join(sign for sign, _ in run)) for inside, run in runs)
        halves = any(map(is_byte, said))  # then one ASCII letter may be the second half of a letter, as in Shift-JIS
        return "".join(self._word(part, halves) if inside else part for inside, part in parts)

    def _word(self, said: str, alone: bool = False) -> str:
        stays = len(said) == 1 and (said.isdecimal() or (said.isascii() and not alone))
        if stays or said.lower() in KEPT:
            return said
        if said not in self._known:
            self._known[said] = self._made(said)
        self.changed += self._known[said] != said
        return self._known[said]

    def _made(self, said: str) -> str:
        """Zeros in front stay, and what was no zero does not become one: a count stays a count."""
        meant = _as_latin(said)
        digest = self._stream(meant.encode("utf-8", "surrogatepass"), 2 * len(said))
        made, leading = list[str](), True
        for at, sign in enumerate(said):
            chance = digest[2 * at] << 8 | digest[2 * at + 1]
            if is_byte(sign):
                made.append(_same_in_both(sign, meant[at], chance, said[at + 1 : at + 2]))
                leading = False
            elif not (choice := others(sign)) or (leading and sign.isdecimal() and int(sign) == 0):
                made.append(sign)
            else:
                made.append(choice[chance % len(choice)])
                leading = False
        return "".join(made)


def _as_latin(said: str) -> str:
    """Letters that are one byte as Latin-1 reads them: M\xfcller is the same word in every encoding."""
    if said.isascii():
        return said
    return "".join(chr(ord(sign) - 0xDC00) if "\udcc0" <= sign <= "\udcff" else sign for sign in said)


def _same_in_both(sign: str, meant: str, chance: int, following: str) -> str:
    """As a byte a letter of Latin-1 becomes what it becomes in UTF-8, where that leaves the file as wrong as it was."""
    continued = is_byte(following) and following < "\udcc0"
    if sign != meant and not continued and (choice := others(meant)):
        made = ord(choice[chance % len(choice)])
        if 0xC0 <= made <= 0xFF:
            return chr(0xDC00 + made)
    return chr(0xDC00 + other_byte(ord(sign) - 0xDC00, chance, continued))


def _sequences(said: str) -> list[int]:
    """Places of bytes that stand beside others, as the letters of many-byte encodings do, but not of mere signs."""
    places = list[int]()
    for inside, run in groupby(range(len(said)), key=lambda at: is_byte(said[at])):
        found = list(run)
        if inside and len(found) > 1 and not all(ord(said[at]) - 0xDC00 in SIGNS for at in found):
            places += found
    return places


def _meant(unit: str) -> str:
    """The one sign that `unit` of a JSON string means."""
    if len(unit) == 12:
        return unit.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
    if len(unit) == 6:
        sign = chr(int(unit[2:], 16))
        return NO_WORD if LOW <= ord(sign) < HIGH else sign
    return unit if len(unit) == 1 else NO_WORD


def _written(unit: str, sign: str) -> str:
    """`sign` as `unit` was written."""
    if len(unit) == 1:
        return sign
    if len(unit) == 2 or sign == NO_WORD or sign == _meant(unit):
        return unit
    pair = sign.encode("utf-16-be")
    points = [int.from_bytes(pair[at : at + 2]) for at in range(0, len(pair), 2)]
    digits = "{:04X}" if unit[2:].upper() == unit[2:] and any(c.isupper() for c in unit) else "{:04x}"
    return "".join("\\u" + digits.format(point) for point in points)
