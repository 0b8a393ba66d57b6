"""Markdown in which text is data: what a retailer calls something is shown as it is, and ends no cell, line or tag."""

import re
from collections.abc import Iterable, Sequence

from retail_assets.core.plain_text import one_line

MEANING = re.compile(r"[\\`*\[\]<>|~&$]|(?<!\w)_|_(?!\w)")
BEGINNING = re.compile(r"^(\d*)([-+#=.)])")
"""What begins a list or a heading, where a line begins."""


class Markdown(str):
    """Text that is Markdown on purpose."""


def shown(value: object) -> Markdown:
    """`value` as a line of Markdown, which shows it as it is."""
    return value if isinstance(value, Markdown) else Markdown(BEGINNING.sub(r"\1\\\2", _cell(value)))


def _cell(value: object) -> str:
    return value if isinstance(value, Markdown) else MEANING.sub(r"\\\g<0>", one_line(value))


def code(value: object) -> Markdown:
    """`value` as code, whatever quotes and lines it has."""
    text = one_line(value)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}".replace("|", "\\|"))


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Markdown:
    """A table with one line per row; cells are text unless they are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    made = (cells if at == 1 else [_cell(cell) for cell in cells] for at, cells in enumerate(lines))
    return Markdown("\n".join(f"| {' | '.join(map(str, cells))} |" for cells in made))


def bullets(items: Iterable[object]) -> Markdown:
    """A list of texts, one line each; `none` where there is none."""
    return Markdown("\n".join(f"- {shown(item)}" for item in items) or "none")


def passed_word(passed: bool) -> Markdown:
    """Whether something passed, the bad news in bold."""
    return Markdown("yes" if passed else "**no**")
