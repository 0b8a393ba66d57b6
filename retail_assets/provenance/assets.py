"""Assets of lineage: the upkeep of the tables that traces read."""

import dagster as dg

from retail_assets.core.markdown import table
from retail_assets.core.registry import products
from retail_assets.provenance.config import LineageConfig
from retail_assets.provenance.maintenance import compact_decisions
from retail_assets.resources.lake import Lake


@dg.asset(
    key=["lineage", "decision_tables"],
    deps=[list(key) for p in products().values() for key in p.batch_decisions],
    group_name="lineage",
    owners=["team:data-platform"],
    kinds={"deltalake"},
    code_version="1",
    description="decisions/*: the many small files that services leave behind made into a few per business date, and a "
    "checkpoint. No row changes, and every trace and replay stays as it was.",
)
def decision_tables(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Compacts what has more than `most_decision_files` files a day; else changes nothing."""
    done = compact_decisions(lake, LineageConfig.load().most_decision_files)
    rows = [(made.table, made.compacted_days, made.files_before, made.files_after) for made in done]
    return dg.MaterializeResult(
        metadata={
            "status": "compacted" if any(made.compacted_days for made in done) else "unchanged",
            "tables": dg.MetadataValue.md(table(("table", "days compacted", "files before", "after"), rows)),
        }
    )


ASSETS = [decision_tables]
