"""The warehouse as the UI shows it: assets, checks that block, and lineage from bronze to gold."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.warehouse import dbt_resource
from retail_assets.warehouse import assets, checks
from retail_assets.warehouse.manifest import gold_marts

Run = Callable[[], dg.ExecuteInProcessResult]
Column = tuple[dg.AssetKey, str]

BLOCKING = {
    "fct_sales_daily": {
        "every_amount_has_a_rate",
        "sales_identities_hold",
        "sold_units_have_a_price_and_a_currency",
        "sums_agree_between_layers",
    },
    "fct_price_history": {"price_periods_are_in_order", "price_source_is_allowed"},
    "int_pos_lines": {"lines_of_a_sku_share_a_currency"},
}
SHOWN_ONLY = {"fct_baskets": {"volume_has_not_dropped"}, "fct_sales_daily": {"store_day_has_one_currency"}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def run(built: Home, built_lake: Lake, instance: dg.DagsterInstance) -> Run:
    resources = {"home": built, "lake": built_lake, "dbt": dbt_resource(built, built_lake)}
    everything = [*assets.ASSETS, *checks.CHECKS]
    return lambda: dg.materialize(everything, instance=instance, resources=resources, raise_on_error=False)


def newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, dg.MetadataValue]:
    event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    return dict(event.asset_materialization.metadata)


def raw_columns(instance: dg.DagsterInstance, column: Column) -> set[str]:
    """The bronze columns that a column of the warehouse comes from, by following the lineage the UI shows."""
    found: set[str] = set()
    open_columns = {column}
    while open_columns:
        key, name = open_columns.pop()
        if key.path[0] == "bronze":
            found.add("/".join([*key.path[1:], name]))
            continue
        lineage = newest(instance, key)["dagster/column_lineage"]
        assert isinstance(lineage, dg.TableColumnLineageMetadataValue)
        open_columns |= {(dep.asset_key, dep.column_name) for dep in lineage.value.deps_by_column[name]}
    return found


def warehouse(model: str) -> dg.AssetKey:
    return dg.AssetKey(["warehouse", model])


def test_the_graph_builds_shows_lineage_and_then_has_nothing_to_do(
    run: Run, instance: dg.DagsterInstance, built_lake: Lake
) -> None:
    first = run()
    assert first.success
    assert [check.check_name for check in first.get_asset_check_evaluations() if not check.passed] == []
    assert raw_columns(instance, (warehouse("fct_sales_daily"), "net_amount")) == {
        "pos_lines/quantity",
        "pos_lines/unit_price",
    }
    assert "competitor_prices/price" in raw_columns(instance, (warehouse("fct_sales_daily"), "competitor_price"))
    assert "price_list/unit_cost" in raw_columns(instance, (warehouse("fct_price_history"), "unit_cost"))
    assert "chargebacks/reason" in raw_columns(instance, (warehouse("fct_payments"), "chargeback_reason"))
    again = run()
    assert again.success
    statuses = {
        event.materialization.asset_key.to_user_string(): event.materialization.metadata["status"].value
        for event in again.get_asset_materialization_events()
    }
    assert set(statuses.values()) == {"unchanged"}
    assert raw_columns(instance, (warehouse("fct_baskets"), "net_amount")) == {
        "pos_lines/quantity",
        "pos_lines/unit_price",
    }
    metadata = newest(instance, dg.AssetKey(["gold", "fct_sales_daily"]))
    assert metadata["delta_version"].value == built_lake.version("gold", "fct_sales_daily")
    rows = built_lake.query(f"FROM {built_lake.scan('gold', 'fct_sales_daily')}").num_rows
    assert metadata["dagster/row_count"].value == rows
    assert newest(instance, warehouse("fct_sales_daily"))["dagster/row_count"].value == rows


def test_a_gold_table_that_somebody_changed_fails_its_check(built: Home, built_lake: Lake) -> None:
    built_lake.open("gold", "fct_baskets").delete("store_id = 'US-001'")
    resources = {"home": built, "lake": built_lake}
    done = dg.materialize(
        [*(gold for gold in assets.GOLD), checks.gold_equals_warehouse, checks.sums_agree_with_baskets],
        resources=resources,
        raise_on_error=False,
    )
    failed = {
        (check.asset_key.path[-1], check.check_name) for check in done.get_asset_check_evaluations() if not check.passed
    }
    assert ("fct_baskets", "holds_what_the_warehouse_built") in failed
    assert not done.success, "the check blocks"


def lineage_allowed(mart: str, columns: dict[str, bool]) -> bool:
    """Whether the check lets a mart pass whose `columns` come from another column, or do not."""
    source = [dg.TableColumnDep(warehouse("int_pos_lines"), "gross_amount")]
    lineage = dg.TableColumnLineage({name: source if known else [] for name, known in columns.items()})
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "bigint") for name in columns])
    metadata = {checks.SCHEMA: dg.MetadataValue.table_schema(schema)}
    metadata[checks.LINEAGE] = dg.MetadataValue.column_lineage(lineage)
    return checks.columns_without_lineage(warehouse(mart), metadata).allowed


def test_lineage_that_vanished_is_noticed() -> None:
    amounts = dict.fromkeys(checks.AMOUNTS, True)
    assert lineage_allowed("fct_sales_daily", amounts)
    assert not lineage_allowed("fct_sales_daily", amounts | {"competitor_price": False})
    assert lineage_allowed("fct_baskets", {"store_id": True, "sku": True, "day": True, "lines": False})
    assert not lineage_allowed("fct_baskets", {"store_id": True, "sku": False, "day": False})
    assert not lineage_allowed("fct_sessions", {})
    assert not checks.columns_without_lineage(warehouse("fct_sessions"), {}).allowed


def check_specs() -> dict[tuple[str, str], dg.AssetCheckSpec]:
    specs = [spec for asset in assets.ASSETS for spec in asset.check_specs]
    return {(spec.asset_key.path[-1], spec.name): spec for spec in specs}


@pytest.mark.parametrize(("wanted", "blocking"), [(BLOCKING, True), (SHOWN_ONLY, False)])
def test_what_could_reach_a_price_blocks(wanted: dict[str, set[str]], blocking: bool) -> None:
    specs = check_specs()
    found = {(model, name): specs[model, name].blocking for model, names in wanted.items() for name in names}
    assert found == dict.fromkeys(found, blocking)


def test_each_mart_becomes_one_gold_asset_with_its_columns() -> None:
    keys = {asset.key.path[-1]: asset for asset in assets.GOLD}
    assert sorted(keys) == gold_marts(assets.MANIFEST)
    spec = next(iter(keys["fct_sales_daily"].specs))
    assert warehouse("fct_sales_daily") in {dep.asset_key for dep in spec.deps}
    assert "dagster/column_lineage" in spec.metadata


def test_only_one_step_at_a_time_may_open_the_duckdb_file() -> None:
    pools = {asset.op.pool for asset in [assets.warehouse_models, *assets.GOLD]}
    assert pools == {assets.POOL}
    assert checks.gold_equals_warehouse.op.pool == assets.POOL
