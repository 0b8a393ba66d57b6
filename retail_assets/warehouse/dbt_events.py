"""What dbt reported, as Dagster events with columns, lineage and counts.

dagster-dbt fetches those in threads while it polls for the end of dbt without a pause: on two cores the polling takes
one of them away from dbt. Here dbt is waited for first; nothing is lost, since its DuckDB file cannot be read before.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation
from dagster_dbt.core.dbt_event_iterator import DbtEventIterator
from dagster_dbt.errors import DagsterDbtCliRuntimeError


def finished_events(invocation: DbtCliInvocation, with_columns: bool) -> Iterator[Any]:
    """Waits for dbt and yields its events in their order, models with row counts and, if asked, columns and lineage.

    Raises DagsterDbtCliRuntimeError after the last event when dbt failed.
    """
    events, failure = _drain(invocation.stream())
    if failure is not None:
        yield from events
        raise failure
    models = iter(_described(invocation, [event for event in events if isinstance(event, dg.Output)], with_columns))
    for event in events:
        yield next(models) if isinstance(event, dg.Output) else event


def _drain(stream: Iterator[Any]) -> tuple[list[Any], DagsterDbtCliRuntimeError | None]:
    events: list[Any] = []
    try:
        for event in stream:
            events.append(event)
    except DagsterDbtCliRuntimeError as failure:
        return events, failure
    return events, None


def _described(invocation: DbtCliInvocation, models: list[dg.Output[Any]], with_columns: bool) -> list[Any]:
    counted = DbtEventIterator(iter(models), invocation).fetch_row_counts()
    return list(counted.fetch_column_metadata() if with_columns else counted)
