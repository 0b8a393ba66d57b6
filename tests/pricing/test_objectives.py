"""A price with the wrong aim is a loss that no guardrail sees: each objective against looking at every choice."""

import math
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retail_assets.pricing.config import PricingConfig, PricingPolicy
from retail_assets.pricing.decide.decisions import Decision, decide_one
from retail_assets.pricing.decide.explain import reasons
from retail_assets.pricing.decide.gold_inputs import FAMILIES, gold_versions, read_inputs
from retail_assets.pricing.decide.inputs import INPUTS, DecisionInputs
from retail_assets.pricing.decide.policy import decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook, ladder_of
from retail_assets.pricing.response.model import PriceModel
from tests.pricing.conftest import model_with
from tests.pricing.test_price_inputs import rewrite

Inputs = Callable[..., DecisionInputs]
DAY = date(2026, 5, 24)


def with_rules(config: PricingConfig, **changes: object) -> Rulebook:
    """The shipped policy without department rules, and with these defaults."""
    document = config.policy.model_dump(by_alias=True)
    defaults = document["defaults"] | changes
    return Rulebook.of(PricingPolicy.model_validate(document | {"departments": {}, "defaults": defaults}))


def clearing(config: PricingConfig, **changes: object) -> Rulebook:
    """Clearance over ten days, planned on the mean, by rules that leave room."""
    rules = {
        "objective": "clearance", "clear_by": DAY + timedelta(days=10), "clear_confidence": 0.5, "margin_floor": 0.0,
        "price_range": (0.2, 1.5), "competitor_band": (0.0, 9.0), "max_change_week": 0.9,
    }  # fmt: skip
    return with_rules(config, **(rules | changes))


def words(decision: Decision) -> str:
    return decision.trail[0].words


