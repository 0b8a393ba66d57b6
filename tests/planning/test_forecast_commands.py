"""`retail forecast` as a person uses it: what it shows, and what it says to a wrong question."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from retail_assets.cli import app
from retail_assets.commands import forecast as forecast_commands
from retail_assets.core.errors import RetailError
from retail_assets.resources.environments import Home
from tests.planning.small_plan import ORIGIN
from tests.planning.small_plan import forecasts as made


@pytest.fixture
def asked(plan_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("RETAIL_HOME", str(plan_home.root))
    return plan_home


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What a command prints for people."""
    written = StringIO()
    monkeypatch.setattr(forecast_commands, "console", Console(file=written, width=160))
    return written


def retail(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["forecast", *arguments])


def refused(*arguments: str) -> str:
    result = retail(*arguments)
    assert result.exit_code != 0
    if isinstance(result.exception, RetailError):
        return str(result.exception)
    assert isinstance(result.exception, SystemExit), "a usage error, not a stack trace"
    return " ".join(result.output.replace("│", " ").split())


def test_show_prints_the_days_and_their_sum(asked: Home, said: StringIO) -> None:
    rows = made().query("store_id == 'US-001' and sku == 'SKU-00001'")
    printed = retail("show", "--store", "US-001", "--sku", "SKU-00001")
    assert printed.exit_code == 0, printed.exception
    assert "Mon 08 Jun 2026" in said.getvalue() and f"28 days: {rows['mean'].sum():.1f} units" in said.getvalue()
    document = json.loads(retail("show", "--store", "US-001", "--sku", "SKU-00001", "--json").stdout)
    assert [day["mean"] for day in document["days"]] == rows["mean"].tolist()
    assert document["days"][0]["date"] == "2026-06-08" and document["model_version"] == "v1"
    assert document["rung"] == "own history" and "made from: own history" in said.getvalue()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--store", "US-999", "--sku", "SKU-00001"), "there is no store_id 'US-999'"),
        (("--store", "US-001", "--sku", "SKU-9"), "there is no sku 'SKU-9'"),
        (("--store", "US-001", "--sku", "SKU-00001", "--origin", "2026-01-01"), f"use one of {ORIGIN}"),
        (("--store", "US-001", "--sku", "SKU-00001", "--origin", "1.1.26"), "1.1.26"),
    ],
)
def test_show_says_what_is_wrong(asked: Home, arguments: tuple[str, ...], says: str) -> None:
    assert says in refused("show", *arguments)


def test_export_says_what_it_wrote(asked: Home, tmp_path: Path, said: StringIO) -> None:
    out = tmp_path / "plan.csv"
    assert retail("export", "--out", str(out)).exit_code == 0
    printed = said.getvalue()
    assert "504 forecasts of level sku_store from 2026-06-07 by v1" in printed and out.exists()
    assert json.loads(retail("export", "--out", str(out), "--json").stdout)["metadata"]["rows"] == 504
    assert "use one of .csv" in refused("export", "--out", str(tmp_path / "plan.doc"))
