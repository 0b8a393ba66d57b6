"""The asset of the stores: what each of them said last, as a table to look at and a history to query."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from retail_assets.core import markdown
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.stores.centre import store_reports
from retail_assets.stores.landing import set_aside
from retail_assets.stores.status import STATUS_SCHEMA, TABLE, StoreReport, rows

STORES = dg.AssetKey(["serving", "stores"])
BEHIND_AFTER_S = 900.0  # a store takes what is new in seconds; one on a weak line has a quarter of an hour


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
            "behind": sum(report.health == "behind" for report in reports),
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


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "every_store_has_what_the_centre_says",
            asset=STORES,
            description="Every store that was heard of has the releases, models and tables that it should have since a "
            f"quarter of an hour or less, and nothing is wrong with it. {BEHIND_AFTER_S:.0f} s behind is the bound.",
        ),
        dg.AssetCheckSpec(
            "every_segment_of_decisions_was_taken",
            asset=STORES,
            description="All decisions that stores sent are in the log. Those of a segment that could not be moved are "
            "kept in spool/stores/set-aside of the home, with the reason beside them; somebody should look.",
        ),
    ]
)
def store_checks(home: dg.ResourceParam[Home], lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the stores as `retail stores` does."""
    environment = Environment(name="", home=home, lake=lake)
    reports = store_reports(environment, datetime.now(UTC))
    wrong = {
        found.target: "; ".join(found.reasons)
        for found in reports
        if found.health in ("degraded", "silent") or (found.behind_s or 0.0) > BEHIND_AFTER_S
    }
    yield dg.AssetCheckResult(
        check_name="every_store_has_what_the_centre_says",
        asset_key=STORES,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "not_well": wrong,
            "stores": len(reports),
            "longest_behind_s": max((found.behind_s or 0.0 for found in reports), default=0.0),
        },
    )
    aside = set_aside(environment)
    yield dg.AssetCheckResult(
        check_name="every_segment_of_decisions_was_taken",
        asset_key=STORES,
        passed=not aside,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"set_aside": len(aside), "newest": [f"{one.target}: {one.reason}" for one in aside[-20:]]},
    )


ASSETS = [stores]
CHECKS = [store_checks]
