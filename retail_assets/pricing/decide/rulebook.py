"""A pricing policy made ready for whole batches: ladders of price endings and one row of rules per kind of item."""

from dataclasses import dataclass, field
from datetime import date
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from retail_assets.core.guardrails import BASIS_POINTS, NO_HIGH, Ints, Ladder
from retail_assets.core.money import to_minor
from retail_assets.pricing.config import OBJECTIVES, Cap, Market, PricingPolicy

Kind = tuple[str, str, str, str, date]
"""Country, department, category, currency and business date: everything that rules depend on."""

COLUMNS = (
    "market",
    "objective",
    "margin_target",
    "clear_days",
    "clear_z",
    "hold_promotion",
    "floor",
    "change",
    "change_week",
    "range_low",
    "range_high",
    "band_low",
    "band_high",
    "assumed_margin",
    "tax",
    "cap_price",
    "cap_increase",
    "substitution",
    "shared_target",
    "family_steps",
    "own_weight",
    "hold_out_of_stock",
    "fixed",
)
UNSET = -1


@dataclass(frozen=True)
class Rules:
    """The rules of each row: int64 columns of COLUMNS (shares in basis points, UNSET: none) and the minimum gain.

    `objective` indexes OBJECTIVES, `clear_days` counts the days on which the decided price sells until the clearance
    ends, `clear_z` is the standard normal quantile of its confidence, times 10,000.
    """

    columns: dict[str, Ints]
    minimum_gain: npt.NDArray[np.float64]

    def __getitem__(self, name: str) -> Ints:
        return self.columns[name]


@dataclass(frozen=True)
class Rulebook:
    """A policy with what is computed from it once. Holds no state that changes a decision."""

    policy: PricingPolicy
    policy_hash: str
    ladder: Ladder
    markets: tuple[str, ...]
    _known: dict[Kind, tuple[list[int], float]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, policy: PricingPolicy) -> "Rulebook":
        """Builds the ladders of every market of `policy`."""
        plain = PricingPolicy.model_validate(policy.model_dump(by_alias=True, include=set(PricingPolicy.model_fields)))
        markets = tuple(sorted(plain.markets))
        ladder = Ladder.of([ladder_of(plain.markets[name]) for name in markets])
        return cls(plain, plain.policy_hash, ladder, markets)

    def rules(self, kinds: list[Kind], code: Ints) -> Rules:
        """The rules of rows whose kind is `kinds[code]`; the loop is over kinds, not rows."""
        found = [self._rules_of(kind) for kind in kinds]
        numbers = np.array([row for row, _ in found], dtype=np.int64).reshape(len(found), len(COLUMNS))[code]
        gains = np.array([gain for _, gain in found], dtype=np.float64)[code]
        return Rules({name: np.ascontiguousarray(numbers[:, i]) for i, name in enumerate(COLUMNS)}, gains)

    def _rules_of(self, kind: Kind) -> tuple[list[int], float]:
        if kind not in self._known:
            self._known[kind] = self._compute(kind)
        return self._known[kind]

    def _compute(self, kind: Kind) -> tuple[list[int], float]:
        country, department, category, currency, day = kind
        rules = self.policy.rules_of(department, category)
        name = self.policy.market_of(country)
        caps = [cap for cap in self.policy.caps if _covers(cap, country, department, category, day)]
        prices = [to_minor(cap.max_price, currency) for cap in caps if cap.max_price is not None]
        increases = [_bp(1 + cap.max_increase) for cap in caps if cap.max_increase is not None]
        row = [
            self.markets.index(name),
            OBJECTIVES.index(rules.objective),
            UNSET if rules.margin_target is None else _bp(rules.margin_target),
            0 if rules.clear_by is None else (rules.clear_by - day).days,
            _bp(NormalDist().inv_cdf(rules.clear_confidence)),
            int(rules.hold_during_promotion),
            _bp(rules.margin_floor),
            _bp(rules.max_change),
            _bp(rules.max_change_week),
            *(_bp(share) for share in (*rules.price_range, *rules.competitor_band)),
            UNSET if rules.assumed_margin is None else _bp(rules.assumed_margin),
            _bp(float(self.policy.markets[name].tax)),
            min(prices, default=NO_HIGH),
            min(increases, default=UNSET),
            UNSET if rules.substitution == "learnt" else _bp(rules.substitution),
            int(rules.objective == "revenue" and rules.target_level == "category"),
            int(rules.family_steps),
            _bp(rules.own_weight),
            int(rules.hold_out_of_stock),
            int(self.policy.fixed(country, department, category) is not None),
        ]
        return row, rules.minimum_gain


def ladder_of(market: Market) -> Ints:
    """Every price a market's endings allow, ascending, in minor units, above zero."""
    scale = 10**market.digits
    start, parts = 0, []
    for band in market.endings:
        limit, step = int(band.below * scale), max(int(band.every * scale), 1)
        ends = np.array([int(ending * scale) for ending in band.at], dtype=np.int64)
        bases = np.arange(start // step * step, limit, step, dtype=np.int64)
        rungs = (bases[:, None] + ends[None, :]).ravel()
        parts.append(rungs[(rungs >= max(start, 1)) & (rungs < limit)])
        start = limit
    return np.unique(np.concatenate(parts))


def _covers(cap: Cap, country: str, department: str, category: str, day: date) -> bool:
    where = ((cap.country, country), (cap.department, department), (cap.category, category))
    return cap.first_day <= day <= cap.last_day and all(wanted in (None, found) for wanted, found in where)


def _bp(share: float) -> int:
    return round(share * BASIS_POINTS)
