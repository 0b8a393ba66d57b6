"""A SKU without a sale has no history to learn from: its forecast must be there, and say what it was made from."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.forecasting import assets, checks
from retail_assets.forecasting.cold_start import (
    ANALOGUES,
    CATEGORY,
    OWN,
    STORE,
    best_weighting,
    launch_ramp,
    listed_without_history,
    with_new_items,
)
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.forecasting.small_gold import DAYS, FIRST, NEWEST, SKUS, STORES, Features

LEVELS = [0.05, 0.5, 0.95]
PRICES = pa.schema([("store_id", pa.string()), ("sku", pa.string()), ("valid_from", pa.date32()),
                    ("valid_to", pa.date32()), ("list_price", pa.float64())])  # fmt: skip


def made(means: dict[tuple[str, str], float], days: int = 28) -> pd.DataFrame:
    """Forecast rows of (store, sku): mean, half of it, and twice."""
    rows = [
        {"store_id": store, "sku": sku, "target_date": NEWEST + timedelta(days=h), "horizon": h, "mean": mean,
         "q05": mean / 2, "q50": mean, "q95": mean * 2, "model_version": f"v-{store}"}
        for (store, sku), mean in means.items() for h in range(1, days + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def products(**categories: str) -> pd.DataFrame:
    return pd.DataFrame(
        [{"sku": s, "category": c, "department": "d", "brand": "b", "price": 5.0} for s, c in categories.items()]
    )


def new(store: str, sku: str, first_day: date = NEWEST) -> pd.DataFrame:
    return pd.DataFrame({"store_id": [store], "sku": [sku], "first_day": [first_day]})


KINDS = products(a="x", b="x", c="x", d="y", n="x")
BASE = {("s", "a"): 1.0, ("s", "b"): 2.0, ("s", "c"): 6.0, ("s", "d"): 9.0}


def test_analogues_in_the_store_are_the_first_rung() -> None:
    rows = with_new_items(made(BASE), new("s", "n"), KINDS, np.ones(4), LEVELS)
    found = rows[rows["sku"] == "n"]
    assert len(found) == 28 and set(found["rung"]) == {ANALOGUES} and set(found["model_version"]) == {"v-s"}
    assert found["mean"].to_numpy() == pytest.approx(3.0)
    assert found["q05"].iloc[0] < 1.0 and found["q95"].iloc[0] > 6.0, "the level itself is uncertain"
    assert set(rows.loc[rows["sku"] != "n", "rung"]) == {OWN} and len(rows) == 5 * 28


def test_a_category_that_the_store_does_not_sell_is_taken_from_others_at_the_store_s_scale() -> None:
    base = {(store, sku): mean * scale for store, scale in (("s", 2.0), ("t", 1.0)) for (_, sku), mean in BASE.items()}
    small = {key: mean for key, mean in base.items() if key not in (("s", "a"), ("s", "b"), ("s", "c"))}
    found = with_new_items(made(small), new("s", "n"), KINDS, np.ones(4), LEVELS).query("sku == 'n'")
    assert set(found["model_version"]) == {"v-s"}, "the version that the store is routed to"
    assert set(found["rung"]) == {CATEGORY} and found["mean"].to_numpy() == pytest.approx(2.0 * 3.0)


def test_an_unknown_category_is_like_the_store() -> None:
    kinds = products(a="x", b="x", c="x", d="y", n=None)  # type: ignore[arg-type]
    found = with_new_items(made(BASE), new("s", "n"), kinds, np.ones(4), LEVELS).query("sku == 'n'")
    assert set(found["rung"]) == {STORE} and found["mean"].to_numpy() == pytest.approx(4.5)


def test_a_store_that_forecasts_nothing_gets_nothing() -> None:
    assert with_new_items(made(BASE), new("t", "n"), KINDS.assign(category=None), np.ones(4), LEVELS).shape[0] == 4 * 28


def test_nothing_is_expected_before_the_first_day_and_then_it_comes_up() -> None:
    first = NEWEST + timedelta(days=8)
    rows = with_new_items(made(BASE), new("s", "n", first), KINDS, np.array([0.25, 0.5]), LEVELS).query("sku == 'n'")
    shares = (rows.set_index("horizon")["mean"] / 3.0).to_numpy()
    assert shares == pytest.approx([0.0] * 7 + [0.25] * 7 + [0.5] * 7 + [1.0] * 7)
    assert (rows["q95"].to_numpy()[:7] == 0).all()


@given(st.lists(st.floats(0.0, 50.0), min_size=3, max_size=9))
def test_mixtures_ascend_and_stay_within_their_parts(means: list[float]) -> None:
    base = {("s", f"k{n}"): mean for n, mean in enumerate(means)}
    kinds = products(**{f"k{n}": "x" for n in range(len(means))}, n="x")
    found = with_new_items(made(base, days=2), new("s", "n"), kinds, np.ones(4), LEVELS).query("sku == 'n'")
    quantiles = found[["q05", "q50", "q95"]].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all() and (quantiles >= 0).all()
    assert quantiles.max() <= 2 * max(means) and min(means) - 1e-9 <= found["mean"].iloc[0] <= max(means) + 1e-9


def test_price_counts_where_it_tells_and_not_where_it_does_not() -> None:
    chance = np.random.default_rng(1)
    price = np.exp(chance.uniform(0, 3, 60))
    names = [f"k{n}" for n in range(60)]
    kinds = pd.DataFrame({"sku": names, "category": "x", "brand": chance.choice(["b", "c"], 60), "price": price})
    by_price = made({("s", s): 20.0 / p for s, p in zip(names, price, strict=True)}, days=1)
    flat = made({("s", s): float(m) for s, m in zip(names, chance.gamma(2.0, 2.0, 60), strict=True)}, days=1)
    assert best_weighting(by_price.merge(kinds, on="sku")) == " of like price"
    assert best_weighting(flat.merge(kinds, on="sku")) == ""


def _list(lake: Lake, sku: str, first: date, stores: list[str]) -> None:
    """Adds a SKU with a price from `first` on in `stores`, and prices of all others."""
    everywhere = [(s, k, FIRST) for s in STORES for k in SKUS] + [(s, sku, first) for s in stores]
    rows = [
        {"store_id": s, "sku": k, "valid_from": day, "valid_to": None, "list_price": 4.0} for s, k, day in everywhere
    ]
    lake.overwrite("gold", "fct_price_history", pa.Table.from_pylist(rows, schema=PRICES))
    known = lake.open("gold", "dim_product").to_pyarrow_table().to_pylist()
    item = {"sku": sku, "category": "c0", "department": "d0", "launched_on": first, "discontinued_on": None}
    branded = [{**row, "brand": "Alder"} for row in [*known, item]]
    schema = pa.schema([("sku", pa.string()), ("category", pa.string()), ("department", pa.string()),
                        ("launched_on", pa.date32()), ("discontinued_on", pa.date32()),
                        ("brand", pa.string())])  # fmt: skip
    lake.overwrite("gold", "dim_product", pa.Table.from_pylist(branded, schema=schema))


def test_only_what_is_priced_soon_and_has_no_sales_is_new(own_lake: Lake) -> None:
    assert listed_without_history(own_lake, NEWEST, 28, 7).empty, "a retailer without price history has no listings"
    _list(own_lake, "NEW", NEWEST + timedelta(days=5), ["US-001", "DE-001"])
    found = listed_without_history(own_lake, NEWEST, 28, 7)
    assert found[["store_id", "sku"]].to_numpy().tolist() == [["DE-001", "NEW"], ["US-001", "NEW"]]
    assert listed_without_history(own_lake, NEWEST, 4, 7).empty, "it is launched after the horizon"


def test_a_new_sku_is_forecast_in_the_table_and_asked_for_by_the_check(
    own_lake: Lake, feature_store: Features, config: ForecastingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForecastingConfig, "load", classmethod(lambda cls: config))
    _list(own_lake, "NEW", NEWEST + timedelta(days=5), ["US-001"])
    store = ModelStore.at(tmp_path / "models")
    assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    Ledger(own_lake).promote("forecasting", store.versions("forecasting")[-1], by="test", reason="test")
    metadata = assets.forecasts(lake=own_lake, feature_store=feature_store, model_store=store).metadata or {}
    assert metadata["rungs"] == {OWN: 30, ANALOGUES: 1, CATEGORY: 0, STORE: 0}
    rows = own_lake.open("gold", "forecasts").to_pyarrow_table().to_pandas()
    assert rows.query("sku == 'NEW'")["mean"].gt(0).sum() == 28 - 4

    def complete() -> bool:
        found = {result.check_name: result.passed for result in checks.forecast_checks(lake=own_lake)}
        return found["every_active_series_is_forecast"]

    assert complete()
    kept = pa.Table.from_pandas(rows[rows["sku"] != "NEW"], preserve_index=False)
    own_lake.overwrite("gold", "forecasts", kept, ["business_date"])
    assert not complete()


def test_launches_before_say_how_a_launch_comes_up(lake: Lake) -> None:
    chance = np.random.default_rng(3)
    days = pd.date_range(FIRST, periods=DAYS)
    launches = {f"L{n}": FIRST + timedelta(days=20 + 5 * n) for n in range(6)}
    parts = []
    for sku in [*SKUS, *launches]:
        age = np.array([(day.date() - launches.get(sku, FIRST - timedelta(days=99))).days for day in days])
        come_up = np.where(age < 0, 0.0, np.select([age < 7, age < 14, age < 21, age < 28], [0.2, 0.4, 0.6, 0.8], 1.0))
        units = chance.poisson(30.0 * come_up).astype(float)
        rows = pd.DataFrame({"store_id": "s", "sku": sku, "business_date": days.date, "gross_units": units})
        parts.append(rows[age >= 0].assign(is_stocked_out=False))
    lake.overwrite("gold", "fct_sales_daily", pa.Table.from_pandas(pd.concat(parts), preserve_index=False))
    kinds = [{"sku": s, "category": "x", "launched_on": launches.get(s)} for s in [*SKUS, *launches]]
    lake.overwrite("gold", "dim_product", pa.Table.from_pylist(kinds))
    assert launch_ramp(lake, NEWEST) == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.05)
    assert launch_ramp(lake, FIRST + timedelta(days=40)).tolist() == [1.0] * 4, "none has settled by then"
