"""The pricing decision: the price that serves its objective best, then the guardrails. Pure.

`objectives` says what the best price is. One implementation decides a whole batch and, with arrays of one, a single
price.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.core import guardrails
from retail_assets.core.guardrails import BASIS_POINTS, NO_HIGH, NO_LOW, Flags, Ints, Line
from retail_assets.pricing.decide.columns import COST_SOURCES, UNKNOWN, Columns, costs
from retail_assets.pricing.decide.exploration import Trial, try_elasticities
from retail_assets.pricing.decide.objectives import (
    CLEARANCE,
    KEEP_PRICE,
    MARGIN,
    REVENUE,
    Item,
    best_price,
    clearance_plan,
    misses_target,
    worth,
)
from retail_assets.pricing.decide.rulebook import UNSET, Rulebook, Rules
from retail_assets.pricing.response.model import PriceModel, Response

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

OUTCOMES = ("changed", "kept", "held", "conflict")
CHANGED, KEPT, HELD, CONFLICT = range(4)
REASONS = (
    "",
    "objective_keep",
    "promotion",
    "cost_unknown",
    "response_unsound",
    "stock_unknown",
    "sold_out",
    "demand_unknown",
    "clearance_over",
    "fixed_by_law",
    "nothing_learnt",
)
KEEP, PROMOTION, COST_UNKNOWN, UNSOUND, STOCK_UNKNOWN, SOLD_OUT, DEMAND_UNKNOWN, CLEARANCE_OVER = range(1, 9)
FIXED_BY_LAW, NOTHING_LEARNT = 9, 10
LEAST_ANSWER = -0.1
PRICE_SOURCES = ("", "price_list", "observed")
PRICE_TIERS = ("", "quantity_breaks", "several_prices")
COUNTED_NEVER = -(2**40)


@dataclass(frozen=True)
class PriceInForce:
    """Where previous prices come from, arrays of shape (rows,): `source` indexes PRICE_SOURCES, `tiers` PRICE_TIERS.

    Of an observed price: the lines it rests on (0 where unknown), the share of them near it, and what one and nine in
    ten of them asked at most, in minor units.
    """

    source: Codes
    tiers: Codes
    lines: Ints
    agreement: Floats
    low: Ints
    high: Ints


@dataclass(frozen=True)
class Batch:
    """Decisions of a batch, arrays of shape (rows,) in the order of the inputs; prices in minor units.

    `objective` indexes OBJECTIVES, `outcome` OUTCOMES, `reason` REASONS (why a price was held), `cost_source`
    COST_SOURCES. `cost` includes the tax on it, so that price - cost is the margin with tax; 0 where unknown.
    `proposal` is the best price before guardrails; `target_missed` whether the previous price leaves less than its
    margin target. `clear_days`, `stock` and `plan` are what a clearance is planned from (0 elsewhere). `units` and
    `margin` are expected per day at the previous and the decided price, NaN where not known. `broken[k]` says whether
    the decided price lies outside what rule k of the trail allows; `trial` which rows explore (None: it is off),
    `won_back` the cross-elasticity that a price for margin counts on, times 10,000, and `won_back_learnt` where the
    model has learnt it (None: no price does), `cost_weight` what each unit's cost counts where a category shares a
    margin target (NaN elsewhere; None: none does). `asked` are the prices that a person asks for, `in_force` says how
    sure the previous price is (None: not recorded, as in decisions from before it was).
    """

    price: Ints
    previous: Ints
    proposal: Ints
    objective: Codes
    clear_days: Ints
    stock: Ints
    plan: Floats
    margin_target: Ints
    target_missed: Flags
    promoted: Flags
    outcome: Codes
    reason: Codes
    cost: Ints
    cost_source: Codes
    digits: Ints
    response: Response
    lines: tuple[Line, ...]
    trial: Trial | None
    won_back: Ints | None
    won_back_learnt: Flags
    cost_weight: Floats | None
    asked: Flags
    in_force: PriceInForce | None
    broken: tuple[Flags, ...]
    gain: Floats
    minimum_gain: Floats
    units_before: Floats
    units_after: Floats
    margin_before: Floats
    margin_after: Floats


def decide_batch(model: PriceModel, rulebook: Rulebook, inputs: pa.Table) -> Batch:
    """Decides every row of `inputs` (schema INPUTS) on its own; rows do not see each other."""
    data = Columns(inputs)
    rules = rulebook.rules(*data.kinds())
    answered = model.response(data.text("store_id"), data.text("sku"), data.text("category"))
    response, sound = _sound(answered)
    previous, reference = data.ints("previous_price"), data.ints("reference_price", 0)
    cost, cost_source = costs(data, rules, reference)
    demand = data.floats("base_demand")
    won_back, learnt = _won_back(rules, response)
    item = Item(
        elasticity=_with_neighbours(response.elasticity, won_back),
        previous=previous,
        reference=reference,
        cost=cost,
        plan=clearance_plan(rules, demand, data.floats("demand_deviation")),
        stock=np.maximum(data.ints("on_hand", 0), 0),
        cost_weight=np.where(rules["shared_target"] == 1, data.floats("cost_weight"), np.nan),
    )
    asked = data.ints("asked_price", 0)
    reason = _reasons(data, rules, cost, sound, demand, response)
    free = (asked == 0) & (cost_source == 0)
    trial = _trial(model, rulebook, data, rules, response, free & _may_explore(reason))
    proposal = best_price(rulebook, rules, item, (reason == 0) | _chosen(trial))
    if trial is not None:
        drawn = replace(item, elasticity=_with_neighbours(trial.elasticity, won_back))
        tried = best_price(rulebook, rules, drawn, (reason == 0) | trial.chosen)
        trial, proposal = trial.only(tried != proposal, response), tried
    proposal = np.where(asked > 0, asked, proposal)
    reason = np.where((asked > 0) | _chosen(trial), 0, reason).astype(np.int8)
    forced = (reason == NOTHING_LEARNT) & ~_lawful(rules, data, cost)
    guarded, lines = _guard(rulebook, rules, data, proposal, (reason > 0) & ~forced, cost)
    stands = _stands(lines, previous)
    gain = worth(rules, item, guarded)
    small = (guarded != previous) & stands & (gain < rules.minimum_gain) & (asked == 0) & ~_chosen(trial)
    price = np.where(small, previous, guarded)
    conflicted = np.any([line.status == guardrails.Status.CONFLICT for line in lines], axis=0)
    outcome = np.select([conflicted, price != previous, reason > 0], [CONFLICT, CHANGED, HELD], KEPT)
    units_after = demand * np.exp(response.elasticity * np.log(price / previous))
    known = cost_source != COST_SOURCES.index("unknown")
    return Batch(
        price=price,
        previous=previous,
        proposal=proposal,
        objective=rules["objective"].astype(np.int8),
        clear_days=np.where(rules["objective"] == CLEARANCE, rules["clear_days"], 0),
        stock=np.where(rules["objective"] == CLEARANCE, item.stock, 0),
        plan=item.plan,
        margin_target=np.where(rules["objective"] == REVENUE, rules["margin_target"], 0),
        target_missed=misses_target(rules, item),
        promoted=data.flags("on_promotion"),
        outcome=outcome.astype(np.int8),
        reason=reason,
        cost=cost,
        cost_source=cost_source,
        digits=data.digits(),
        response=response,
        lines=lines,
        trial=trial,
        won_back=won_back if _counts_on_neighbours(rulebook, model) else None,
        won_back_learnt=learnt,
        cost_weight=item.cost_weight if rulebook.policy.shares_targets else None,
        asked=asked > 0,
        in_force=_in_force(data),
        broken=tuple(line.broken_by(price) for line in lines),
        gain=np.where(known & (guarded != previous), gain, 0.0),
        minimum_gain=rules.minimum_gain,
        units_before=demand,
        units_after=units_after,
        margin_before=np.where(known, (previous - cost) * demand, np.nan),
        margin_after=np.where(known, (price - cost) * units_after, np.nan),
    )


def _sound(response: Response) -> tuple[Response, Flags]:
    """The response with zeros where it is not a finite number below zero, and where it is one."""
    sound = np.isfinite(response.elasticity + response.standard_error + response.lo + response.hi + response.prior)
    sound &= np.isfinite(response.weight + response.substitution) & (response.elasticity < 0)
    if sound.all():
        return response, sound
    measures = {f.name: getattr(response, f.name) for f in fields(response) if f.name != "source"}
    return replace(response, **{name: np.where(sound, values, 0.0) for name, values in measures.items()}), sound


def _counts_on_neighbours(rulebook: Rulebook, model: PriceModel) -> bool:
    """Whether any price of this policy and model is decided with a view to the rest of its category."""
    return rulebook.policy.assumes_substitution or (rulebook.policy.learns_substitution and model.substitutes)


def _won_back(rules: Rules, response: Response) -> tuple[Ints, Flags]:
    """The cross-elasticity that each price counts on, times 10,000: what the policy says, else (flag) the model's."""
    said, margin = rules["substitution"], rules["objective"] == MARGIN
    learnt = margin & (said == UNSET)
    known = np.round(response.substitution * BASIS_POINTS).astype(np.int64)
    return np.where(learnt, known, np.where(margin, said, 0)), learnt