@settings(max_examples=60)
@given(st.integers(0, 39), st.integers(60, 9_000), st.floats(0.1, 0.95), st.sampled_from([0.1, 0.3, 0.5]))
def test_revenue_is_the_largest_that_leaves_the_margin_target(
    model: PriceModel, config: PricingConfig, inputs: Inputs, sku: int, previous: int, cost: float, target: float
) -> None:
    rulebook = with_rules(config, objective="revenue", margin_target=target)
    item = inputs(
        sku=f"SKU-{sku:05d}",
        previous_price=previous,
        reference_price=previous,
        unit_cost=max(int(previous * cost), 1),
    )
    batch = decide_batch(model, rulebook, item.table())
    e, c, found = float(batch.response.elasticity[0]), item.unit_cost or 0, int(batch.proposal[0])
    low, high = -(-previous * 7000 // 10_000), previous * 13_500 // 10_000
    rungs = [r for r in ladder_of(config.markets["default"]).tolist() if low <= r <= high]
    enough = [r for r in rungs if (r - c) >= target * r - 1e-9]
    if not enough:
        assert found == max(rungs, default=previous)  # out of reach: the price that comes nearest
        return
    best = max(enough, key=lambda r: r * math.exp(e * math.log(r / previous)))
    assert found in enough
    revenues = [p * math.exp(e * math.log(p / previous)) for p in (found, best)]
    assert revenues[0] == pytest.approx(revenues[1], rel=1e-7)


def test_a_price_below_the_margin_target_is_worth_raising(
    model: PriceModel, config: PricingConfig, inputs: Inputs
) -> None:
    rulebook = with_rules(config, objective="revenue", margin_target=0.54)
    decision = decide_one(model, rulebook, inputs(competitor_price=None))
    assert decision.outcome == "changed"
    assert (decision.price - 240) / decision.price >= 0.54
    assert "misses the margin target" in decision.trail[-1].words
    assert "a margin of 54 %" in words(decision)


def sell_out(model: PriceModel, rulebook: Rulebook, start: DecisionInputs, stock: float, days: int) -> list[int]:
    """Prices of a closed loop without noise: each day is decided from the stock that the days before left."""
    elasticity, base, prices, item = -2.0, start.base_demand or 0, [], start
    for day in range(days):
        here = base * (item.previous_price / start.previous_price) ** elasticity
        item = item.model_copy(
            update={"on_hand": round(stock), "base_demand": here, "business_date": DAY + timedelta(day)}
        )
        price = decide_one(model, rulebook, item).price
        stock -= min(base * (price / start.previous_price) ** elasticity, stock)
        prices.append(price)
        item = item.model_copy(update={"previous_price": price})
    return prices


def earned(prices: list[int], stock: float, base: float, previous: int) -> tuple[float, float]:
    """Revenue of a path of prices, and what is left."""
    revenue = 0.0
    for price in prices:
        units = min(base * (price / previous) ** -2.0, stock)
        revenue, stock = revenue + price * units, stock - units
    return revenue, stock


def best_path(stock: float, base: float, previous: int, days: int, change: float, rungs: list[int]) -> float:
    """Revenue of the best falling path on the ladder, by looking at every one of them."""

    def search(price: int, left: float, day: int) -> float:
        if day == days or left <= 0:
            return 0.0 if left <= 1.0 else -1e9  # what has to be gone is gone
        choices = [r for r in rungs if price * (1 - change) <= r < price] + [price]
        results = []
        for choice in choices:
            units = min(base * (choice / previous) ** -2.0, left)
            results.append(choice * units + search(choice, left - units, day + 1))
        return max(results)

    return search(previous, stock, 0)


@pytest.mark.parametrize(("stock", "change"), [(60.0, 0.3), (75.0, 0.12), (50.0, 0.3)])
def test_a_clearance_sells_out_at_nearly_the_best_revenue_there_is(
    config: PricingConfig, inputs: Inputs, stock: float, change: float
) -> None:
    model, days = model_with({"SKU-00015": -2.0}), 5
    rulebook = clearing(config, clear_by=DAY + timedelta(days=days), max_change=change, minimum_gain=0.0)
    start = inputs(base_demand=8.0, previous_price=999, reference_price=999, unit_cost=100, competitor_price=None)
    prices = sell_out(model, rulebook, start, stock, days)
    revenue, left = earned(prices, stock, 8.0, 999)
    rungs = [r for r in ladder_of(config.markets["default"]).tolist() if 400 <= r <= 999]
    assert left <= 1.0
    assert revenue >= 0.97 * best_path(stock, 8.0, 999, days, change, rungs)
    assert all(later <= earlier for earlier, later in pairwise([999, *prices]))


def test_a_clearance_beyond_what_the_guardrails_allow_falls_as_fast_as_they_do(
    config: PricingConfig, inputs: Inputs
) -> None:
    model = model_with({"SKU-00015": -2.0})
    item = inputs(on_hand=900, base_demand=3.0, competitor_price=None)
    decision = decide_one(model, clearing(config), item)
    assert decision.outcome == "changed"
    assert 0.08 <= 1 - decision.price / 499 <= 0.10
    assert "900 units are to be sold in 10 days, the price before sells 30.00 of them" in words(decision)


def test_the_interval_of_the_forecast_makes_a_clearance_cautious(config: PricingConfig, inputs: Inputs) -> None:
    model = model_with({"SKU-00015": -2.0})
    item = inputs(on_hand=33, base_demand=3.0, previous_price=1999, reference_price=1999, competitor_price=None)
    wide = item.model_copy(update={"demand_deviation": 3.0})
    sure, unsure = (decide_one(model, clearing(config, clear_confidence=0.9), i) for i in (item, wide))
    even = decide_one(model, clearing(config), wide)
    assert unsure.output["proposal"] < sure.output["proposal"] <= even.output["proposal"]


def test_scarce_stock_is_not_cheapened_and_never_made_dearer(config: PricingConfig, inputs: Inputs) -> None:
    decision = decide_one(model_with({"SKU-00015": -2.0}), clearing(config), inputs(on_hand=2, base_demand=9.0))
    assert (decision.outcome, decision.price) == ("kept", 499)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"on_hand": None}, "stock_unknown"),
        ({"on_hand": -4}, "stock_unknown"),
        ({"on_hand": 0}, "sold_out"),
        ({"on_hand": 9, "base_demand": None}, "demand_unknown"),
        ({"on_hand": 9, "business_date": DAY + timedelta(days=10)}, "clearance_over"),
        ({"on_hand": 9, "unit_cost": None}, "cost_unknown"),
    ],
)
def test_a_clearance_that_cannot_be_planned_says_why(
    model: PriceModel, config: PricingConfig, inputs: Inputs, changes: dict[str, object], reason: str
) -> None:
    decision = decide_one(model, clearing(config), inputs(**changes))
    assert (decision.outcome, decision.reason, decision.price) == ("held", reason, 499)
    assert words(decision)


