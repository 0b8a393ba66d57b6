"""No command ends in a traceback: the machine's refusals are said in words, all else is kept in a report."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import typer

from retail_assets.commands import command_line
from retail_assets.commands.command_line import FAILED, UNFORESEEN
from retail_assets.commands.unforeseen import refusal, report

Retail = Callable[..., "CompletedProcess[str]"]


def app_that_raises(error: Exception) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command(as_json: bool = typer.Option(False, "--json")) -> None:
        raise error

    return app


def test_a_fault_of_ours_is_one_sentence_and_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("RETAIL_HOME", str(home))
    code = command_line.run(app_that_raises(KeyError("the [bold]key[/]")), ["--json"])
    said = json.loads(capsys.readouterr().out)["error"]
    assert (code, said["code"]) == (UNFORESEEN, "unforeseen")
    assert said["message"] == "something went wrong that should not: KeyError: 'the [bold]key[/]'"
    report = Path(said["where"])
    assert report.parent == home / "logs"
    assert "Traceback" in report.read_text() and "raise error" in report.read_text()


@pytest.mark.parametrize("typed", [["--key", "hush"], ["--key=hush"], ["--token", "hush"]])
def test_no_secret_is_in_a_report(typed: list[str], tmp_path: Path) -> None:
    file = report(KeyError("x"), ["scramble", "a.csv", *typed, "--json"], tmp_path)
    said = file.read_text()
    assert "hush" not in said and "retail scramble a.csv" in said and "--json" in said


def test_where_there_is_no_home_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_HOME", str(tmp_path / "none"))
    assert command_line.run(app_that_raises(KeyError("x")), []) == UNFORESEEN
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "x", "/full/file"), "no space is left on the disk"),
        (PermissionError(errno.EACCES, "x", "/locked/file"), "this user has no right to it"),
        (RuntimeError("Generic LocalFileSystem error: No space left on device (os error 28)"), "no space is left"),
        (RuntimeError("Error: Os { code: 20, kind: NotADirectory }"), "there is a file where a folder should be"),
    ],
)
def test_what_the_machine_refuses_is_said_in_words(error: Exception, says: str) -> None:
    wrapped = RuntimeError("the library's own words")
    wrapped.__cause__ = error
    for raised in (error, wrapped):
        refused = refusal(raised)
        assert refused is not None and says in refused.what and refused.todo
    assert command_line.run(app_that_raises(error), []) == FAILED


def test_what_is_no_refusal_is_none() -> None:
    assert refusal(ValueError("os error of another kind")) is None
    circle = ValueError("a")
    circle.__context__ = circle
    assert refusal(circle) is None


def test_a_home_that_is_a_file(retail: Retail, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    ended = retail(tmp_path / "file", "run", check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (FAILED, False), ended.stderr
    assert "there is a file where a folder should be" in ended.stderr


def test_a_home_that_cannot_be_written(retail: Retail) -> None:
    """Nobody, root neither, makes a folder in /proc."""
    ended = retail(Path("/proc/home"), "sample", "--scale", "tiny", check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (FAILED, False)
    assert "/proc/home" in ended.stderr and "to do:" in ended.stderr


@pytest.mark.parametrize("columns", ["0", "", "000"])
def test_a_terminal_of_no_width_is_printed_to(retail: Retail, tmp_path: Path, columns: str) -> None:
    ended = retail(tmp_path / "home", "--help", environment={"COLUMNS": columns})
    assert "Usage" in ended.stdout
