"""A price that ignores its neighbours gives away what they would win back: prices for margin may count on it."""

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from retail_assets.pricing.batches import decide_rows
from retail_assets.pricing.config import PricingConfig, PricingPolicy
from retail_assets.pricing.decisions import decide_one, decision_of, decision_row, replay
from retail_assets.pricing.inputs import DecisionInputs
from retail_assets.pricing.model import PriceModel
from retail_assets.pricing.policy import decide_batch
from retail_assets.pricing.rulebook import Rulebook
from retail_assets.serving.decision_rows import DECISION_SCHEMA
from tests.pricing.conftest import model_with
from tests.pricing.test_exploration import PROVENANCE


def counting_on(config: PricingConfig, share: float, category: str = "known") -> Rulebook:
    document = config.policy.model_dump(by_alias=True)
    return Rulebook.of(PricingPolicy.model_validate(document | {"categories": {category: {"substitution": share}}}))


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_price_counts_on_its_neighbours_as_on_a_smaller_elasticity(
    config: PricingConfig, random_inputs: Callable[[int, int], pa.Table], share: float
) -> None:
    table = random_inputs(2000, 51).filter(pa.array(np.ones(2000, dtype=bool)))
    table = table.set_column(5, "category", pa.array(["known"] * 2000))
    own = {f"SKU-{i:05d}": round(-1.0 - 0.05 * i, 2) for i in range(45)}
    found = decide_batch(model_with(own), counting_on(config, share), table)
    moved = {sku: e + share for sku, e in own.items()}
    alone = decide_batch(model_with(moved), counting_on(config, 0.0), table)
    assert np.array_equal(found.proposal, alone.proposal)
    assert np.array_equal(found.price, alone.price)
    assert (found.response.elasticity < alone.response.elasticity).all()


def test_nothing_changes_where_none_is_assumed(
    model: PriceModel, config: PricingConfig, rulebook: Rulebook, random_inputs: Callable[[int, int], pa.Table]
) -> None:
    table = random_inputs(2000, 52)
    batch = decide_batch(model, rulebook, table)
    assert batch.won_back is None
    assert np.array_equal(decide_batch(model, counting_on(config, 0.3, "no such"), table).price, batch.price)


def test_a_price_never_counts_on_demand_that_rises_with_it(model: PriceModel, config: PricingConfig) -> None:
    from retail_assets.pricing.policy import _with_neighbours

    rules = counting_on(config, 0.9).rules([("US", "grocery", "known", "USD", PROVENANCE.at.date())], np.zeros(4, int))
    found = _with_neighbours(np.array([-2.0, -0.9, -0.2, -0.05]), rules)
    assert found.tolist() == pytest.approx([-1.1, -0.1, -0.1, -0.05])


def test_the_trail_says_so_alone_and_in_a_batch_and_replays(
    model: PriceModel, config: PricingConfig, random_inputs: Callable[[int, int], pa.Table]
) -> None:
    rulebook, table = counting_on(config, 0.3), random_inputs(150, 53)
    rows = pa.Table.from_batches(decide_rows(model, rulebook, table, PROVENANCE), DECISION_SCHEMA).to_pylist()
    said = 0
    for row, values in zip(rows, table.to_pylist(), strict=True):
        single = decision_row(decide_one(model, rulebook, DecisionInputs(**values)), PROVENANCE)
        assert json.loads(row["guardrails"]) == json.loads(single["guardrails"])
        assert replay(row, model, rulebook) == decision_of(row)
        said += "of which 0.30 % goes to the rest of the category" in decision_of(row).trail[0].words
    assert said > 10
