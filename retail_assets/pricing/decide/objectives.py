"""What a price aims at: the best price before guardrails, and what a change of price is worth. Pure, over arrays.

Demand of a store-SKU answers a price p with constant elasticity e: units(p) = base * (p / previous)^e.

- `margin`: (p - cost) * units(p) per day. One peak at cost * e / (1 + e) for e < -1, growing with p otherwise; on a
  ladder of price endings the best rung is therefore next to it, within the price range.
- `revenue`: p * units(p) among the prices that leave the margin target. It falls with p for e < -1 and grows otherwise,
  so the best price lies at one end. Where the items of a category share the target, (p - w * cost) * units(p) with one
  weight w for all of them (`shared_targets`), from 0 (revenue alone) over 1 (margin) to 1 / (1 - target).
- `clearance`: among paths of prices that sell the stock by the date, demand of constant elasticity earns most at one
  constant price, that at which the stock just runs out (Gallego and van Ryzin 1994). Where guardrails do not let the
  price get there at once, the best path falls as fast as they allow until one constant price sells what is then left:
  on every day that is the run-out price of that day, held back by the guardrails. It is planned anew each day from the
  stock then left, and never above the price before.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.core.guardrails import BASIS_POINTS, Flags, Ints, floor_price
from retail_assets.pricing.config import OBJECTIVES
from retail_assets.pricing.decide.rulebook import UNSET, Rulebook, Rules

Floats = npt.NDArray[np.float64]

MARGIN, REVENUE, CLEARANCE, KEEP_PRICE = range(len(OBJECTIVES))
TIE = 1e-9


@dataclass(frozen=True)
class Item:
    """What objectives look at, arrays of shape (rows,). Prices and cost in minor units, cost 0 where unknown.

    `plan` is the number of units that a clearance counts on at the previous price until its last day, 0 elsewhere;
    `stock` the units on hand (0 where not known); `cost_weight` is w of a shared target, NaN where there is none.
    """

    elasticity: Floats
    previous: Ints
    reference: Ints
    cost: Ints
    plan: Floats
    stock: Ints
    cost_weight: Floats

    @property
    def shared(self) -> Flags:
        """Where a margin target is shared."""
        return ~np.isnan(self.cost_weight)

    def weighed_cost(self, objective: Ints) -> Floats:
        """The cost that a price is held against: weighed for a shared target, none for revenue, else as it is."""
        own = np.where(objective == REVENUE, 0.0, self.cost)
        return np.where(self.shared, self.cost_weight * self.cost, own)


def clearance_plan(rules: Rules, demand: Floats, deviation: Floats) -> Floats:
    """Units that sell at the previous price until the clearance ends, at the least with its confidence; else 0.

    `demand` are units per day, `deviation` the standard deviation of one day, days independent; NaN deviations count
    as those of a Poisson distribution. Rounded to four decimals.
    """
    days = np.where(rules["objective"] == CLEARANCE, np.maximum(rules["clear_days"], 0), 0)
    spread = np.where(np.isfinite(deviation), deviation, np.sqrt(np.maximum(demand, 0.0)))
    units = demand * days - rules["clear_z"] / BASIS_POINTS * spread * np.sqrt(days)
    return np.where(units > 0, np.round(units, 4), 0.0)


def best_price(rulebook: Rulebook, rules: Rules, item: Item, free: Flags) -> Ints:
    """The rung of the ladder that serves the objective best inside the price range; the previous price if not free."""
    low, high = _bounds(rules, item)
    objective = rules["objective"]
    alone = (objective == REVENUE) & ~item.shared
    wanted = np.where(alone, np.clip(_target_floor(rules, item), low, high), low)
    target = np.clip(_target(objective, item, wanted, high), wanted, high)
    below = rulebook.ladder.at_or_below(target, rules["market"])
    above = rulebook.ladder.at_or_above(target, rules["market"])
    has_below, has_above = (below >= low) & (below > 0), above <= high
    values = [_value(objective, item, rung) for rung in (below, np.where(has_above, above, 1))]
    better = (values[1] > values[0] + TIE * np.abs(values[0])) & (objective != CLEARANCE)
    take_above = has_above & (better | ~has_below | (below < wanted))
    best = np.where(take_above, above, np.where(has_below, below, item.previous))
    cleared = (objective == CLEARANCE) & ((target >= item.previous) | (best > item.previous))
    return np.where(free & ~cleared, best, item.previous)


def worth(rules: Rules, item: Item, price: Ints) -> Floats:
    """What the objective gains at `price` over the previous price, minus 1; infinite where that serves it not at all.

    Margin and revenue per day; of a clearance the units sold by its last day; with a shared target revenue less weighed
    cost, as a share of the revenue before.
    """
    objective = rules["objective"]
    before = _value(objective, item, item.previous)
    after = _value(objective, item, price)
    clearing = objective == CLEARANCE
    if clearing.any():
        before = np.where(clearing, np.minimum(item.stock, item.plan), before)
        after = np.where(clearing, np.minimum(item.stock, item.plan * _answer(item, price)), after)
    base = np.where(item.shared, item.previous, before)
    usable = (base > 0) & ~misses_target(rules, item)
    return np.divide(after - before, base, where=usable, out=np.full(len(before), np.inf))


def misses_target(rules: Rules, item: Item) -> Flags:
    """Where the objective is revenue and the previous price leaves less than a margin target of its own."""
    return (rules["objective"] == REVENUE) & ~item.shared & (item.previous < _target_floor(rules, item))


def _bounds(rules: Rules, item: Item) -> tuple[Ints, Ints]:
    """The price range of each row."""
    basis = np.where(item.reference > 0, item.reference, item.previous)
    low = np.maximum(-(-basis * rules["range_low"] // BASIS_POINTS), 1)
    high = np.maximum(basis * rules["range_high"] // BASIS_POINTS, low)
    return low, high


def _target_floor(rules: Rules, item: Item) -> Ints:
    target = rules["margin_target"]
    return np.where(target == UNSET, 0, floor_price(item.cost, np.maximum(target, 0)))


def _target(objective: Ints, item: Item, low: Ints, high: Ints) -> Ints:
    """The best price on a ladder of every price, rounded down."""
    elastic = item.elasticity < -1.0
    cost = item.weighed_cost(objective)
    best = np.divide(cost * item.elasticity, 1.0 + item.elasticity, where=elastic, out=np.full(len(low), np.inf))
    best = np.where((objective == REVENUE) & ~item.shared, np.where(elastic, low, high), best)
    clearing = objective == CLEARANCE
    if clearing.any():
        covered = np.divide(item.stock, item.plan, where=item.plan > 0, out=np.full(len(low), np.inf))
        fall = np.clip(np.log(np.maximum(covered, 1e-9)) / item.elasticity, -50.0, 0.0)
        best = np.where(clearing, item.previous * np.exp(fall), best)
    return np.floor(np.minimum(best, 2.0**52)).astype(np.int64)


def _value(objective: Ints, item: Item, price: Ints) -> Floats:
    """Margin (or revenue, or revenue less weighed cost) at `price` in units of demand at the previous price."""
    return (price - item.weighed_cost(objective)) * _answer(item, price)


def _answer(item: Item, price: Ints) -> Floats:
    """Demand at `price` as a multiple of that at the previous price."""
    return np.exp(item.elasticity * np.log(np.maximum(price, 1) / item.previous))
