"""What every command writes with: a console for people, JSON for scripts, and the options they share."""

import csv
import getpass
import json
import os
import re
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, TextIO

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Span, Text

from retail_assets.core.plain_text import one_line, printable

PIPE_WIDTH = 140
DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")  # Python also reads 20260331 and 2026-W14-2
EMPTY_NAME = re.compile(r'(^|,)\s*""\s*(,|$)')
LEAST_WIDTH = 24  # of a column whose text may go on in a second line
Json = Annotated[bool, typer.Option("--json", help="Print data instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
By = Annotated[str | None, typer.Option("--by", help="Who is accountable (default: the user of this machine).")]


def as_day(text: str) -> date:
    """A day as YYYY-MM-DD. Raises typer.BadParameter."""
    try:
        return date.fromisoformat(text if DAY.fullmatch(text) else "")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day: write YYYY-MM-DD, as 2026-03-31") from None


def names_of(text: str) -> tuple[str, ...]:
    """The names in a list with commas; one that holds a comma, or spaces at its ends, or is empty, is put in double
    quotes.
    """
    rows = list(csv.reader([text], skipinitialspace=True))
    empty = EMPTY_NAME.search(text) is not None
    return tuple(_bare(name, text) for name in (rows[0] if rows else []) if name.strip() or (not name and empty))


def _bare(name: str, text: str) -> str:
    """The name without spaces around it, unless it was written with them in quotes."""
    quoted = '"' + name.replace('"', '""') + '"'
    return name if quoted in text else name.strip()


def as_instant(text: str) -> datetime:
    """An instant that has been, UTC without an offset; a day is its first second. Raises typer.BadParameter."""
    try:
        instant = datetime.fromisoformat(text if DAY.match(text) else "")
    except ValueError:
        said = f"{text!r} is no instant: write a day and a time in UTC, as 2026-03-31T12:00"
        raise typer.BadParameter(said) from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    if instant > datetime.now(UTC):
        raise typer.BadParameter(f"{instant} is not yet, by the clock of this machine")
    return instant


def who(by: str | None) -> str:
    """Who is accountable: whoever is named, else the user of this machine."""
    return getpass.getuser() if by is None else by


class Terminal(Console):
    """A console on which text is data: no markup is read in it, and nothing in it steers the terminal."""

    def __init__(self, file: TextIO | None = None, width: int | None = None, stderr: bool = False) -> None:
        super().__init__(file=file, width=width, markup=False, stderr=stderr)

    def render_str(self, text: str, **options: Any) -> Text:
        """`text`, all of it shown."""
        return super().render_str(printable(text), **options)


def _console(stderr: bool) -> Terminal:
    """A log or a pipe has no width of its own, and the default of 80 columns would cut the tables.

    It writes to what standard output is by then; at import there may be none.
    """
    stream: TextIO | None = sys.stderr if stderr else sys.stdout
    is_wide = stream is None or not stream.isatty()
    return Terminal(width=PIPE_WIDTH if is_wide and "COLUMNS" not in os.environ else None, stderr=stderr)


if not os.environ.get("COLUMNS", "0").strip("0"):
    os.environ.pop("COLUMNS", None)  # a terminal that is not known has 0 columns: rich would print nothing at all
console, errors = _console(stderr=False), _console(stderr=True)


def marked(template: str, *values: object) -> Text:
    """`template`, with rich's markup, in which each {} is one of `values`: shown as it is, in one line."""
    place = "\ue000"  # a sign of nobody's, one for each value, so that no value is read as markup
    text = Text.from_markup(template.replace("{}", place))
    ends = [at for at, sign in enumerate(text.plain) if sign == place]
    parts = list(text.divide([offset for at in ends for offset in (at, at + 1)]))
    for part, value in zip(parts[1::2], values, strict=True):
        shown = one_line(value)
        part.plain, part.spans = shown, [Span(0, len(shown), span.style) for span in part.spans]
    return Text().join(parts)


def print_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    title: str | None = None,
    numbers: Collection[str] = (),
    long: Collection[str] = (),
    ends: Collection[int] = (),
) -> None:
    """Prints rows as a table; where the terminal is too narrow for whole words and numbers, one by one.

    Text is data: what has a style is given as rich's `Text`.
    `numbers` are the columns set to the right, `long` those whose text may go on in a second line, `ends` the places of
    rows below which a line is drawn.
    """
    table = Table(title=None if title is None else _cell(title), title_justify="left")
    for name in columns:
        table.add_column(
            _cell(name),
            justify="right" if name in numbers else "left",
            no_wrap=name not in long,
            min_width=LEAST_WIDTH if name in long else None,
        )
    for place, row in enumerate(rows):
        table.add_row(*map(_cell, row), end_section=place in ends)
    if _least_width(columns, rows, long) <= console.width:
        console.print(table)
        return
    if title:
        console.print(marked("[bold]{}[/]", title))
    for cells in rows:
        row = [_cell(cell).plain for cell in cells]
        told = [(name, text) for name, text in zip(columns[1:], row[1:], strict=True) if text]
        short = ", ".join(f"{name} {text}" for name, text in told if name not in long)
        lines = [short, *(f"{name}: {text}" for name, text in told if name in long)]
        console.print(marked("[bold]{}[/]", row[0]))
        for line in filter(None, lines):
            console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))


def _cell(text: str | Text) -> Text:
    return text if isinstance(text, Text) else Text(printable(text))


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], long: Collection[str]) -> int:
    """The width of a table in which no word and no number is cut: its cells, their padding and the lines between."""
    cells = list(zip(*([columns, *rows]), strict=True))
    widest = (max(_cell(text).cell_len for text in column) for column in cells)
    needed = (
        max(LEAST_WIDTH, Text(name).cell_len) if name in long else width
        for name, width in zip(columns, widest, strict=True)
    )
    return sum(width + 3 for width in needed) + 1


def say(text: str) -> None:
    """Writes lines of text to standard output, as they are but for what steers a terminal."""
    sys.stdout.write(printable(text) + "\n")


def print_json(data: BaseModel | Any) -> None:
    """Writes one JSON document to standard output."""
    document = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
