"""A small retailer in gold tables, with elasticities that are known because they were planted."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.resources.lake import Lake

FIRST_DAY = date(2026, 1, 5)
COUNTRIES = {"US": "USD", "DE": "EUR"}


@dataclass(frozen=True)
class Retailer:
    """The lake and the truth: one elasticity per SKU."""

    lake: Lake
    skus: list[str]
    elasticity: npt.NDArray[np.float64]
    last_day: date


def plant(
    lake: Lake, *, skus: int = 60, stores: int = 4, days: int = 140, seed: int = 3, costs: bool = True
) -> Retailer:
    """Writes gold tables of a retailer whose promotions fall on strong weeks (confounded on purpose)."""
    rng = np.random.default_rng(seed)
    category = np.arange(skus) % 4
    elasticity = -1.0 - 0.6 * category + rng.normal(0, 0.35, skus)
    elasticity = np.minimum(elasticity, -0.3)
    base = rng.lognormal(0.3, 0.7, (stores, skus))
    weeks = days // 7 + 1
    season = 0.35 * np.sin(np.arange(weeks) * 0.5)[:, None] * (1 + 0.5 * category[None, :])
    list_price = _list_prices(rng, skus, weeks)
    promo = rng.random((weeks, skus)) < 0.06 + 0.15 * (season > 0.2)
    depth = np.where(promo, rng.choice([0.1, 0.2, 0.3], (weeks, skus)), 0.0)
    paid = np.round(list_price * (1 - depth), 2)
    day, store, sku = (
        g.ravel() for g in np.meshgrid(np.arange(days), np.arange(stores), np.arange(skus), indexing="ij")
    )
    week = day // 7
    weekday = np.array([0.9, 0.9, 0.9, 1.0, 1.2, 1.3, 0.8])[day % 7]
    rival = np.round(
        list_price[0] * (list_price / list_price[0]) ** 0.6 * rng.lognormal(0.0, 0.05, list_price.shape), 2
    )
    effect = 0.25 * np.log(rival[week, sku] / list_price[0, sku])
    effect += (
        elasticity[sku] * np.log(paid[week, sku] / list_price[0, sku]) + 0.25 * promo[week, sku] + season[week, sku]
    )
    demand = rng.poisson(base[store, sku] * weekday * np.exp(effect) * rng.gamma(20, 1 / 20, len(day)))
    out = rng.random(len(day)) < 0.02
    units = np.where(out, demand // 2, demand)
    names = [f"SKU-{i:05d}" for i in range(skus)]
    country = np.array(["US", "DE"])[np.arange(stores) % 2]
    shops = [f"{c}-{i:03d}" for i, c in enumerate(country)]
    cost = np.round(list_price[0] * 0.55, 2)
    _write_sales(
        lake,
        day,
        np.array(shops)[store],
        np.array(names)[sku],
        country[store],
        units,
        out,
        list_price[week, sku],
        paid[week, sku],
        promo[week, sku],
        cost[sku] if costs else None,
        rival[week, sku],
    )
    _write_dimensions(lake, names, category, shops, country)
    _write_history(lake, names, shops, country, list_price, cost if costs else None)
    return Retailer(lake, names, elasticity, FIRST_DAY + timedelta(days=days - 1))


def _list_prices(rng: np.random.Generator, skus: int, weeks: int) -> npt.NDArray[np.float64]:
    start = rng.lognormal(1.5, 0.6, skus)
    steps = np.where(rng.random((weeks, skus)) < 0.08, rng.normal(0, 0.10, (weeks, skus)), 0.0)
    steps[0] = 0.0
    return np.maximum(np.round(start * np.exp(np.cumsum(steps, axis=0)), 2), 0.2)


def _decimal(values: npt.NDArray[np.float64] | None, rows: int, scale: int = 4) -> pa.Array:
    kind = pa.decimal128(12, scale)
    return pa.nulls(rows, kind) if values is None else pa.array(np.round(values, 4)).cast(kind, safe=False)


def _write_sales(lake, day, store, sku, country, units, out, listed, paid, promo, cost, rival) -> None:
    rows = len(day)
    dates = np.datetime64(FIRST_DAY) + day.astype("timedelta64[D]")
    table = pa.table(
        {
            "store_id": store,
            "sku": sku,
            "business_date": pa.array(dates, pa.date32()),
            "currency": np.array([COUNTRIES[c] for c in ("US", "DE")])[(country == "DE").astype(int)],
            "gross_units": units.astype(float),
            "returned_units": np.zeros(rows),
            "unit_price": pa.array(np.where(units > 0, paid, np.nan), from_pandas=True).cast(
                pa.decimal128(12, 4), safe=False
            ),
            "list_price": _decimal(listed, rows),
            "unit_cost": _decimal(cost, rows),
            "on_promotion": promo,
            "discount_share": np.where(promo, 1 - paid / listed, 0.0),
            "on_hand": pa.array(np.where(out, 0, 50).astype(np.int32)),
            "is_stocked_out": out,
            "competitor_price": _decimal(rival, rows),
        }
    )
    lake.overwrite("gold", "fct_sales_daily", table, partition_by=["business_date"])


def _write_dimensions(lake, names, category, shops, country) -> None:
    departments = ["grocery", "garden"]
    products = {
        "sku": names,
        "category": [f"category-{c}" for c in category],
        "department": [departments[c // 2] for c in category],
        "price_family": pa.nulls(len(names), pa.string()),
        "pack_size": pa.nulls(len(names), pa.float64()),
        "discontinued_on": pa.nulls(len(names), pa.date32()),
    }
    lake.overwrite("gold", "dim_product", pa.table(products))
    stores = {"store_id": shops, "country": country, "currency": [COUNTRIES[c] for c in country]}
    lake.overwrite("gold", "dim_store", pa.table(stores))
    promotions = pa.schema(
        [
            ("promo_code", pa.string()),
            ("country", pa.string()),
            ("sku", pa.string()),
            ("starts_on", pa.date32()),
            ("ends_on", pa.date32()),
            ("discount_pct", pa.decimal128(5, 2)),
        ]
    )
    lake.overwrite("gold", "dim_promotion", promotions.empty_table())


def _write_history(lake, names, shops, country, list_price, cost) -> None:
    changed = np.vstack([np.ones(list_price.shape[1], bool), np.diff(list_price, axis=0) != 0])
    week, sku = np.nonzero(changed)
    rows = len(week)
    store = np.repeat(np.arange(len(shops)), rows)
    week, sku = np.tile(week, len(shops)), np.tile(sku, len(shops))
    table = pa.table(
        {
            "store_id": np.array(shops)[store],
            "sku": np.array(names)[sku],
            "valid_from": pa.array(np.datetime64(FIRST_DAY) + (7 * week).astype("timedelta64[D]"), pa.date32()),
            "valid_to": pa.nulls(len(week), pa.date32()),
            "list_price": _decimal(list_price[week, sku], len(week)),
            "unit_cost": _decimal(None if cost is None else cost[sku], len(week)),
            "currency": np.array([COUNTRIES[c] for c in country])[store],
        }
    )
    lake.overwrite("gold", "fct_price_history", table)