def _with_neighbours(elasticity: Floats, won_back: Ints) -> Floats:
    """The elasticity of what a price for margin earns in its category: own plus cross, below zero.

    Where items of a category are alike, u units that a price sends away bring u * cross / |own| units to the others at
    the same margin, and (p - c) * u^(own + cross) has the best point of the category's margin.
    """
    shift = won_back / BASIS_POINTS
    return np.where(shift > 0, np.minimum(elasticity + shift, np.maximum(elasticity, LEAST_ANSWER)), elasticity)


def _trial(
    model: PriceModel, rulebook: Rulebook, data: Columns, rules: Rules, response: Response, free: Flags
) -> Trial | None:
    """Which rows explore: priced for margin, under no cap, with a recorded cost. None where exploration is off."""
    exploration = rulebook.policy.exploration
    if exploration.share == 0:
        return None
    barred = np.isin(data.text("department").astype(str), exploration.never_departments)
    barred |= np.isin(data.text("category").astype(str), exploration.never_categories)
    capped = (rules["cap_price"] < NO_HIGH) | (rules["cap_increase"] != UNSET)
    days = data.table["business_date"].to_numpy().astype("datetime64[D]")
    allowed = free & ~barred & ~capped & (rules["objective"] == MARGIN)
    where = (data.text("store_id"), data.text("sku"))
    return try_elasticities(model, exploration, rulebook.policy_hash, days, *where, response, allowed)


