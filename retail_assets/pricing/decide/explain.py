"""Why a price is what it is, in sentences a category manager reads. Works from a decision row alone."""

from collections.abc import Mapping
from typing import Any

from retail_assets.core.guardrails import RULES
from retail_assets.core.money import format_minor, from_minor
from retail_assets.pricing.decide.decision_trace import ASKS, TrailLine
from retail_assets.pricing.decide.decisions import Decision, decision_of

TOLD = ("moved", "nearer", "conflict")
BECAUSE = {
    "objective_keep": "prices of this category are kept by policy",
    "promotion": "a planned promotion runs",
    "cost_unknown": "its cost is not known",
    "response_unsound": "the model has no usable elasticity for it",
    "stock_unknown": "its stock is not known, so no clearance is planned",
    "sold_out": "nothing is left to clear",
    "demand_unknown": "its demand is not known, so no clearance is planned",
    "clearance_over": "the last day of its clearance has passed",
    "fixed_by_law": "prices of this category are fixed by law or licence",
    "nothing_learnt": "its own sales say nothing of how demand answers its price",
}
SOURCES = {
    "sku": "{own:.0%} of what is known of its demand comes from its own sales, the rest from its category.",
    "category": "What is known of its demand comes from its category, as it has not sold long enough itself.",
    "store": "What is known of its demand comes from what this store and all others sold of it.",
    "chain": "What is known of its demand comes from the whole chain, as its category has not sold long enough.",
}


def explain(decision_row: Mapping[str, Any]) -> str:
    """The reasons of a row of `decisions/pricing`, one sentence a line."""
    return "\n".join(explain_lines(decision_row))


def explain_lines(decision_row: Mapping[str, Any]) -> list[str]:
    """The reasons of a row of `decisions/pricing`: what was decided, each step that mattered, what is expected."""
    return reasons(decision_of(decision_row))


def reasons(decision: Decision) -> list[str]:
    """The reasons of a decision that has not become a row yet."""
    told = [line for line in decision.trail if _matters(line)]
    held = [line for line in decision.trail if line.status == "passed" and line not in told]
    passed = [line.rule.replace("_", " ") for line in held if line.rule in RULES]
    lines = [_headline(decision), *_who(decision), *(_sentence(line.words) for line in told)]
    if passed:
        lines.append(f"Also checked and held: {', '.join(passed)}.")
    return [*lines, *_expectation(decision), *_warning(decision)]


def _matters(line: TrailLine) -> bool:
    if line.rule == "price_in_force":
        return bool(line.numbers["lines"])  # a price list needs no words
    if line.words.startswith(ASKS):
        return False  # _who says it
    return line.status in TOLD or line.rule == "objective" or (line.rule == "minimum_gain" and line.status == "passed")


def _who(decision: Decision) -> list[str]:
    """Who asked for the price, and why, where a person did."""
    inputs = decision.inputs
    if inputs.asked_price is None:
        return []
    return [f"{inputs.asked_by} asked for {format_minor(inputs.asked_price, inputs.currency)}: {inputs.asked_why}."]


def _headline(decision: Decision) -> str:
    inputs = decision.inputs
    item = f"{inputs.sku} in {inputs.store_id}"
    before, after = (format_minor(p, inputs.currency) for p in (inputs.previous_price, decision.price))
    if decision.outcome == "changed":
        change = decision.price / inputs.previous_price - 1
        return f"{item}: {before} becomes {after} ({change:+.1%}) from {decision.output['effective_from']}."
    why = {
        "kept": "no other price is worth it",
        "held": BECAUSE.get(decision.reason, decision.reason),
        "conflict": "two rules cannot both hold",
    }
    return f"{item}: {before} stays, because {why[decision.outcome]}."


def _expectation(decision: Decision) -> list[str]:
    output = decision.output
    learnt = SOURCES[output["response_source"]].format(own=output["weight"])
    if output["units_before"] is None:
        return [learnt]
    units = f"{output['units_before']:.2f} to {output['units_after']:.2f} units"
    if output["margin_before"] is None:
        return [learnt, f"Expected per day: {units}."]
    margin = " to ".join(f"{from_minor(round(output[name]), decision.inputs.currency):f}" for name in MARGINS)
    return [learnt, f"Expected per day: {units}, margin {margin} {decision.inputs.currency}."]


MARGINS = ("margin_before", "margin_after")


def _warning(decision: Decision) -> list[str]:
    broken = [rule.replace("_", " ") for rule in decision.output["broken"]]
    if any(line.status == "nearer" for line in decision.trail):
        return [f"This price is still outside {', '.join(broken)} and comes nearer by steps."] if broken else []
    return [f"Attention: this price is outside {', '.join(broken)}; a person has to decide."] if broken else []


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
