"""Decisions as rows: one price for a service, its row and its replay. `batches` writes the same rows for many."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.core.money import from_minor, to_minor
from retail_assets.decisions.rows import new_decision_id
from retail_assets.pricing.decide.columns import COST_SOURCES
from retail_assets.pricing.decide.decision_trace import Step, TrailLine, steps_of, told
from retail_assets.pricing.decide.inputs import DecisionInputs, PricingInputError
from retail_assets.pricing.decide.policy import OUTCOMES, REASONS, Batch, decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PRODUCT, SOURCES, PriceModel
from retail_assets.provenance.records import MadeFrom

CHUNK_ROWS = 100_000


class ReplayError(RetailError):
    """A decision cannot be replayed with this model or this policy."""


@dataclass(frozen=True)
class Decision:
    """One decided price, complete: what went in, what each step did, what came out. Prices in minor units."""

    inputs: DecisionInputs
    model_version: str
    policy_hash: str
    price: int
    trail: tuple[TrailLine, ...]
    output: dict[str, Any]

    @property
    def previous_price(self) -> int:
        """The list price before, in minor units."""
        return self.inputs.previous_price

    @property
    def outcome(self) -> str:
        """changed, kept (no better price is worth it), held (not decided, see `reason`) or conflict."""
        return str(self.output["outcome"])

    @property
    def reason(self) -> str:
        """Why a price was held, one of policy.REASONS; empty where it was decided."""
        return str(self.output["reason"])

    @property
    def held_back(self) -> str | None:
        """Why the price stays in the house, a key of publication.HELD_BACK; None where it may leave it."""
        if self.outcome == "conflict":
            return "conflict"
        unknown = self.output["cost_source"] == "unknown" and self.inputs.asked_price is None
        return "cost_unknown" if unknown else None


@dataclass(frozen=True)
class Provenance:
    """What every decision of one run shares."""

    at: datetime
    mode: str
    dagster_run_id: str | None
    git_commit: str
    made_from: MadeFrom = MadeFrom()
    arm: str = "champion"


def decide_one(model: PriceModel, rulebook: Rulebook, inputs: DecisionInputs) -> Decision:
    """Decides one price; the same answer as a batch gives for the same inputs. No I/O."""
    return Decided.of(model, rulebook, inputs.table()).at(0, inputs)


@dataclass(frozen=True)
class Decided:
    """Rows decided in one pass, of which any can be told: sixty-four take little longer than one."""

    batch: Batch
    steps: list[Step]
    model_version: str
    policy_hash: str

    @classmethod
    def of(cls, model: PriceModel, rulebook: Rulebook, rows: pa.Table) -> "Decided":
        """Decides every row of `rows` (schema INPUTS)."""
        batch = decide_batch(model, rulebook, rows)
        return cls(batch, steps_of(batch), model.version, rulebook.policy_hash)

    def at(self, row: int, inputs: DecisionInputs) -> Decision:
        """The decision of one row, whose inputs are `inputs`."""
        return Decision(
            inputs=inputs,
            model_version=self.model_version,
            policy_hash=self.policy_hash,
            price=int(self.batch.price[row]),
            trail=told(self.steps, row, int(self.batch.digits[row])),
            output=_output(self.batch, row, inputs.business_date),
        )


def decision_row(
    decision: Decision, provenance: Provenance, decision_id: str | None = None, corrects: str | None = None
) -> dict[str, Any]:
    """The decision as a row of DECISION_SCHEMA. Without `decision_id` it gets a new UUID of version 7.

    `corrects` is the id of the row that this one replaces; rows themselves never change.
    """
    inputs = decision.inputs
    return {
        "decision_id": decision_id or new_decision_id(provenance.at),
        "at": provenance.at,
        "product": PRODUCT,
        "store_id": inputs.store_id,
        "sku": inputs.sku,
        "inputs": _json(inputs.document()),
        "model_version": decision.model_version,
        "policy_hash": decision.policy_hash,
        "guardrails": _json([line.document() for line in decision.trail]),
        "output": _json(decision.output),
        "price": from_minor(decision.price, inputs.currency),
        "currency": inputs.currency,
        "previous_price": from_minor(inputs.previous_price, inputs.currency),
        "mode": provenance.mode,
        "dagster_run_id": provenance.dagster_run_id,
        "git_commit": provenance.git_commit,
        "business_date": inputs.business_date,
        "effective_from": date.fromisoformat(decision.output["effective_from"]),
        **asdict(provenance.made_from),
        "corrects": corrects,
        "arm": provenance.arm,
        "latency_ms": None,
    }


def decision_of(row: Mapping[str, Any]) -> Decision:
    """The decision that a row records; the inverse of `decision_row`. Raises PricingInputError for broken text."""
    try:
        document, output = json.loads(row["inputs"]), json.loads(row["output"])
        trail = tuple(TrailLine(**line) for line in json.loads(row["guardrails"]))
    except (ValueError, TypeError) as error:
        raise PricingInputError(f"decision {row['decision_id']} cannot be read: {error}") from error
    return Decision(
        inputs=DecisionInputs.from_document(document),
        model_version=row["model_version"],
        policy_hash=row["policy_hash"],
        price=to_minor(row["price"], row["currency"]),
        trail=trail,
        output=output,
    )


def replay(row: Mapping[str, Any], model: PriceModel, rulebook: Rulebook) -> Decision:
    """Decides again from what a row recorded; equal to `decision_of(row)` when nothing was altered.

    Raises ReplayError when `model` or `rulebook` is not the one the row names.
    """
    for what, recorded, given in (
        ("model", row["model_version"], model.version),
        ("policy", row["policy_hash"], rulebook.policy_hash),
    ):
        if recorded != given:
            raise ReplayError(
                f"decision {row['decision_id']} was made with {what} {recorded}, not with {given}",
                todo=f"load the {what} that the decision names",
            )
    return decide_one(model, rulebook, decision_of(row).inputs)


def _output(batch: Batch, row: int, business_date: date) -> dict[str, Any]:
    numbers = {name: values[row].item() for name, values in output_numbers(batch).items()}
    return {
        "outcome": OUTCOMES[batch.outcome[row]],
        "reason": REASONS[batch.reason[row]],
        "effective_from": (business_date + timedelta(days=1)).isoformat(),
        "cost_source": COST_SOURCES[batch.cost_source[row]],
        "response_source": SOURCES[batch.response.source[row]],
        **{name: None if value != value else value for name, value in numbers.items()},
        "broken": [line.rule for line, broken in zip(batch.lines, batch.broken, strict=True) if broken[row]],
    }


def output_numbers(batch: Batch) -> dict[str, Any]:
    """The numeric part of the output: minor units as integers, the rest rounded to four decimals."""
    response = batch.response
    floats = {
        **{n: getattr(response, n) for n in ("elasticity", "standard_error", "lo", "hi", "prior", "weight")},
        **{n: getattr(batch, n) for n in ("units_before", "units_after", "margin_before", "margin_after")},
    }
    whole = {"proposal": batch.proposal, "cost": batch.cost}
    return whole | {name: np.round(values, 4) + 0.0 for name, values in floats.items()}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