def _chosen(trial: Trial | None) -> Flags | np.bool_:
    """Which rows explore."""
    return np.False_ if trial is None else trial.chosen


def _may_explore(reason: Codes) -> Flags:
    """Where nothing stands against trying a price: not to know anything is a reason to try."""
    return (reason == 0) | (reason == NOTHING_LEARNT)


def _in_force(data: Columns) -> PriceInForce | None:
    """What the inputs say of the previous price; None where they are from before it was recorded."""
    source = data.codes("price_source", PRICE_SOURCES)
    if not source.any():
        return None
    return PriceInForce(
        source=source,
        tiers=data.codes("price_tiers", PRICE_TIERS),
        lines=data.ints("price_lines", 0),
        agreement=np.nan_to_num(data.floats("price_agreement")),
        low=data.ints("price_low", 0),
        high=data.ints("price_high", 0),
    )


def _reasons(data: Columns, rules: Rules, cost: Ints, sound: Flags, demand: Floats, response: Response) -> Codes:
    """Why a price is held; 0 where it is decided."""
    objective, clearing = rules["objective"], rules["objective"] == CLEARANCE
    unknown = ~clearing & (response.weight * BASIS_POINTS < rules["own_weight"])
    reason = np.where(sound, np.where(unknown, NOTHING_LEARNT, 0), UNSOUND)
    if clearing.any():
        stock = data.ints("on_hand", UNKNOWN)
        reason = np.where((reason == 0) & clearing & (rules["clear_days"] <= 0), CLEARANCE_OVER, reason)
        reason = np.where((reason == 0) & clearing & np.isnan(demand), DEMAND_UNKNOWN, reason)
        reason = np.where((reason == 0) & clearing & (stock == 0), SOLD_OUT, reason)
        reason = np.where((reason == 0) & clearing & (stock < 0), STOCK_UNKNOWN, reason)
    reason = np.where(data.flags("on_promotion") & (rules["hold_promotion"] == 1), PROMOTION, reason)
    reason = np.where(objective == KEEP_PRICE, KEEP, reason)
    reason = np.where(cost == 0, COST_UNKNOWN, reason)
    return np.where(rules["fixed"] == 1, FIXED_BY_LAW, reason).astype(np.int8)


