"""A breaker that trips on a promotion is switched off by people; one that lets a runaway through is none."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from retail_assets.pricing.config import BreakerConfig, PricingConfig
from retail_assets.pricing.decide.inputs import INPUTS
from retail_assets.pricing.decide.policy import decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.breaker import (
    CATEGORY,
    CHAIN,
    NUMBERS,
    TWO_SIDED,
    Finding,
    Numbers,
    RowNumbers,
    judge,
    measure,
)
from retail_assets.pricing.response.model import PriceModel
from tests.pricing.conftest import model_with
from tests.pricing.test_objectives import with_rules

DAY = date(2026, 5, 24)
USUAL = Numbers(CHAIN, 1000, 0, 0.30, 0.002, 0.30, 0.002, 0.25, 0.01, 0.01)
ELASTICITIES = [-1.6 - 0.05 * i for i in range(40)]


@pytest.fixture(scope="module")
def breaker(config: PricingConfig) -> BreakerConfig:
    return config.publication.breaker


def days(count: int, seed: int = 1) -> dict[str, list[Numbers]]:
    """Ordinary batches with a little noise."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.01, (count, len(NUMBERS)))
    return {CHAIN: [replace(USUAL, **_shift(row)) for row in noise]}


def _shift(noise: np.ndarray) -> dict[str, float]:
    return {
        name: getattr(USUAL, name) + float(n) * (0.1 if name in TWO_SIDED else 1)
        for name, n in zip(NUMBERS, noise, strict=True)
    }


def tripped(findings: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(finding.number, finding.kind) for finding in findings}


def test_an_ordinary_batch_passes(breaker: BreakerConfig) -> None:
    assert judge([USUAL], {}, breaker) == ()
    assert judge([USUAL], days(20), breaker) == ()


@pytest.mark.parametrize("number", NUMBERS)
def test_absolute_limits_hold_from_the_first_batch_on(breaker: BreakerConfig, number: str) -> None:
    limit = getattr(breaker.limits, number)
    at, above = (judge([replace(USUAL, **{number: limit + more})], {}, breaker) for more in (0.0, 0.001))
    assert at == ()
    assert tripped(above) == {(number, "limit")}
    assert above[0].value == limit + 0.001
    assert f"{limit + 0.001:.4f}" in above[0].words


def test_prices_run_away_downwards_too(breaker: BreakerConfig) -> None:
    assert tripped(judge([replace(USUAL, mean_change=-0.13)], {}, breaker)) == {("mean_change", "limit")}


@pytest.mark.parametrize("number", NUMBERS)
def test_leaving_the_usual_distribution_trips(breaker: BreakerConfig, number: str) -> None:
    before = days(20)
    past = np.array([getattr(n, number) for n in before[CHAIN]])
    centre = float(np.median(past))
    spread = max(1.4826 * float(np.median(np.abs(past - centre))), getattr(breaker.least_deviation, number))
    inside, outside = (replace(USUAL, **{number: centre + (breaker.sigma + more) * spread}) for more in (-0.1, 0.1))
    assert judge([inside], before, breaker) == ()
    assert (number, "sigma") in tripped(judge([outside], before, breaker))


def test_fewer_changes_than_usual_are_harmless(breaker: BreakerConfig) -> None:
    calm = Numbers(CHAIN, 1000, 0, *([0.0] * len(NUMBERS)))
    busy = {CHAIN: [replace(USUAL, changed=0.8, at_guardrail=0.8)] * 10}
    assert judge([calm], busy, breaker) == ()


def test_too_few_batches_say_nothing_about_what_is_usual(breaker: BreakerConfig) -> None:
    odd = replace(USUAL, changed=0.96)
    assert judge([odd], days(breaker.minimum_batches - 1), breaker) == ()
    assert tripped(judge([odd], days(breaker.minimum_batches), breaker)) == {("changed", "sigma")}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_trips(breaker: BreakerConfig, value: float) -> None:
    assert tripped(judge([replace(USUAL, mean_change=value)], {}, breaker)) == {("mean_change", "limit")}


def test_a_runaway_department_trips_and_a_tiny_one_does_not(breaker: BreakerConfig) -> None:
    wild = replace(USUAL, scope="garden", mean_change=0.2)
    assert [f.scope for f in judge([USUAL, wild], {}, breaker)] == ["garden"]
    assert judge([USUAL, replace(wild, rows=breaker.minimum_rows - 1)], {}, breaker) == ()


