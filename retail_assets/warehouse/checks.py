"""What must hold of gold itself, whatever the warehouse believed it wrote."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from retail_assets.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse.assets import GOLD, MANIFEST, POOL
from retail_assets.warehouse.compare import compare

LINEAGE = "dagster/column_lineage"
MONEY = dg.AssetKey(["warehouse", "fct_sales_daily"])
AMOUNTS = ("unit_price", "net_amount", "on_hand", "competitor_price")  # one column per bronze table a price relies on

SUMS = """
    WITH amounts AS (
        SELECT currency, net_amount AS sales, 0 AS baskets FROM {sales} WHERE net_amount <> 0
        UNION ALL SELECT currency, 0, net_amount FROM {baskets} WHERE net_amount <> 0)
    SELECT currency, sum(sales) AS sales, sum(baskets) AS baskets FROM amounts GROUP BY currency ORDER BY currency"""


@dg.multi_asset_check(
    name="gold_equals_warehouse",
    specs=[
        dg.AssetCheckSpec(
            "holds_what_the_warehouse_built",
            asset=asset.key,
            blocking=True,
            description="As many rows as the mart in DuckDB and the same sum of every amount.",
        )
        for asset in GOLD
    ],
    can_subset=True,
    pool=POOL,
)
def gold_equals_warehouse(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], home: dg.ResourceParam[Home]
) -> Iterator[dg.AssetCheckResult]:
    """Compares every published mart with the table it came from."""
    wanted = sorted({key.asset_key.path[-1] for key in context.selected_asset_check_keys})
    for found in compare(lake, home, MANIFEST, wanted):
        yield dg.AssetCheckResult(
            passed=found.warehouse == found.gold,
            check_name="holds_what_the_warehouse_built",
            asset_key=dg.AssetKey(["gold", found.mart]),
            metadata={"warehouse": str(found.warehouse), "gold": str(found.gold)},
        )


@dg.asset_check(asset=["gold", "fct_sales_daily"], additional_deps=[["gold", "fct_baskets"]], blocking=True)
def sums_agree_with_baskets(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Per currency, daily sales and baskets add up to the same net amount, to the minor unit."""
    found: pa.Table = lake.query(
        SUMS.format(sales=lake.scan("gold", "fct_sales_daily"), baskets=lake.scan("gold", "fct_baskets"))
    )
    apart = [row for row in found.to_pylist() if row["sales"] != row["baskets"]]
    return dg.AssetCheckResult(passed=not apart, metadata={"currencies": found.num_rows, "apart": str(apart)})


@dg.asset_check(asset=MONEY)
def column_lineage_has_not_vanished(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """The newest materialisation still says which columns the amounts come from.

    Lineage is worked out by a SQL parser that gives up silently on what it does not know: without this check an edge of
    the lineage page could be missing for months.
    """
    event = context.instance.get_latest_materialization_event(MONEY)
    materialization = event.asset_materialization if event else None
    entry = materialization.metadata.get(LINEAGE) if materialization else None
    edges = entry.value.deps_by_column if isinstance(entry, dg.TableColumnLineageMetadataValue) else {}
    vanished = [column for column in AMOUNTS if not edges.get(column)]
    return dg.AssetCheckResult(
        passed=not vanished,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"columns_with_lineage": sum(bool(deps) for deps in edges.values()), "vanished": ", ".join(vanished)},
    )


CHECKS: list[dg.AssetChecksDefinition] = [
    gold_equals_warehouse,
    sums_agree_with_baskets,
    column_lineage_has_not_vanished,
]
