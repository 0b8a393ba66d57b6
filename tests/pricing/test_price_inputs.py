"""Which items get a price, and from which facts: gold in every state a retailer leaves it in."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.pricing.decide.gold_inputs import NothingToPrice, gold_versions, read_inputs
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.lake import Lake

Change = Callable[[pd.DataFrame], pd.DataFrame]


def rewrite(lake: Lake, name: str, change: Change) -> None:
    """Replaces gold/`name` by what `change` makes of it."""
    table = lake.open("gold", name).to_pyarrow_table()
    frame = change(table.to_pandas())
    new = pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False)
    lake.overwrite("gold", name, new, partition_by=["business_date"] if name == "fct_sales_daily" else [])


def rows(lake: Lake) -> dict[tuple[str, str], dict[str, Any]]:
    found = read_inputs(lake, gold_versions(lake)).rows.to_pylist()
    return {(row["store_id"], row["sku"]): row for row in found}


def test_every_listed_item_has_its_facts(planted: Callable) -> None:
    retailer = planted()
    found = read_inputs(retailer.lake, gold_versions(retailer.lake))
    assert (found.listed, found.rows.num_rows, found.without_price.num_rows) == (24, 24, 0)
    assert found.business_date == retailer.last_day
    for row in found.rows.to_pylist():
        assert row["previous_price"] > row["unit_cost"] > 0
        assert row["costs_delivered"]
        assert row["base_demand_source"] == "recent_mean"
        assert row["previous_price_at"] <= retailer.last_day
        assert row["competitor_price"] > 0


def test_the_price_in_force_is_the_newest_that_has_begun(planted: Callable) -> None:
    retailer = planted()
    tomorrow = retailer.last_day + timedelta(days=1)

    def announce(history: pd.DataFrame) -> pd.DataFrame:
        later = history.drop_duplicates(["store_id", "sku"]).assign(valid_from=tomorrow, list_price=1)
        return pd.concat([history, later], ignore_index=True)

    before = rows(retailer.lake)
    rewrite(retailer.lake, "fct_price_history", announce)
    assert rows(retailer.lake) == before


def test_a_price_in_another_currency_is_no_price(planted: Callable) -> None:
    retailer = planted()
    rewrite(
        retailer.lake,
        "fct_price_history",
        lambda h: h.assign(currency=h["currency"].where(h["sku"] != "SKU-00003", "CHF")),
    )
    found = read_inputs(retailer.lake, gold_versions(retailer.lake))
    assert found.without_price["sku"].to_pylist() == ["SKU-00003"] * 2
    assert found.rows.num_rows == found.listed - 2


def test_discontinued_items_are_not_listed(planted: Callable) -> None:
    retailer = planted()
    rewrite(
        retailer.lake,
        "dim_product",
        lambda p: p.assign(discontinued_on=[retailer.last_day] + [None] * (len(p) - 1)),
    )
    assert {sku for _, sku in rows(retailer.lake)} == set(retailer.skus[1:])


def test_items_without_a_recent_count_are_not_listed(planted: Callable) -> None:
    retailer = planted()
    gone = retailer.last_day - timedelta(days=7)
    rewrite(
        retailer.lake,
        "fct_sales_daily",
        lambda s: s[(s["sku"] != "SKU-00001") | (pd.to_datetime(s["business_date"]) <= pd.Timestamp(gone))],
    )
    assert "SKU-00001" not in {sku for _, sku in rows(retailer.lake)}


def test_a_retailer_without_stock_counts_lists_what_it_sold(planted: Callable) -> None:
    retailer = planted()
    rewrite(retailer.lake, "fct_sales_daily", lambda s: s[s["gross_units"] > 0].assign(on_hand=None))
    assert len(rows(retailer.lake)) == 24


def test_a_retailer_without_costs_is_recognised(planted: Callable) -> None:
    found = rows(planted(costs=False).lake)
    assert not any(row["costs_delivered"] for row in found.values())
    assert all(row["unit_cost"] is None for row in found.values())


def test_one_missing_cost_is_not_a_retailer_without_costs(planted: Callable) -> None:
    retailer = planted()
    rewrite(
        retailer.lake,
        "fct_price_history",
        lambda h: h.assign(unit_cost=h["unit_cost"].where(h["sku"] != "SKU-00002", None)),
    )
    row = rows(retailer.lake)["US-000", "SKU-00002"]
    assert (row["unit_cost"], row["costs_delivered"]) == (None, True)


def test_a_promotion_of_tomorrow_counts_and_one_that_ends_today_does_not(planted: Callable) -> None:
    retailer = planted()
    day = retailer.last_day

    def plan(promotions: pd.DataFrame) -> pd.DataFrame:
        starts = {"SKU-00000": day + timedelta(days=1), "SKU-00001": day - timedelta(days=3)}
        ends = {"SKU-00000": day + timedelta(days=5), "SKU-00001": day}
        new = [
            {
                "promo_code": sku,
                "country": "US",
                "sku": sku,
                "starts_on": starts[sku],
                "ends_on": ends[sku],
                "discount_pct": Decimal(10),
            }
            for sku in starts
        ]
        return pd.DataFrame(new, columns=promotions.columns)

    rewrite(retailer.lake, "dim_promotion", plan)
    promoted = {key for key, row in rows(retailer.lake).items() if row["on_promotion"]}
    assert promoted == {("US-000", "SKU-00000")}


def test_the_forecast_is_the_demand_where_there_is_one(planted: Callable) -> None:
    retailer = planted()
    day = retailer.last_day
    origins = [day - timedelta(days=1)] * 2 + [day] * 2
    targets = [day + timedelta(days=n) for n in (1, 2, 1, 2)]
    forecast = {
        "store_id": ["US-000"] * 4,
        "sku": ["SKU-00000"] * 4,
        "target_date": pa.array(targets, pa.date32()),
        "mean": [90.0, 90.0, 4.0, 6.0],
        "q05": [0.0, 0.0, 1.0, 2.0],
        "q95": [0.0, 0.0, 7.579414, 8.579414],
        "origin_date": pa.array(origins, pa.date32()),
    }
    retailer.lake.overwrite("gold", "forecasts", pa.table(forecast))
    found = rows(retailer.lake)
    row = found["US-000", "SKU-00000"]
    assert (row["base_demand"], row["base_demand_source"], row["base_demand_at"]) == (5.0, "forecast", day)
    assert row["demand_deviation"] == 2.0
    assert found["US-000", "SKU-00001"]["base_demand_source"] == "recent_mean"


def test_stores_and_products_that_no_file_describes_are_priced(planted: Callable) -> None:
    retailer = planted()
    rewrite(retailer.lake, "dim_product", lambda p: p.iloc[2:])
    rewrite(retailer.lake, "dim_store", lambda s: s.assign(country=None))
    row = rows(retailer.lake)["US-000", "SKU-00000"]
    assert (row["category"], row["country"]) == (None, "")


def test_an_empty_gold_is_a_named_error(planted: Callable) -> None:
    retailer = planted()
    rewrite(retailer.lake, "fct_sales_daily", lambda s: s.iloc[:0])
    with pytest.raises(NothingToPrice, match="nothing to price"):
        read_inputs(retailer.lake, gold_versions(retailer.lake))


def test_the_book_of_a_service_holds_the_rows_of_the_batch(planted: Callable) -> None:
    retailer = planted()
    book = InputBook.read(retailer.lake)
    found = rows(retailer.lake)
    for (store_id, sku), row in found.items():
        inputs = book.inputs_of(store_id, sku)
        assert inputs is not None
        assert inputs.table().to_pylist()[0] == row
    assert book.inputs_of("US-000", "SKU-99999") is None
    assert not book.is_stale(retailer.lake)
    rewrite(retailer.lake, "dim_promotion", lambda p: p.iloc[:0])
    assert book.is_stale(retailer.lake)


def test_demand_of_a_retailer_without_stock_counts_includes_the_days_it_did_not_sell(planted: Callable) -> None:
    retailer = planted()
    counted = {key: row["base_demand"] for key, row in rows(retailer.lake).items()}
    rewrite(
        retailer.lake,
        "fct_sales_daily",
        lambda s: s[(s["gross_units"] > 0) & ~s["is_stocked_out"]].assign(on_hand=None),
    )
    sold = {key: row["base_demand"] for key, row in rows(retailer.lake).items()}
    assert sold == pytest.approx(counted, rel=0.12)
