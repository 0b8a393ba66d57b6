"""How the `retail` command ends and what it takes: exit codes, errors as JSON, and options by their older names.

Exit codes: DONE; FAILED, a named error; WRONG_ARGUMENTS; CHECK_FAILED, what `retail run --strict` says of a check;
UNFORESEEN, a fault of ours that is kept in a report; STOPPED; UNREAD, as the shell says of a command whose reader left.
"""

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from retail_assets.commands.standard_streams import NobodyReads, NotWritten
from retail_assets.commands.unforeseen import refusal, report, sentence
from retail_assets.core.errors import RetailError
from retail_assets.core.plain_text import printable
from retail_assets.core.terminal import errors, marked, print_json
from retail_assets.resources.damage import damage
from retail_assets.resources.environments import PROJECT_ROOT

DONE, FAILED, WRONG_ARGUMENTS, CHECK_FAILED, UNFORESEEN, STOPPED, UNREAD = 0, 1, 2, 3, 70, 130, 141
CODES = {
    DONE: "done",
    FAILED: "a named error: what was wrong, where, and what to do; also `trace price --replay` where the price differs "
    "and `doctor` where something is wrong",
    WRONG_ARGUMENTS: "wrong arguments",
    CHECK_FAILED: "`run --strict`: everything was done, and a check failed that is more than a warning",
    UNFORESEEN: "a fault of ours: one sentence, and a file with everything we need to know of it",
    STOPPED: "stopped by Ctrl-C",
    UNREAD: "whoever read its standard output stopped reading, as `head` does",
}
RENAMED: dict[tuple[str, ...], dict[str, str]] = {
    ("backtest", "forecasting"): {"--target": "--units", "--known": "--covariates"},
    ("backtest", "pricing"): {"--controls": "--covariates"},
    ("forecast", "what-if"): {"--plot": "--html"},
    ("rollback",): {"--to": "--version"},
    ("serve",): {"--products": "--product"},
}
"""Options of commands by an older name. One thing has one name in every command."""
POSITIONAL = {("replay",): "--mapping"}
"""Options that have become arguments."""
MAY_BE_EMPTY = ("--reason",)
"""Options that are as good as left out without a value."""


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code; with `--json` every error is one JSON document on standard output."""
    given = by_new_names(arguments)
    as_json = "--json" in given
    if (what := empty_value(given)) is not None:
        todo = "give it a value, or leave it out; is a variable of the shell empty?"
        return _failed(WrongArguments(what, todo=todo), as_json, WRONG_ARGUMENTS)
    try:
        code = _ended(app, given, as_json)
        sys.stdout.flush()  # what is written late is refused late: not at Python's own end, where nobody says it
        return code
    except NobodyReads:
        return UNREAD
    except RetailError as error:
        return _failed(error, as_json)
    except typer.Abort:
        _print("aborted", "nothing was done: it was not confirmed", None, "--yes answers for scripts")
        return FAILED
    except typer.TyperException as error:
        _print("wrong_arguments", _said(error), None, f"see `{_path(error)} --help`")
        return WRONG_ARGUMENTS
    except Exception as error:  # noqa: BLE001 - the last one to see it: nobody is shown a traceback
        refused = damage(error) or refusal(error)
        return _failed(refused, as_json) if refused else _unforeseen(error, given, as_json)


def _ended(app: typer.Typer, given: Sequence[str], as_json: bool) -> int:
    try:
        return int(app(given, standalone_mode=not as_json) or DONE)
    except SystemExit as end:  # how a command ends that speaks to a person
        return int(end.code or DONE)


def _failed(error: RetailError, as_json: bool, code: int = FAILED) -> int:
    said = Text.assemble(("error:", "bold red"), " ", printable(str(error)))
    errors.print(said, soft_wrap=True)
    if as_json:
        _print(code_of(error), error.what, error.where, error.todo, error.report)
    return code


def _unforeseen(error: Exception, given: Sequence[str], as_json: bool) -> int:
    logs = Path(os.environ.get("RETAIL_HOME") or PROJECT_ROOT / ".retail", "logs")
    file = report(error, given, logs if logs.parent.is_dir() else Path(tempfile.gettempdir()))
    todo = "what was there before is as it was; send us that file (look through it first: it may name rows of yours)"
    return _failed(Unforeseen(sentence(error), where=str(file), todo=todo), as_json, UNFORESEEN)


class WrongArguments(RetailError):
    """Arguments that no command takes."""


class Unforeseen(RetailError):
    """A fault of ours; `where` is the file that says everything about it."""


def code_of(error: RetailError) -> str:
    """A stable name of the kind of an error: its class in snake case (`unknown_decision`)."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def _print(code: str, message: str, where: str | None, todo: str | None, report: dict[str, Any] | None = None) -> None:
    with suppress(NotWritten, NobodyReads):  # the exit code and standard error say it, too
        print_json({"error": {"code": code, "message": message, "where": where, "todo": todo}} | (report or {}))
        sys.stdout.flush()


def _said(error: typer.TyperException) -> str:
    said: Any = getattr(error, "format_message", None)
    return str(said() if said else error)


def _path(error: typer.TyperException) -> str:
    context: Any = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "retail"


def empty_value(words: Sequence[str]) -> str | None:
    """Where a value of a command is empty or blank; None for nowhere.

    Nothing is the beginning of every version, and `--store ""` is not every store: whoever wrote it meant a value.
    """
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if equals and not value.strip() and option not in MAY_BE_EMPTY:
            return f"nothing stands behind {option}" if option.startswith("-") else "an argument is empty"
    return None


def by_new_names(arguments: Sequence[str]) -> list[str]:
    """`arguments` with options by the names they have now; says so where an older one was used."""
    given = list(arguments)
    for command, names in RENAMED.items():
        if tuple(given[: len(command)]) == command:
            given = [_renamed(word, names) for word in given]
    for command, option in POSITIONAL.items():
        if tuple(given[: len(command)]) == command and any(word.split("=")[0] == option for word in given):
            given = _positional(given, option)
    return given


def _renamed(word: str, names: dict[str, str]) -> str:
    name, equals, value = word.partition("=")
    if name not in names:
        return word
    _warn(f"{name} is now called {names[name]}")
    return f"{names[name]}{equals}{value}"


def _positional(words: list[str], option: str) -> list[str]:
    _warn(f"{option} is an argument now: give it last, without {option}")
    kept: list[str] = []
    values: list[str] = []
    follows = False
    for word in words:
        if follows or word.startswith(f"{option}="):
            values.append(word.removeprefix(f"{option}="))
        elif word != option:
            kept.append(word)
        follows = word == option
    return [*kept, *values]


def _warn(said: str) -> None:
    errors.print(marked("[yellow]warning:[/] {}; the old name still works", said))
