"""What every command writes with: a console for people, JSON for scripts, and the options they share."""

import json
import os
import sys
from typing import Annotated, Any, TextIO

import typer
from pydantic import BaseModel
from rich.console import Console

PIPE_WIDTH = 140

Json = Annotated[bool, typer.Option("--json", help="Print data instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _console(stream: TextIO) -> Console:
    """A log or a pipe has no width of its own, and the default of 80 columns would cut the tables."""
    return Console(file=stream, width=None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH)


console, errors = _console(sys.stdout), _console(sys.stderr)


def print_json(data: BaseModel | Any) -> None:
    """Writes one JSON document to standard output."""
    document = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