def test_the_first_batches_of_a_chain_do_not_hide_a_runaway_for_weeks(breaker: BreakerConfig) -> None:
    """Two days move nearly everything, then calm; a mean and its deviation would let half of the prices change."""
    calm = replace(USUAL, changed=0.03, at_guardrail=0.4)
    before = [replace(calm, changed=0.9, mean_change=0.05, at_guardrail=0.83), replace(calm, changed=0.6), *[calm] * 6]
    wild = replace(calm, changed=0.75, at_guardrail=0.70)
    assert judge([calm], {CHAIN: before}, breaker) == ()
    assert tripped(judge([wild], {CHAIN: before}, breaker)) == {("changed", "sigma"), ("at_guardrail", "sigma")}
    past = np.array([n.changed for n in before])
    assert wild.changed < past.mean() + breaker.sigma * past.std(ddof=1)


def test_a_category_is_held_against_its_own_past_only(breaker: BreakerConfig) -> None:
    calm = replace(USUAL, scope=CATEGORY + "coffee")
    wild = replace(calm, mean_change=-0.09)
    assert judge([USUAL, wild], {}, breaker) == ()  # no limits: one category may be priced anew
    found = judge([USUAL, wild], {CATEGORY + "coffee": [calm] * 6}, breaker)
    assert [(f.scope, f.number, f.kind) for f in found] == [("category coffee", "mean_change", "sigma")]
    assert found[0].low == pytest.approx(
        USUAL.mean_change - breaker.category_sigma * breaker.least_deviation.mean_change
    )


def test_batches_from_before_a_number_was_measured_say_nothing_of_it(breaker: BreakerConfig) -> None:
    old = [replace(USUAL, promised_gain=math.nan)] * 9
    much = replace(USUAL, promised_gain=0.12)
    assert judge([much], {CHAIN: old}, breaker) == ()
    assert tripped(judge([much], {CHAIN: [*old, *[USUAL] * 5]}, breaker)) == {("promised_gain", "sigma")}


def shelf(rows: int, promoted: float, seed: int = 3) -> pa.Table:
    """Items that cost what makes their price nearly the best one."""
    rng = np.random.default_rng(seed)
    sku = np.arange(rows) % 40
    elasticity = np.array(ELASTICITIES)[sku]
    previous = rng.integers(300, 900, rows)
    cost = np.maximum((previous * (1 + elasticity) / elasticity * rng.normal(1, 0.03, rows)).astype(np.int64), 1)
    columns = {
        "store_id": np.array(["US-001", "DE-002"])[sku % 2],
        "sku": np.char.add("SKU-", np.char.zfill(sku.astype(str), 5)),
        "country": np.full(rows, "US"),
        "currency": np.array(["USD", "EUR"])[sku % 2],
        "department": np.array(["grocery", "garden"])[sku % 2],
        "category": np.full(rows, "known"),
        "business_date": pa.array(np.full(rows, np.datetime64(DAY))),
        "costs_delivered": np.full(rows, True),
        "on_promotion": rng.random(rows) < promoted,
        "previous_price": previous,
        "week_price": previous,
        "unit_cost": cost,
        "reference_price": previous,
        "base_demand": rng.gamma(2.0, 2.0, rows),
    }
    absent = {n: pa.nulls(rows, INPUTS.field(n).type) for n in INPUTS.names if n not in columns}
    return pa.table(columns | absent).select(INPUTS.names).cast(INPUTS)


def numbers(model: PriceModel, rulebook: Rulebook, inputs: pa.Table) -> list[Numbers]:
    batch = decide_batch(model, rulebook, inputs)
    return measure(RowNumbers.of(batch, inputs))


def sane() -> PriceModel:
    return model_with({f"SKU-{i:05d}": e for i, e in enumerate(ELASTICITIES)})


def test_a_model_gone_wild_trips_and_the_same_shelf_with_a_sane_one_does_not(
    rulebook: Rulebook, breaker: BreakerConfig
) -> None:
    inputs = shelf(4_000, promoted=0.05)
    assert judge(numbers(sane(), rulebook, inputs), {}, breaker) == ()
    for factor in (0.05, 6.0):
        wild = sane()
        wild.table[:, [0, 2, 3]] *= factor
        found = judge(numbers(wild, rulebook, inputs), {}, breaker)
        assert ("promised_gain", "limit") in tripped(found)
        assert found[0].scope == CHAIN


