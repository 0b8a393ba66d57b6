"""What every command writes with: a console for people, JSON for scripts, and the options they share."""

import getpass
import json
import os
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, TextIO

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 140
LEAST_WIDTH = 24  # of a column whose text may go on in a second line

Json = Annotated[bool, typer.Option("--json", help="Print data instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
By = Annotated[str | None, typer.Option("--by", help="Who is accountable (default: the user of this machine).")]


def as_day(text: str) -> date:
    """A day as YYYY-MM-DD. Raises typer.BadParameter."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day: write YYYY-MM-DD, as 2026-03-31") from None


def as_instant(text: str) -> datetime:
    """An instant that has been, UTC without an offset; a day is its first second. Raises typer.BadParameter."""
    try:
        instant = datetime.fromisoformat(text)
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


def _console(stream: TextIO) -> Console:
    """A log or a pipe has no width of its own, and the default of 80 columns would cut the tables."""
    return Console(file=stream, width=None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH)


if not os.environ.get("COLUMNS", "0").strip("0"):
    os.environ.pop("COLUMNS", None)  # a terminal that is not known has 0 columns: rich would print nothing at all
console, errors = _console(sys.stdout), _console(sys.stderr)


def print_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    numbers: Collection[str] = (),
    long: Collection[str] = (),
    ends: Collection[int] = (),
) -> None:
    """Prints rows of text as a table; where the terminal is too narrow for whole words and numbers, one by one.

    `numbers` are the columns set to the right, `long` those whose text may go on in a second line, `ends` the places of
    rows below which a line is drawn.
    """
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in numbers else "left",
            no_wrap=name not in long,
            min_width=LEAST_WIDTH if name in long else None,
        )
    for place, row in enumerate(rows):
        table.add_row(*row, end_section=place in ends)
    if _least_width(columns, rows, long) <= console.width:
        console.print(table)
        return
    if title:
        console.print(f"[bold]{title}[/]", highlight=False)
    for row in rows:
        told = [(name, text) for name, text in zip(columns[1:], row[1:], strict=True) if text]
        short = ", ".join(f"{name} {text}" for name, text in told if name not in long)
        lines = [short, *(f"{name}: {text}" for name, text in told if name in long)]
        console.print(f"[bold]{row[0]}[/]", highlight=False)
        for line in filter(None, lines):
            console.print(Padding(line, (0, 0, 0, 2), expand=False), highlight=False)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]], long: Collection[str]) -> int:
    """The width of a table in which no word and no number is cut: its cells, their padding and the lines between."""
    cells = list(zip(*([columns, *rows]), strict=True))
    widest = (max(Text.from_markup(text).cell_len for text in column) for column in cells)
    needed = (
        max(LEAST_WIDTH, Text(name).cell_len) if name in long else width
        for name, width in zip(columns, widest, strict=True)
    )
    return sum(width + 3 for width in needed) + 1


def printable(text: str) -> str:
    """`text` with what no terminal takes (bytes of file names that are no UTF-8) written out."""
    return text.encode(errors="backslashreplace").decode()


def print_json(data: BaseModel | Any) -> None:
    """Writes one JSON document to standard output."""
    document = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
