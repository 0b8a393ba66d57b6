"""A price decided again: inputs from the traced raw rows, the recorded model, the recorded policy. Pure."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.core.money import format_minor
from retail_assets.pricing.decide.decisions import Decision, decide_one
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PriceModel
from retail_assets.pricing.trace.agreement import Sum, first_difference
from retail_assets.provenance.forecasts import ForecastReplay

KEYS = ("store_id", "sku", "business_date")


class Field(BaseModel):
    """One input as the decision recorded it and as the raw rows give it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    recorded: Any
    recomputed: Any
    equal: bool


class Replay(BaseModel):
    """What deciding again gave. `as_recorded` are inputs that no raw row decides, taken from the row as they are.

    `forecast` is None where the base demand is no forecast.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    equal: bool
    verdict: str
    recorded_price: str
    replayed_price: str
    fields: list[Field]
    as_recorded: list[str]
    forecast: ForecastReplay | None
    same_trail: bool
    decided_by_code: str | None
    replayed_by_code: str


def replay_price(
    decision: Decision,
    recomputed: dict[str, Any],
    sums: Sequence[Sum],
    model: PriceModel,
    rulebook: Rulebook,
    code: tuple[str | None, str],
    forecast: ForecastReplay | None = None,
) -> Replay:
    """Decides again from `recomputed` (see lineage.recompute) and compares field by field.

    `equal` needs every recomputed input, every sum, the forecast and the price to the cent. `code` are the git commits
    of the decision and of this process: they are told apart when something differs.
    """
    inputs = decision.inputs
    fields = [_field(inputs, name, value) for name, value in recomputed.items()]
    again = decide_one(model, rulebook, DecisionInputs(**inputs.model_dump() | recomputed))
    trail = [line.document() for line in again.trail] == [line.document() for line in decision.trail]
    difference = _first(decision, again, fields, sums, trail, forecast)
    paid = format_minor(decision.price, inputs.currency)
    return Replay(
        equal=difference is None,
        verdict=difference or _equal(paid, fields, forecast),
        recorded_price=paid,
        replayed_price=format_minor(again.price, again.inputs.currency),
        fields=fields,
        as_recorded=[name for name in _set(inputs) if name not in recomputed and name not in KEYS],
        forecast=forecast,
        same_trail=trail,
        decided_by_code=code[0],
        replayed_by_code=code[1],
    )


def _equal(paid: str, fields: Sequence[Field], forecast: ForecastReplay | None) -> str:
    said = f"equal to the cent: {paid}, from {len(fields)} inputs recomputed from raw rows"
    if forecast is None:
        return said
    again = f"; {forecast.verdict}" if forecast.equal else f"; its forecast was not made again: {forecast.verdict}"
    return said + again


def _field(inputs: DecisionInputs, name: str, value: Any) -> Field:
    recorded = getattr(inputs, name)
    return Field(name=name, recorded=recorded, recomputed=value, equal=recorded == value)


def _set(inputs: DecisionInputs) -> list[str]:
    """Fields with a value."""
    return [name for name in DecisionInputs.model_fields if getattr(inputs, name) is not None]


def _first(
    decision: Decision,
    again: Decision,
    fields: Sequence[Field],
    sums: Sequence[Sum],
    same_trail: bool,
    forecast: ForecastReplay | None,
) -> str | None:
    """The first difference in words: inputs, sums, the forecast, the price, as one follows from the other."""
    unequal = next((field for field in fields if not field.equal), None)
    if unequal is not None:
        return (
            f"differs at input {unequal.name}: the decision recorded {unequal.recorded}, the raw rows give "
            f"{unequal.recomputed}"
        )
    if (difference := first_difference(sums)) is not None:
        return f"differs at {difference}"
    if forecast is not None and forecast.equal is False:
        return f"differs at the forecast: {forecast.verdict}"
    if again.price != decision.price:
        currency = decision.inputs.currency
        return (
            f"differs at the price: recorded {format_minor(decision.price, currency)}, decided again "
            f"{format_minor(again.price, currency)} from the same inputs"
        )
    return None if same_trail else "differs at the trail: the price is the same, but a rule says something else"
