"""The warehouse in the graph: the calendar, dbt's models, and the marts as gold Delta tables."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from retail_assets.resources.dagster.unchanged import standing_checks
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.warehouse import dbt_variables, release_file, target_path, variables_set
from retail_assets.sources.held_days import TABLE, TOLD_BY, held_days, write_held_days
from retail_assets.warehouse import seen
from retail_assets.warehouse.build import building, dbt_arguments
from retail_assets.warehouse.dbt_events import finished_events
from retail_assets.warehouse.manifest import gold_marts, load_manifest, mart_columns, models, models_in_order
from retail_assets.warehouse.plan import Plan, make_plan
from retail_assets.warehouse.publish import publish_mart
from retail_assets.warehouse.retail_calendar import write_calendar
from retail_assets.warehouse.translator import OWNERS, WarehouseTranslator

MANIFEST = load_manifest()
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=30))
POOL = "dbt"  # the DuckDB file belongs to one process at a time
CALENDAR = "retail_calendar"
SOURCES = sorted(source["name"] for source in MANIFEST["sources"].values() if source["name"] not in (CALENDAR, TABLE))


@dg.asset(
    key=["bronze", TABLE],
    deps=[["bronze", source] for source in TOLD_BY],
    group_name="sources",
    owners=OWNERS,
    kinds={"delta", "duckdb"},
    code_version="1",
    description="Newest days that gold does not take over yet, because few rows tell of them. Grain: source, store and "
    "business date.",
)
def held_days_table(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Decides per source and store which day is the newest; mostly nothing is held."""
    written = write_held_days(lake)
    held = held_days(lake)
    return dg.MaterializeResult(
        metadata={
            "status": "written" if written else "unchanged",
            "delta_version": lake.version("bronze", TABLE),
            "dagster/row_count": len(held),
            "held": "\n".join(str(day) for day in held[:20]) or "none",
        }
    )


@dg.asset(
    key=["bronze", CALENDAR],
    deps=[["bronze", source] for source in [*SOURCES, TABLE]],
    group_name="sources",
    owners=OWNERS,
    kinds={"delta", "python"},
    code_version="1",
    description="4-5-4 weeks, ISO weeks, holidays and seasons, generated. Grain: country and day, in whole "
    "fiscal years around what bronze knows.",
)
def retail_calendar(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Writes the calendar when its range of dates or its countries changed."""
    written = write_calendar(lake)
    metadata = {"status": "written" if written else "unchanged", "delta_version": lake.version("bronze", CALENDAR)}
    return dg.MaterializeResult(metadata=metadata)


@dbt_assets(manifest=MANIFEST, dagster_dbt_translator=WarehouseTranslator(), name="warehouse_models", pool=POOL)
def warehouse_models(
    context: dg.AssetExecutionContext,
    dbt: DbtCliResource,
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
) -> Iterator[Any]:
    """Builds what changed in bronze or in the code, in one dbt run; without a change dbt is not started.

    Unless the UI has never seen what was built, because it was built without Dagster: dbt then rebuilds no day.
    """
    plan = make_plan(lake, home)
    kept = seen.read(home, plan.code_hash)
    context.log.info(f"{plan.mode}: {plan.reason}; {len(plan.all_days)} days")
    if plan.mode == "unchanged" and kept:
        yield from _unchanged(context, kept)
        return
    if plan.mode == "unchanged":
        plan = plan.touching_nothing()
    with variables_set(dbt_variables(home, lake)):
        if context.is_subset:
            yield from _dbt_events(context, dbt, plan, home)
        else:
            with building(plan, home):
                yield from _dbt_events(context, dbt, plan, home)


def _unchanged(context: dg.AssetExecutionContext, kept: dict[str, seen.Metadata]) -> Iterator[Any]:
    for key in (dg.AssetKey(["warehouse", name]) for name in models_in_order(MANIFEST)):
        if key in context.selected_asset_keys:
            yield dg.MaterializeResult(key, metadata={**kept.get(key.to_user_string(), {}), "status": "unchanged"})
    yield from standing_checks(context)


def _dbt_events(context: dg.AssetExecutionContext, dbt: DbtCliResource, plan: Plan, home: Home) -> Iterator[Any]:
    kept = seen.read(home, plan.code_hash)
    invocation = dbt.cli(dbt_arguments(plan), context=context, target_path=target_path(home))
    names = {key.to_python_identifier(): key.to_user_string() for key in context.selected_asset_keys}
    try:
        yield from seen.keep(finished_events(invocation, with_columns=not kept), names, kept)
    finally:
        release_file(invocation)
    if not context.is_subset:
        seen.write(home, plan.code_hash, kept)


def _gold_asset(mart: str) -> dg.AssetsDefinition:
    node = models(MANIFEST)[mart]

    @dg.asset(
        key=["gold", mart],
        deps=[["warehouse", mart]],
        group_name="gold",
        owners=OWNERS,
        kinds={"delta", "duckdb"},
        code_version="1",
        description=node["description"].strip(),
        freshness_policy=DAILY,
        metadata=_columns(mart),
        pool=POOL,
    )
    def gold(lake: dg.ResourceParam[Lake], home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
        done = publish_mart(lake, home, mart)
        return dg.MaterializeResult(
            metadata={
                "status": done.status,
                "delta_version": done.delta_version,
                "dagster/row_count": done.total_rows,
                "rows_written": done.rows,
                "days_rebuilt": len(done.days),
                "days": ", ".join(str(day) for day in done.days) or "-",
                "dagster/uri": lake.table_uri("gold", mart),
            }
        )

    return gold


def _columns(mart: str) -> dict[str, Any]:
    """Columns and where each comes from; known from the contract, so the UI shows them before the first run."""
    described = models(MANIFEST)[mart]["columns"]
    upstream = dg.AssetKey(["warehouse", mart])
    columns = [
        dg.TableColumn(name, kind, description=described[name]["description"] or None)
        for name, kind in mart_columns(MANIFEST, mart).items()
    ]
    lineage = {column.name: [dg.TableColumnDep(asset_key=upstream, column_name=column.name)] for column in columns}
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }


GOLD = [_gold_asset(mart) for mart in gold_marts(MANIFEST)]
ASSETS: list[dg.AssetsDefinition] = [held_days_table, retail_calendar, warehouse_models, *GOLD]
