"""One build of the warehouse: plan, dbt in a process of its own, publish. The assets take the same steps one by one."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from pydantic import BaseModel, ConfigDict

from retail_assets.core.private import private_folder
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.warehouse import DBT, PROJECT_DIR, child_environment, dbt_variables, target_path
from retail_assets.sources.config import load_contracts
from retail_assets.sources.held_days import write_held_days
from retail_assets.sources.tables import ensure_bronze
from retail_assets.warehouse import state
from retail_assets.warehouse.errors import WarehouseError
from retail_assets.warehouse.manifest import gold_marts, is_by_day, load_manifest
from retail_assets.warehouse.plan import Plan, make_plan
from retail_assets.warehouse.publish import Publish, publish_mart
from retail_assets.warehouse.retail_calendar import write_calendar

Runner = Callable[[Plan, Lake, Home], None]


class BuildReport(BaseModel):
    """What one build did. `days` are the business dates that some model rebuilt; empty with mode `full`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: str
    reason: str
    days: list[date]
    marts: list[Publish]
    build_seconds: float
    publish_seconds: float


def build_warehouse(
    lake: Lake, home: Home, days: Sequence[date] | None = None, full: bool = False, run: Runner | None = None
) -> BuildReport:
    """Brings gold up to date with bronze and says what was done.

    Without `days` and `full`, rebuilds what changed, which may be nothing. Raises WarehouseError when dbt or one of its
    blocking tests fails; gold then stays as it was.
    """
    started = time.monotonic()
    ensure_bronze(lake, load_contracts())  # a home that is older than a column gets it before dbt asks for it
    write_held_days(lake)
    write_calendar(lake)
    plan = make_plan(lake, home, days, full)
    if plan.mode != "unchanged":
        with building(plan, home):
            (run or run_dbt)(plan, lake, home)
    built = time.monotonic()
    marts = [publish_mart(lake, home, mart) for mart in gold_marts(load_manifest())]
    return BuildReport(
        mode=plan.mode,
        reason=plan.reason,
        days=plan.all_days,
        marts=marts,
        build_seconds=round(built - started, 1),
        publish_seconds=round(time.monotonic() - built, 1),
    )


@contextmanager
def building(plan: Plan, home: Home) -> Iterator[None]:
    """Around dbt: notes that a build began, and on success that it ended and what now waits to be published."""
    private_folder(home.warehouse.parent)
    before = state.read(home)
    full = plan.mode == "full" or before is None
    if full or before is None:
        began = state.BuildState(complete=False, full=True, **_inputs(plan))
    else:
        began = before.model_copy(update={"complete": False, "full": False, "unfinished": plan.days})
    state.write(home, began)
    yield
    pending, digests = _pending(plan, before), before.digests if before else {}
    state.write(home, state.BuildState(complete=True, full=full, pending=pending, digests=digests, **_inputs(plan)))


def _inputs(plan: Plan) -> dict[str, object]:
    return {"code_hash": plan.code_hash, "lake": plan.lake, "bronze": plan.bronze}


def _pending(plan: Plan, before: state.BuildState | None) -> dict[str, state.Pending]:
    manifest = load_manifest()
    waiting = before.pending if before else {}
    built = {
        mart: state.Pending(days=tuple(plan.days.get(mart, ())))
        if plan.mode == "days" and is_by_day(manifest, mart)
        else state.Pending(whole=True)
        for mart in gold_marts(manifest)
    }
    merged = {mart: waiting.get(mart, state.Pending()).add(pending) for mart, pending in built.items()}
    return {mart: pending for mart, pending in merged.items() if not pending.is_empty}


def dbt_arguments(plan: Plan) -> list[str]:
    """`dbt build` with what the plan selects. Unit tests guard the code, not the data: they run with the test suite."""
    full = ["--full-refresh"] if plan.mode == "full" else []
    variables = json.dumps(plan.variables(), separators=(",", ":"))
    return ["build", "--exclude-resource-type", "unit_test", "--vars", variables, *full]


def run_dbt(plan: Plan, lake: Lake, home: Home) -> None:
    """Runs the plan; raises WarehouseError with the tail of dbt's output when it fails."""
    folders = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    done = subprocess.run(
        [str(DBT), "--no-use-colors", *dbt_arguments(plan), *folders],
        env=child_environment(dbt_variables(home, lake)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise WarehouseError(
            f"dbt build failed:\n{_failures(done.stdout)}",
            where=str(target_path(home) / "dbt.log"),
            todo="gold is as it was before; correct the cause and build again",
        )


def _failures(output: str) -> str:
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if "Completed with" in line or "Encountered an error" in line), -25)
    return "\n".join(lines[first:][:60])
