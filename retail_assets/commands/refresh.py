"""Runs the `refresh` job of a home in a process of its own and reports each asset as it is materialised.

The child's output goes to a log file, so that a progress display owns the terminal; its events come from Dagster's
own event log, so that what is shown here is what the UI shows.
"""

import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from retail_assets.commands.check_status import keep_promises
from retail_assets.core.errors import RetailError
from retail_assets.core.private import private_folder
from retail_assets.doctor.quick import refuse_damaged_gold
from retail_assets.resources.dagster import instance as dagster_instance
from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME
from retail_assets.resources.dagster.left_behind import CONTINUES, STARTED_HERE, left_behind, rest_of
from retail_assets.resources.damage import DOCTOR, damaged
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.home_lock import LOCK, RefreshBusy

POLL_SECONDS = 0.25
GO_ON = "nothing was half written: correct the cause and run the same command again"
BUSY = 75  # the exit code of a child that found another one at work (EX_TEMPFAIL of sysexits.h)


class RefreshFailed(RetailError):
    """A step of the refresh raised; the last good state of every table is still there."""


class RefreshSummary(BaseModel):
    """What one refresh did. `failed_checks` are `asset:check` names of any severity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    seconds: float
    assets: int
    failed_checks: list[str]


class Progress(BaseModel):
    """Something that happened: an asset was materialised, or a step that belongs to `stage` took `seconds`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    assets: int = 0
    seconds: float = 0.0


class Observer:
    """Reads Dagster's events into progress per stage (the first part of an asset key) and a summary."""

    def __init__(self) -> None:
        self.materialised: set[dg.AssetKey] = set()
        self.failed_checks: list[str] = []
        self._stage_of_step: dict[str, str] = {}

    def read(self, event: dg.DagsterEvent) -> Progress | None:
        """Takes in one event and returns the progress that it means, if any."""
        if event.event_type == DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            return self._materialised(event.asset_key, str(event.step_key))
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            self._stage_of_step.setdefault(str(event.step_key), check.asset_key.path[0])
            if not check.passed:
                self.failed_checks.append(f"{check.asset_key.to_user_string()}:{check.check_name}")
        if event.event_type == DagsterEventType.STEP_SUCCESS and event.step_key in self._stage_of_step:
            seconds = event.step_success_data.duration_ms / 1000
            return Progress(stage=self._stage_of_step[str(event.step_key)], seconds=seconds)
        return None

    def _materialised(self, key: dg.AssetKey, step: str) -> Progress:
        self._stage_of_step[step] = key.path[0]
        new = key not in self.materialised
        self.materialised.add(key)
        return Progress(stage=key.path[0], assets=int(new))


def refresh(environment: Environment, on_progress: Callable[[Progress], None] | None = None) -> RefreshSummary:
    """Materialises the whole graph of `environment`.

    Raises RefreshFailed when a step fails, RefreshBusy while another refresh of the same home goes on, and DamagedGold
    where every step went well and a file of gold is not what was written.
    """
    dagster_instance.prepare(environment.home)
    private_folder(environment.home.logs)
    run_id, started = str(uuid.uuid4()), time.monotonic()
    log = environment.home.logs / "refresh.log"
    observer = Observer()
    with dg.DagsterInstance.get() as instance:
        for event in _events(instance, run_id, log, environment):
            progress = observer.read(event)
            if progress and on_progress:
                on_progress(progress)
        _raise_unless_successful(instance, run_id, log, observer)
    refuse_damaged_gold(environment.lake)
    return RefreshSummary(
        run_id=run_id,
        seconds=round(time.monotonic() - started, 1),
        assets=len(observer.materialised),
        failed_checks=sorted(observer.failed_checks),
    )


def _events(
    instance: dg.DagsterInstance, run_id: str, log: Path, environment: Environment
) -> Iterator[dg.DagsterEvent]:
    command = [sys.executable, "-m", "retail_assets.commands.refresh", run_id]
    child_environment = os.environ | {"RETAIL_ENV": environment.name, "RETAIL_HOME": str(environment.home.root)}
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=child_environment)
        try:
            yield from _follow(instance, run_id, child)
            if child.returncode == BUSY:
                raise RefreshBusy(environment.home)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()


