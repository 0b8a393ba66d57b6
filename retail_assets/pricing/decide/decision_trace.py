"""The trail of a decision: what each step did, with its numbers and in words.

A `Step` holds one step of every row. Here one row is told in Python; `trail_sql` tells a whole batch in SQL, from the
same templates, so that a service and a batch say the same about the same price.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

import numpy as np
import numpy.typing as npt

from retail_assets.core.guardrails import NO_HIGH, NO_LOW, RULES, Status
from retail_assets.pricing.config import PricingPolicy
from retail_assets.pricing.decide.objectives import CLEARANCE, REVENUE
from retail_assets.pricing.decide.policy import CHANGED, Batch

Array = npt.NDArray[Any]

ASKS = "a person asks for"
OBSERVED = (
    "most lines ask {after:m}: {agreement_pct:f} % of {lines:i} lines of six weeks are within 2 % of it, "
    "eight in ten ask {price_low:m} to {price_high:m}"
)
STATEMENTS: Mapping[str, tuple[str, ...]] = {
    "price_in_force": (
        "where the price in force comes from was not recorded: {after:m}",
        "the price list says {after:m}",
        OBSERVED,
        OBSERVED + "; large quantities cost less, and the price of the others is decided here",
        OBSERVED + "; several prices are usual, and that of most customers is decided here",
    ),
    "objective": (
        "demand changes by {elasticity:f} % for each 1 % of price ({lo:f} to {hi:f}) and a unit costs {cost:m}: "
        "the best price is {after:m}",
        "demand changes by {elasticity:f} % for each 1 % of price ({lo:f} to {hi:f}) and a unit is assumed to cost "
        "{cost:m}, as no costs are delivered: the best price is {after:m}",
        "prices of this category are kept by policy",
        "a planned promotion runs: the list price rests",
        "the cost is not known: no price is made up",
        "demand changes by {elasticity:f} % for each 1 % of price ({lo:f} to {hi:f}) and prices have to leave a margin "
        "of {margin_target_bp:p}: the price with the largest revenue is {after:m}",
        "{stock:i} units are to be sold in {clear_days:i} days, the price before sells {plan:f} of them, and demand "
        "changes by {elasticity:f} % for each 1 % of price: they sell out at {after:m}",
        "what the model says of this item is not a finite elasticity below zero: the price stays",
        "the stock on hand is not known: no clearance is planned",
        "nothing is left to clear",
        "the demand is not known: no clearance is planned",
        "the last day of the clearance has passed: the price stays",
        "the price is fixed by law or licence: it is kept",
        "its own sales say nothing of how demand answers its price: it stays",
    ),
    "legal_cap": ("the cap in force is {high:m}", "no cap by law or emergency order is in force"),
    "price_range": (
        "{low_share_bp:p} to {high_share_bp:p} of the usual price of {reference:m} is {low:m} to {high:m}",
        "the usual price is not known",
    ),
    "max_change": ("one step of at most {change_bp:p} from {previous:m} is {low:m} to {high:m}", ""),
    "max_change_week": (
        "at most {change_bp:p} from {week_price:m} of seven days before is {low:m} to {high:m}",
        "the price of seven days before is not known",
    ),
    "competitor_band": (
        "{low_share_bp:p} to {high_share_bp:p} of the competitor's {competitor:m} is {low:m} to {high:m}",
        "no recent price of a competitor is known",
    ),
    "family_order": ("the order of the price family allows {low:m} to {high:m}", "no price family binds the price"),
    "price_ending": (
        "a price here ends as customers know it, between {corridor_low:m} and {corridor_high:m}",
        "the price does not change, so its ending stays",
    ),
    "margin_floor": (
        "a margin of {floor_bp:p} above the cost of {cost:m} needs {low:m} or more",
        "the cost is not known",
    ),
    "out_of_stock": (
        "{on_hand:i} are on hand: until the next delivery the price is {low:m} or more",
        "it is in stock, or its stock is not known",
    ),
    "minimum_gain": (
        "the expected margin changes by {gain_pct:f} %, at least {minimum_pct:f} % is worth a new price",
        "the price is not changed",
        "a rule does not allow the price before, so any price that holds is better",
        "the expected revenue changes by {gain_pct:f} %, at least {minimum_pct:f} % is worth a new price",
        "the units sold by the last day change by {gain_pct:f} %, at least {minimum_pct:f} % is worth a new price",
        "the price before misses the margin target",
        "an exploration may cost margin: it is worth what is learnt",
        "revenue less weighed costs changes by {gain_pct:f} % of the revenue, at least {minimum_pct:f} % is worth a "
        "new price",
        f"{ASKS} this price",
    ),
}
ASKED = ASKS + " {after:m}; who and why stands with the inputs"
EXPLORES = (
    "exploration: demand may change by anything from {lo:f} to {hi:f} % for each 1 % of price and a unit costs "
    "{cost:m}: to learn which, the price is tried that would be best at {tried:f} %: {after:m}"
)
WINS_BACK = (
    "demand changes by {elasticity:f} % for each 1 % of price ({lo:f} to {hi:f}), of which {won_back:f} % goes to the "
    "rest of the category, and a unit costs {cost:m}: the best price is {after:m}"
)
LEARNT_BACK = (
    "demand changes by {elasticity:f} % for each 1 % of price ({lo:f} to {hi:f}), of which {won_back:f} % goes to the "
    "rest of the category by what its sales showed, and a unit costs {cost:m}: the best price is {after:m}"
)
SHARES = (
    "demand changes by {elasticity:f} % for each 1 % of price ({lo:f} to {hi:f}), a unit costs {cost:m} and the "
    "category has to leave a margin of {margin_target_bp:p} in this store, for which its costs count {cost_weight:f} "
    "times: the best price is {after:m}"
)
OUTCOMES: Mapping[int, str] = {
    Status.PASSED: "",
    Status.MOVED: ": {before:m} becomes {after:m}",
    Status.NOT_APPLICABLE: "",
    Status.CONFLICT: "; this and {against:r} cannot both hold: the price stays at {after:m}",
    Status.SKIPPED: ": not applied, the price stays",
    Status.NEARER: ": {before:m} becomes {after:m}, as near as {against:r} lets it come in one step",
}
NO_OUTCOME: Mapping[int, str] = dict.fromkeys(OUTCOMES, "")
HELD_STATEMENTS = np.array([0, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13])
"""Which statement of the objective tells each of REASONS."""
STATUS_NAMES = tuple(status.name.lower() for status in Status)


@dataclass(frozen=True)
class Step:
    """One step of every row: arrays of shape (rows,). `statement` picks from `said`, `status` is a Status."""

    rule: str
    statement: Array
    status: Array
    before: Array
    after: Array
    low: Array
    high: Array
    against: Array
    numbers: Mapping[str, Array]
    also_said: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[str, ...]:
        """The statements of the rule, and those that only this batch can make."""
        return (*STATEMENTS[self.rule], *self.also_said)


@dataclass(frozen=True)
class TrailLine:
    """One step of one decision. Prices are minor units; `low` and `high` what the rule allows, None where open."""

    rule: str
    status: str
    before: int
    after: int
    low: int | None
    high: int | None
    against: str | None
    numbers: dict[str, int | float]
    words: str

    def document(self) -> dict[str, Any]:
        """The line as plain JSON values."""
        return dict(vars(self))


def steps_of(batch: Batch) -> list[Step]:
    """Every step in its order: the price in force (where its source is known), objective, guardrails, minimum gain."""
    guards = [
        Step(
            rule=line.rule,
            statement=np.where(line.status == Status.NOT_APPLICABLE, 1, _statement(line.applies, line.rule)),
            status=line.status,
            before=line.before,
            after=line.after,
            low=line.low,
            high=line.high,
            against=line.against,
            numbers=line.numbers,
        )
        for line in batch.lines
    ]
    return [*_price_in_force(batch), _objective(batch), *guards, _minimum_gain(batch)]


def rules_of(policy: PricingPolicy) -> tuple[str, ...]:
    """The rules that a trail made under `policy` has a line for, in their order."""
    guards = [rule for rule in RULES if rule != "out_of_stock" or policy.holds_out_of_stock]
    return ("price_in_force", "objective", *guards, "minimum_gain")


def told(steps: Sequence[Step], row: int, places: int) -> tuple[TrailLine, ...]:
    """The trail of one row from the steps of its batch; `places` are the decimals of its currency."""
    return tuple([_line(step, row, places) for step in steps])


def outcomes_of(rule: str) -> Mapping[int, str]:
    """What follows the statement of a rule, by status."""
    return NO_OUTCOME if rule in ("price_in_force", "objective") else OUTCOMES


def _statement(applies: Array, rule: str) -> Array:
    always = rule == "price_ending"
    return np.where(applies | always, 0, 1)


def _price_in_force(batch: Batch) -> list[Step]:
    known = batch.in_force
    if known is None:
        return []
    numbers = {
        "lines": known.lines,
        "agreement_pct": np.round(known.agreement * 100, 2),
        "price_low": known.low,
        "price_high": known.high,
    }
    statement = np.where(known.source == 2, 2 + known.tiers, known.source)
    status = np.full(len(batch.price), Status.PASSED)
    before = batch.previous
    return [
        _open_step(batch, "price_in_force", statement, status, before=before, after=before, numbers=numbers),
    ]


def _objective(batch: Batch) -> Step:
    free = np.select([batch.objective == REVENUE, batch.objective == CLEARANCE, batch.cost_source == 1], [5, 6, 1], 0)
    statement = np.where(batch.reason > 0, HELD_STATEMENTS[batch.reason], free)
    moved = np.where(batch.proposal != batch.previous, Status.MOVED, Status.PASSED)
    r = batch.response
    numbers = {name: np.round(getattr(r, name), 4) for name in ("elasticity", "lo", "hi")}
    also_said: tuple[str, ...] = ()
    if batch.won_back is not None:
        told = (statement == 0) & (batch.won_back > 0)
        statement = np.where(told, len(STATEMENTS["objective"]) + batch.won_back_learnt, statement)
        numbers, also_said = {**numbers, "won_back": batch.won_back / 10_000}, (WINS_BACK, LEARNT_BACK)
    if batch.cost_weight is not None:
        told = (statement == 5) & ~np.isnan(batch.cost_weight)
        statement = np.where(told, len(STATEMENTS["objective"]) + len(also_said), statement)
        numbers, also_said = {**numbers, "cost_weight": np.nan_to_num(batch.cost_weight)}, (*also_said, SHARES)
    if batch.trial is not None:
        statement = np.where(batch.trial.chosen, len(STATEMENTS["objective"]) + len(also_said), statement)
        numbers, also_said = {**numbers, "tried": np.round(batch.trial.elasticity, 4)}, (*also_said, EXPLORES)
    if batch.asked.any():
        statement = np.where(batch.asked, len(STATEMENTS["objective"]) + len(also_said), statement)
        also_said = (*also_said, ASKED)
    return _open_step(
        batch,
        "objective",
        statement,
        np.where(batch.reason > 0, Status.NOT_APPLICABLE, moved),
        before=batch.previous,
        after=batch.proposal,
        numbers={
            **numbers,
            "cost": batch.cost,
            "margin_target_bp": batch.margin_target,
            "stock": batch.stock,
            "clear_days": batch.clear_days,
            "plan": batch.plan,
        },
        also_said=also_said,
    )


def _minimum_gain(batch: Batch) -> Step:
    guarded = batch.lines[-1].after
    undone, idle = guarded != batch.price, guarded == batch.previous
    forced = ~idle & (batch.outcome == CHANGED) & (batch.gain < batch.minimum_gain)
    status = np.select([undone, idle], [Status.MOVED, Status.NOT_APPLICABLE], Status.PASSED)
    gain = np.where(np.isfinite(batch.gain), np.clip(batch.gain, -10.0, 10.0), 10.0)
    numbers = {"gain_pct": np.round(gain * 100, 4), "minimum_pct": np.round(batch.minimum_gain * 100, 4)}
    explores = np.zeros_like(idle) if batch.trial is None else batch.trial.chosen
    shares = np.zeros_like(idle) if batch.cost_weight is None else ~np.isnan(batch.cost_weight)
    kinds = [idle, batch.asked, explores, forced, batch.target_missed, shares, batch.objective == REVENUE]
    statement = np.select([*kinds, batch.objective == CLEARANCE], [1, 8, 6, 2, 5, 7, 3, 4], 0)
    return _open_step(batch, "minimum_gain", statement, status, before=guarded, after=batch.price, numbers=numbers)


def _open_step(
    batch: Batch,
    rule: str,
    statement: Array,
    status: Array,
    *,
    before: Array,
    after: Array,
    numbers: dict[str, Array],
    also_said: tuple[str, ...] = (),
) -> Step:
    rows = len(batch.price)
    return Step(
        rule=rule,
        statement=statement,
        status=status,
        before=before,
        after=after,
        low=np.full(rows, NO_LOW),
        high=np.full(rows, NO_HIGH),
        against=np.full(rows, -1, dtype=np.int8),
        numbers=numbers,
        also_said=also_said,
    )


def _line(step: Step, row: int, places: int) -> TrailLine:
    numbers = {name: values[row].item() for name, values in step.numbers.items()}
    low, high, status = int(step.low[row]), int(step.high[row]), int(step.status[row])
    against = int(step.against[row])
    values: dict[str, Any] = numbers | {"before": int(step.before[row]), "after": int(step.after[row])}
    values |= {"low": low, "high": high, "against": against}
    template = step.said[int(step.statement[row])] + outcomes_of(step.rule)[status]
    return TrailLine(
        rule=step.rule,
        status=STATUS_NAMES[status],
        before=values["before"],
        after=values["after"],
        low=None if low == NO_LOW else low,
        high=None if high == NO_HIGH else high,
        against=RULES[against] if against >= 0 else None,
        numbers=numbers,
        words=_render(template, values, places),
    )


def _render(template: str, values: Mapping[str, Any], places: int) -> str:
    return "".join(
        text + (FORMATS[spec](values[name], places) if name else "") for text, name, spec in _pieces(template)
    )


@cache
def _pieces(template: str) -> tuple[tuple[str, str | None, str | None], ...]:
    return tuple((text, name, spec) for text, name, spec, _ in Formatter().parse(template))


def _money(minor: int, places: int) -> str:
    if minor in (NO_LOW, NO_HIGH):
        return "any price"
    return f"{minor // 100}.{minor % 100:02d}" if places == 2 else str(minor)


def _rule(index: int, places: int) -> str:
    return RULES[index].replace("_", " ") if index >= 0 else "the endings"


FORMATS: Mapping[str | None, Callable[[Any, int], str]] = {
    "m": _money,
    "p": lambda points, places: f"{points / 100:g} %",
    "f": lambda number, places: f"{number:.2f}",
    "i": lambda number, places: str(number),
    "r": _rule,
}
