"""What every model of the project owes to those who read it."""

from pathlib import Path
from typing import Any

import pytest

from retail_assets.resources.warehouse import PROJECT_DIR
from retail_assets.warehouse.manifest import gold_marts, load_manifest, mart_columns, models

MODELS = models(load_manifest())
SQL = sorted((PROJECT_DIR / "models").rglob("*.sql"))
CONTRACT = {
    "fct_sales_daily": "store_id sku business_date currency gross_units returned_units net_units gross_amount "
    "returned_amount net_amount discount_amount unit_price paid_price list_price list_price_source list_price_low "
    "list_price_high list_price_lines list_price_agreement price_tiers unit_cost on_promotion promo_code "
    "discount_share receipts on_hand on_order is_stocked_out competitor_price reporting_currency exchange_rate "
    "net_amount_reporting source_rows last_delivered_at",
    "fct_price_history": "store_id sku valid_from valid_to list_price unit_cost currency previous_list_price source",
    "fct_sessions": "session_id store_id customer_id business_date started_at ended_at events views searches carts "
    "purchases skus_viewed converted",
    "fct_baskets": "receipt_id store_id business_date sold_at customer_id payment_id lines units gross_amount "
    "returned_amount net_amount currency exchange_rate net_amount_reporting promo_lines is_return",
    "dim_product": "sku name department category brand colour pack_size unit price_family launched_on discontinued_on "
    "is_inferred",
    "dim_store": "store_id name country region city time_zone currency channel fiscal_calendar day_ends opened_on "
    "size_sqm is_inferred",
}


@pytest.mark.parametrize("sql", SQL, ids=lambda path: path.stem)
def test_one_yml_lies_beside_each_sql(sql: Path) -> None:
    assert sql.with_suffix(".yml").exists()
    assert len(MODELS[sql.stem]["description"]) > 20


@pytest.mark.parametrize("mart", gold_marts(load_manifest()))
def test_gold_is_under_an_enforced_contract(mart: str) -> None:
    assert MODELS[mart]["config"]["contract"]["enforced"]
    assert all(mart_columns(load_manifest(), mart).values())


@pytest.mark.parametrize(("mart", "columns"), CONTRACT.items())
def test_marts_have_the_columns_others_rely_on(mart: str, columns: str) -> None:
    assert list(mart_columns(load_manifest(), mart)) == columns.split()


def test_money_is_decimal() -> None:
    loose = {
        (mart, name): kind
        for mart in gold_marts(load_manifest())
        if mart.startswith("fct_")
        for name, kind in mart_columns(load_manifest(), mart).items()
        if name.endswith(("amount", "price", "cost", "rate", "reporting")) and not kind.startswith("decimal")
    }
    assert loose == {}


@pytest.mark.parametrize("name", [n for n, node in MODELS.items() if node["config"]["materialized"] == "incremental"])
def test_models_by_day_delete_before_they_insert(name: str) -> None:
    config: dict[str, Any] = MODELS[name]["config"]
    assert config["incremental_strategy"] == "append"
    assert any("delete_" in hook["sql"] for hook in config["pre-hook"])
    assert config["on_schema_change"] == "fail"


def test_every_mart_has_a_tested_key() -> None:
    tested = {
        node["attached_node"].split(".")[-1]
        for node in load_manifest()["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") == "unique_key"
    }
    assert set(gold_marts(load_manifest())) <= tested
