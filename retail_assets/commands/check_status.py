"""What the checks of the newest refresh said: those that failed, with their numbers and what they promise.

Read from Dagster's own event log, whoever started the run. The promises are kept in a file beside it whenever a refresh
loads the graph, because loading it takes seconds and a status should not.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster import DagsterEventType
from pydantic import BaseModel, ConfigDict

from retail_assets.resources import durable
from retail_assets.resources.dagster import instance as dagster_instance
from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME
from retail_assets.resources.dagster.left_behind import rest_of
from retail_assets.resources.environments import Environment, Home

PROMISES = "check_promises.json"
DBT_FAILED_ROWS = "dagster_dbt/failed_row_count"
SHOWN = 8  # of a list in words; data have all of it
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


class CheckStatus(BaseModel):
    """A check that did not pass. `numbers` are what it found and the bounds it held that against, by name.

    An `error` that is `blocking` keeps everything behind its asset as it was; any other error is work for a person, a
    `warning` something to look at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str
    check: str
    severity: Literal["error", "warning"]
    blocking: bool
    promise: str | None
    numbers: dict[str, Any]

    @property
    def found(self) -> str:
        """The numbers in words."""
        if reasons := self.numbers.get("reasons"):
            return "; ".join(str(reason) for reason in reasons)
        return ", ".join(
            f"{name} {_said(value)}" for name, value in self.numbers.items() if value not in (None, "", [])
        )


def failed_checks(environment: Environment) -> list[CheckStatus]:
    """The failed checks of the newest refresh of a home, errors first; none where nothing ran yet."""
    home = environment.home
    if not home.dagster.is_dir():
        return []
    dagster_instance.prepare(home)
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(dg.RunsFilter(job_name=REFRESH_JOB_NAME, statuses=ENDED), limit=1)
        found = [] if not runs else _evaluations(instance, runs[0].run_id)
    told = _promises(home)
    failed = [_status(evaluation, told) for evaluation in found if not evaluation.passed]
    return sorted(failed, key=lambda check: (check.severity != "error", check.asset, check.check))


def _evaluations(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetCheckEvaluation]:
    """The newest evaluation of each check of a run and of the one that did what it left behind."""
    newest: dict[dg.AssetCheckKey, dg.AssetCheckEvaluation] = {}
    for one in (run_id, rest_of(run_id)):
        records = instance.get_records_for_run(one, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
        for record in records:
            event = record.event_log_entry.dagster_event
            if event is not None:
                evaluation = event.asset_check_evaluation_data
                newest[evaluation.asset_check_key] = evaluation
    return list(newest.values())


def _status(evaluation: dg.AssetCheckEvaluation, told: Mapping[str, str | None]) -> CheckStatus:
    asset = evaluation.asset_key.to_user_string()
    return CheckStatus(
        asset=asset,
        check=evaluation.check_name,
        severity="error" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warning",
        blocking=bool(evaluation.blocking),
        promise=told.get(f"{asset}:{evaluation.check_name}"),
        numbers=_numbers({name: value.value for name, value in evaluation.metadata.items()}),
    )


def _numbers(metadata: dict[str, Any]) -> dict[str, Any]:
    """What a check found; of a dbt test the rows that failed, without dbt's own ids and times."""
    return {"failed_rows": metadata[DBT_FAILED_ROWS]} if DBT_FAILED_ROWS in metadata else metadata


def _promises(home: Home) -> dict[str, str | None]:
    file = home.dagster / PROMISES
    if not file.is_file():
        return {}
    try:
        found: dict[str, str | None] = json.loads(file.read_bytes())
    except ValueError:  # torn by a power cut; the next run writes it anew
        return {}
    return found


def keep_promises(defs: dg.Definitions, folder: Path) -> None:
    """Writes what each check of the graph promises, by `asset:check`."""
    graph = defs.resolve_asset_graph()
    keys = graph.asset_check_keys
    told = {f"{key.asset_key.to_user_string()}:{key.name}": graph.get(key).description for key in keys}
    durable.write(folder / PROMISES, json.dumps(told, indent=1, sort_keys=True))


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return _listed([f"{name} {_said(one)}" for name, one in value.items()])
    return _listed([_said(one) for one in value]) if isinstance(value, list | tuple) else str(value)


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN + 1 else ""
    return ", ".join(words[:SHOWN] if more else words) + more
