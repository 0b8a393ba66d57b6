"""Inputs from raw rows by hand: each definition on rows small enough to check in the head."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.trace.agreement import agreement, first_difference
from retail_assets.pricing.trace.days import days_of, observed_prices
from retail_assets.pricing.trace.evidence import Evidence
from retail_assets.pricing.trace.families import Pack, bounds_of
from retail_assets.pricing.trace.recompute import lowest_competitor, recompute
from retail_assets.pricing.trace.sources import ORIGINS, dbt_path
from retail_assets.pricing.trace.surroundings import StoreFacts

TODAY = date(2026, 3, 10)


def ago(days: int) -> date:
    """So many days before TODAY."""
    return TODAY - timedelta(days=days)


def line(day: date, quantity: str, price: str, **changes: Any) -> dict[str, Any]:
    """A receipt line."""
    row = {
        "business_date": day, "quantity": Decimal(quantity), "unit_price": Decimal(price), "list_price": None,
        "promo_code": None, "receipt_id": "R1", "currency": "EUR",
    }  # fmt: skip
    return row | changes


def count(day: date, on_hand: int) -> dict[str, Any]:
    """A stock count."""
    return {"business_date": day, "on_hand": on_hand}


def listed(day: date, price: str, cost: str | None = "2.00", currency: str = "EUR") -> dict[str, Any]:
    """A row of the price list."""
    unit_cost = None if cost is None else Decimal(cost)
    return {"effective_on": day, "list_price": Decimal(price), "unit_cost": unit_cost, "currency": currency}


def inputs(**changes: Any) -> DecisionInputs:
    """Recorded inputs; only keys and the source of demand matter to a recomputation."""
    values = {
        "store_id": "S1", "sku": "K1", "country": "DE", "currency": "EUR", "business_date": TODAY,
        "previous_price": 100, "base_demand_source": "recent_mean",
    }  # fmt: skip
    return DecisionInputs(**values | changes)


def evidence(raw: dict[str, list[dict[str, Any]]], **rest: Any) -> Evidence:
    """Evidence of raw rows alone."""
    shop = {"stores": [{"country": "DE", "currency": "EUR"}]}
    family = rest.pop("family", {})
    return Evidence(rest.pop("gold", {}), shop | raw, {}, family, StoreFacts(**rest))


def test_lines_of_a_day_add_up_with_each_line_rounded_once() -> None:
    lines = [
        line(TODAY, "1.5", "0.33"),
        line(TODAY, "1.5", "0.33", receipt_id="R2"),
        line(TODAY, "-1", "2.00"),
        line(TODAY, "2", "3.00", list_price=Decimal("4.00"), promo_code="P"),
        line(TODAY, "1", "5.00", list_price=Decimal("4.00")),
    ]
    [day] = days_of({"pos_lines": lines, "stock_levels": [count(TODAY, 7)]})
    assert (day.gross_units, day.returned_units) == (6, 1)
    assert day.gross_amount == Decimal("12.00")  # 0.50 + 0.50 + 6.00 + 5.00
    assert day.returned_amount == Decimal("2.00")
    assert day.discount_amount == Decimal("2.00"), "a price above the list is no negative discount"
    assert (day.receipts, day.source_rows, day.on_hand) == (2, 6, 7)


def test_prices_come_from_the_list_in_the_currency_of_the_store() -> None:
    raw = {
        "price_list": [
            listed(ago(400), "9.00"),
            listed(ago(89), "4.00", "2.001"),
            listed(ago(5), "5.00", None),
            listed(ago(1), "7.00", currency="USD"),
        ]
    }
    found = recompute(evidence(raw), inputs())
    assert (found["previous_price"], found["previous_price_at"]) == (500, ago(5))
    assert (found["unit_cost"], found["unit_cost_at"]) == (201, ago(89)), "the newest cost delivered, rounded up"
    assert found["reference_price"] == round(100 * (9 * 90 + 4 * 84 + 5 * 6) / 180)
    assert (found["week_price"], found["week_price_at"], found["reference_price_at"]) == (400, ago(6), TODAY)
    assert found["costs_delivered"] is True


@pytest.mark.parametrize(("elsewhere", "delivered"), [(True, True), (False, False), (None, False)])
def test_costs_are_delivered_where_anything_in_the_country_has_one(elsewhere: bool | None, delivered: bool) -> None:
    raw = {"price_list": [listed(ago(3), "4.00", None)]}
    found = recompute(evidence(raw, costs_elsewhere=elsewhere), inputs())
    assert (found["unit_cost"], found["costs_delivered"], found["week_price"]) == (None, delivered, None)


def test_the_country_of_a_store_no_file_names_is_the_only_one_planned_for() -> None:
    def found(*countries: str) -> str:
        unnamed = {"stores": [], "pos_lines": [line(TODAY, "1", "2.00")]}
        return str(recompute(evidence(unnamed, countries=countries), inputs())["country"])

    assert (found("DE"), found(), found("DE", "FR")) == ("DE", "", "")


def pack(sku: str, size: float, price: str, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    """A pack of the family F: its catalogue row, its list price, its newest count."""
    named = {"sku": sku, "country": "DE", "department": "d", "category": "c", "price_family": "F", "unit": "kg"}
    product = named | {"pack_size": size, "discontinued_on": None} | changes
    day = changes.get("counted", TODAY)
    return {
        "products": [product],
        "price_list": [listed(ago(9), price) | {"sku": sku}],
        "stock_levels": [count(day, 1) | {"sku": sku}],
    }


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({}, 350, 450),
        ({"counted": ago(7)}, 350, None),
        ({"discontinued_on": TODAY}, 350, None),
        ({"price_list": []}, 350, None),
    ],
    ids=["listed", "no longer counted", "discontinued", "without a price"],
)
def test_a_pack_stays_half_way_between_its_neighbours_that_the_store_lists(
    changes: dict[str, Any], low: int | None, high: int | None
) -> None:
    own, larger, smaller = pack("K1", 2.0, "4.00"), pack("K2", 4.0, "6.00"), pack("K0", 1.0, "2.50", **changes)
    smaller |= {name: rows for name, rows in changes.items() if name == "price_list"}
    rows = {name: [*larger[name], *smaller[name]] for name in own}
    found = recompute(evidence(own, family=rows, last_count=TODAY), inputs())
    assert (found["family_low"], found["family_high"]) == (low, high)


def test_packs_of_one_size_share_their_borders() -> None:
    packs = {"a": Pack(1, 300), "b": Pack(1, 200), "c": Pack(2, 500), "d": Pack(2, 300)}
    assert [bounds_of(packs, sku) for sku in "abcd"] == [(225, None), (225, None), (None, 450), (None, 450)]
    assert bounds_of({"a": Pack(1, 300)}, "a") == bounds_of({}, "a") == (None, None)


def test_without_a_list_the_price_is_what_the_till_recorded() -> None:
    lines = [
        line(ago(3), "1", "2.50"),
        line(ago(2), "1", "2.00", promo_code="P"),
        line(ago(2), "1", "2.60"),
        line(ago(1), "-1", "9.00"),
        line(TODAY, "1", "2.10", list_price=Decimal("2.80")),
    ]
    prices = observed_prices(days_of({"pos_lines": lines}), "EUR")
    assert [(p.valid_from, p.list_price) for p in prices] == [
        (ago(3), Decimal("2.50")),
        (ago(2), Decimal("2.60")),
    ], "one dear line at the end moves no price"
    found = recompute(evidence({"pos_lines": lines}), inputs())
    assert (found["previous_price"], found["unit_cost"]) == (260, None)
    assert "price_source" not in found, "decisions from before it was recorded know nothing of it"
    found = recompute(evidence({"pos_lines": lines}), inputs(price_source="observed"))
    told = {name: found[f"price_{name}"] for name in ("source", "lines", "agreement", "low", "high", "tiers")}
    weights = [0.5 ** (age / 14) for age in (3, 2, 0)]
    agreement = round(weights[1] / sum(weights), 4)
    assert told == {
        "source": "observed", "lines": 3, "agreement": agreement, "low": 250, "high": 280, "tiers": "several_prices",
    }  # fmt: skip


@pytest.mark.parametrize(("age", "price"), [(0, "3"), (14, "3"), (15, None)])
def test_a_competitor_is_believed_for_fourteen_days(age: int, price: str | None) -> None:
    seen = [
        {"observed_on": ago(age), "price": Decimal(4), "currency": "EUR"},
        {"observed_on": ago(age), "price": Decimal(3), "currency": "EUR"},
        {"observed_on": ago(age), "price": Decimal(1), "currency": "USD"},
        {"observed_on": ago(age + 1), "price": Decimal(2), "currency": "EUR"},
    ]
    assert lowest_competitor(seen, "EUR", TODAY) == (None if price is None else Decimal(price))


def test_recent_demand_leaves_out_days_without_stock() -> None:
    raw = {
        "pos_lines": [line(ago(2), "3", "1"), line(ago(1), "5", "1")],
        "stock_levels": [count(ago(2), 4), count(ago(1), 0), count(TODAY, 9)],
    }
    counted = recompute(evidence(raw, store_days=[ago(2), ago(1), TODAY], last_count=TODAY), inputs())
    assert counted["base_demand"] == 1.5
    assert (counted["on_hand"], counted["on_hand_at"]) == (9, TODAY)
    uncounted = recompute(evidence(raw | {"stock_levels": []}, store_days=[ago(n) for n in range(16)]), inputs())
    assert uncounted["base_demand"] == 0.5


def test_a_forecast_is_the_mean_of_its_days() -> None:
    days = [("1.000001", "2.25"), ("2", "6.25")]
    rows = [{"exact_mean": Decimal(m), "exact_variance": Decimal(v), "origin_date": TODAY} for m, v in days]
    found = recompute(evidence({"promotions": [{"promo_code": "P"}]}, gold={"forecasts": rows}), inputs())
    assert (found["base_demand"], found["base_demand_at"], found["on_promotion"]) == (1.5, TODAY, True)
    assert (found["base_demand_source"], found["demand_deviation"]) == ("forecast", 2.0616)


def test_without_raw_rows_nothing_is_recomputed() -> None:
    assert recompute(Evidence(gold={}, raw={}, quarantined={}), inputs()) == {}


@given(
    st.lists(st.tuples(st.integers(0, 55), st.integers(-9, 9).filter(bool), st.integers(0, 999)), max_size=30),
    st.integers(0, 55),
)
def test_the_sums_agree_with_gold_of_the_same_rows_and_name_the_day_that_does_not(
    sold: list[tuple[int, int, int]], day: int
) -> None:
    lines = [line(ago(d), str(q), f"{p / 100:.2f}", receipt_id=str(i)) for i, (d, q, p) in enumerate(sold)]
    counts = [count(ago(d), 5) for d in range(56)]
    gold = [_gold_row(made) for made in days_of({"pos_lines": lines, "stock_levels": counts})]
    price = listed(ago(100), "9.00")
    raw = {"pos_lines": lines, "stock_levels": counts, "price_list": [price]}
    tables = {"fct_sales_daily": gold, "fct_price_history": [price | {"valid_from": price["effective_on"]}]}
    assert first_difference(agreement(evidence(raw, gold=tables), inputs())) is None
    gold[day]["gross_units"] += 1.0
    said = first_difference(agreement(evidence(raw, gold=tables), inputs()))
    assert said is not None
    assert str(gold[day]["business_date"]) in said


def _gold_row(day: Any) -> dict[str, Any]:
    names = ("gross_amount", "returned_amount", "discount_amount", "receipts", "source_rows", "on_hand")
    row = {name: getattr(day, name) for name in names}
    units = {name: float(getattr(day, name)) for name in ("gross_units", "returned_units")}
    return row | units | {"business_date": day.business_date, "competitor_price": None}


def test_the_path_through_dbt_leads_from_the_raw_table_to_the_mart() -> None:
    models = {
        "stg_price_list": {"reads": ["bronze/price_list"]},
        "stg_weather": {"reads": ["bronze/weather"]},
        "int_list_prices": {"reads": ["stg_price_list"]},
        "fct_price_history": {"reads": ["int_list_prices", "stg_weather"]},
    }
    assert dbt_path(models, "fct_price_history") == ["stg_price_list", "int_list_prices", "fct_price_history"]
    assert dbt_path(models, "dim_store") == []
    assert {origin.table for origin in ORIGINS.values()} >= {"fct_price_history", "dim_store"}