def _caps(rules: Rules, data: Columns) -> Ints:
    """The highest price by law or order, in minor units; NO_HIGH where there is none."""
    increase, reference = rules["cap_increase"], data.ints("reference_price", 0)
    capped = (increase != UNSET) & (reference > 0)
    return np.where(capped, np.minimum(rules["cap_price"], reference * increase // BASIS_POINTS), rules["cap_price"])


def _lawful(rules: Rules, data: Columns, cost: Ints) -> Flags:
    """Where the previous price is below its cap and leaves the margin floor; to mend that nothing has to be learnt."""
    previous = data.ints("previous_price")
    return (previous <= _caps(rules, data)) & (previous >= guardrails.floor_price(cost, rules["floor"]))


def _guard(
    rulebook: Rulebook, rules: Rules, data: Columns, proposal: Ints, held: Flags, cost: Ints
) -> tuple[Ints, tuple[Line, ...]]:
    """The proposal after every guardrail in the order of guardrails.RULES, and their trail."""
    reference, market = data.ints("reference_price", 0), rules["market"]
    corridor = guardrails.enter(proposal, data.ints("previous_price"), held, data.flags("insisted"))
    cap = _caps(rules, data)
    corridor, legal = guardrails.legal_cap(corridor, cap)
    corridor, in_range = guardrails.price_range(corridor, reference, rules["range_low"], rules["range_high"])
    corridor, step = guardrails.max_change(corridor, rules["change"])
    corridor, week = guardrails.max_change_week(corridor, data.ints("week_price", 0), rules["change_week"])
    competitor = data.ints("competitor_price", 0)
    corridor, band = guardrails.competitor_band(corridor, competitor, rules["band_low"], rules["band_high"])
    family_low, family_high = data.ints("family_low", NO_LOW), data.ints("family_high", NO_HIGH)
    corridor, family = guardrails.family_order(corridor, family_low, family_high, rules["family_steps"] == 1)
    corridor, ending = guardrails.price_ending(corridor, rulebook.ladder, market)
    corridor, floor = guardrails.margin_floor(corridor, cost, rules["floor"], rulebook.ladder, market)
    lines = (legal, in_range, step, week, band, family, ending, floor)
    if not rulebook.policy.holds_out_of_stock:  # as in policies from before there was this rule
        return corridor.price, lines
    counted = (data.ints("on_hand", COUNTED_NEVER) != COUNTED_NEVER) & (rules["hold_out_of_stock"] == 1)
    corridor, empty = guardrails.out_of_stock(corridor, data.ints("on_hand", 0), counted, cap)
    return corridor.price, (*lines, empty)


def _stands(lines: tuple[Line, ...], previous: Ints) -> Flags:
    """Where the previous price is itself inside every rule."""
    return ~np.any([line.broken_by(previous) for line in lines], axis=0)
