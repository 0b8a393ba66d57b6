"""What a service released by itself is an observation in Dagster, once."""

import json
from pathlib import Path

import dagster as dg
import pytest

from retail_assets.releases.assets import release_table
from retail_assets.releases.canary_watch import BY
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.sensors import observed, verdicts_are_observed
from retail_assets.resources.lake import Lake

VERDICT = json.dumps(
    {"passed": False, "reasons": ["answers moved"], "comparisons": [
        {"metric": "psi", "side": "champion", "value": 3.0, "limit": 0.5, "passed": False, "reason": "answers moved"}
    ]}
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(Lake.at(tmp_path / "lake"))
    ledger.promote("pricing", "a", by="ann", reason="better", run_id="0123456789")
    ledger.canary("pricing", "b", 0.05, by="ann", reason="try")
    ledger.withdraw("pricing", by=BY, reason="b: answers moved", verdict=VERDICT)
    return ledger


def tick(ledger: Ledger, cursor: str | None) -> dg.SensorResult:
    context = dg.build_sensor_context(cursor=cursor, resources={"lake": ledger.lake})
    result = verdicts_are_observed(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_verdict_is_observed_once_with_its_numbers(ledger: Ledger) -> None:
    first = tick(ledger, None)
    (told,) = first.asset_events
    assert isinstance(told, dg.AssetObservation)
    assert told.asset_key == dg.AssetKey(["serving", "releases"])
    assert told.metadata["reason"].value == "b: answers moved"
    assert "| psi | champion | **no** | answers moved |" in str(told.metadata["gates"].value)
    assert tick(ledger, first.cursor).asset_events == []
    ledger.canary("pricing", "c", 0.05, by="ann", reason="try")
    ledger.promote("pricing", "c", by=BY, reason="good traffic")
    second = tick(ledger, first.cursor)
    assert [event.metadata["version"].value for event in second.asset_events] == ["c"]


def test_before_the_first_release_there_is_nothing_to_tell(tmp_path: Path) -> None:
    result = tick(Ledger(Lake.at(tmp_path / "empty")), None)
    assert (result.asset_events, result.cursor) == ([], None)


def test_a_release_without_gates_has_no_table(ledger: Ledger) -> None:
    assert "gates" not in observed(ledger.log()[1])


def test_the_table_links_the_run_that_released(ledger: Ledger) -> None:
    table = release_table(ledger.log())
    assert "[01234567](/runs/0123456789)" in table
    assert table.count("\n") == 4
