"""Stores that answer differently, prices of the others, launches and stock-outs: what is told apart, and when."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import poisson

from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.cross import cross_elasticity, without_others
from retail_assets.pricing.evaluation import held_out
from retail_assets.pricing.frames import LAUNCH_DAYS, ResponseFrame, frame_of, read_panel
from retail_assets.pricing.local import differences
from retail_assets.pricing.model import SOURCES, model_of
from retail_assets.pricing.response import fit, hidden_variance
from retail_assets.pricing.training import gold_versions

MONDAY = date(2025, 1, 6)


def panel(
    *, stores: int = 4, categories: int = 6, skus: int = 8, weeks: int = 80, cross: float = 0.0, apart: float = 0.0
) -> tuple[pa.Table, np.ndarray]:
    """Weekly rows of a retailer whose list prices follow last week's demand, and the elasticity of each (store, SKU).

    `cross` is the elasticity by the mean price of the category's others, `apart` how much odd stores answer more.
    """
    rng = np.random.default_rng(11)
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
    total = np.stack([price[..., category == c].sum(axis=-1) for c in range(categories)], axis=-1)
    others = (total[..., category] - price) / (skus - 1)
    mean = np.exp(3.0 + own[:, None, :] * price + cross * others + heat[None, :, category])
    units = rng.poisson(mean)
    store, week, sku = (x.ravel() for x in np.meshgrid(range(stores), range(weeks), range(count), indexing="ij"))
    rows = len(store)
    table = pa.table(
        {
            "store_id": [f"US-{s:03d}" for s in store.tolist()],
            "sku": [f"SKU-{s:05d}" for s in sku.tolist()],
            "category": [f"category-{c}" for c in category[sku].tolist()],
            "department": ["grocery"] * rows,
            "country": ["US"] * rows,
            "channel": [("store", "web")[s % 2] for s in store.tolist()],
            "week": pa.array([MONDAY + timedelta(days=7 * w) for w in week.tolist()], pa.date32()),
            "price": 5 * np.exp(price.ravel()),
            "promo": np.zeros(rows, dtype=bool),
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
    table, own = panel(cross=0.6)
    frame = frame_of(table, config.response)
    learnt = fit(frame, config.response)
    cross = cross_elasticity(frame, learnt, 8)
    assert cross is not None
    assert cross.holds
    assert abs(cross.mean - 0.6) < 3 * cross.variance**0.5
    assert np.allclose(cross.others, 7)
    corrected = without_others(learnt, frame.category_of_sku, cross)
    bias = [np.mean(x.posterior.mean[:, 0] - own[0]) for x in (learnt, corrected)]
    assert bias[0] < -0.05  # a SKU's own share of its category's prices went into the effects of the weeks
    assert abs(bias[1]) < 0.05


def test_no_cross_elasticity_is_claimed_where_there_is_none(config: PricingConfig) -> None:
    table, _ = panel()
    frame = frame_of(table, config.response)
    cross = cross_elasticity(frame, fit(frame, config.response), 8)
    assert cross is not None
    assert not cross.holds


@pytest.mark.parametrize(("weeks", "season_group_skus"), [(12, 8), (60, 9)])
def test_too_few_weeks_of_categories_give_no_cross_elasticity(
    weeks: int, season_group_skus: int, config: PricingConfig
) -> None:
    table, _ = panel(weeks=weeks)
    frame = frame_of(table, config.response.model_copy(update={"season_group_skus": season_group_skus}))
    assert cross_elasticity(frame, fit(frame, config.response), 8) is None


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
