"""Exploration costs margin on purpose: it must stay small, inside the rules, and explainable from its row alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.core.guardrails import RULES, Status
from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.pricing import report
from retail_assets.pricing.config import (
    CONFIG_FILE,
    ExplorationPolicy,
    PricingConfig,
    PricingConfigError,
    PricingPolicy,
    load_config,
)
from retail_assets.pricing.decide.batches import decide_rows
from retail_assets.pricing.decide.decisions import Provenance, decide_one, decision_of, decision_row, replay
from retail_assets.pricing.decide.explain import explain
from retail_assets.pricing.decide.exploration import hashes
from retail_assets.pricing.decide.inputs import INPUTS, DecisionInputs
from retail_assets.pricing.decide.log import append_batch
from retail_assets.pricing.decide.policy import Batch, decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PriceModel
from retail_assets.resources.lake import Lake
from tests.pricing.conftest import model_with

Inputs = Callable[..., DecisionInputs]
RandomInputs = Callable[[int, int], pa.Table]
STORES, SKUS = ("US-001", "UK-002", "DE-WEB"), tuple(f"SKU-{i:05d}" for i in range(45))
PROVENANCE = Provenance(datetime(2026, 5, 25, 4, tzinfo=UTC), "batch", "run-1", "deadbeef")
DAY = date(2026, 5, 24)


@pytest.fixture(scope="module")
def model() -> PriceModel:
    """Forty SKUs whose elasticity is wide open, sold in three stores."""
    learnt = model_with({sku: round(-0.3 - 0.1 * i, 2) for i, sku in enumerate(SKUS[:40])})
    store, sku = (grid.ravel() for grid in np.meshgrid(STORES, SKUS[:40], indexing="ij"))
    base = {
        "store_id": store,
        "sku": sku,
        "units_per_day": np.linspace(0.2, 9.0, len(sku)),
        "price": np.full(len(sku), 5),
    }
    return replace(learnt, base=pa.table(base))


def exploring(config: PricingConfig, **changes: object) -> Rulebook:
    """The shipped rules with exploration of a fifth of every store, or as `changes` say."""
    document = config.policy.model_dump(by_alias=True)
    return Rulebook.of(PricingPolicy.model_validate(document | {"exploration": {"share": 0.2} | changes}))


def assortment(inputs: Inputs, day: date = DAY, **changes: object) -> pa.Table:
    """Every SKU in every store, ordinary items."""
    rows = [inputs(store_id=a, sku=b, business_date=day, **changes).table() for a in STORES for b in SKUS[:40]]
    return pa.concat_tables(rows)


def chosen(batch: Batch) -> np.ndarray:
    assert batch.trial is not None
    return batch.trial.chosen


@settings(deadline=None, max_examples=40)
@given(st.floats(0.001, 0.99), st.integers(0, 2000), st.integers(1, 30))
def test_no_store_explores_more_than_its_share(
    model: PriceModel, config: PricingConfig, inputs: Inputs, share: float, days: int, hold: int
) -> None:
    table = assortment(inputs, DAY + timedelta(days=days), unit_cost=300)
    batch = decide_batch(model, exploring(config, share=share, hold_days=hold), table)
    stores = np.array(table["store_id"].to_pylist())
    for store in STORES:
        assert chosen(batch)[stores == store].sum() <= int(share * 40)


def test_exploration_is_off_as_shipped(model: PriceModel, rulebook: Rulebook, inputs: Inputs) -> None:
    assert rulebook.policy.exploration.share == 0
    batch = decide_batch(model, rulebook, assortment(inputs))
    assert batch.trial is None


def test_a_row_alone_is_decided_as_in_its_batch(
    model: PriceModel, config: PricingConfig, random_inputs: RandomInputs
) -> None:
    rulebook, table = exploring(config, share=0.5), random_inputs(300, 31)
    batch = decide_batch(model, rulebook, table)
    assert chosen(batch).sum() > 20
    for row, values in enumerate(table.to_pylist()):
        assert decide_one(model, rulebook, DecisionInputs(**values)).price == batch.price[row]
    backwards = decide_batch(model, rulebook, table.take(np.arange(table.num_rows)[::-1]))
    assert np.array_equal(backwards.price[::-1], batch.price)


def test_an_exploration_is_replayed_from_its_row_by_another_process(
    model: PriceModel, config: PricingConfig, random_inputs: RandomInputs
) -> None:
    rulebook = exploring(config, share=0.5)
    batches = decide_rows(model, rulebook, random_inputs(200, 32), PROVENANCE)
    for row in pa.Table.from_batches(batches, DECISION_SCHEMA).to_pylist():
        again = replace(model, table=model.table.copy()), exploring(config, share=0.5)  # nothing remembered
        assert replay(row, *again) == decision_of(row)


def test_batch_and_service_tell_the_same_trail(
    model: PriceModel, config: PricingConfig, random_inputs: RandomInputs
) -> None:
    rulebook, table = exploring(config, share=0.5), random_inputs(200, 33)
    rows = pa.Table.from_batches(decide_rows(model, rulebook, table, PROVENANCE), DECISION_SCHEMA).to_pylist()
    for row, values in zip(rows, table.to_pylist(), strict=True):
        single = decision_row(decide_one(model, rulebook, DecisionInputs(**values)), PROVENANCE)
        for name in ("guardrails", "output"):
            assert json.loads(row[name]) == json.loads(single[name])


def test_explored_prices_break_no_rule(model: PriceModel, config: PricingConfig, random_inputs: RandomInputs) -> None:
    for method in ("thompson", "ends"):
        batch = decide_batch(model, exploring(config, share=0.9, method=method), random_inputs(200_000, 34))
        explored = chosen(batch) & (batch.price != batch.previous)
        assert explored.sum() > 10_000
        family = batch.lines[RULES.index("family_order")]
        explored &= family.status != Status.NEARER  # on its way back into order, whatever is proposed
        assert not np.any([flags[explored] for flags in batch.broken])
        assert (batch.outcome[explored] == 0).all()


def test_what_is_tried_lies_inside_the_interval(model: PriceModel, config: PricingConfig, inputs: Inputs) -> None:
    for method in ("thompson", "ends"):
        batch = decide_batch(model, exploring(config, share=0.9, method=method), assortment(inputs))
        assert batch.trial is not None
        tried, response = batch.trial.elasticity, batch.response
        assert ((tried >= response.lo) & (tried <= response.hi)).all()
        assert (tried[chosen(batch)] != response.elasticity[chosen(batch)]).all()
        assert (tried[~chosen(batch)] == response.elasticity[~chosen(batch)]).all()


def test_a_price_that_is_tried_stays_for_its_period_and_then_another_turn_comes(
    model: PriceModel, config: PricingConfig, inputs: Inputs
) -> None:
    rulebook = exploring(config, hold_days=7)
    start = date.fromordinal(date(1970, 1, 1).toordinal() + 2940 * 7)
    batches = [decide_batch(model, rulebook, assortment(inputs, start + timedelta(days=d))) for d in (0, 6, 7)]
    tried = [b.trial.elasticity for b in batches if b.trial is not None]
    assert np.array_equal(tried[0], tried[1])
    assert not np.array_equal(chosen(batches[0]), chosen(batches[2]))


def test_turns_go_round_and_come_more_often_where_more_is_to_be_known(model: PriceModel) -> None:
    policy, turns = ExplorationPolicy(share=0.2), range(400)
    for store in STORES:
        drawn = [model.candidates.chosen(store, policy, "5eed" * 16, period) for period in turns]
        assert {len(skus) for skus in drawn} == {8}
        counts = np.array([sum(sku in skus for skus in drawn) for sku in SKUS[:40]])
        assert (counts > 0).all()
        assert np.corrcoef(model.candidates.value[model.candidates.stores[store]], counts)[0, 1] > 0.3


@pytest.mark.parametrize(
    ("policy", "item"),
    [
        ({"minimum_width": 0.81}, {}),
        ({"never_departments": ["grocery"]}, {}),
        ({"never_categories": ["known"]}, {}),
        ({"share": 0.02}, {}),
        ({}, {"on_promotion": True}),
        ({}, {"unit_cost": None}),
        ({}, {"unit_cost": None, "costs_delivered": False}),
    ],
)
def test_nothing_is_explored_where_something_speaks_against_it(
    model: PriceModel, config: PricingConfig, inputs: Inputs, policy: dict[str, object], item: dict[str, object]
) -> None:
    assert not chosen(decide_batch(model, exploring(config, **policy), assortment(inputs, **item))).any()


def test_nothing_under_a_cap_and_nothing_of_a_kept_category_is_explored(
    model: PriceModel, config: PricingConfig, inputs: Inputs
) -> None:
    order = {"max_price": Decimal("99.00"), "from": DAY, "until": DAY, "reason": "flood"}
    document = config.policy.model_dump(by_alias=True) | {"exploration": {"share": 0.5}}
    for change in ({"caps": [order]}, {"caps": [order | {"max_price": None, "max_increase": 0.5}]},
                   {"categories": {"known": {"objective": "keep"}}}):  # fmt: skip
        rulebook = Rulebook.of(PricingPolicy.model_validate(document | change))
        assert not chosen(decide_batch(model, rulebook, assortment(inputs))).any()


def test_an_item_without_recent_sales_is_not_explored(model: PriceModel, config: PricingConfig, inputs: Inputs) -> None:
    rulebook = exploring(config, share=0.9)
    for unknown in ({"sku": "NEW"}, {"store_id": "FR-009"}):
        assert not chosen(decide_batch(model, rulebook, inputs(**unknown).table())).any()


def test_the_trail_says_that_it_explores_and_why(model: PriceModel, config: PricingConfig, inputs: Inputs) -> None:
    rulebook, table = exploring(config, share=0.9), assortment(inputs)
    batch = decide_batch(model, rulebook, table)
    moved = np.flatnonzero(chosen(batch) & (batch.price != batch.previous) & (batch.gain < batch.minimum_gain))
    decision = decide_one(model, rulebook, DecisionInputs(**table.slice(int(moved[0]), 1).to_pylist()[0]))
    first, last = decision.trail[0], decision.trail[-1]
    assert first.words.startswith("exploration: demand may change by anything from")
    assert first.numbers["tried"] != first.numbers["elasticity"]
    assert last.words == "an exploration may cost margin: it is worth what is learnt"
    assert "Exploration: demand may" in explain(decision_row(decision, PROVENANCE))
    rests = np.flatnonzero(~chosen(batch))
    other = decide_one(model, rulebook, DecisionInputs(**table.slice(int(rests[0]), 1).to_pylist()[0]))
    assert "exploration" not in other.trail[0].words
    assert other.trail[0].numbers["tried"] == other.trail[0].numbers["elasticity"]


def test_explorations_are_counted_from_the_log(
    model: PriceModel, config: PricingConfig, inputs: Inputs, lake: Lake
) -> None:
    table = assortment(inputs)
    append_batch(lake, decide_rows(model, exploring(config, share=0.0), table, PROVENANCE), DAY, "off")
    assert report.explorations(lake, DAY.isoformat()) == 0
    later = Provenance(PROVENANCE.at + timedelta(hours=1), "batch", "run-2", "deadbeef")
    rulebook = exploring(config, share=0.5)
    append_batch(lake, decide_rows(model, rulebook, table, later), DAY, "on")
    explored = chosen(decide_batch(model, rulebook, table)).sum()
    assert report.explorations(lake, DAY.isoformat()) == explored > 0


def test_lots_are_the_same_on_every_machine() -> None:
    """FNV-1a of the characters; a change here would make recorded explorations impossible to replay."""
    found = hashes(np.array(["US-001", "a"], dtype=object), np.array(["SKU-00001", "b"], dtype=object))
    expected = []
    for text in ("US-001|SKU-00001", "a|b"):
        value = 0xCBF29CE484222325
        for character in text:
            value = (value ^ ord(character)) * 0x100000001B3 % 2**64
        expected.append(value)
    assert found.tolist() == expected


def test_configuration_refuses_nonsense(tmp_path) -> None:
    assert load_config().exploration == ExplorationPolicy()
    path = tmp_path / "pricing.yaml"
    path.write_text(CONFIG_FILE.read_text().replace("share: 0.0 ", "share: 1.2 "))
    with pytest.raises(PricingConfigError, match="exploration.share"):
        load_config(path)


def test_inputs_need_no_field_of_their_own_for_exploration() -> None:
    assert not [name for name in INPUTS.names if "explor" in name]
