"""Stores that answer differently, prices of the others, launches and stock-outs: what is told apart, and when."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import poisson

from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.response.cross import cross_elasticity, without_others
from retail_assets.pricing.response.evaluation import held_out
from retail_assets.pricing.response.local import differences
from retail_assets.pricing.response.model import SOURCES, model_of
from retail_assets.pricing.response.response import fit, hidden_variance
from retail_assets.pricing.response.training import gold_versions
from retail_assets.pricing.response.training_frames import LAUNCH_DAYS, ResponseFrame, frame_of, read_panel

MONDAY = date(2025, 1, 6)


def panel(
    *,
    stores: int = 4,
    categories: int = 6,
    skus: int = 8,
    weeks: int = 80,
    cross: float = 0.0,
    apart: float = 0.0,
    promoted: float = 0.0,
    seed: int = 11,
) -> tuple[pa.Table, np.ndarray]:
    """Weekly rows of a retailer whose list prices follow last week's demand, and the elasticity of each (store, SKU).

    `cross` is the elasticity by the mean price of the category's others, `apart` how much odd stores answer more; of
    every SKU and week the share `promoted` is on promotion, drawn in each of two countries.
    """
    rng = np.random.default_rng(seed)
    count = categories * skus
    category = np.repeat(np.arange(categories), skus)
    own = rng.normal(-2.0, 0.3, count)[None, :] - apart * (np.arange(stores) % 2)[:, None]
    heat = np.zeros((weeks, categories))
    for week in range(1, weeks):
        heat[week] = 0.85 * heat[week - 1] + rng.normal(0, 0.12, categories)
    seen = np.vstack([heat[:1], heat[:-1]])
    shape = (stores, weeks, count) if apart else (1, weeks, count)
    price = 0.5 * seen[:, category] + 0.05 * rng.normal(size=(weeks, categories))[:, category]
    price = price + rng.normal(0, 0.12, shape)
    price = np.broadcast_to(price, (stores, weeks, count))
    promotion = np.zeros((2, weeks, count), dtype=bool)
    depth = np.zeros((2, weeks, count))
    if promoted:
        promotion = rng.random(promotion.shape) < promoted
        depth = np.where(promotion, np.log(rng.choice([0.6, 0.7, 0.8], promotion.shape)), 0.0)
    promotion, depth = promotion[np.arange(stores) % 2], depth[np.arange(stores) % 2]
    listed, price = price, price + depth
    total = np.stack([price[..., category == c].sum(axis=-1) for c in range(categories)], axis=-1)
    others = (total[..., category] - price) / max(skus - 1, 1)
    mean = np.exp(3.0 + own[:, None, :] * price + cross * others + heat[None, :, category] + 0.3 * promotion)
    units = rng.poisson(mean)
    store, week, sku = (x.ravel() for x in np.meshgrid(range(stores), range(weeks), range(count), indexing="ij"))
    rows = len(store)
    table = pa.table(
        {
            "store_id": [f"US-{s:03d}" for s in store.tolist()],
            "sku": [f"SKU-{s:05d}" for s in sku.tolist()],
            "category": [f"category-{c}" for c in category[sku].tolist()],
            "department": ["grocery"] * rows,
            "country": [("US", "DE")[s % 2] if promoted else "US" for s in store.tolist()],
            "channel": [("store", "web")[s % 2] for s in store.tolist()],
            "week": pa.array([MONDAY + timedelta(days=7 * w) for w in week.tolist()], pa.date32()),
            "price": 5 * np.exp(price.ravel()),
            "promo": promotion.ravel(),
            "listed": pa.array(5 * np.exp(listed.ravel()), mask=~promotion.ravel()),
            "sold_out_on": pa.nulls(rows, pa.date32()),
            "units": units.ravel().astype(float),
            "exposure": np.full(rows, 7.0),
            "days": np.full(rows, 7),
            "competitor": pa.nulls(rows, pa.float64()),
        }
    )
    return table, own


@pytest.fixture(scope="module")
def apart(config: PricingConfig) -> tuple[ResponseFrame, np.ndarray]:
    table, own = panel(apart=0.8, weeks=52)
    return frame_of(table, config.response), own


def test_stores_that_answer_differently_are_told_apart(apart, config: PricingConfig) -> None:
    frame, own = apart
    learnt = fit(frame, config.response)
    found = differences(frame, learnt)
    truth = own[frame.store_of_series, frame.sku_of_series]
    one_for_all = learnt.posterior.mean[frame.sku_of_series, 0]
    errors = [np.sqrt(np.mean((x - truth) ** 2)) for x in (one_for_all, one_for_all + found.mean)]
    assert errors[1] < 0.4 * errors[0]
    held = held_out(frame, config.response)
    assert held.kept == "store_level"
    assert held.deviance["store_level"] < held.deviance["sku_level"]


def test_the_model_of_such_stores_gives_each_its_own_answer(apart, config: PricingConfig) -> None:
    frame, own = apart
    learnt = fit(frame, config.response)
    base = pa.table({"store_id": ["US-000"], "sku": ["SKU-00000"], "units_per_day": [1.0], "price": [5.0]})
    model = model_of(frame, learnt, base, "2025-12-31", -0.1, differences(frame, learnt))
    stores = [frame.stores[s] for s in frame.store_of_series]
    response = model.response(stores, [frame.skus[s] for s in frame.sku_of_series], [None] * len(stores))
    assert {SOURCES[s] for s in response.source} == {"store"}
    truth = own[frame.store_of_series, frame.sku_of_series]
    assert 0.9 < np.mean((response.lo <= truth) & (truth <= response.hi)) <= 1
    assert model.unsound() == (0, [])


def test_stores_that_do_not_differ_are_left_with_their_skus_answer(config: PricingConfig) -> None:
    table, _ = panel(weeks=52)
    frame = frame_of(table, config.response)
    found = differences(frame, fit(frame, config.response))
    assert np.abs(found.mean).max() < 0.15
    held = held_out(frame, config.response)
    assert held.deviance["store_level"] > 0.98 * held.deviance["sku_level"]


def test_the_price_of_the_others_is_found_though_prices_follow_demand(config: PricingConfig) -> None:
    table, own = panel(cross=0.6, promoted=0.1)
    frame = frame_of(table, config.response)
    learnt = fit(frame, config.response)
    cross = cross_elasticity(frame, learnt)
    assert cross is not None
    assert np.all(np.abs(cross.mean - 0.6) < 3 * cross.variance**0.5)
    assert np.all(cross.mean > 1.96 * cross.variance**0.5)
    assert np.allclose(cross.others, 7)
    corrected = without_others(learnt, frame.category_of_sku, cross)
    bias = [np.mean(x.posterior.mean[:, 0] - own[0]) for x in (learnt, corrected)]
    assert bias[0] < -0.05  # a SKU's own share of its category's prices went into the effects of the weeks
    assert abs(bias[1]) < 0.05


def test_categories_that_differ_are_told_apart(config: PricingConfig) -> None:
    kinds = {"alike": {"cross": 0.9, "seed": 11}, "apart": {"cross": 0.0, "seed": 12}}
    tables = [_renamed(panel(promoted=0.2, categories=3, stores=2, weeks=156, **k)[0], n) for n, k in kinds.items()]
    frame = frame_of(pa.concat_tables(tables), config.response)
    cross = cross_elasticity(frame, fit(frame, config.response))
    assert cross is not None
    assert cross.mean[3:].max() < 0.3 < 0.5 < cross.mean[:3].min()
    assert np.all(np.abs(cross.mean - np.repeat([0.9, 0.0], 3)) < 4 * cross.variance**0.5)


def _renamed(table: pa.Table, kind: str) -> pa.Table:
    for name in ("sku", "category"):
        values = pc.binary_join_element_wise(pa.scalar(kind), table[name], " ")
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def test_no_cross_elasticity_is_claimed_where_there_is_none(config: PricingConfig) -> None:
    table, _ = panel(promoted=0.1)
    frame = frame_of(table, config.response)
    cross = cross_elasticity(frame, fit(frame, config.response))
    assert cross is not None
    assert np.all(np.abs(cross.mean) < 1.96 * cross.variance**0.5)


@pytest.mark.parametrize("changed", [{"promoted": 0.0}, {"promoted": 0.1, "weeks": 12}, {"promoted": 0.1, "skus": 1}])
def test_without_promotions_or_weeks_or_others_there_is_no_cross_elasticity(
    config: PricingConfig, changed: dict[str, float]
) -> None:
    table, _ = panel(**changed)  # type: ignore[arg-type]
    frame = frame_of(table, config.response)
    assert cross_elasticity(frame, fit(frame, config.response)) is None


def test_one_country_alone_tells_of_its_substitution(config: PricingConfig) -> None:
    table, _ = panel(cross=0.6, promoted=0.1, weeks=104)
    table = table.filter(pc.equal(table["country"], "US"))
    frame = frame_of(table, config.response)
    cross = cross_elasticity(frame, fit(frame, config.response))
    assert cross is not None
    assert np.all(np.abs(cross.mean - 0.6) < 3 * cross.variance**0.5)


def test_a_category_alone_in_its_kind_wins_nothing_back(config: PricingConfig) -> None:
    table, _ = panel(cross=0.6, promoted=0.1)
    lonely = pa.array(
        [
            "alone" if s.as_py() == "SKU-00000" else c.as_py()
            for s, c in zip(table["sku"], table["category"], strict=True)
        ]
    )
    frame = frame_of(table.set_column(2, "category", lonely), config.response)
    learnt = fit(frame, config.response)
    cross = cross_elasticity(frame, learnt)
    assert cross is not None
    alone = frame.categories.index("alone")
    assert cross.mean[alone] == 0.0
    assert cross.others[alone] == 0.0
    base = pa.table({"store_id": ["US-000"], "sku": ["SKU-00000"], "units_per_day": [1.0], "price": [5.0]})
    model = model_of(frame, learnt, base, "2025-12-31", -0.1, cross=cross)
    assert model.substitution[alone].tolist() == [0.0] * 4
    assert (model.substitution[:, 2] <= model.substitution[:, 0]).all()
    assert (model.substitution[:, 0] <= model.substitution[:, 3]).all()


def test_the_first_weeks_of_a_launch_are_left_out(planted: Callable, config: PricingConfig) -> None:
    retailer = planted()
    before = read_panel(retailer.lake, retailer.last_day, config.response, gold_versions(retailer.lake)).to_pandas()
    sales = retailer.lake.open("gold", "fct_sales_daily").to_pyarrow_table().to_pandas()
    launch = sales["business_date"].min() + timedelta(days=42)
    late = (sales["sku"] == retailer.skus[0]) & (sales["business_date"] < launch)
    kept = pa.Table.from_pandas(sales[~late], preserve_index=False)
    retailer.lake.overwrite("gold", "fct_sales_daily", kept, partition_by=["business_date"])
    after = read_panel(retailer.lake, retailer.last_day, config.response, gold_versions(retailer.lake)).to_pandas()
    first = after.groupby("sku")["week"].min()
    assert first[retailer.skus[0]] == launch + timedelta(days=LAUNCH_DAYS)
    assert (first.drop(retailer.skus[0]) == before["week"].min()).all()


@pytest.mark.parametrize(("sold", "mean"), [(1.0, 3.0), (5.0, 5.0), (2.0, 0.5), (30.0, 12.0)])
def test_what_a_stock_out_hides_has_the_variance_of_what_is_left(sold: float, mean: float) -> None:
    demand = np.arange(int(sold), int(sold) + 400)
    weight = poisson.pmf(demand, mean)
    expected = (weight * demand).sum() / weight.sum()
    exact = (weight * (demand - expected) ** 2).sum() / weight.sum()
    found = hidden_variance(np.array([sold]), np.array([mean]))[0]
    assert found == pytest.approx(exact, rel=2e-3, abs=1e-3)
    assert 0 <= found <= mean