def test_a_planned_promotion_is_not_a_runaway(config: PricingConfig, breaker: BreakerConfig) -> None:
    """Half of the shelf falls by a tenth: planned, it passes; the same fall that nobody planned trips."""
    rulebook = with_rules(config, hold_during_promotion=False, max_change=0.12)
    inputs = shelf(4_000, promoted=0.5)
    flags = inputs["on_promotion"].to_numpy()
    cheaper = np.where(flags, (inputs["unit_cost"].to_numpy() * 0.6).astype(np.int64), inputs["unit_cost"].to_numpy())
    cut = inputs.set_column(inputs.schema.get_field_index("unit_cost"), "unit_cost", pa.array(cheaper)).cast(INPUTS)
    unplanned = cut.set_column(
        cut.schema.get_field_index("on_promotion"), INPUTS.field("on_promotion"), pa.array(np.zeros(4_000, bool))
    )
    planned_numbers, unplanned_numbers = numbers(sane(), rulebook, cut), numbers(sane(), rulebook, unplanned)
    before = {n.scope: [n] * 8 for n in numbers(sane(), rulebook, shelf(4_000, promoted=0.0, seed=4))}
    assert planned_numbers[0].planned == int(flags.sum())
    assert judge(planned_numbers, before, breaker) == ()
    assert ("mean_change", "sigma") in tripped(judge(unplanned_numbers, before, breaker))


def test_the_numbers_are_what_they_say(rulebook: Rulebook, random_inputs: Callable[[int, int], pa.Table]) -> None:
    inputs = random_inputs(5_000, 8)
    batch = decide_batch(model_with({"SKU-00000": -2.0}), rulebook, inputs)
    rows = RowNumbers.of(batch, inputs)
    chain, *parts = measure(rows)
    departments = [part for part in parts if not part.scope.startswith(CATEGORY)]
    categories = [part for part in parts if part.scope.startswith(CATEGORY)]
    planned = inputs["on_promotion"].to_numpy()
    free = ~planned & ((batch.reason == 0) | (batch.price != batch.previous))
    gain = np.clip(batch.gain, 0.0, 1.0)
    assert (chain.rows, chain.planned) == (int(free.sum()), int(planned.sum()))
    assert chain.changed == pytest.approx((batch.price != batch.previous)[free].mean())
    assert chain.mean_change == pytest.approx((batch.price / batch.previous - 1)[free].mean())
    revenue = np.where(free & np.isfinite(rows.revenue), rows.revenue, 0.0)
    share = [revenue[rows.currency == c] / revenue[rows.currency == c].sum() for c in np.unique(rows.currency[free])]
    change = [rows.change[rows.currency == c] for c in np.unique(rows.currency[free])]
    rows_of = [(free & (rows.currency == c)).sum() / free.sum() for c in np.unique(rows.currency[free])]
    by_revenue = sum(w * (s * m).sum() for s, m, w in zip(share, change, rows_of, strict=True))
    assert chain.mean_change_revenue == pytest.approx(by_revenue)
    changing = sum(w * (s * (m != 0)).sum() for s, m, w in zip(share, change, rows_of, strict=True))
    assert chain.changed_revenue == pytest.approx(changing)
    assert 0 < chain.revenue_at_risk < 1
    assert chain.promised_gain == pytest.approx(np.where(batch.price != batch.previous, gain, 0.0)[free].mean())
    assert [d.scope for d in departments] == ["apparel", "garden", "grocery"]
    assert [c.scope for c in categories] == ["category known", "category new", 'category odd "one"\\']
    known = [c == "known" for c in inputs["category"].to_pylist()]
    assert categories[0].changed == pytest.approx((batch.price != batch.previous)[free & known].mean())
    half = [
        RowNumbers(**{n: getattr(rows, n)[part] for n in RowNumbers.__annotations__})
        for part in (slice(2_000), slice(2_000, None))
    ]
    assert measure(RowNumbers.joined(half)) == [chain, *parts]


def test_what_is_held_does_not_hide_what_is_decided(rulebook: Rulebook, breaker: BreakerConfig) -> None:
    """Nine of ten items are of no known cost; the model of the tenth has gone wild."""
    inputs = shelf(4_000, promoted=0.0)
    rare = np.where(np.arange(4_000) % 10 == 0, inputs["unit_cost"].to_numpy(), 0)
    place = inputs.schema.get_field_index("unit_cost")
    few = inputs.set_column(place, INPUTS.field("unit_cost"), pa.array(rare, mask=rare == 0))
    wild = sane()
    wild.table[:, [0, 2, 3]] *= 6.0
    assert judge(numbers(sane(), rulebook, few), {}, breaker) == ()
    found = numbers(wild, rulebook, few)
    assert found[0].rows == 400
    assert ("promised_gain", "limit") in tripped(judge(found, {}, breaker))


def test_a_price_that_stays_risks_nothing(rulebook: Rulebook) -> None:
    inputs = shelf(100, promoted=0.0)
    keep = inputs.set_column(
        inputs.schema.get_field_index("unit_cost"), INPUTS.field("unit_cost"), pa.nulls(100, pa.int64())
    )
    found = numbers(sane(), rulebook, keep)[0]
    assert (found.changed, found.mean_change, found.revenue_at_risk) == (0.0, 0.0, 0.0)
