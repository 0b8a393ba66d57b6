"""The asset of the stores: what each of them said last, as a table to look at and a history to query."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from retail_assets.core import markdown
from retail_assets.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.serving.store_centre import store_reports
from retail_assets.serving.store_status import STATUS_SCHEMA, TABLE, StoreReport, rows


@dg.asset(
    key=["serving", "stores"],
    deps=[["serving", "releases"]],
    group_name="serving",
    owners=["team:data-platform"],
    kinds={"deltalake"},
    code_version="1",
    description="ops/store_status, one row per store and service each time this runs: health, version, latency and "
    "failures of the stores that run by themselves.",
)
def stores(home: dg.ResourceParam[Home], lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Adds the newest word of every store to the history."""
    now = datetime.now(UTC)
    reports = store_reports(Environment(name="", home=home, lake=lake), now)
    lake.ensure("ops", TABLE, STATUS_SCHEMA)
    if reports:
        lake.append("ops", TABLE, rows(reports, now))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(reports),
            "not_ok": sum(report.health != "ok" for report in reports),
            "stores": dg.MetadataValue.md(table(reports)),
        }
    )


def table(reports: Sequence[StoreReport]) -> str:
    """A markdown table: one line per store and service."""
    head = ("store", "health", "heard", "service", "version", "p99", "answers", "errors", "waiting", "why")
    lines: list[tuple[object, ...]] = []
    for found in reports:
        heard = "never" if found.silent_s is None else f"{found.silent_s:.0f} s ago"
        why = "; ".join(found.reasons)
        for product, service in sorted(found.status.services.items()) if found.status else []:
            p99 = "" if service.p99_ms is None else f"{service.p99_ms:.1f} ms"
            numbers = (p99, service.requests, service.errors, service.waiting_decisions)
            lines.append((found.target, found.health, heard, product, service.version, *numbers, why))
        if found.status is None or not found.status.services:
            lines.append((found.target, found.health, heard, *("" for _ in head[4:]), why))
    return markdown.table(head, lines)


ASSETS = [stores]
