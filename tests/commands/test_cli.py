"""The command line as a person uses it, wrong arguments included."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from retail_assets.cli import app
from retail_assets.commands import command_line

Retail = Callable[..., "CompletedProcess[str]"]


def test_help_lists_every_command(retail: Retail, tmp_path: Path) -> None:
    printed = retail(tmp_path, "--help").stdout
    for command in (
        "demo",
        "run",
        "status",
        "import",
        "replay",
        "rebuild",
        "models",
        "promote",
        "rollback",
        "pin",
        "releases",
        "dev",
        "sample",
        "clean",
        "prices",
    ):
        assert command in printed


def test_status_of_an_empty_home_says_how_to_start(retail: Retail, tmp_path: Path) -> None:
    assert "retail demo" in retail(tmp_path / "none", "status").stdout
    assert json.loads(retail(tmp_path / "none", "status", "--json").stdout)["sources"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("stauts",), 2, "No such command"),
        (("import", "no-such-mapping.yaml", "."), 1, "no-such-mapping.yaml"),
        (("replay", "no_such_source"), 1, "no_such_source"),
        (("rebuild",), 2, "--full"),
        (("rebuild", "--from", "2026-02-02", "--to", "2026-02-01"), 2, "before"),
        (("rebuild", "--from", "02.02.2026"), 2, "02.02.2026"),
        (("sample", "--scale", "giant"), 1, "giant"),
        (("sample", "--days", "0"), 2, "--days"),
        (("promote", "pricing", "newest"), 1, "is not stored"),
        (("promote", "bread", "newest"), 1, "use forecasting or pricing"),
        (("promote", "pricing", "newest", "--force"), 2, "--reason"),
        (("promote", "pricing", "newest", "--canary", "120%"), 2, "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "some"), 2, "'some'"),
        (("withdraw", "pricing"), 1, "they run on: none"),
        (("rollback", "pricing"), 1, "versions to go back to: none"),
        (("rollback", "pricing", "--target", "store-238"), 1, "'store-238' is not a target"),
        (("serve", "--target", "store-238"), 1, "'store-238' is not a target"),
        (("releases", "diff", "pricing", "abc"), 1, "is not stored"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(
    arguments: tuple[str, ...], code: int, says: str, retail: Retail, tmp_path: Path
) -> None:
    done = retail(tmp_path / "home", *arguments, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert says in done.stdout + done.stderr


def test_an_unknown_environment_is_named(retail: Retail, tmp_path: Path) -> None:
    done = retail(tmp_path, "status", check=False, environment={"RETAIL_ENV": "staging"})
    assert done.returncode == 1
    assert "'staging' is not an environment" in done.stderr


def test_clean_refuses_a_folder_that_is_not_a_home(retail: Retail, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    done = retail(tmp_path, "clean", "--yes", check=False)
    assert done.returncode == 1
    assert (tmp_path / "precious.txt").exists()


def test_clean_asks_first(retail: Retail, tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    assert retail(tmp_path, "clean", check=False).returncode == 1
    assert (tmp_path / "landing").exists()
    retail(tmp_path, "clean", "--yes")
    assert not tmp_path.exists()


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("keys", "add", "x", "--scope", "price", "--rate", "inf"), "--rate"),
        (("keys", "add", "x", "--scope", "price", "--burst", "1e400"), "--burst"),
        (("keys", "add", "x", "--scope", "price", "--days", "999999999"), "--days"),
        (("sample", "--days", "99999999"), "--days"),
        (("serve", "--rate", "-1"), "--rate"),
        (("dev", "--ui-port", "99999999"), "--ui-port"),
        (("stores", "centre", "--port", "99999999"), "--port"),
    ],
)
def test_a_number_that_nobody_means_is_a_wrong_argument(
    arguments: tuple[str, ...], option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("RETAIL_HOME", str(tmp_path / "home"))
    assert command_line.run(app, arguments) == command_line.WRONG_ARGUMENTS
    assert f"Invalid value for '{option}'" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