def _follow(instance: dg.DagsterInstance, run_id: str, child: "subprocess.Popen[bytes]") -> Iterator[dg.DagsterEvent]:
    cursors: dict[str, str | None] = {run_id: None, rest_of(run_id): None}
    while True:
        ended = child.poll() is not None
        for one in cursors:
            more = True
            while more:
                connection = instance.get_records_for_run(one, cursor=cursors[one])
                cursors[one], more = connection.cursor, connection.has_more
                for record in connection.records:
                    if record.event_log_entry.dagster_event:
                        yield record.event_log_entry.dagster_event
        if ended:
            return
        time.sleep(POLL_SECONDS)


def _raise_unless_successful(instance: dg.DagsterInstance, run_id: str, log: Path, observer: Observer) -> None:
    run, rest = instance.get_run_by_id(run_id), instance.get_run_by_id(rest_of(run_id))
    if run is not None and run.is_success:
        return
    if run is None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        todo = DOCTOR if damaged(tail) else "read the log, then run again"
        raise RefreshFailed(f"the run never started:\n{tail}", where=str(log), todo=todo)
    failed = [run_id] if rest is None else [run_id, rest.run_id]
    reasons = [_reason(event) for one in failed for event in _failures(instance, one)]
    todo = f"{DOCTOR}; nothing was half written"
    raise RefreshFailed(
        "the refresh failed:\n"
        + ("\n".join(reasons) or f"run {run_id} ended as {run.status.value}")
        + ("" if rest is None else f"\n{_went_through(observer)}"),
        where=str(log),
        todo=todo if any(damaged(reason) for reason in reasons) else GO_ON,
    )


def _failures(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEvent | None]:
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records
    return [record.event_log_entry.dagster_event for record in records]


def _went_through(observer: Observer) -> str:
    """What was made all the same, in words."""
    counts = Counter(key.path[0] for key in observer.materialised)
    told = ", ".join(f"{stage} {number}" for stage, number in counts.items())
    return f"  what does not need it was made all the same, on what was there before. Assets made: {told}"


def _reason(event: dg.DagsterEvent | None) -> str:
    assert event is not None
    error = event.step_failure_data.error
    cause = error.cause or error if error else None
    said = cause.message.strip() if cause else "no error recorded"
    what = damaged(said)  # a library's own words go on with its backtrace
    return f"  {event.step_key}: {what}: {said.splitlines()[0][:300]}" if what else f"  {event.step_key}: {said}"


def main(run_id: str) -> int:
    """The child: executes the job on the instance of the environment and returns the exit code."""
    from retail_assets.definitions import defs

    with (
        dg.DagsterInstance.get() as instance,
        FileLock(Path(instance.root_directory) / LOCK).acquire(blocking=False),
    ):
        end_killed_runs(instance)
        keep_promises(defs, Path(instance.root_directory))
        job = defs.resolve_job_def(REFRESH_JOB_NAME)
        result = job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False, tags=STARTED_HERE)
        left = set() if result.success else left_behind(job, result.all_events)
        if left:
            job.execute_in_process(
                instance=instance,
                run_id=rest_of(run_id),
                raise_on_error=False,
                tags=STARTED_HERE | {CONTINUES: run_id},
                asset_selection=sorted(left),
            )
    return 0 if result.success else 1


def recover(home: Home) -> list[str]:
    """Ends the runs of `home` that were killed; does nothing while a refresh goes on. Returns the ids of the runs."""
    dagster_instance.prepare(home)
    try:
        with FileLock(home.dagster / LOCK).acquire(blocking=False), dg.DagsterInstance.get() as instance:
            return end_killed_runs(instance)
    except Timeout:
        return []


def end_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs that were killed as failed and frees their pool slots, for which others would wait for ever.

    To be called by who holds the lock of the home: then no run that was started here can be alive.
    """
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED], tags=STARTED_HERE)
    killed = instance.get_runs(unfinished)
    for run in killed:
        instance.report_run_failed(run, "The process was killed. Nothing was half written; a new run does the rest.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in killed]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except Timeout:
        sys.exit(BUSY)
