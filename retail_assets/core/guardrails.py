"""Price guardrails: pure functions over whole batches, applied in the fixed order of `RULES`.

Every rule turns its numbers into the interval of prices it allows, narrows the corridor that the rules before it left,
moves the price into it and leaves one `Line` of trail. When the interval and the corridor have no price in common, two
rules cannot both hold: the price stays as it was, the line says which rule stood against which, and the rules after it
are recorded with their intervals and skipped. Only the order of a family may be come back to by steps. All prices are
int64 minor units, arrays of shape (rows,); a service passes arrays of one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from retail_assets.core.errors import RetailError

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]

RULES = (
    "legal_cap",
    "price_range",
    "max_change",
    "max_change_week",
    "competitor_band",
    "family_order",
    "price_ending",
    "margin_floor",
    "out_of_stock",
)
NO_LOW = 0
NO_HIGH = 2**53
BASIS_POINTS = 10_000
NOBODY = -1


class Status(IntEnum):
    """What a rule did to a price."""

    PASSED = 0
    MOVED = 1
    NOT_APPLICABLE = 2
    CONFLICT = 3
    SKIPPED = 4
    NEARER = 5


class LadderError(RetailError):
    """Price endings that allow no price at all, or contradict themselves."""


@dataclass(frozen=True)
class Corridor:
    """Prices on their way through the rules: where they are and what the rules so far allow.

    `low_by` and `high_by` are indexes into RULES of the rule that set each bound (NOBODY: none yet). Where `stopped` is
    true the price is `stays` for good: `previous`, or what a person insists on.
    """

    price: Ints
    previous: Ints
    stays: Ints
    low: Ints
    high: Ints
    low_by: Codes
    high_by: Codes
    stopped: Flags


@dataclass(frozen=True)
class Line:
    """One rule's line of trail for every row. `low` and `high` are the rule's own interval (NO_LOW, NO_HIGH: open).

    `against` is the index in RULES of the rule that a conflict is with (NOBODY elsewhere); `numbers` what the interval
    was made of.
    """

    rule: str
    before: Ints
    after: Ints
    low: Ints
    high: Ints
    status: Codes
    against: Codes
    applies: Flags
    numbers: Mapping[str, Ints] = field(default_factory=dict)

    def broken_by(self, price: Ints) -> Flags:
        """Where `price` lies outside what this rule allows."""
        return self.applies & ((price < self.low) | (price > self.high))


def enter(proposal: Ints, previous: Ints, held: Flags, insisted: Flags | None = None) -> Corridor:
    """The open corridor before the first rule.

    Rows that are `held` keep their previous price from the start, rows that are `insisted` on their proposal: the rules
    say what they allow and move nothing.
    """
    rows = len(proposal)
    stays = previous if insisted is None else np.where(insisted, proposal, previous)
    stopped = held.copy() if insisted is None else held | insisted
    return Corridor(
        price=np.where(stopped, stays, proposal),
        previous=previous,
        stays=stays,
        low=np.full(rows, NO_LOW, dtype=np.int64),
        high=np.full(rows, NO_HIGH, dtype=np.int64),
        low_by=np.full(rows, NOBODY, dtype=np.int8),
        high_by=np.full(rows, NOBODY, dtype=np.int8),
        stopped=stopped,
    )


def legal_cap(corridor: Corridor, cap: Ints) -> tuple[Corridor, Line]:
    """A price by law or emergency order is at most `cap` (NO_HIGH: none in force)."""
    low = np.full_like(cap, NO_LOW)
    return _narrow(corridor, "legal_cap", low, cap, cap < NO_HIGH, {"cap": cap})


def price_range(corridor: Corridor, reference: Ints, low_share: Ints, high_share: Ints) -> tuple[Corridor, Line]:
    """A price stays within `low_share` to `high_share` (basis points) of the reference price, and above zero."""
    low = np.maximum(_ceil_share(reference, low_share), 1)
    high = np.maximum(_floor_share(reference, high_share), 1)
    numbers = {"reference": reference, "low_share_bp": low_share, "high_share_bp": high_share}
    return _narrow(corridor, "price_range", low, high, reference > 0, numbers)


def max_change(corridor: Corridor, change: Ints) -> tuple[Corridor, Line]:
    """One decision moves a price by at most `change` (basis points of the previous price), up or down."""
    low = _ceil_share(corridor.previous, BASIS_POINTS - change)
    high = _floor_share(corridor.previous, BASIS_POINTS + change)
    numbers = {"previous": corridor.previous, "change_bp": change}
    return _narrow(corridor, "max_change", low, high, np.ones_like(corridor.stopped), numbers)


def max_change_week(corridor: Corridor, week_price: Ints, change: Ints) -> tuple[Corridor, Line]:
    """A price moves by at most `change` (basis points) from that of seven days before (0: not known), up or down."""
    low = _ceil_share(week_price, BASIS_POINTS - change)
    high = _floor_share(week_price, BASIS_POINTS + change)
    numbers = {"week_price": week_price, "change_bp": change}
    return _narrow(corridor, "max_change_week", low, high, week_price > 0, numbers)


def competitor_band(corridor: Corridor, competitor: Ints, low_share: Ints, high_share: Ints) -> tuple[Corridor, Line]:
    """A price stays within `low_share` to `high_share` (basis points) of the competitor's (0: not known)."""
    low, high = _ceil_share(competitor, low_share), _floor_share(competitor, high_share)
    numbers = {"competitor": competitor, "low_share_bp": low_share, "high_share_bp": high_share}
    return _narrow(corridor, "competitor_band", low, high, competitor > 0, numbers)


