"""A decision that cannot be read back, replayed or told apart is no evidence."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from retail_assets.core.guardrails import RULES
from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.pricing.config import PricingConfig, PricingPolicy
from retail_assets.pricing.decide.batches import decide_rows
from retail_assets.pricing.decide.decisions import (
    Provenance,
    ReplayError,
    decide_one,
    decision_of,
    decision_row,
    replay,
)
from retail_assets.pricing.decide.explain import explain, explain_lines
from retail_assets.pricing.decide.inputs import DecisionInputs, PricingInputError
from retail_assets.pricing.decide.log import append_batch, batch_state, is_decided
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PriceModel
from retail_assets.resources.lake import Lake

PROVENANCE = Provenance(datetime(2026, 5, 25, 4, tzinfo=UTC), "batch", "run-1", "deadbeef")
DAY = date(2026, 5, 24)
Inputs = Callable[..., DecisionInputs]
RandomInputs = Callable[[int, int], pa.Table]


def rows_of(model: PriceModel, rulebook: Rulebook, table: pa.Table) -> list[dict[str, Any]]:
    return pa.Table.from_batches(decide_rows(model, rulebook, table, PROVENANCE), DECISION_SCHEMA).to_pylist()


def readable(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its JSON texts as values, without its id."""
    texts = {name: json.loads(row[name]) for name in ("inputs", "guardrails", "output")}
    return {name: value for name, value in (row | texts).items() if name != "decision_id"}


def test_batch_and_service_write_the_same_rows(
    model: PriceModel, rulebook: Rulebook, random_inputs: RandomInputs
) -> None:
    table = random_inputs(400, 21)
    asked = {
        "asked_price": table["previous_price"].take(pa.array(range(399, -1, -1))),
        "asked_by": pa.array(["eva"] * 400),
    }
    asked |= {"asked_why": pa.array(['"so"'] * 400), "insisted": pa.array([True, None, False, None] * 100)}
    some = pa.array([row % 5 == 0 for row in range(400)])
    for name, values in asked.items():
        wanted = pc.if_else(some, values, pa.scalar(None, values.type))
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), wanted)
    for row, values in zip(rows_of(model, rulebook, table), table.to_pylist(), strict=True):
        single = decision_row(decide_one(model, rulebook, DecisionInputs(**values)), PROVENANCE)
        assert readable(row) == readable(single)


def test_a_decision_is_replayed_from_its_row(
    model: PriceModel, rulebook: Rulebook, random_inputs: RandomInputs
) -> None:
    for row in rows_of(model, rulebook, random_inputs(300, 22)):
        assert replay(row, model, rulebook) == decision_of(row)


def test_an_altered_row_does_not_replay(model: PriceModel, rulebook: Rulebook, inputs: Inputs) -> None:
    row = decision_row(decide_one(model, rulebook, inputs()), PROVENANCE)
    assert replay(row, model, rulebook) != decision_of(row | {"price": Decimal("0.99")})
    cheaper = json.loads(row["inputs"])
    cheaper["unit_cost"]["value"] = 100
    altered = row | {"inputs": json.dumps(cheaper)}
    assert replay(altered, model, rulebook) != decision_of(altered)


def test_replay_asks_for_the_model_and_the_policy_that_decided(
    model: PriceModel, rulebook: Rulebook, config: PricingConfig, inputs: Inputs
) -> None:
    row = decision_row(decide_one(model, rulebook, inputs()), PROVENANCE)
    with pytest.raises(ReplayError, match="model abc123, not with zzz"):
        replay(row, replace(model, version="zzz"), rulebook)
    document = config.policy.model_dump(by_alias=True)
    other = Rulebook.of(PricingPolicy.model_validate(document | {"departments": {}}))
    with pytest.raises(ReplayError, match="policy"):
        replay(row, model, other)


@pytest.mark.parametrize("column", ["inputs", "guardrails", "output"])
def test_a_row_that_cannot_be_read_says_which(
    model: PriceModel, rulebook: Rulebook, inputs: Inputs, column: str
) -> None:
    row = decision_row(decide_one(model, rulebook, inputs()), PROVENANCE, "some-id")
    with pytest.raises(PricingInputError, match="some-id"):
        decision_of(row | {column: "{"})


def test_recorded_inputs_must_be_complete() -> None:
    with pytest.raises(PricingInputError, match="unit_cost"):
        DecisionInputs.from_document({"store_id": "US-001"})


def test_inputs_recorded_before_a_field_existed_are_read_as_not_known(inputs: Inputs) -> None:
    document = inputs().document()
    old = {name: value for name, value in document.items() if name not in ("week_price", "demand_deviation")}
    found = DecisionInputs.from_document(old)
    assert (found.week_price, found.demand_deviation) == (None, None)
    assert found == inputs(week_price=None, week_price_at=None, demand_deviation=None)


def test_a_row_fits_the_log(model: PriceModel, rulebook: Rulebook, inputs: Inputs) -> None:
    row = decision_row(decide_one(model, rulebook, inputs()), PROVENANCE)
    assert list(row) == DECISION_SCHEMA.names
    assert pa.Table.from_pylist([row], DECISION_SCHEMA).to_pylist()[0]["price"] == row["price"]


def test_a_trail_has_one_line_per_rule_in_order(model: PriceModel, rulebook: Rulebook, inputs: Inputs) -> None:
    decision = decide_one(model, rulebook, inputs())
    assert [line.rule for line in decision.trail] == ["objective", *RULES, "minimum_gain"]
    assert decision.trail[0].before == decision.previous_price
    assert decision.trail[-1].after == decision.price
    for earlier, later in zip(decision.trail, decision.trail[1:], strict=False):
        assert later.before == earlier.after
    assert all(line.words for line in decision.trail)


