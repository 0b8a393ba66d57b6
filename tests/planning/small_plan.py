"""A small retailer with forecasts: three stores in two countries, six SKUs in three categories, 28 days ahead."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_assets.core.calendar import retail_calendar
from retail_assets.resources.lake import Lake

ORIGIN = date(2026, 6, 7)
HORIZON = 28
STORES = {"US-001": "US", "US-002": "US", "DE-001": "DE"}
CATEGORIES = {"bread": "grocery", "cakes": "grocery", "spades": "garden"}
SKUS = {f"SKU-{n:05d}": list(CATEGORIES)[n % 3] for n in range(1, 7)}
QUANTILES = {"q05": 0.2, "q10": 0.3, "q25": 0.6, "q50": 0.9, "q75": 1.3, "q90": 1.7, "q95": 2.1}


def forecasts(origin: date = ORIGIN, seed: int = 7) -> pd.DataFrame:
    """Rows of gold/forecasts: a mean per series, store, weekday and day, quantiles at fixed ratios to it."""
    grid = pd.MultiIndex.from_product(
        [sorted(STORES), sorted(SKUS), range(1, HORIZON + 1)], names=["store_id", "sku", "horizon"]
    ).to_frame(index=False)
    chance = np.random.default_rng(seed)
    level = chance.gamma(2.0, 1.5, len(STORES) * len(SKUS)).repeat(HORIZON)
    days = [origin + timedelta(days=int(ahead)) for ahead in grid["horizon"]]
    weekday = np.array([1.3 if day.isoweekday() >= 6 else 0.9 for day in days])
    mean = level * weekday
    quantiles = {name: mean * ratio for name, ratio in QUANTILES.items()}
    dates = {"target_date": days, "origin_date": origin, "business_date": origin}
    return grid.assign(
        horizon=grid["horizon"].astype("int32"), mean=mean, **quantiles, **dates, model_version="v1", rung="own history"
    )


def proof(days: int = 28, seed: int = 3) -> pd.DataFrame:
    """Rows of reports/forecast_backtest: the same forecasts 28 days earlier with what was sold, part of it unknown."""
    made = forecasts(ORIGIN - timedelta(days=days))
    chance = np.random.default_rng(seed)
    shared = pd.Series(chance.gamma(50.0, 1 / 50.0, days), index=range(1, days + 1))
    units = chance.poisson(made["mean"] * made["horizon"].map(shared)).astype(float)
    weekday_mean = made.groupby(["store_id", "sku"])["mean"].transform("mean") * chance.normal(1.0, 0.3, len(made))
    of = made["sku"].map(SKUS)
    rows = made.assign(
        units=units, weekday_mean=weekday_mean.clip(0), seasonal_naive=chance.poisson(made["mean"]).astype(float),
        category=of, department=of.map(CATEGORIES), country=made["store_id"].map(STORES),
    )  # fmt: skip
    rows["target_date"] = pd.to_datetime(rows["target_date"])
    return rows[chance.random(len(rows)) > 0.02].drop(columns=["model_version", "origin_date", "rung"])


def sales(days: int = 28, seed: int = 5) -> pd.DataFrame:
    """Rows of gold/fct_sales_daily up to ORIGIN: sales and counts; US-002 has never counted SKU-00001."""
    chance = np.random.default_rng(seed)
    starts = [ORIGIN - timedelta(days=back) for back in range(HORIZON, days + 1, HORIZON)]
    rows = pd.concat([forecasts(start) for start in starts], ignore_index=True).rename(columns={"target_date": "day"})
    units = chance.poisson(rows["mean"]).astype(float)
    on_hand = chance.integers(0, 40, len(rows)).astype(float)
    blind = (rows["store_id"] == "US-002") & (rows["sku"] == "SKU-00001")
    rows = rows.assign(business_date=rows["day"], gross_units=units, on_hand=on_hand, is_stocked_out=on_hand == 0)
    rows["on_order"] = chance.integers(0, 5, len(rows)).astype(float)
    rows.loc[blind, ["on_hand", "on_order"]] = np.nan
    return rows[["store_id", "sku", "business_date", "gross_units", "on_hand", "on_order", "is_stocked_out"]]


def write_plan(lake: Lake, days: int = 28) -> Lake:
    """Writes the tables that planning reads, with `days` of sales (a multiple of HORIZON)."""
    table = pa.Table.from_pandas(forecasts(), preserve_index=False)
    lake.overwrite_days("gold", "forecasts", table, [ORIGIN], metadata={"model_version": "v1"})
    lake.overwrite(
        "reports",
        "forecast_backtest",
        pa.Table.from_pandas(proof(), preserve_index=False),
        metadata={"model_version": "v1"},
    )
    facts = pa.Table.from_pandas(sales(days), preserve_index=False)
    for name in ("on_hand", "on_order"):
        facts = facts.set_column(facts.column_names.index(name), name, facts[name].cast(pa.int32()))
    lake.overwrite("gold", "fct_sales_daily", facts, ["business_date"])
    stores = [{"store_id": s, "country": c, "name": f"shop {s}", "time_zone": "UTC"} for s, c in STORES.items()]
    lake.overwrite("gold", "dim_store", pa.Table.from_pylist(stores))
    products = [
        {"sku": s, "name": f"{c} {s}", "category": c, "department": CATEGORIES[c], "brand": "Alder"}
        for s, c in SKUS.items()
    ]
    lake.overwrite("gold", "dim_product", pa.Table.from_pylist(products))
    lake.overwrite(
        "gold", "dim_calendar", retail_calendar(date(2025, 1, 1), date(2027, 12, 31), sorted(set(STORES.values())))
    )
    return lake