def family_order(corridor: Corridor, low: Ints, high: Ints, by_steps: Flags) -> tuple[Corridor, Line]:
    """A large pack is not dearer per unit than a small one: bounds from the family (NO_LOW, NO_HIGH: none).

    Where the rules before do not let a price that is out of order come back at once, it comes as near as they do
    (status NEARER) `by_steps`, and else stays. Whatever follows leaves it nearer than before.
    """
    known = (low > NO_LOW) | (high < NO_HIGH)
    open_ = by_steps & known & ~corridor.stopped & (low <= high)
    falls = open_ & (high < corridor.low) & (corridor.low < corridor.previous)
    rises = open_ & (low > corridor.high) & (corridor.high > corridor.previous)
    lowest = np.where(falls, corridor.low, np.where(rises, corridor.previous + 1, low))
    highest = np.where(falls, corridor.previous - 1, np.where(rises, corridor.high, high))
    state, line = _narrow(corridor, "family_order", lowest, highest, known, {})
    after = np.select([falls, rises], [corridor.low, corridor.high], state.price)
    line = replace(
        line,
        after=after,
        low=np.where(known, low, NO_LOW),
        high=np.where(known, high, NO_HIGH),
        status=np.where(falls | rises, Status.NEARER, line.status).astype(np.int8),
        against=np.select([falls, rises], [corridor.low_by, corridor.high_by], line.against).astype(np.int8),
    )
    return replace(state, price=after), line


def price_ending(corridor: Corridor, ladder: "Ladder", market: Ints) -> tuple[Corridor, Line]:
    """A changed price is on the market's ladder: the nearest rung in the corridor, the lower one of two equals."""
    applies = ~corridor.stopped & (corridor.price != corridor.previous)
    rung = ladder.nearest(corridor.price, corridor.low, corridor.high, market)
    conflict = applies & (rung == NO_HIGH)
    after = np.where(applies & ~conflict, rung, corridor.price)
    after = np.where(conflict, corridor.stays, after)
    status = _status(corridor, applies | corridor.stopped, conflict, after)
    against = np.where(conflict, corridor.high_by, NOBODY).astype(np.int8)
    line = Line(
        rule="price_ending",
        before=corridor.price,
        after=after,
        low=np.full_like(after, NO_LOW),
        high=np.full_like(after, NO_HIGH),
        status=status,
        against=against,
        applies=np.zeros_like(applies),
        numbers={"corridor_low": corridor.low, "corridor_high": corridor.high},
    )
    return replace(corridor, price=after, stopped=corridor.stopped | conflict), line


def margin_floor(corridor: Corridor, cost: Ints, floor: Ints, ladder: "Ladder", market: Ints) -> tuple[Corridor, Line]:
    """A price leaves at least `floor` (basis points of the price) above `cost` (0: not known). The last bound.

    A price below it is raised to the first rung of the ladder that holds the floor, if the corridor has one.
    """
    low = floor_price(cost, floor)
    high = np.full_like(low, NO_HIGH)
    applies = cost > 0
    rung = ladder.at_or_above(np.maximum(low, corridor.low), market)
    raised = applies & (corridor.price < low)
    bound = np.where(raised, rung, low)
    after, line = _narrow(corridor, "margin_floor", bound, high, applies, {"cost": cost, "floor_bp": floor})
    return after, replace(line, low=np.where(applies, low, NO_LOW))


def out_of_stock(corridor: Corridor, on_hand: Ints, known: Flags, cap: Ints) -> tuple[Corridor, Line]:
    """What is out of stock (`on_hand` 0 or less where `known`) is not made cheaper until it is delivered.

    Applied after every other rule: a cut that was decided is taken back. A cut below a `cap` in force is the law's.
    """
    applies = known & (on_hand <= 0) & (cap >= corridor.previous)
    held = applies & ~corridor.stopped & (corridor.price < corridor.previous)
    after = np.where(held, corridor.previous, corridor.price)
    status = np.where(held, Status.MOVED, np.where(applies, Status.PASSED, Status.NOT_APPLICABLE))
    line = Line(
        rule="out_of_stock",
        before=corridor.price,
        after=after,
        low=np.where(applies, corridor.previous, NO_LOW),
        high=np.full_like(after, NO_HIGH),
        status=np.where(corridor.stopped, Status.SKIPPED, status).astype(np.int8),
        against=np.full(len(after), NOBODY, dtype=np.int8),
        applies=applies,
        numbers={"on_hand": np.where(known, on_hand, 0)},
    )
    return replace(corridor, price=after), line


