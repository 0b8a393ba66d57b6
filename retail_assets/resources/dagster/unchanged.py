"""What an asset reports when its inputs are what they were.

The UI shows the newest materialisation only, so what was worth looking at (tables, plots, counts, check results) is
said again instead of being hidden by the word `unchanged`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.errors import DagsterInvariantViolationError

LOOK_BACK = 10  # records of a check; a run that died before it left one that never ended


def unchanged(**metadata: Any) -> dg.MaterializeResult:
    """A result with the metadata of the newest materialisation, `metadata`, and status `unchanged`.

    Called from a running asset of one key; outside of a run there is nothing to repeat.
    """
    return dg.MaterializeResult(metadata={**_newest(), **metadata, "status": "unchanged"})


def _newest() -> dict[str, Any]:
    try:
        context = dg.AssetExecutionContext.get()
    except DagsterInvariantViolationError:
        return {}
    event = context.instance.get_latest_materialization_event(context.asset_key)
    return dict(event.asset_materialization.metadata) if event and event.asset_materialization else {}


def standing_checks(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """The newest result of every check that this run selected: nothing was built, so it still stands."""
    for key in sorted(context.selected_asset_check_keys):
        evaluation = _newest_evaluation(context.instance, key)
        if evaluation is not None:
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=evaluation.passed,
                severity=evaluation.severity,
                metadata=evaluation.metadata,
            )


def _newest_evaluation(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> AssetCheckEvaluation | None:
    """The newest of those that ended; the newest record of all is the one planned for the running step."""
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=LOOK_BACK):
        if isinstance(record.evaluation, AssetCheckEvaluation):
            return record.evaluation
    return None
