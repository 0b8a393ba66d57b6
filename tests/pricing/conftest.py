"""A small retailer in gold tables, with elasticities that are known because they were planted; random inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.pricing.config import PricingConfig, load_config
from retail_assets.pricing.decide.inputs import INPUTS, DecisionInputs
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import MEASURES, PriceModel
from retail_assets.resources.lake import Lake

FIRST_DAY = date(2026, 1, 5)
COUNTRIES = {"US": "USD", "DE": "EUR"}
PRICE = pa.decimal128(12, 4)
OBSERVED = {"low": PRICE, "high": PRICE, "lines": pa.int32(), "agreement": pa.float64()}


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
        np.char.add("P", (week * skus + sku).astype(str)),
    )
    _write_dimensions(lake, names, category, shops, country)
    _write_promotions(lake, names, depth)
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


def _write_sales(lake, day, store, sku, country, units, out, listed, paid, promo, cost, rival, code) -> None:
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
            "gross_amount": _decimal(units * paid, rows),
            "unit_price": pa.array(np.where(units > 0, paid, np.nan), from_pandas=True).cast(
                pa.decimal128(12, 4), safe=False
            ),
            "paid_price": pa.array(np.where(units > 0, paid, np.nan), from_pandas=True).cast(
                pa.decimal128(12, 4), safe=False
            ),
            "list_price": _decimal(listed, rows),
            **{f"list_price_{name}": pa.nulls(rows, kind) for name, kind in OBSERVED.items()},
            "price_tiers": pa.nulls(rows, pa.string()),
            "unit_cost": _decimal(cost, rows),
            "on_promotion": promo,
            "promo_code": pa.array(code, pa.string(), mask=~promo),
            "discount_share": pa.array(1 - paid / listed, mask=units == 0),
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
        "unit": pa.nulls(len(names), pa.string()),
        "discontinued_on": pa.nulls(len(names), pa.date32()),
    }
    lake.overwrite("gold", "dim_product", pa.table(products))
    stores = {"store_id": shops, "country": country, "currency": [COUNTRIES[c] for c in country]}
    stores["channel"] = ["store"] * len(shops)
    lake.overwrite("gold", "dim_store", pa.table(stores))


def _write_promotions(lake, names, depth) -> None:
    week, sku = np.nonzero(depth)
    starts = np.datetime64(FIRST_DAY) + (7 * week).astype("timedelta64[D]")
    code = np.char.add("P", (week * len(names) + sku).astype(str))
    tables = [
        pa.table(
            {
                "promo_code": code,
                "country": [country] * len(week),
                "sku": np.array(names)[sku],
                "starts_on": pa.array(starts, pa.date32()),
                "ends_on": pa.array(starts + np.timedelta64(6, "D"), pa.date32()),
                "discount_pct": pa.array(np.round(100 * depth[week, sku], 2)).cast(pa.decimal128(5, 2), safe=False),
            }
        )
        for country in COUNTRIES
    ]
    lake.overwrite("gold", "dim_promotion", pa.concat_tables(tables))


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
            "source": np.full(len(week), "price_list"),
        }
    )
    lake.overwrite("gold", "fct_price_history", table)


@pytest.fixture(scope="session")
def retailer(tmp_path_factory: pytest.TempPathFactory) -> Retailer:
    """A planted retailer to read; tests that write plant their own."""
    return plant(Lake.at(tmp_path_factory.mktemp("planted") / "lake"))


@pytest.fixture
def planted(lake: Lake) -> Callable[..., Retailer]:
    """Plants a small retailer in a lake of the test's own: `planted(costs=False)`."""
    return lambda **options: plant(lake, **({"skus": 12, "stores": 2, "days": 112} | options))


@pytest.fixture(scope="session", name="plant")
def plant_fixture() -> Callable[..., Retailer]:
    """`plant(lake, skus=..., stores=..., days=...)` for homes that outlive a test."""
    return plant


@pytest.fixture(scope="session")
def config() -> PricingConfig:
    """The configuration that ships."""
    return load_config()


@pytest.fixture(scope="session")
def rulebook(config: PricingConfig) -> Rulebook:
    """The rules that ship."""
    return Rulebook.of(config.policy)


def model_with(elasticity: dict[str, float], category: float = -1.8) -> PriceModel:
    """A model that knows these SKUs, one category `known` and a chain."""
    rows = [*elasticity.values(), category, category - 0.2]
    known = [0.7] * len(elasticity) + [0.0, 0.0]
    table = np.array([[e, 0.2, e - 0.4, min(e + 0.4, -0.05), category, k] for e, k in zip(rows, known, strict=True)])
    base = pa.table({"store_id": ["US-001"], "sku": [next(iter(elasticity))], "units_per_day": [3.5], "price": [4.25]})
    assert table.shape[1] == len(MEASURES)
    return PriceModel("abc123", "2026-05-24", tuple(elasticity), ("known",), table, base)


