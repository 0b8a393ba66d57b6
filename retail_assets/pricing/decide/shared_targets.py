"""A margin target that the items of a category reach together: what their costs have to count in each store. Pure.

The largest revenue of a category that leaves the share m of it as margin is reached where every item has its best price
for (p - w * cost) * units(p), with one weight w for all: Lagrange's condition, w = l / (1 + l * (1 - m)) for the
multiplier l of the target. The margin left grows with w, so that the smallest w that leaves enough is found by halving:
both in the end, at the prices that the guardrails allow when every step is taken, so that items move there without
turning back, and tomorrow, at those that they allow in one step, so that the target holds on the way as well. w is an
input of each decision: a row is enough to decide it again.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.core.guardrails import BASIS_POINTS, NO_HIGH, Flags, Ints, Line
from retail_assets.pricing.decide.columns import Columns
from retail_assets.pricing.decide.objectives import Item, best_price, worth
from retail_assets.pricing.decide.policy import COST_UNKNOWN, FIXED_BY_LAW, PROMOTION, decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook, Rules
from retail_assets.pricing.response.model import PriceModel

Floats = npt.NDArray[np.float64]

GRID = 10_000
NOT_FOR_GOOD = ("max_change", "max_change_week", "out_of_stock")
GROUP = ("store_id", "currency", "department", "category")


def with_shared_targets(model: PriceModel, rulebook: Rulebook, inputs: pa.Table) -> pa.Table:
    """`inputs` (schema INPUTS, all rows of a batch) with `cost_weight` where a category shares its margin target.

    Null stays where no demand of the store's category is known: such items keep a target each. The weight is at most
    1 / (1 - target), the best that can be done for a target out of reach.
    """
    if not rulebook.policy.shares_targets:
        return inputs
    shared = np.flatnonzero(rulebook.rules(*Columns(inputs).kinds())["shared_target"] == 1)
    if len(shared) == 0:
        return inputs
    weight = np.full(inputs.num_rows, np.nan)
    weight[shared] = _Together.of(model, rulebook, inputs.take(pa.array(shared)).combine_chunks()).weights()
    place = inputs.schema.get_field_index("cost_weight")
    return inputs.set_column(place, inputs.schema.field(place), pa.array(weight, from_pandas=True))


@dataclass(frozen=True)
class _Together:
    """Items with their groups; `soon` and `late` are the lowest and highest prices of tomorrow and in the end."""

    rulebook: Rulebook
    rules: Rules
    item: Item
    units: Floats
    free: Flags
    group: Ints
    soon: tuple[Ints, Ints]
    late: tuple[Ints, Ints]

    @classmethod
    def of(cls, model: PriceModel, rulebook: Rulebook, inputs: pa.Table) -> "_Together":
        """Decides once to learn costs, elasticities and what the guardrails allow."""
        data, batch = Columns(inputs), decide_batch(model, rulebook, inputs)
        none = np.zeros(len(batch.price))
        item = Item(
            elasticity=batch.response.elasticity,
            previous=batch.previous,
            reference=data.ints("reference_price", 0),
            cost=batch.cost,
            plan=none,
            stock=none.astype(np.int64),
            cost_weight=none,
        )
        counted = ~np.isin(batch.reason, (PROMOTION, COST_UNKNOWN, FIXED_BY_LAW)) & np.isfinite(batch.units_before)
        return cls(
            rulebook=rulebook,
            rules=rulebook.rules(*data.kinds()),
            item=item,
            units=np.where(counted, batch.units_before, 0.0),
            free=batch.reason == 0,
            group=_groups(inputs),
            soon=_allowed(batch.lines),
            late=_allowed([line for line in batch.lines if line.rule not in NOT_FOR_GOOD]),
        )

    def weights(self) -> Floats:
        """The weight of every row, NaN for groups without known demand."""
        target = self.rules["margin_target"]
        first = np.zeros(self.group.max() + 1, dtype=np.int64)
        np.maximum.at(first, self.group, -(-GRID * BASIS_POINTS // (BASIS_POINTS - target)))
        too_small, enough = np.full_like(first, -1), first
        while (enough - too_small > 1).any():
            middle = (enough + too_small) // 2
            reached = self._reached(middle[self.group] / GRID)
            enough, too_small = np.where(reached, middle, enough), np.where(reached, too_small, middle)
        sold = np.bincount(self.group, self.units) > 0
        return np.where(sold, enough / GRID, np.nan)[self.group]

    def _reached(self, weight: Floats) -> Flags:
        """Whether each group leaves its target at these weights, tomorrow and in the end."""
        item = replace(self.item, cost_weight=weight)
        best = best_price(self.rulebook, self.rules, item, self.free)
        late, soon = self._inside(best, self.late), self._inside(best, self.soon)
        soon = np.where(worth(self.rules, item, soon) < self.rules.minimum_gain, item.previous, soon)
        return self._slack(late) & self._slack(soon)

    def _inside(self, price: Ints, allowed: tuple[Ints, Ints]) -> Ints:
        """The price as the guardrails let it through: the nearest ending in the corridor, else the one before."""
        low, high = allowed
        wanted = np.clip(price, low, np.maximum(high, low))
        rung = self.rulebook.ladder.nearest(wanted, low, high, self.rules["market"])
        moves = self.free & (low <= high) & (rung != NO_HIGH) & (wanted != self.item.previous)
        return np.where(moves, rung, self.item.previous)

    def _slack(self, price: Ints) -> Flags:
        """Whether margin less the target's share of revenue is at least zero in each group at these prices."""
        units = self.units * np.exp(self.item.elasticity * np.log(price / self.item.previous))
        kept = price * (BASIS_POINTS - self.rules["margin_target"]) / BASIS_POINTS
        left: Flags = np.bincount(self.group, (kept - self.item.cost) * units) >= 0
        return left


def _allowed(lines: "tuple[Line, ...] | list[Line]") -> tuple[Ints, Ints]:
    """The prices that all of these rules allow, lowest and highest."""
    return np.max([line.low for line in lines], axis=0), np.min([line.high for line in lines], axis=0)


def _groups(inputs: pa.Table) -> Ints:
    """A number for each row's store and category."""
    keys = inputs.select(GROUP).to_pandas().fillna("")
    codes: Ints = keys.groupby(list(GROUP), sort=True).ngroup().to_numpy().astype(np.int64)
    return codes
