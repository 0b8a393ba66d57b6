"""When a product fails: what other products can do all the same.

Dagster runs nothing behind a step that failed. That is right for what is built on it, and wrong between products:
prices can do with the forecasts there are (or with recent demand), forecasts with the prices that were. What waited for
another product is therefore run again, in a run of its own, on what that product has left there before.
"""

import uuid
from collections.abc import Sequence, Set
from typing import Final

import dagster as dg
from dagster import DagsterEventType

from retail_assets.core.products import load
from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME, refresh

GRAPH: Final = "retail_assets.definitions:defs"  # named and not imported: it is made of every room
FOUNDATION: Final = ("bronze", "warehouse", "gold", "features")  # nobody goes on without them
STARTED_HERE: Final = {"retail/started_by": "retail run"}  # the tag of a run that `retail run` executes and continues
CONTINUES: Final = "retail/continues"  # the tag of a run that does what another one left behind


def left_behind(
    job: dg.JobDefinition, events: Sequence[dg.DagsterEvent], selection: Set[dg.AssetKey] | None = None
) -> set[dg.AssetKey]:
    """Assets of a run that waited for a failed step of another product; none where the data itself failed.

    `events` are those of the run, `selection` what it was to make (by default all of the job). What stands behind a
    failed blocking check stays left: there the data is wrong, not absent.
    """
    asked = set(job.asset_layer.selected_asset_keys if selection is None else selection)
    failed, wrong = failures(job, events)
    if not failed | wrong or any(key.path[0] in FOUNDATION for key in failed | wrong):
        return set()
    done = {e.asset_key for e in events if e.event_type == DagsterEventType.ASSET_MATERIALIZATION and e.asset_key}
    stages = {key.path[0] for key in failed | wrong}
    return {key for key in asked - done if key.path[0] not in stages} - _downstream(job, wrong)


def rest_of(run_id: str) -> str:
    """The id of the run that does what the run `run_id` left behind when a product failed, if any has to."""
    return str(uuid.uuid5(uuid.UUID(run_id), "rest"))


def failures(job: dg.JobDefinition, events: Sequence[dg.DagsterEvent]) -> tuple[set[dg.AssetKey], set[dg.AssetKey]]:
    """Assets that could not be made, and those of which a check could not be made or stopped what stands behind."""
    assets: set[dg.AssetKey] = set()
    checked: set[dg.AssetKey] = set()
    for event in events:
        if event.event_type == DagsterEventType.STEP_FAILURE and event.node_handle is not None:
            keys = job.asset_layer.get_selected_entity_keys_for_node(event.node_handle)
            made = {key for key in keys if isinstance(key, dg.AssetKey)}
            assets |= made
            checked |= set() if made else {key.asset_key for key in keys if isinstance(key, dg.AssetCheckKey)}
    return assets, checked


def _downstream(job: dg.JobDefinition, keys: Set[dg.AssetKey]) -> set[dg.AssetKey]:
    found: set[dg.AssetKey] = set()
    frontier = set(keys)
    while frontier:
        children = set().union(*(job.asset_layer.get(key).child_keys for key in frontier))
        frontier = children - found
        found |= children
    return found


@dg.run_failure_sensor(
    monitored_jobs=[refresh],
    request_job=refresh,
    minimum_interval_seconds=30,
    description="Runs what a refresh left behind because another product failed. `retail run` does it by itself.",
)
def a_failed_product_stops_no_other(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Once for each failed run that nobody continues."""
    run = context.dagster_run
    if CONTINUES in run.tags or STARTED_HERE.items() <= run.tags.items():
        return dg.SkipReason("it is continued already")
    entries = context.instance.all_logs(run.run_id)
    events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
    left = left_behind(load(GRAPH).resolve_job_def(REFRESH_JOB_NAME), events, run.asset_selection)
    if not left:
        return dg.SkipReason("nothing waits for another product")
    return dg.RunRequest(run_key=f"rest-{run.run_id}", asset_selection=sorted(left), tags={CONTINUES: run.run_id})


SENSORS = [a_failed_product_stops_no_other]