@pytest.fixture(scope="session")
def model() -> PriceModel:
    """Forty SKUs from barely to very elastic."""
    return model_with({f"SKU-{i:05d}": round(-0.3 - 0.1 * i, 2) for i in range(40)})


@pytest.fixture(scope="session")
def inputs() -> Callable[..., DecisionInputs]:
    """One ordinary item: `inputs(unit_cost=None)` changes what a test is about."""
    ordinary = DecisionInputs.of(
        store_id="US-001", sku="SKU-00015", country="US", currency="USD", department="grocery", category="known",
        business_date=date(2026, 5, 24), previous_price="4.99", unit_cost="2.40", competitor_price="5.10",
        base_demand=3.25, base_demand_source="forecast",
    )  # fmt: skip
    return lambda **changes: DecisionInputs.model_validate(ordinary.model_dump() | changes)


@pytest.fixture(scope="session")
def random_inputs() -> Callable[[int, int], pa.Table]:
    """`random_inputs(rows, seed)`: items with every kind of gap and oddity, as a batch."""
    return _random_inputs


def _random_inputs(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    previous = np.exp(rng.uniform(np.log(15), np.log(40_000), rows)).astype(np.int64)

    def near(low: float, high: float, known: float) -> pa.Array:
        values = np.maximum((previous * rng.uniform(low, high, rows)).astype(np.int64), 1)
        return pa.array(values, mask=rng.random(rows) > known)

    def pick(values: list[str | None]) -> pa.Array:
        return pa.array(np.array(values, dtype=object)[rng.integers(0, len(values), rows)], pa.string())

    day = pa.array([date(2026, 5, 24)] * rows)
    columns = {
        "store_id": pick(["US-001", "UK-002", "DE-WEB"]),
        "sku": pick([f"SKU-{i:05d}" for i in range(45)]),
        "country": pick(["US", "UK", "DE", "FR"]),
        "currency": pick(["USD", "EUR"]),
        "department": pick(["grocery", "apparel", "garden", None]),
        "category": pick(["known", "new", 'odd "one"\\', None]),
        "business_date": day,
        "costs_delivered": rng.random(rows) < 0.9,
        "on_promotion": rng.random(rows) < 0.1,
        "family_low": near(0.5, 1.1, 0.1),
        "family_high": near(0.9, 1.5, 0.1),
        "base_demand_source": pick(["forecast", "recent_mean", None]),
        "demand_deviation": pa.array(rng.gamma(1.0, 2.0, rows).round(4), mask=rng.random(rows) < 0.4),
        "previous_price": previous,
        "week_price": near(0.8, 1.25, 0.9),
        "unit_cost": near(0.2, 1.2, 0.95),
        "competitor_price": near(0.6, 1.5, 0.7),
        "reference_price": near(0.8, 1.25, 0.97),
        "base_demand": pa.array(rng.gamma(1.0, 3.0, rows).round(4), mask=rng.random(rows) < 0.05),
        "on_hand": pa.array(rng.integers(-2, 90, rows), mask=rng.random(rows) < 0.3),
    }
    observed = rng.random(rows) < 0.5
    columns["price_source"] = np.where(observed, "observed", "price_list")
    columns["price_tiers"] = pa.array(pick(["quantity_breaks", "several_prices", None]).to_pylist(), mask=~observed)
    columns["price_lines"] = pa.array(rng.integers(1, 900, rows), mask=~observed)
    columns["price_agreement"] = pa.array(rng.uniform(0.05, 1.0, rows).round(4), mask=~observed)
    columns["price_low"] = pa.array(np.maximum((previous * 0.9).astype(np.int64), 1), mask=~observed)
    columns["price_high"] = pa.array((previous * 1.1).astype(np.int64) + 1, mask=~observed)
    columns |= {f"{name}_at": day for name in ("previous_price", "unit_cost", "base_demand")}
    absent = {n: pa.nulls(rows, INPUTS.field(n).type) for n in INPUTS.names if n not in columns}
    return pa.table(columns | absent).select(INPUTS.names).cast(INPUTS)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    """Writes a table as Parquet and says where."""

    def write(table: pd.DataFrame) -> Path:
        table.to_parquet(tmp_path / "sales.parquet")
        return tmp_path / "sales.parquet"

    return write
