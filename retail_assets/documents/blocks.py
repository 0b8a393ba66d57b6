"""Made blocks of a document: what stands between `<!-- made: NAME -->` and `<!-- end -->` is written by a program."""

import re
from collections.abc import Mapping

from retail_assets.core.errors import RetailError

BLOCK = re.compile(r"(?P<begin><!-- made: (?P<name>[^\n]*?) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
HOW = "`make docs` writes what is made in the documents"


class DocumentError(RetailError):
    """A document asks for a block that nothing makes."""


def names(text: str) -> list[str]:
    """The names of the made blocks of a document, in their order."""
    return [match["name"] for match in BLOCK.finditer(text)]


def filled(text: str, made: Mapping[str, str]) -> str:
    """`text` with every block that `made` has replaced; raises DocumentError for a block of a name not in it."""
    unknown = sorted(set(names(text)) - set(made))
    if unknown:
        raise DocumentError(f"nothing makes the block {unknown[0]!r}", todo=f"use one of {', '.join(sorted(made))}")
    return BLOCK.sub(lambda match: f"{match['begin']}{made[match['name']]}\n{match['end']}", text)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A markdown table; a `|` within a cell is written so that it ends none."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
