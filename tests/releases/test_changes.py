"""A release by hand: said before it is done, held against the gates, aimed at one target."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from retail_assets.core.gates import Gate
from retail_assets.releases.changes import Desk, ReleaseRefused, differences, select
from retail_assets.releases.gates import ReleaseConfig, ReleaseConfigError
from retail_assets.releases.ledger import LedgerError
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from tests.releases.stored import saved

GATES = [Gate(metric="wape", better="lower", floor=0.5, live_gain=0.0)]
STORE, REGION = "store-238", "region-US"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    lake = Lake.at(tmp_path / "lake")
    lake.overwrite("gold", "dim_store", pa.table({"store_id": ["238", "7"], "country": ["US", "DE"]}))
    config = ReleaseConfig(forecasting=GATES, pricing=GATES)
    return Desk(lake, ModelStore.at(tmp_path / "models"), config)


def released(desk: Desk, wape: float, day: int, target: str = "cloud") -> str:
    version = saved(desk.store, {"wape": wape}, day, "pricing")
    desk.carry_out(desk.promote("pricing", version, target), by="ann", reason="test")
    return version


def test_a_change_is_planned_without_being_made(desk: Desk) -> None:
    version = saved(desk.store, {"wape": 0.4}, 1, "pricing")
    plan = desk.promote("pricing", version, "cloud")
    assert (plan.now, plan.version, plan.report is not None and plan.report.passed) == (None, version, True)
    assert desk.ledger.log() == []
    row = desk.carry_out(plan, by="ann", reason="first")
    assert (row.by, row.reason, row.version) == ("ann", "first", version)
    assert json.loads(row.gate_report or "")["forced"] is False


def test_what_the_gates_refuse_needs_somebody_accountable(desk: Desk) -> None:
    released(desk, 0.4, 1)
    worse = saved(desk.store, {"wape": 0.45}, 2, "pricing")
    plan = desk.promote("pricing", worse, "cloud")
    with pytest.raises(ReleaseRefused, match="wape fails against what is live"):
        desk.carry_out(plan, by="ann", reason="hope")
    assert len(desk.ledger.log()) == 1
    row = desk.carry_out(plan, by="ann", reason="the old one breaks a law", force=True)
    assert json.loads(row.gate_report or "")["forced"] is True


def test_a_version_is_named_by_its_beginning_or_as_the_newest(desk: Desk) -> None:
    first, second = (saved(desk.store, {"wape": 0.4}, day, "pricing") for day in (1, 2))
    assert desk.resolve("pricing", "newest") == second
    assert desk.resolve("pricing", first[:6]) == first
    with pytest.raises(LedgerError, match=f"(?s)is not stored.*{first}, {second}"):
        desk.resolve("pricing", "x")
    with pytest.raises(LedgerError, match="no version of pricing is named"):
        desk.resolve("pricing", "")
    # of seventeen versions two begin with the same of sixteen digits
    versions = [first, second, *(saved(desk.store, {"wape": 0.4}, day, "pricing") for day in range(3, 18))]
    shared = next(v[0] for v in versions if sum(other[0] == v[0] for other in versions) > 1)
    with pytest.raises(LedgerError, match="is the beginning of [0-9]+ versions"):
        desk.resolve("pricing", shared)
    with pytest.raises(ReleaseConfigError, match="use forecasting or pricing"):
        desk.resolve("shelf_labels", "newest")


def test_one_store_is_rolled_back_and_a_release_to_all_says_which_target_stays(desk: Desk) -> None:
    first, second = released(desk, 0.4, 1), released(desk, 0.3, 2)
    plan = desk.rollback("pricing", STORE, None)
    assert (plan.version, plan.now is not None and plan.now.version) == (first, second)
    desk.carry_out(plan, by="manager", reason="odd prices here")
    for target, version in ((STORE, first), ("store-7", second), (REGION, second), ("cloud", second)):
        live = desk.answers("pricing", target)
        assert live is not None and live.version == version
    third = saved(desk.store, {"wape": 0.2}, 3, "pricing")
    assert [kept.target for kept in desk.promote("pricing", third, "cloud").keep] == [STORE]
    assert [kept.target for kept in desk.promote("pricing", third, "region-DE").keep] == []
    desk.carry_out(desk.follow("pricing", STORE), by="manager", reason="repaired")
    live = desk.answers("pricing", STORE)
    assert live is not None and live.version == second


def test_pinned_means_pinned(desk: Desk) -> None:
    version = released(desk, 0.4, 1)
    better = saved(desk.store, {"wape": 0.3}, 2, "pricing")
    desk.carry_out(desk.pin("pricing", None, REGION), by="ann", reason="audit")
    with pytest.raises(LedgerError, match="pinned to"):
        desk.promote("pricing", better, REGION)
    desk.carry_out(desk.unpin("pricing", REGION), by="ann", reason="done")
    live = desk.answers("pricing", STORE)
    assert live is not None and (live.target, live.version, live.action) == (REGION, version, "unpin")


@pytest.mark.parametrize("target", ["store-9", "region-FR", "moon"])
def test_an_unknown_target_changes_nothing(desk: Desk, target: str) -> None:
    version = released(desk, 0.4, 1)
    for ask in (desk.follow, desk.unpin):
        with pytest.raises(LedgerError, match="is not a target"):
            ask("pricing", target)
    with pytest.raises(LedgerError, match="is not a target"):
        desk.promote("pricing", version, target)
    assert len(desk.ledger.log()) == 1


def test_a_damaged_version_is_not_released_by_hand_either(desk: Desk) -> None:
    version = saved(desk.store, {"wape": 0.4}, 1, "pricing")
    plan = desk.promote("pricing", version, "cloud")
    (desk.store.home / "models" / "pricing" / version / "model.json").write_bytes(b"[]")
    with pytest.raises(ModelStoreError, match="was changed"):
        desk.carry_out(plan, by="ann", reason="test", force=True)
    assert desk.ledger.log() == []


def test_what_two_versions_differ_in(desk: Desk) -> None:
    first, second = saved(desk.store, {"wape": 0.4}, 1), saved(desk.store, {"wape": 0.3, "rmse": 2.0}, 2)
    found = {(d.kind, d.name): (d.first, d.second) for d in differences(desk.store, "forecasting", first, second)}
    assert found["metric", "wape"] == (0.4, 0.3)
    assert found["metric", "rmse"] == (None, 2.0)
    assert found["other", "train_until"] == ("2026-11-01", "2026-11-02")
    assert not differences(desk.store, "forecasting", first, first)


def test_the_log_is_read_newest_first(desk: Desk) -> None:
    first, second = released(desk, 0.4, 1), released(desk, 0.3, 2, REGION)
    assert [r.version for r in select(desk.ledger.log(), None, None, 9)] == [second, first]
    assert [r.version for r in select(desk.ledger.log(), "pricing", "cloud", 9)] == [first]
    assert [r.version for r in select(desk.ledger.log(), None, None, 1)] == [second]
    assert select(desk.ledger.log(), "forecasting", None, 9) == []
