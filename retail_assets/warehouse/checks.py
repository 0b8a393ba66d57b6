"""What must hold of gold itself, whatever the warehouse believed it wrote."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import dagster as dg
import pyarrow as pa

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.held_days import TABLE, held_days
from retail_assets.warehouse.assets import GOLD, MANIFEST, POOL
from retail_assets.warehouse.compare import compare

SCHEMA, LINEAGE = "dagster/column_schema", "dagster/column_lineage"
LINEAGE_GAP = 0.3  # the share of a mart's columns that may be counts or constants
MONEY = dg.AssetKey(["warehouse", "fct_sales_daily"])
AMOUNTS = ("unit_price", "net_amount", "on_hand", "competitor_price")  # one column per bronze table a price relies on

WHAT_TO_DO = (
    "These rows wait in bronze. They enter gold by themselves when the rest of their day arrives; if their date is "
    "wrong, take them out: retail quarantine SOURCE --where CONDITION --reason TEXT."
)

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


@dg.multi_asset_check(
    name="column_lineage_has_not_vanished",
    specs=[
        dg.AssetCheckSpec(
            "column_lineage_has_not_vanished",
            asset=["warehouse", *asset.key.path[1:]],
            description="The newest materialisation says which columns its columns come from; only counts and "
            "constants come from none.",
        )
        for asset in GOLD
    ],
    can_subset=True,
)
def column_lineage_has_not_vanished(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Lineage is worked out by a SQL parser that gives up silently on what it does not know.

    Without this check an edge of the lineage page could be missing for months.
    """
    for key in sorted(context.selected_asset_check_keys):
        event = context.instance.get_latest_materialization_event(key.asset_key)
        materialization = event.asset_materialization if event else None
        without = columns_without_lineage(key.asset_key, materialization.metadata if materialization else {})
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=without.allowed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"columns": without.of, "columns_without": ", ".join(without.columns) or "none"},
        )


class Without(NamedTuple):
    """The columns of a mart that come from no other column, of how many, and whether so many are allowed."""

    columns: list[str]
    of: int
    allowed: bool


def columns_without_lineage(mart: dg.AssetKey, metadata: Mapping[str, dg.MetadataValue]) -> Without:
    """Read from the metadata of a materialisation; a mart without any column is not allowed either."""
    schema, edges = metadata.get(SCHEMA), metadata.get(LINEAGE)
    columns = [c.name for c in schema.value.columns] if isinstance(schema, dg.TableSchemaMetadataValue) else []
    sources = edges.value.deps_by_column if isinstance(edges, dg.TableColumnLineageMetadataValue) else {}
    without = sorted(column for column in columns if not sources.get(column))
    few = len(columns) > 0 and len(without) <= LINEAGE_GAP * len(columns)
    return Without(without, len(columns), few and not (mart == MONEY and set(AMOUNTS) & set(without)))


@dg.asset_check(asset=["bronze", TABLE])
def no_date_is_ahead_of_its_store(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """No rows are dated more than a day after the newest day that their store has told of."""
    held = [day for day in held_days(lake) if day.is_ahead]
    return dg.AssetCheckResult(
        passed=not held,
        severity=dg.AssetCheckSeverity.WARN,
        description=None if not held else WHAT_TO_DO,
        metadata={"held": "; ".join(str(day) for day in held[:20]) or "none", "held_days": len(held)},
    )


CHECKS: list[dg.AssetChecksDefinition] = [
    no_date_is_ahead_of_its_store,
    gold_equals_warehouse,
    sums_agree_with_baskets,
    column_lineage_has_not_vanished,
]
