"""A home is refreshed by one process at a time, and a killed one leaves nothing that others wait for."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

import dagster as dg
import pytest
from filelock import FileLock

from retail_assets.commands.refresh import LOCK, STARTED_HERE, RefreshBusy, end_killed_runs, recover, refresh
from retail_assets.resources.dagster.instance import prepare
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake

POOL = "dbt"


@dg.op
def nothing() -> None:
    """Does nothing."""


@dg.job
def anything() -> None:
    """A job to make runs of."""
    nothing()


@pytest.fixture
def instance(home: Home) -> dg.DagsterInstance:
    prepare(home)
    return dg.DagsterInstance.from_config(str(home.dagster))


def started_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    """A run that has started, holds the slot of the pool and never goes on."""
    run = instance.create_run_for_job(anything, tags=tags)
    started = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, "anything")
    instance.report_dagster_event(started, run.run_id)
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    assert instance.event_log_storage.claim_concurrency_slot(POOL, run.run_id, "nothing").is_claimed
    return run.run_id


def slots_in_use(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info(POOL).active_slot_count


def test_a_killed_run_ends_and_gives_its_slot_back(instance: dg.DagsterInstance) -> None:
    run_id = started_run(instance, STARTED_HERE)
    assert end_killed_runs(instance) == [run_id]
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.status, slots_in_use(instance)) == (dg.DagsterRunStatus.FAILURE, 0)
    assert end_killed_runs(instance) == []


def test_what_was_killed_is_recovered_unless_a_refresh_goes_on(instance: dg.DagsterInstance, home: Home) -> None:
    run_id = started_run(instance, STARTED_HERE)
    with FileLock(home.dagster / LOCK):
        assert recover(home) == []
    assert recover(home) == [run_id]


def test_a_run_of_the_user_interface_is_left_alone(instance: dg.DagsterInstance) -> None:
    run_id = started_run(instance, {})
    assert end_killed_runs(instance) == []
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.status, slots_in_use(instance)) == (dg.DagsterRunStatus.STARTED, 1)


WRITERS = ["rebuild --full", "import m.yaml .", "replay pos_lines", "sample --scale tiny", "demo --scale tiny"]
WRITERS += ["run --retrain", "trace tidy"]


@pytest.mark.parametrize("command", WRITERS)
def test_whoever_writes_waits_for_nobody_and_does_nothing_beside_a_refresh(
    command: str, home: Home, retail: Callable[..., "CompletedProcess[str]"]
) -> None:
    prepare(home)
    before = sorted(home.root.rglob("*"))
    with FileLock(home.dagster / LOCK):
        ended = retail(home.root, *command.split(), "--json", check=False)
    assert (ended.returncode, json.loads(ended.stdout)["error"]["code"]) == (1, "refresh_busy")
    assert [path for path in sorted(home.root.rglob("*")) if path.name != LOCK] == [p for p in before if p.name != LOCK]


def test_a_home_is_not_deleted_beside_a_refresh(home: Home, retail: Callable[..., "CompletedProcess[str]"]) -> None:
    prepare(home)
    with FileLock(home.dagster / LOCK):
        ended = retail(home.root, "clean", "--yes", check=False)
        assert (ended.returncode, home.dagster.is_dir()) == (1, True)
        assert "another command writes into this home" in ended.stderr
        assert retail(home.root, "trace", "tidy", "--dry-run").returncode == 0
    assert retail(home.root, "clean", "--yes").returncode == 0
    assert not home.root.exists()


def test_a_release_and_a_stop_of_prices_wait_for_no_refresh(
    tiny_copy: Home, retail: Callable[..., "CompletedProcess[str]"]
) -> None:
    with FileLock(tiny_copy.dagster / LOCK):
        retail(tiny_copy.root, "pin", "pricing", "--yes")
        retail(tiny_copy.root, "prices", "stop", "--chain", "--reason", "trial", "--by", "someone")
        retail(tiny_copy.root, "keys", "add", "till", "--scope", "price")
    ledger = json.loads(retail(tiny_copy.root, "releases", "log", "--json").stdout)
    assert ledger[0]["action"] == "pin"


def test_a_second_refresh_is_refused_while_one_goes_on(home: Home) -> None:
    prepare(home)
    with FileLock(home.dagster / LOCK), pytest.raises(RefreshBusy, match=str(home.root)):
        refresh(Environment(name="test", home=home, lake=Lake.at(home.lake)))
