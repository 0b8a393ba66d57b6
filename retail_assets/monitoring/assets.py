"""The asset of live quality: what was answered for a day against what was sold on it."""

import dagster as dg
import pyarrow as pa

from retail_assets.core.manifest import sha256
from retail_assets.core.registry import products
from retail_assets.monitoring.live_quality import REPORT, by_arm, days_to_judge, judge, quality_table
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.lake import Lake


@dg.asset(
    key=["serving", "live_quality"],
    deps=[["gold", "fct_sales_daily"], *(list(key) for p in products().values() for key in p.answers_of)],
    group_name="serving",
    owners=["team:data-platform"],
    kinds={"deltalake", "duckdb"},
    code_version="1",
    description="reports/live_quality: one row per product, source, version, arm, store and outcome day: what was "
    "answered for the day against what was sold on it.",
)
def live_quality(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Joins answers with outcomes for the days whose sales are new."""
    days = days_to_judge(lake)
    if not days:
        return dg.MaterializeResult(metadata={"status": "no sales yet"})
    rows = judge(lake, days)
    seen = {"sales": str(lake.version("gold", "fct_sales_daily")), "rows": str(hash_of(rows))}
    if lake.exists("reports", REPORT):
        before = lake.open("reports", REPORT).history(1)[0]
        if all(before.get(name) == value for name, value in seen.items()):
            return unchanged(days=len(days))
    version = lake.overwrite_days("reports", REPORT, rows, days, metadata=seen)
    return dg.MaterializeResult(
        metadata={
            "status": "judged",
            "days": len(days),
            "dagster/row_count": rows.num_rows,
            "delta_version": version,
            "by_arm": dg.MetadataValue.md(quality_table(by_arm(lake))),
        }
    )


def hash_of(rows: pa.Table) -> str:
    """A short name for the content of a table."""
    return sha256(repr(rows.to_pydict()).encode())[:12]


ASSETS = [live_quality]
