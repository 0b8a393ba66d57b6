"""Text that others wrote, as a person may see it: nothing in it steers what shows it."""

import re

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""What steers a terminal instead of being shown: escape sequences, backspaces, marks that turn text around."""


def printable(text: str) -> str:
    """`text` with what steers a terminal, or what none takes, written out; line ends and tabs stay."""
    return STEERING.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def one_line(value: object) -> str:
    """`value` as text that is shown in one line."""
    return printable(str(value)).replace("\n", "\\n").replace("\t", "\\t")
