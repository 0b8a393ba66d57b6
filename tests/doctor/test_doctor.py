"""The doctor finds what a disk broke, repairs what can be made again, undoes nothing twice, and deletes nothing."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.faults import disks
from retail_assets.doctor.examine import examine
from retail_assets.doctor.findings import Done, Examination
from retail_assets.doctor.quick import DamagedGold, refuse_damaged_gold
from retail_assets.doctor.repair import repair
from retail_assets.releases.journal import ReleasesLost
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import Environment
from retail_assets.resources.home_lock import RefreshBusy, alone
from retail_assets.resources.lake import DamagedTable, Lake
from retail_assets.resources.model_store import ModelStore
from tests.conftest import run_retail
from tests.doctor.conftest import DAYS, release, rows, tree

BREAKS = [disks.torn, disks.zeroed, disks.nulls, disks.garbage]
Damage = Callable[[Path, random.Random], str]


def kinds(found: Examination) -> list[str]:
    return sorted(finding.kind for finding in found.findings if finding.wrong)


def repaired(environment: Environment) -> Examination:
    """Repairs, and shows that a second repair does nothing more."""
    told: list[Done] = []
    found = repair(environment, told.append)
    assert tuple(told) == found.done
    after = tree(environment.home.root)
    assert repair(environment, told.append).done == ()
    assert tree(environment.home.root) == after
    return found


def commit(lake: Lake, table: str, version: int) -> Path:
    return Path(lake.uri, table, "_delta_log", f"{version:020}.json")


def test_a_healthy_home_is_healthy(environment: Environment) -> None:
    before = tree(environment.home.root)
    found = examine(environment)
    assert found.findings == () and found.healthy
    assert (found.tables, found.files) == (6, 24)
    assert tree(environment.home.root) == before


@pytest.mark.parametrize("damage", BREAKS)
@pytest.mark.parametrize("table", ["gold/fct_test", "bronze/pos", "decisions/pricing", "reports/seen"])
def test_a_newest_commit_that_was_never_whole(environment: Environment, table: str, damage: Damage) -> None:
    lake, (layer, name) = environment.lake, table.split("/")
    file = commit(lake, table, 2)
    damage(file, random.Random(3))
    content = file.read_bytes()
    with pytest.raises(DamagedTable, match="doctor"):
        lake.open(layer, name)
    found = examine(environment)
    assert kinds(found) == ["torn_commit"] and not found.healthy
    assert repaired(environment).healthy
    assert lake.version(layer, name) == 1 and lake.read(layer, name).num_rows == 3
    aside = next((environment.home.root / "set-aside").rglob(file.name))
    assert aside.read_bytes() == content, "what was set aside is as it was"


def test_the_only_commit_of_a_table_was_never_whole(environment: Environment) -> None:
    environment.lake.append("gold", "fct_new", rows(DAYS, "a"))
    commit(environment.lake, "gold/fct_new", 0).write_bytes(b"")
    assert repaired(environment).healthy
    assert not environment.lake.exists("gold", "fct_new")


@pytest.mark.parametrize("damage", [*BREAKS, disks.lost])
def test_a_hole_in_the_log_of_gold_makes_the_table_anew(environment: Environment, damage: Damage) -> None:
    lake = environment.lake
    damage(commit(lake, "gold/fct_test", 1), random.Random(3))
    assert set(kinds(examine(environment))) <= {"log_gap", "torn_commit"} and not examine(environment).healthy
    assert repaired(environment).healthy
    assert lake.version("gold", "fct_test") == 3, "its versions go on: none has two meanings"
    assert lake.read("gold", "fct_test").num_rows == 0
    assert lake.query(f"select * from {lake.scan('gold', 'fct_test')}").num_rows == 0
    assert lake.append("gold", "fct_test", rows(DAYS, "new"), ["business_date"]) == 4
    assert lake.query(f"select name from {lake.scan('gold', 'fct_test')}").num_rows == 2
    assert lake.open("gold", "fct_test").metadata().configuration
    there = Lake.at(next((environment.home.root / "set-aside").iterdir()) / "lake")
    assert len(list(Path(there.uri).rglob("*.parquet"))) == 5, "every file is there still"


@pytest.mark.parametrize("table", ["bronze/pos", "decisions/pricing"])
@pytest.mark.parametrize("damage", [disks.torn, disks.zeroed, disks.lost])
def test_a_hole_where_nothing_can_be_made_again_asks_for_a_backup(
    environment: Environment, table: str, damage: Damage
) -> None:
    damage(commit(environment.lake, table, 1), random.Random(3))
    before = tree(environment.home.root)
    found = repaired(environment)
    assert not found.healthy and found.done == ()
    (finding,) = [one for one in found.findings if one.wrong]
    assert "from a backup" in finding.todo and f"{1:020}.json" in finding.where
    assert tree(environment.home.root) == before


@pytest.mark.parametrize("damage", [*BREAKS, disks.lost])
def test_a_damaged_day_of_gold_is_taken_out(environment: Environment, damage: Damage) -> None:
    lake = environment.lake
    file = next(Path(lake.uri, "gold/fct_test/business_date=2026-01-01").glob("*.parquet"))
    damage(file, random.Random(3))
    record = environment.home.warehouse.parent / "build.json"
    record.parent.mkdir()
    record.write_text("{}")
    assert kinds(examine(environment))[0] in ("missing_file", "damaged_file", "wrong_size")
    assert repaired(environment).healthy
    assert lake.version("gold", "fct_test") == 3
    assert set(lake.read("gold", "fct_test")["business_date"].to_pylist()) == {DAYS[1]}
    assert not record.exists(), "the next run compares what it builds with gold"


@pytest.mark.parametrize("damage", [disks.zeroed, disks.lost])
def test_a_damaged_dimension_is_emptied(environment: Environment, damage: Damage) -> None:
    damage(next(Path(environment.lake.uri, "gold/dim_test").glob("*.parquet")), random.Random(3))
    assert repaired(environment).healthy
    assert environment.lake.query(f"select * from {environment.lake.scan('gold', 'dim_test')}").num_rows == 0


def test_a_damaged_file_of_decisions_is_named_and_left(environment: Environment) -> None:
    file = next(Path(environment.lake.uri, "decisions/pricing").rglob("*.parquet"))
    disks.nulls(file, random.Random(3))
    found = repaired(environment)
    assert kinds(found) == ["damaged_file"] and found.done == () and file.exists()
    assert file.name in found.findings[0].where and "backup" in found.findings[0].todo


def test_what_costs_only_space_is_not_wrong(environment: Environment) -> None:
    home = environment.home
    orphan = Path(environment.lake.uri, "gold/fct_test/business_date=2026-01-01/part-lost.parquet")
    orphan.write_bytes(b"PAR1")
    stray = home.outbox / "prices/2026-01-03/.US-WEB.json.10456"
    stray.parent.mkdir(parents=True)
    stray.write_text("{")
    for name in (".check_promises.json.tmp", "known.partial", ".hidden.tmp"):
        (home.dagster / name).write_text("x")
    found = examine(environment)
    assert found.healthy and sorted(f.kind for f in found.findings) == ["orphan", *["stray_file"] * 4]
    assert repaired(environment).healthy
    assert not stray.exists() and orphan.exists(), "deleting is what a vacuum does"


@pytest.mark.parametrize("name", ["dagster/history/runs.db", "features/online.db"])
@pytest.mark.parametrize("damage", [disks.torn, disks.zeroed, disks.nulls, disks.garbage])
def test_damaged_databases_are_set_aside(environment: Environment, name: str, damage: Damage) -> None:
    file = environment.home.root / name
    damage(file, random.Random(3))
    file.with_name(f"{file.name}-wal").write_bytes(b"x")
    assert kinds(examine(environment)) == ["damaged_database"]
    assert repaired(environment).healthy
    assert not list(file.parent.glob("*.db*"))


def test_models_are_held_against_their_manifests(environment: Environment) -> None:
    store = ModelStore.at(environment.home.models)
    live, idle = (Ledger(environment.lake).log()[-1].version, store.versions("forecasting")[-1])
    assert live != idle
    folder = environment.home.models / "models/forecasting"
    for version in (live, idle):
        disks.flipped(folder / version / "model_mean.txt", random.Random(3))
    assert kinds(examine(environment)) == ["wrong_hash", "wrong_hash"]
    found = repaired(environment)
    (left,) = [one for one in found.findings if one.wrong]
    assert live in left.where and "backup" in left.todo and "rollback" in left.todo
    assert not (folder / idle).exists() and (folder / live).exists()


@pytest.mark.parametrize("damage", [*BREAKS, disks.lost])
def test_a_ledger_that_went_backwards_takes_no_release(environment: Environment, damage: Damage) -> None:
    lake = environment.lake
    ledger = Ledger(lake)
    log, version = ledger.log(), ledger.version()
    assert version is not None
    damage(commit(lake, "ops/releases", version), random.Random(3))
    with pytest.raises((ReleasesLost, DamagedTable), match="doctor"):
        Ledger(lake).promote("forecasting", "new", by="test", reason="as if nothing had been")
    assert not examine(environment).healthy
    assert repaired(environment).healthy
    assert Ledger(lake).log() == log, "the release that was lost is there again, as it was"
    Ledger(lake).promote("forecasting", "new", by="test", reason="now it may")
    assert Ledger(lake).log()[-1].previous == log[-1].version


def test_the_copy_of_the_ledger_may_be_torn_itself(environment: Environment) -> None:
    ledger = Ledger(environment.lake)
    assert ledger.journal.path is not None
    whole = ledger.journal.releases()
    with ledger.journal.path.open("ab") as file:
        file.write(b'{"release_id": "0123", "prod')
    assert ledger.journal.releases() == whole == ledger.log()
    added = ledger.append(release("third", whole[-1].version, 2))
    assert ledger.journal.releases() == [*whole, added]
    ledger.journal.path.unlink()
    assert examine(environment).healthy, "a ledger without a copy is as whole as it looks"
    assert ledger.append(release("fourth", "third", 3)) in ledger.journal.releases()
    assert ledger.journal.releases() == ledger.log()


def test_nobody_else_may_write_meanwhile(environment: Environment) -> None:
    with alone(environment.home), pytest.raises(RefreshBusy, match="doctor"):
        repair(environment, lambda _: None)


def test_exit_codes_and_json(environment: Environment) -> None:
    root = environment.home.root
    assert "Nothing is wrong" in run_retail(root, "doctor").stdout
    commit(environment.lake, "gold/fct_test", 2).write_bytes(b"")
    found = run_retail(root, "doctor", "--json", check=False)
    told = json.loads(found.stdout)
    assert found.returncode == 1 and told["healthy"] is False and told["findings"][0]["kind"] == "torn_commit"
    mended = run_retail(root, "doctor", "--repair")
    assert "set aside lake/gold/fct_test/_delta_log" in mended.stdout and "to undo: mv" in mended.stdout
    assert "retail run" in mended.stdout


@pytest.mark.parametrize("damage", [*BREAKS, disks.lost])
@pytest.mark.parametrize("mart", ["fct_test", "dim_test"])
def test_a_run_that_read_no_damaged_file_still_names_it(environment: Environment, mart: str, damage: Damage) -> None:
    refuse_damaged_gold(environment.lake)
    damage(max(Path(environment.lake.uri, "gold", mart).rglob("*.parquet")), random.Random(3))
    with pytest.raises(DamagedGold, match=f"gold/{mart}") as raised:
        refuse_damaged_gold(environment.lake)
    assert raised.value.todo is not None and "--repair" in raised.value.todo


APPLY = sorted(name for name, (kind, _) in disks.FAULTS.items() if kind in ("commits", "data", "sqlite", "models"))


@pytest.mark.parametrize("fault", APPLY)
def test_whatever_breaks_is_found_and_has_a_way_out(environment: Environment, fault: str) -> None:
    """But for a flipped bit that still decodes, and a file of a version that is not the newest."""
    done = disks.corrupt(environment.home.root, 7, fault)
    assert done is not None
    found = examine(environment)
    if done.fault.endswith(("_torn", "_zeroed", "_garbage")) and "models" not in done.path:
        assert not found.healthy or "checkpoint" in done.path, done
    left = repaired(environment)
    assert all("backup" in finding.todo for finding in left.findings if finding.wrong), (done, left)