def floor_price(cost: Ints, floor: Ints) -> Ints:
    """The lowest price p with (p - cost) / p >= floor / 10000, exactly: shapes (rows,), minor units, basis points."""
    return -(-cost * BASIS_POINTS // (BASIS_POINTS - floor))


@dataclass(frozen=True)
class Ladder:
    """Allowed price endings of several markets as one sorted array of keys: market * SPAN + price."""

    SPAN = 2**40

    keys: Ints

    @classmethod
    def of(cls, rungs: Sequence[Ints]) -> "Ladder":
        """From the allowed prices of each market, in the order of their codes. Raises LadderError for an empty one."""
        if any(len(prices) == 0 for prices in rungs):
            raise LadderError("a market's price endings allow no price")
        return cls(keys=np.concatenate([np.unique(prices) + code * cls.SPAN for code, prices in enumerate(rungs)]))

    def at_or_below(self, price: Ints, market: Ints) -> Ints:
        """The highest rung not above `price`; 0 where there is none."""
        index = np.searchsorted(self.keys, market * self.SPAN + price, side="right") - 1
        key = self.keys[np.maximum(index, 0)]
        return np.where((index >= 0) & (key >= market * self.SPAN), key - market * self.SPAN, 0)

    def at_or_above(self, price: Ints, market: Ints) -> Ints:
        """The lowest rung not below `price`; NO_HIGH where there is none."""
        index = np.searchsorted(self.keys, market * self.SPAN + price, side="left")
        key = self.keys[np.minimum(index, len(self.keys) - 1)]
        found = (index < len(self.keys)) & (key < (market + 1) * self.SPAN)
        return np.where(found, key - market * self.SPAN, NO_HIGH)

    def nearest(self, price: Ints, low: Ints, high: Ints, market: Ints) -> Ints:
        """The rung in [low, high] nearest to `price`, the lower one of two equals; NO_HIGH where there is none."""
        below = self.at_or_below(np.minimum(price, np.minimum(high, self.SPAN - 1)), market)
        above = self.at_or_above(np.maximum(price, low), market)
        has_below, has_above = (below > 0) & (below >= low), above <= np.minimum(high, NO_HIGH - 1)
        take_below = has_below & (~has_above | (price - below <= above - price))
        return np.where(take_below, below, np.where(has_above, above, NO_HIGH))


def _narrow(
    corridor: Corridor, rule: str, low: Ints, high: Ints, applies: Flags, numbers: Mapping[str, Ints]
) -> tuple[Corridor, Line]:
    active = applies & ~corridor.stopped
    new_low = np.where(active, np.maximum(corridor.low, low), corridor.low)
    new_high = np.where(active, np.minimum(corridor.high, high), corridor.high)
    conflict = active & (new_low > new_high)
    after = np.where(corridor.stopped | conflict, corridor.stays, np.clip(corridor.price, new_low, new_high))
    code = np.int8(RULES.index(rule))
    low_by = np.where(active & (low > corridor.low), code, corridor.low_by).astype(np.int8)
    high_by = np.where(active & (high < corridor.high), code, corridor.high_by).astype(np.int8)
    other = np.where(low > corridor.high, corridor.high_by, corridor.low_by)
    line = Line(
        rule=rule,
        before=corridor.price,
        after=after,
        low=np.where(applies, low, NO_LOW),
        high=np.where(applies, high, NO_HIGH),
        status=_status(corridor, applies, conflict, after),
        against=np.where(conflict, other, NOBODY).astype(np.int8),
        applies=applies,
        numbers=numbers,
    )
    kept = conflict | corridor.stopped
    return (
        Corridor(
            price=after,
            previous=corridor.previous,
            stays=corridor.stays,
            low=np.where(kept, corridor.low, new_low),
            high=np.where(kept, corridor.high, new_high),
            low_by=np.where(kept, corridor.low_by, low_by).astype(np.int8),
            high_by=np.where(kept, corridor.high_by, high_by).astype(np.int8),
            stopped=kept,
        ),
        line,
    )


def _status(corridor: Corridor, applies: Flags, conflict: Flags, after: Ints) -> Codes:
    status = np.where(after != corridor.price, Status.MOVED, Status.PASSED)
    status = np.where(applies, status, Status.NOT_APPLICABLE)
    status = np.where(corridor.stopped, Status.SKIPPED, status)
    return np.where(conflict, Status.CONFLICT, status).astype(np.int8)


def _ceil_share(amount: Ints, share: Ints) -> Ints:
    return -(-amount * share // BASIS_POINTS)


def _floor_share(amount: Ints, share: Ints) -> Ints:
    return amount * share // BASIS_POINTS
