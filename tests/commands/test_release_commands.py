"""The release commands: what they say, what they ask, what they refuse, and that a refusal leaves the ledger alone."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.console import Console
from typer.testing import CliRunner, Result

from retail_assets.commands.releases import app
from retail_assets.core.errors import RetailError
from retail_assets.releases.ledger import Ledger, LedgerError
from retail_assets.releases.rows import Release, releases_schema
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from tests.releases.stored import saved


class Desk:
    """A home with two stores and two stored versions of pricing, the first of them released."""

    def __init__(self, home: Home) -> None:
        self.said = StringIO()
        self.home, self.lake, self.store = home, Lake.at(home.lake), ModelStore.at(home.models)
        self.lake.overwrite("gold", "dim_store", pa.table({"store_id": ["238", "7"], "country": ["US", "DE"]}))
        self.first, self.second = (saved(self.store, {"wape": 0.4}, day, "pricing") for day in (1, 2))
        Ledger(self.lake).promote("pricing", self.first, by="ann", reason="first")

    def retail(self, *arguments: str, answer: str = "") -> Result:
        """Runs a command in this process."""
        return CliRunner().invoke(app, list(arguments), input=answer)

    def refused(self, *arguments: str) -> str:
        """Runs a command that must be refused and leave no row; returns what was said."""
        before = Ledger(self.lake).version()
        result = self.retail(*arguments)
        assert result.exit_code != 0
        assert Ledger(self.lake).version() == before
        if isinstance(result.exception, RetailError):
            return str(result.exception)
        assert isinstance(result.exception, SystemExit), "a usage error, not a stack trace"
        return " ".join(result.output.replace("│", " ").split())

    def answers(self, target: str) -> str:
        """What `retail models --target` says of pricing."""
        return str(json.loads(self.retail("models", "--target", target, "--json").stdout)[0]["version"])


@pytest.fixture
def desk(home: Home, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("RETAIL_HOME", str(home.root))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    desk = Desk(home)
    monkeypatch.setattr("retail_assets.commands.releases.errors", Console(file=desk.said, width=200))
    return desk


def folder(desk: Desk, version: str) -> Path:
    return desk.store.home / "models" / "pricing" / version


FORCE = ("--force", "--reason", "it breaks a law", "--by", "eve", "--yes")


def test_one_store_is_released_rolled_back_and_the_others_stay(desk: Desk) -> None:
    done = desk.retail("promote", "pricing", "newest", "--target", "store-238", *FORCE)
    assert done.exit_code == 0, done.output
    assert desk.answers("store-238") == desk.second and desk.answers("store-7") == desk.first
    assert desk.retail("rollback", "pricing", "--target", "store-238", "--yes").exit_code == 0
    assert desk.answers("store-238") == desk.first
    assert desk.answers("store-7") == desk.first
    log = json.loads(desk.retail("releases", "log", "--json").stdout)
    assert [row["action"] for row in log] == ["rollback", "promote", "promote"]


def test_as_of_queries_say_what_was_live_then(desk: Desk) -> None:
    between = datetime.now(UTC).isoformat()
    desk.retail("promote", "pricing", "newest", *FORCE)
    then = json.loads(desk.retail("models", "--at", between, "--json").stdout)
    now = json.loads(desk.retail("models", "--json").stdout)
    assert ([r["version"] for r in then], [r["version"] for r in now]) == ([desk.first], [desk.second])
    assert json.loads(desk.retail("models", "--at", "2020-01-01", "--json").stdout) == []
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert "is not yet" in desk.refused("models", "--at", ahead)
    assert "is no instant: write a day" in desk.refused("models", "--at", "yesterday")


def test_what_the_gates_refuse_says_why_and_needs_force_with_a_reason(desk: Desk) -> None:
    said = desk.refused("promote", "pricing", desk.second, "--yes")
    assert "does not pass its gates" in said and "holdout_deviance is missing" in said
    assert "--force needs --reason" in desk.refused("promote", "pricing", desk.second, "--force", "--yes")
    desk.retail("promote", "pricing", desk.second, *FORCE)
    assert "and are overruled" in desk.said.getvalue()
    row = Ledger(desk.lake).log()[-1]
    assert (row.by, row.reason, json.loads(row.gate_report or "")["forced"]) == ("eve", "it breaks a law", True)


def test_a_change_is_said_and_asked_first(desk: Desk) -> None:
    asked = desk.retail("pin", "pricing", answer="n\n")
    assert asked.exit_code == 1 and "Go on?" in asked.output and f"-> {desk.first}" in desk.said.getvalue()
    assert [row.action for row in Ledger(desk.lake).log()] == ["promote"]
    assert desk.retail("pin", "pricing", answer="y\n").exit_code == 0
    assert [row.action for row in Ledger(desk.lake).log()] == ["promote", "pin"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "fish", "newest"), "use forecasting or pricing"),
        (("promote", "pricing", "0000"), "is not stored"),
        (("promote", "pricing", ""), "no version of pricing is named"),
        (("promote", "pricing", " "), "no version of pricing is named"),
        (("promote", "pricing", "", "--canary", "5%"), "no version of pricing is named"),
        (("shadow", "pricing", ""), "no version of pricing is named"),
        (("rollback", "pricing", "--version", ""), "no version of pricing is named"),
        (("pin", "pricing", ""), "no version of pricing is named"),
        (("releases", "diff", "pricing", ""), "no version of pricing is named"),
        (("promote", "forecasting", "newest"), "stored, oldest first: none"),
        (("promote", "pricing", "newest", "--target", "store-9"), "is not a target"),
        (("promote", "pricing", "newest", "--target", "moon"), "is not a target"),
        (("promote", "pricing", "newest", "--canary", "150%"), "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "1.5"), "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "-5%"), "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "nan"), "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "lots"), "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "1e-1%"), "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "1_0%"), "no share above 0 % and up to 100 %"),
        (("promote", "pricing", "newest", "--canary", "0.009%"), "hardly ever a store: 0.01% is the least"),
        (("promote", "pricng", "newest"), "there is no product 'pricng'; the nearest is 'pricing'"),
        (("models", "--at", "20260331"), "is no instant: write a day"),
        (("models", "--at", "2026-W14-2"), "is no instant: write a day"),
        (("shadow", "pricing", "0000"), "is not stored"),
        (("withdraw", "pricing"), "no canary and no shadow"),
        (("rollback", "pricing"), "versions to go back to: none"),
        (("rollback", "pricing", "--version", "0000"), "is not stored"),
        (("rollback", "forecasting"), "cannot be rolled back"),
        (("pin", "forecasting"), "nothing live"),
        (("unpin", "pricing"), "is not pinned"),
        (("follow", "pricing", "--target", "store-238"), "no release of its own"),
        (("models", "--target", "store-9"), "is not a target"),
        (("releases", "diff", "pricing", "0000"), "is not stored"),
    ],
)
def test_bad_input_gets_a_clear_answer_and_changes_nothing(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    confirmed = () if arguments[0] in ("models", "releases") else ("--yes",)
    assert said in desk.refused(*arguments, *confirmed)


def test_a_deleted_version_is_released_by_nobody(desk: Desk) -> None:
    desk.retail("promote", "pricing", desk.second, *FORCE)
    shutil.rmtree(folder(desk, desk.first))
    assert "is not stored" in desk.refused("promote", "pricing", desk.first, *FORCE)
    assert "the model store has no pricing" in desk.refused("rollback", "pricing", "--yes")
    shutil.rmtree(folder(desk, desk.second))
    assert "the model store has no pricing" in desk.refused("pin", "pricing", "--yes")
    third = saved(desk.store, {"wape": 0.4}, 3, "pricing")
    done = desk.retail("promote", "pricing", third, *FORCE)
    assert done.exit_code == 0, "what replaces a deleted version can still be released"


def test_a_half_written_version_is_released_by_nobody(desk: Desk) -> None:
    half = folder(desk, "0123456789ab")
    half.mkdir()
    (half / "model.json").write_bytes(b"{}")
    assert "is not stored" in desk.refused("promote", "pricing", "0123456789ab", *FORCE)
    (folder(desk, desk.second) / "model.json").unlink()
    assert "model.json" in desk.refused("promote", "pricing", desk.second, *FORCE)
    (folder(desk, desk.second) / "manifest.json").write_text('{"product": "pri')
    assert "cannot be read" in desk.refused("promote", "pricing", desk.second, *FORCE)


def test_a_change_by_hand_is_an_observation_with_its_gates(desk: Desk) -> None:
    desk.retail("promote", "pricing", desk.second, *FORCE)
    with dg.DagsterInstance.get() as instance:
        (told,) = instance.fetch_observations(dg.AssetKey(["serving", "releases"]), limit=5).records
    metadata = told.asset_observation.metadata if told.asset_observation else {}
    assert metadata["version"].value == desk.second and metadata["by"].value == "eve"
    assert "holdout_deviance is missing" in str(metadata["gates"].value)


@pytest.mark.parametrize("content", [b"", b"\0" * 2000, b'{"product": "pri'])
def test_a_torn_manifest_of_another_version_is_named_and_stops_nobody(desk: Desk, content: bytes) -> None:
    torn = saved(desk.store, {"wape": 0.9}, 9, "pricing")
    (folder(desk, torn) / "manifest.json").write_bytes(content)
    for arguments in (
        ("promote", "pricing", "newest", *FORCE),
        ("shadow", "pricing", desk.first, "--yes"),
        ("withdraw", "pricing", "--yes"),
        ("rollback", "pricing", "--yes"),
        ("models",),
        ("releases", "log"),
        ("releases", "diff", "pricing", desk.first),
    ):
        desk.said.truncate(0)
        done = desk.retail(*arguments)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        assert f"pricing {torn} is passed over: manifest.json of pricing {torn}" in desk.said.getvalue()
    assert desk.answers("cloud") == desk.first
    assert torn in desk.refused("promote", "pricing", torn, *FORCE), "it is not released itself"
    assert desk.retail("pin", "pricing", "--yes").exit_code == 0


def test_an_action_of_newer_code_is_shown_as_unknown_and_changes_nothing(desk: Desk) -> None:
    row = Release(product="pricing", version=desk.second, action="freeze", by="newer", reason="new")
    rows = pa.Table.from_pylist([row.model_dump()], schema=releases_schema())
    write_deltalake(desk.lake.open("ops", "releases"), rows, mode="append")
    assert desk.answers("cloud") == desk.first
    assert "unknown (freeze)" in desk.retail("releases", "log").stdout.replace("\n", " ")
    assert json.loads(desk.retail("releases", "log", "--json").stdout)[0]["action"] == "freeze"
    assert desk.retail("promote", "pricing", desk.second, *FORCE).exit_code == 0
    assert desk.answers("cloud") == desk.second
    with pytest.raises(LedgerError, match="'freeze' is no action"):
        Ledger(desk.lake).append(row)


def test_a_version_that_is_known_to_be_unfit_is_named_by_the_list_of_models(desk: Desk) -> None:
    with pytest.raises(ModelStoreError, match="is refused"):
        proven(desk.store, "pricing", desk.first)
    assert desk.retail("models").exit_code == 0
    assert f"pricing {desk.first} is refused: the pricing model" in desk.said.getvalue()
