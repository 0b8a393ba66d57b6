"""Which gold column and which raw tables each input of a price comes from, and the dbt models between them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from retail_assets.pricing.decide.inputs import DecisionInputs


@dataclass(frozen=True)
class Origin:
    """Where an input comes from: gold `table.column`, bronze tables, and how it is read in words."""

    table: str
    column: str
    bronze: tuple[str, ...]
    how: str


SALES, HISTORY = "fct_sales_daily", "fct_price_history"
FORECAST = Origin("forecasts", "mean", ("pos_lines", "stock_levels"), "mean of the forecast of the next 28 days")
DEVIATION = Origin("forecasts", "q05, q95", ("pos_lines", "stock_levels"), "standard deviation of one day of it")
RECENT = Origin(SALES, "gross_units", ("pos_lines", "stock_levels"), "units a day with stock in the last 56 days")
ORIGINS: Mapping[str, Origin] = {
    "previous_price": Origin(HISTORY, "list_price", ("price_list",), "the list price in force"),
    "unit_cost": Origin(HISTORY, "unit_cost", ("price_list",), "the newest cost delivered, rounded up"),
    "competitor_price": Origin(
        SALES, "competitor_price", ("competitor_prices",), "the lowest price of the newest observation of 14 days"
    ),
    "week_price": Origin(HISTORY, "list_price", ("price_list",), "the list price seven days before the decided one"),
    "reference_price": Origin(
        HISTORY, "list_price", ("price_list",), "the list prices of 180 days, weighted by their days"
    ),
    "costs_delivered": Origin(HISTORY, "unit_cost", ("price_list",), "whether anything in this country has a cost"),
    "family_low": Origin(
        HISTORY, "list_price", ("price_list", "products"), "half way to the next larger pack, per unit"
    ),
    "family_high": Origin(
        HISTORY, "list_price", ("price_list", "products"), "half way to the next smaller pack, per unit"
    ),
    "price_source": Origin(HISTORY, "source", ("price_list",), "the price list"),
    "on_hand": Origin(SALES, "on_hand", ("stock_levels",), "the newest count at close of day"),
    "on_promotion": Origin("dim_promotion", "starts_on, ends_on", ("promotions",), "a promotion planned for tomorrow"),
    "country": Origin("dim_store", "country", ("stores",), "the store's country"),
    "currency": Origin("dim_store", "currency", ("stores",), "the store's currency"),
    "department": Origin("dim_product", "department", ("products",), "the catalogue"),
    "category": Origin("dim_product", "category", ("products",), "the catalogue"),
}
OBSERVED: Mapping[str, Origin] = {
    "previous_price": Origin(HISTORY, "list_price", ("pos_lines",), "the price that most lines of 42 days ask"),
    "week_price": Origin(HISTORY, "list_price", ("pos_lines",), "the same, seven days before the decided one"),
    "reference_price": Origin(HISTORY, "list_price", ("pos_lines",), "the same over 180 days, weighted by their days"),
    "price_source": Origin(HISTORY, "source", ("pos_lines",), "no price list: the lines of the till tell it"),
    "price_lines": Origin(SALES, "list_price_lines", ("pos_lines",), "the lines that it rests on"),
    "price_agreement": Origin(SALES, "list_price_agreement", ("pos_lines",), "the share of them within 2 % of it"),
    "price_low": Origin(SALES, "list_price_low", ("pos_lines",), "one in ten lines asks at most"),
    "price_high": Origin(SALES, "list_price_high", ("pos_lines",), "nine in ten lines ask at most"),
    "price_tiers": Origin(SALES, "price_tiers", ("pos_lines",), "which other prices are usual"),
}
"""Prices that the lines of a till tell, where no price list does."""


def origin_of(name: str, inputs: DecisionInputs) -> Origin | None:
    """Where the input `name` comes from; None for one that no table holds."""
    base_demand_source = inputs.base_demand_source
    if inputs.price_source == "observed" and name in OBSERVED:
        return OBSERVED[name]
    if name == "base_demand":
        return {"forecast": FORECAST, "recent_mean": RECENT}.get(base_demand_source or "")
    if name == "demand_deviation":
        return DEVIATION if base_demand_source == "forecast" else None
    return ORIGINS.get(name)


FEATURES = "feat_store_product_daily"  # the mart that forecasts are made from


def bronze_of(mart: str) -> frozenset[str]:
    """The bronze tables that decide the columns of `mart` which inputs are read from."""
    every = (FORECAST,) if mart == FEATURES else (*ORIGINS.values(), *OBSERVED.values(), RECENT)
    origins = [origin for origin in every if mart in (origin.table, FEATURES)]
    return frozenset(name for origin in origins for name in origin.bronze)


def dbt_path(models: Mapping[str, Mapping[str, Any]], mart: str) -> list[str]:
    """The dbt models that lead from `bronze_of(mart)` to `mart`, each after what it reads; empty where not known."""
    raw = {f"bronze/{name}" for name in bronze_of(mart)}
    reads: dict[str, list[str]] = {}
    waiting = [mart] if mart in models else []
    while waiting:
        name = waiting.pop()
        if name not in reads:
            reads[name] = [read for read in models[name]["reads"] if read in models]
            waiting += reads[name]
    touched: dict[str, None] = {}
    for name in TopologicalSorter(reads).static_order():
        if raw & set(models[name]["reads"]) or touched.keys() & set(reads[name]):
            touched[name] = None
    return list(touched)
