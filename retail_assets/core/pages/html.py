"""The parts of an HTML page: shell, section, legend, details. Pure, and self-contained: no address from outside."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("page.css")


def document(title: str, body: str, *styles: Path) -> str:
    """A whole page, readable in light and dark. `styles` are files of CSS that come after the common one."""
    style = "".join(file.read_text(encoding="utf-8") for file in (STYLE, *styles))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, body: str) -> str:
    """A headline and what stands below it. `title` is text, `body` HTML."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def details(title: str, body: str) -> str:
    """What opens when somebody asks for it."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def legend(key: Sequence[tuple[str, str]]) -> str:
    """Signs (SVG in a box of 14 by 14) with the words for them."""
    signs = "".join(f'<svg viewBox="0 0 14 14" class="key">{sign}</svg> {escape(words)}' for sign, words in key)
    return f'<p class="legend">{signs}</p>'
