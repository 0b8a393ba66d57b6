"""How commands end and what they print: errors as JSON, exit codes, older names of options, narrow terminals."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from rich.console import Console

from retail_assets.cli import app
from retail_assets.commands.command_line import (
    CODES,
    FAILED,
    RENAMED,
    WRONG_ARGUMENTS,
    by_new_names,
    code_of,
    empty_value,
)
from retail_assets.core.errors import RetailError
from retail_assets.core.terminal import print_table
from retail_assets.planning.read import UnknownForecast

Retail = Callable[..., "CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("arguments", "code", "name", "says"),
    [
        (("prices", "--json"), FAILED, "retail_error", "no price is published"),
        (("replay", "no_such_source", "--json"), FAILED, None, "no_such_source"),
        (("models", "--at", "yesterday", "--json"), WRONG_ARGUMENTS, "wrong_arguments", "yesterday"),
        (("stauts", "--json"), WRONG_ARGUMENTS, "wrong_arguments", "No such command"),
        (("prices", "approve", "--json"), WRONG_ARGUMENTS, "wrong_arguments", "BATCH"),
        (("promote", "pricing", "newest", "--force", "--json"), WRONG_ARGUMENTS, "wrong_arguments", "say why"),
        (("promote", "bread", "newest", "--yes", "--json"), FAILED, None, "bread"),
    ],
)
def test_errors_under_json_are_one_document_on_standard_output(
    retail: Retail, tmp_path: Path, arguments: tuple[str, ...], code: int, name: str | None, says: str
) -> None:
    ended = retail(tmp_path / "none", *arguments, check=False)
    assert ended.returncode == code
    error = json.loads(ended.stdout)["error"]
    assert set(error) == {"code", "message", "where", "todo"}
    assert says in error["message"]
    assert name in (None, error["code"])
    assert error["todo"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["promote", "pricing", "", "--yes"], "an argument is empty"),
        (["promote", "--yes", "", "x"], "nothing stands behind --yes"),
        (["shadow", "pricing", " "], "an argument is empty"),
        (["rollback", "pricing", "--version", ""], "nothing stands behind --version"),
        (["rollback", "pricing", "--version="], "nothing stands behind --version"),
        (["prices", "approve", "b1", "--store", ""], "nothing stands behind --store"),
        (["prices", "approve", ""], "an argument is empty"),
        (["quarantine", "pos_lines", "--undo", "", "--reason", "x"], "nothing stands behind --undo"),
        (["trace", "price", "--decision", ""], "nothing stands behind --decision"),
        (["models", "--target="], "nothing stands behind --target"),
        (["promote", "pricing", "newest", "--reason", "", "--yes"], None),
        (["promote", "pricing", "newest", "--reason=", "--yes"], None),
        (["prices", "stop", "--chain", "--reason", "--store="], "nothing stands behind --store"),
        ([], None),
    ],
)
def test_an_empty_value_is_none(words: list[str], says: str | None) -> None:
    assert empty_value(words) == says


def test_an_empty_variable_of_the_shell_promotes_nothing(retail: Retail, tmp_path: Path) -> None:
    ended = retail(tmp_path / "none", "promote", "pricing", "", "--yes", "--json", check=False)
    assert ended.returncode == WRONG_ARGUMENTS
    error = json.loads(ended.stdout)["error"]
    assert (error["code"], error["message"]) == ("wrong_arguments", "an argument is empty")
    assert "an argument is empty" in ended.stderr


def test_codes_are_the_kinds_of_errors_and_do_not_change() -> None:
    assert code_of(UnknownForecast("x")) == "unknown_forecast"
    assert code_of(RetailError("x")) == "retail_error"
    assert sorted(CODES) == [0, 1, 2, 3, 70, 130, 141]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["rollback", "pricing", "--to", "abc"], ["rollback", "pricing", "--version", "abc"]),
        (["rollback", "pricing", "--to=abc"], ["rollback", "pricing", "--version=abc"]),
        (["serve", "--products", "pricing"], ["serve", "--product", "pricing"]),
        (["forecast", "what-if", "--plot", "a.png"], ["forecast", "what-if", "--html", "a.png"]),
        (["replay", "pos_lines", "--mapping", "m.yaml", "--json"], ["replay", "pos_lines", "--json", "m.yaml"]),
        (["replay", "--mapping=m.yaml", "pos_lines"], ["replay", "pos_lines", "m.yaml"]),
        (["rebuild", "--to", "2026-01-01"], ["rebuild", "--to", "2026-01-01"]),
    ],
)
def test_older_names_still_work_and_are_warned_of(
    old: list[str], new: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_new_names(old) == new


def test_a_warning_names_the_new_name(retail: Retail, tmp_path: Path) -> None:
    ended = retail(tmp_path, "rollback", "pricing", "--to", "abc", "--yes", "--json", check=False)
    assert "--to is now called --version" in ended.stderr
    assert json.loads(ended.stdout)["error"]["code"] != "wrong_arguments"


def test_no_option_has_a_name_that_was_given_up() -> None:
    from typer.main import get_command

    for path, names in RENAMED.items():
        command = get_command(app)
        for part in path:
            command = command.commands[part]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(names.values()) <= known, path
        assert not set(names) & known, path


COLUMNS = ("product", "target", "version", "share", "reason")
ROWS = [("forecasting", "cloud", "1f4195d404f9", "1,234,567", "passed 26 comparisons with floors and baselines " * 2)]


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_no_word_and_no_number_is_cut_however_narrow_the_terminal(width: int) -> None:
    out = StringIO()
    print_table(Console(file=out, width=width), COLUMNS, ROWS, title="Models", numbers=["share"], long=["reason"])
    said = out.getvalue()
    assert max(map(len, said.splitlines())) <= width
    for word in ("forecasting", "cloud", "1f4195d404f9", "1,234,567", "comparisons"):
        assert word in said, said
    assert "…" not in said


@pytest.mark.parametrize("command", ["models", "status"])
def test_models_and_status_can_be_read_at_sixty_columns(tiny_home: Path, retail: Retail, command: str) -> None:
    said = retail(tiny_home, command, environment={"COLUMNS": "60"}).stdout
    assert "…" not in said
    live = json.loads(retail(tiny_home, "models", "--json").stdout)
    for release in live:
        for word in (release["product"], release["target"], release["version"]):
            assert word in said
    if command == "models":
        assert "comparisons" in said