@pytest.mark.parametrize("elasticity", [math.nan, math.inf, -math.inf, 0.0, 0.4])
def test_a_response_that_cannot_be_one_moves_no_price(rulebook: Rulebook, inputs: Inputs, elasticity: float) -> None:
    model = model_with({"SKU-00015": -2.0})
    model.table[0, 0] = elasticity
    decision = decide_one(model, rulebook, inputs())
    assert (decision.outcome, decision.reason, decision.price) == ("held", "response_unsound", 499)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"objective": "revenue"}, "needs margin_target"),
        ({"objective": "clearance"}, "needs clear_by"),
        ({"objective": "profit"}, "margin"),
        ({"clear_confidence": 0.4}, "clear_confidence"),
    ],
)
def test_an_objective_without_what_it_needs_is_refused(
    config: PricingConfig, rules: dict[str, object], says: str
) -> None:
    document = config.policy.model_dump(by_alias=True)
    for level in ({"defaults": document["defaults"] | rules}, {"categories": {"milk": rules}}):
        with pytest.raises(ValidationError, match=says):
            PricingPolicy.model_validate(document | level)


def test_packs_of_a_family_that_are_decided_one_by_one_stay_in_order(
    planted: Callable, rulebook: Rulebook, model: PriceModel
) -> None:
    retailer = planted()
    rng = np.random.default_rng(5)
    rewrite(
        retailer.lake,
        "dim_product",
        lambda p: p.assign(
            price_family=[f"F{i // 4}" for i in range(12)], pack_size=[1.0, 2.0, 2.0, 6.0] * 3, unit="l"
        ),
    )
    rewrite(
        retailer.lake,
        "fct_price_history",
        lambda h: h.assign(
            list_price=h["sku"].map(lambda sku: Decimal(SHELF[int(sku[-5:]) % 4])), unit_cost=Decimal(1)
        ),
    )
    found = read_inputs(retailer.lake, gold_versions(retailer.lake)).rows
    sizes = [1.0, 2.0, 2.0, 6.0]
    wild = model_with({sku: float(-rng.uniform(0.2, 4)) for sku in retailer.skus})
    for decider in (model, wild):
        batch = decide_batch(decider, rulebook, found)
        packs: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for row, price in zip(found.to_pylist(), batch.price.tolist(), strict=True):
            place = int(row["sku"][-5:])
            packs.setdefault((row["store_id"], place // 4), []).append((sizes[place % 4], price))
        for family in packs.values():
            for (small, cheap), (large, dear) in ((a, b) for a in family for b in family if a[0] < b[0]):
                assert dear / large <= cheap / small + 1e-9
    assert (batch.price != batch.previous).any()


SHELF = ["2.00", "3.50", "3.60", "9.00"]


def test_prices_that_are_out_of_order_move_towards_it_or_are_reported(
    planted: Callable, rulebook: Rulebook, config: PricingConfig, model: PriceModel
) -> None:
    retailer = planted()
    rewrite(
        retailer.lake,
        "dim_product",
        lambda p: p.assign(price_family=["F", "F", *[None] * 10], pack_size=[1.0, 2.0, *[None] * 10]),
    )
    dear = {"SKU-00000": Decimal(2), "SKU-00001": Decimal(6)}
    rewrite(
        retailer.lake,
        "fct_price_history",
        lambda h: h.assign(list_price=h["sku"].map(lambda sku: dear.get(sku, Decimal(5))), unit_cost=Decimal(1)),
    )
    rows = {r["sku"]: r for r in read_inputs(retailer.lake, gold_versions(retailer.lake)).rows.to_pylist()}
    assert (rows["SKU-00000"]["family_low"], rows["SKU-00000"]["family_high"]) == (250, None)
    assert (rows["SKU-00001"]["family_low"], rows["SKU-00001"]["family_high"]) == (None, 500)
    item = DecisionInputs(**rows["SKU-00001"] | {"competitor_price": None})
    decision = decide_one(model, rulebook, item)
    assert (decision.outcome, decision.price, decision.output["broken"]) == ("changed", 559, ["family_order"])
    assert any("as near as max change lets it come" in step.words for step in decision.trail)
    assert "comes nearer by steps" in reasons(decision)[-1]
    stays = decide_one(model, with_rules(config, family_steps=False), item)
    assert (stays.outcome, stays.output["broken"]) == ("conflict", ["family_order"])
    assert "a person has to decide" in reasons(stays)[-1]


def test_families_come_back_into_order_by_steps_and_never_leave_it(
    config: PricingConfig, random_inputs: Callable[[int, int], pa.Table]
) -> None:
    """Eight days of 5,000 families of four packs, from random prices: what the borders of SQL and the rules make."""
    rng, rows = np.random.default_rng(9), 20_000
    size = np.tile([1.0, 2.0, 2.0, 6.0], rows // 4)
    listed = np.maximum((size * 200 * rng.lognormal(0.0, 0.2, rows)).astype(np.int64), 1)
    names = np.char.add("P", np.arange(rows).astype(str))
    packs = {"sku": names, "price_family": np.repeat(np.arange(rows // 4), 4), "pack_size": size, "unit": ["l"] * rows}
    base = random_inputs(rows, 12)
    usual = {
        "sku": names, "country": ["US"] * rows, "currency": ["USD"] * rows, "category": ["new"] * rows,
        "department": ["garden"] * rows, "reference_price": listed, "week_price": pa.nulls(rows, pa.int64()),
        "competitor_price": pa.nulls(rows, pa.int64()), "unit_cost": listed // 3, "on_promotion": [False] * rows,
    }  # fmt: skip
    wild = model_with({name: float(e) for name, e in zip(names.tolist(), -rng.uniform(0.2, 4, rows), strict=True)})
    rulebook = with_rules(config, price_range=(0.2, 3.0))
    disorder = [_disorder(listed / size)]
    for _ in range(8):
        with duckdb.connect() as connection:
            shops = pa.table({"store_id": base["store_id"].slice(0, 1).take([0] * rows), "sku": names})
            connection.register("shops", shops.append_column("scale", pa.array([1] * rows)))
            prices = shops.append_column("list_price", pa.array(listed))
            connection.register("prices", prices)
            connection.register("packs_of", pa.table(packs))
            connection.execute(FAMILIES.format(products="packs_of"))
            bounds = connection.execute("select low, high from families order by substr(sku, 2)::int").to_arrow_table()
        columns = {name: base[name] for name in base.column_names} | usual
        columns |= {"previous_price": listed, "family_low": bounds["low"], "family_high": bounds["high"]}
        batch = decide_batch(wild, rulebook, pa.table(columns).select(INPUTS.names).cast(INPUTS))
        listed = batch.price
        disorder.append(_disorder(listed / size))
        assert (disorder[-1] <= disorder[-2] + 1e-9).all()
    out = [float((d > 1e-9).mean()) for d in disorder]
    assert out[0] > 0.5
    assert out[-1] < 0.05  # what is left has no price ending between its border and its step


def _disorder(per_unit: np.ndarray) -> np.ndarray:
    """How much dearer per unit a larger pack is than a smaller one, at worst, per family."""
    one, two, other, six = per_unit.reshape(-1, 4).T
    pairs = [(one, two), (one, other), (one, six), (two, six), (other, six)]
    return np.maximum(np.max([large - small for small, large in pairs], axis=0), 0.0)