def test_batch_ids_follow_from_the_content(model: PriceModel, rulebook: Rulebook, random_inputs: RandomInputs) -> None:
    table = random_inputs(500, 23)
    first, again = (rows_of(model, rulebook, table) for _ in range(2))
    ids = [row["decision_id"] for row in first]
    assert ids == [row["decision_id"] for row in again]
    other = rows_of(replace(model, version="next"), rulebook, table)
    assert not set(ids) & {row["decision_id"] for row in other}
    assert all(i[14] == "7" and i[19] == "a" and len(i) == 36 for i in ids)


def test_ids_sort_by_business_date(model: PriceModel, rulebook: Rulebook, inputs: Inputs) -> None:
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 5, 24)]
    ids = [rows_of(model, rulebook, inputs(business_date=day).table())[0]["decision_id"] for day in days]
    assert ids == sorted(ids)


def test_deciding_twice_adds_nothing(
    model: PriceModel, rulebook: Rulebook, random_inputs: RandomInputs, lake: Lake
) -> None:
    table = random_inputs(60, 24)
    table = table.set_column(1, table.schema.field("sku"), pa.array([f"X-{i}" for i in range(60)]))
    state = batch_state({"fct_sales_daily": 1}, model.version, rulebook.policy_hash, "1")
    assert not is_decided(lake, state)
    first = append_batch(lake, decide_rows(model, rulebook, table, PROVENANCE), DAY, state)
    again = append_batch(lake, decide_rows(model, rulebook, table, PROVENANCE), DAY, "another state")
    assert (first.offered, first.added) == (60, 60)
    assert (again.offered, again.added) == (60, 0)
    assert is_decided(lake, state)
    assert lake.open("decisions", "pricing").count() == 60


def test_a_changed_input_is_a_new_row_beside_the_old(
    model: PriceModel, rulebook: Rulebook, inputs: Inputs, lake: Lake
) -> None:
    for cost in (240, 260):
        batch = decide_rows(model, rulebook, inputs(unit_cost=cost).table(), PROVENANCE)
        append_batch(lake, batch, DAY, f"state {cost}")
    rows = lake.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    assert {json.loads(row["inputs"])["unit_cost"]["value"] for row in rows} == {240, 260}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "EURO"),
        ("previous_price", 0),
        ("previous_price", -5),
        ("unit_cost", -1),
        ("competitor_price", 0),
        ("base_demand", float("nan")),
        ("base_demand", -1.0),
        ("store_id", ""),
        ("colour", "red"),
    ],
)
def test_bad_input_is_refused_by_name(inputs: Inputs, field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        inputs(**{field: value})


def test_negative_stock_is_recorded_and_harmless(model: PriceModel, rulebook: Rulebook, inputs: Inputs) -> None:
    decision = decide_one(model, rulebook, inputs(on_hand=-3))
    assert decision.price == decide_one(model, rulebook, inputs()).price
    assert decision.inputs.document()["on_hand"]["value"] == -3


def test_a_currency_without_cents_is_decided_in_whole_units(
    model: PriceModel, config: PricingConfig, inputs: Inputs
) -> None:
    document = config.policy.model_dump(by_alias=True)
    document["markets"]["JP"] = {
        "tax": "0",
        "digits": 0,
        "endings": [{"below": "100000", "every": "10", "at": ["0", "8"]}],
    }
    rulebook = Rulebook.of(PricingPolicy.model_validate(document))
    item = inputs(country="JP", currency="JPY", sku="SKU-00002", previous_price=498, unit_cost=240)
    decision = decide_one(model, rulebook, item)
    row = rows_of(model, rulebook, item.table())[0]
    assert decision.price % 10 in (0, 8)
    assert row["price"] == Decimal(decision.price)
    assert decision_of(row) == decision


def test_reasons_name_what_mattered(model: PriceModel, rulebook: Rulebook, inputs: Inputs) -> None:
    row = decision_row(decide_one(model, rulebook, inputs(sku="SKU-00002")), PROVENANCE)
    lines = explain_lines(row)
    assert explain(row) == "\n".join(lines)
    assert lines[0] == "SKU-00002 in US-001: 4.99 USD becomes 5.29 USD (+6.0%) from 2026-05-25."
    assert "Demand changes by -0.50 % for each 1 % of price (-0.90 to -0.10)" in lines[1]
    assert any("One step of at most 8 %" in line for line in lines)
    assert any(line.startswith("Also checked and held:") and "margin floor" in line for line in lines)
    assert any("margin" in line and "USD" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit_cost": None}, "its cost is not known"),
        ({"on_promotion": True}, "a planned promotion runs"),
        ({"unit_cost": 700}, "two rules cannot both hold"),
        ({"unit_cost": 700}, "Attention: this price is outside margin floor"),
        ({"sku": "NEW"}, "comes from its category, as it has not sold long enough"),
        ({"sku": "NEW"}, "stays, because its own sales say nothing of how demand answers its price"),
        ({"sku": "NEW", "category": None}, "comes from the whole chain"),
        ({"category": "cigarettes"}, "prices of this category are fixed by law or licence"),
        ({"base_demand": None}, "comes from its own sales"),
    ],
)
def test_reasons_say_why_a_price_stays(
    model: PriceModel, rulebook: Rulebook, inputs: Inputs, changes: dict[str, object], said: str
) -> None:
    row = decision_row(decide_one(model, rulebook, inputs(**changes)), PROVENANCE)
    assert said in explain(row)
