"""What services release by themselves becomes visible in Dagster; what people release is told by their command."""

import json
from typing import Any

import dagster as dg

from retail_assets.core.markdown import passed_word, table
from retail_assets.releases.canary_watch import BY
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import Release
from retail_assets.resources.lake import Lake

RELEASES = dg.AssetKey(["serving", "releases"])
AT_ONCE = 100


@dg.sensor(
    minimum_interval_seconds=30,
    description="An observation of serving/releases for every canary that a service withdrew or promoted by itself.",
)
def verdicts_are_observed(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult:
    """The cursor is the id of the newest release that was looked at: ids sort by time."""
    rows = [row for row in Ledger(lake).log() if row.release_id > (context.cursor or "")]
    told = [dg.AssetObservation(RELEASES, metadata=observed(row)) for row in rows if row.by == BY]
    cursor = max((row.release_id for row in rows), default=context.cursor)
    return dg.SensorResult(asset_events=told[-AT_ONCE:], cursor=cursor)


def observed(release: Release) -> dict[str, Any]:
    """The fields of a release as metadata, its gate report or verdict as a table."""
    told: dict[str, Any] = {
        name: str(value) for name, value in release.model_dump(exclude={"gate_report"}).items() if value is not None
    }
    if release.gate_report:
        told["gates"] = dg.MetadataValue.md(report_table(json.loads(release.gate_report)))
    return told


def report_table(report: dict[str, Any]) -> str:
    """A markdown table of a stored gate report or verdict."""
    rows = ((c["metric"], c["side"], passed_word(c["passed"]), c["reason"]) for c in report["comparisons"])
    return table(("metric", "against", "passed", "in words"), rows)


SENSORS = [verdicts_are_observed]
