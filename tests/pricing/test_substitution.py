"""A price that ignores its neighbours gives away what they would win back: prices for margin may count on it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.pricing.config import PricingConfig, PricingPolicy
from retail_assets.pricing.decide.batches import decide_rows
from retail_assets.pricing.decide.decisions import decide_one, decision_of, decision_row, replay
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.decide.policy import decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.report import category_table, response_table
from retail_assets.pricing.response.model import RESPONSE_FILE, PriceModel
from retail_assets.resources.lake import Lake
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


def test_a_price_never_counts_on_demand_that_rises_with_it() -> None:
    from retail_assets.pricing.decide.policy import _with_neighbours

    found = _with_neighbours(np.array([-2.0, -0.9, -0.2, -0.05]), np.full(4, 9000))
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
        said += "of which 0.30 % goes to the rest of the category" in decision_of(row).trail[1].words
    assert said > 10


def learnt(model: PriceModel, share: float) -> PriceModel:
    """The model, with a cross-elasticity of its only category."""
    return replace(model, substitution=np.array([[share, 0.1, max(share - 0.2, 0.0), share + 0.2]]))


def test_what_the_model_learnt_counts_as_much_as_what_a_person_sets(
    model: PriceModel, config: PricingConfig, rulebook: Rulebook, random_inputs: Callable[[int, int], pa.Table]
) -> None:
    table = of_known_category(random_inputs(1500, 54))
    found = decide_batch(learnt(model, 0.3), rulebook, table)
    assumed = decide_batch(model, counting_on(config, 0.3), table)
    assert config.policy.defaults.substitution == "learnt"
    assert found.won_back is not None
    assert (found.won_back == 3000).all()
    assert np.array_equal(found.price, assumed.price)
    assert not np.array_equal(found.price, decide_batch(model, rulebook, table).price)


def test_a_person_overrides_what_the_model_learnt(
    model: PriceModel, config: PricingConfig, random_inputs: Callable[[int, int], pa.Table]
) -> None:
    table = of_known_category(random_inputs(500, 55))
    alone = decide_batch(model, counting_on(config, 0.0), table)
    assert np.array_equal(decide_batch(learnt(model, 0.4), counting_on(config, 0.0), table).price, alone.price)


@pytest.mark.parametrize("objective", ["revenue", "keep"])
def test_only_prices_for_margin_count_on_it(
    model: PriceModel, config: PricingConfig, random_inputs: Callable[[int, int], pa.Table], objective: str
) -> None:
    document = config.policy.model_dump(by_alias=True)
    document["categories"] = {"known": {"objective": objective, "margin_target": 0.2}}
    rulebook = Rulebook.of(PricingPolicy.model_validate(document))
    table = of_known_category(random_inputs(500, 56))
    found, alone = (decide_batch(m, rulebook, table) for m in (learnt(model, 0.4), model))
    assert found.won_back is not None
    assert not found.won_back.any()
    assert np.array_equal(found.price, alone.price)


def test_an_unknown_category_has_no_neighbours(model: PriceModel) -> None:
    found = learnt(model, 0.4).response(["s"] * 3, ["SKU-00001"] * 3, ["known", "unknown", None])
    assert found.substitution.tolist() == [0.4, 0.0, 0.0]


def test_a_substitution_that_is_no_number_stops_the_price(
    model: PriceModel, rulebook: Rulebook, random_inputs: Callable[[int, int], pa.Table]
) -> None:
    table = of_known_category(random_inputs(200, 57))
    batch = decide_batch(learnt(model, float("nan")), rulebook, table)
    assert not (batch.outcome == 0).any()


def test_the_trail_says_what_was_learnt_alone_and_in_a_batch_and_replays(
    model: PriceModel, rulebook: Rulebook, random_inputs: Callable[[int, int], pa.Table]
) -> None:
    knowing, table = learnt(model, 0.3123), of_known_category(random_inputs(60, 58))
    rows = pa.Table.from_batches(decide_rows(knowing, rulebook, table, PROVENANCE), DECISION_SCHEMA).to_pylist()
    said = 0
    for row, values in zip(rows, table.to_pylist(), strict=True):
        single = decision_row(decide_one(knowing, rulebook, DecisionInputs(**values)), PROVENANCE)
        assert json.loads(row["guardrails"]) == json.loads(single["guardrails"])
        assert replay(row, knowing, rulebook) == decision_of(row)
        said += "0.31 % goes to the rest of the category by what its sales showed" in decision_of(row).trail[1].words
    assert said > 10


def test_a_model_keeps_its_substitution_and_older_ones_have_none(model: PriceModel, tmp_path: Path) -> None:
    knowing = learnt(model, 0.3)
    for name, text in knowing.files().items():
        (tmp_path / name).write_bytes(text)
    again = PriceModel.load(tmp_path)
    assert np.array_equal(again.substitution, knowing.substitution)
    document = json.loads((tmp_path / RESPONSE_FILE).read_bytes())
    del document["substitution"]
    (tmp_path / RESPONSE_FILE).write_text(json.dumps(document | {"format": 2}))
    assert not PriceModel.load(tmp_path).substitutes


def of_known_category(table: pa.Table) -> pa.Table:
    at = table.column_names.index("category")
    return table.set_column(at, "category", pa.array(["known"] * table.num_rows))


def test_a_person_sees_what_each_category_wins_back(model: PriceModel, tmp_path: Path) -> None:
    lake = Lake.at(tmp_path / "lake")
    categories = ["known" if sku != "SKU-00003" else "strange" for sku in model.skus]
    lake.overwrite("gold", "dim_product", pa.table({"sku": list(model.skus), "category": categories}))
    told = category_table(response_table(learnt(model, 0.3), lake))
    assert "| known | 39 |" in told
    assert "| 0.30 (0.10 to 0.50) |" in told
    assert told.count("to 0.50") == 1
    assert "to 0.50" not in category_table(response_table(model, lake))
