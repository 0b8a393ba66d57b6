"""The circuit breaker: does a batch of price changes look like the batches before it? Pure.

Numbers are measured over the rows that no planned promotion explains, for the whole chain, each department and each
category, so that a promotion which moves half of an assortment is not taken for a model that went wild. Usual is the
median of earlier good batches, give or take their distances from it: a chain's first batches, which move nearly every
price, would widen a mean and its deviation for weeks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.core.guardrails import Flags, Status
from retail_assets.pricing.config import BreakerConfig
from retail_assets.pricing.decide.policy import Batch

CHAIN = "chain"
CATEGORY = "category "
NUMBERS = (
    "changed", "mean_change", "changed_revenue", "mean_change_revenue", "at_guardrail", "revenue_at_risk",
    "promised_gain",
)  # fmt: skip
TWO_SIDED = ("mean_change", "mean_change_revenue")
NORMAL = 1.4826  # standard deviations of a normal distribution per median distance from the median
MOST_PROMISED = 1.0
WORDS = {
    "changed": "the share of prices that change",
    "mean_change": "the mean change of prices",
    "changed_revenue": "the share of revenue whose price changes",
    "mean_change_revenue": "the mean change of prices, by revenue,",
    "near_paid_10": "the share of revenue priced within 10 % of what was paid of late",
    "near_paid_30": "the share of revenue priced within 30 % of what was paid of late",
    "at_guardrail": "the share of prices held back by a guardrail",
    "revenue_at_risk": "the share of revenue at risk",
    "promised_gain": "the gain that the model promises",
}

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Numbers:
    """What a batch does to one scope (`chain`, a department, or `category` and its name), over its `rows`: those that
    are decided, neither held for a reason nor on a planned promotion.

    `changed` and `at_guardrail` are shares of those rows (0 to 1), `mean_change` the mean of price / previous - 1;
    `changed_revenue` and `mean_change_revenue` the same by expected revenue, which a thousand slow items do not hide;
    `revenue_at_risk` the share of the expected revenue that is lost if demand answers every change as badly as its 95 %
    interval allows, `promised_gain` the mean of what each change gains by the model (0 to 1 each). What a batch is from
    before is NaN. `planned` counts the rows on promotion.
    """

    scope: str
    rows: int
    planned: int
    changed: float
    mean_change: float
    changed_revenue: float
    mean_change_revenue: float
    at_guardrail: float
    revenue_at_risk: float
    promised_gain: float


@dataclass(frozen=True)
class Finding:
    """One number outside what is allowed: [low, high] by an absolute `limit` or by `sigma` of earlier batches."""

    scope: str
    number: str
    value: float
    low: float
    high: float
    kind: Literal["limit", "sigma"]

    @property
    def words(self) -> str:
        """The finding as a sentence."""
        rule = "the limit set" if self.kind == "limit" else "what earlier batches did"
        return (
            f"{self.scope}: {WORDS[self.number]} is {self.value:.4f}, outside {self.low:.4f} to {self.high:.4f}, {rule}"
        )


@dataclass(frozen=True)
class RowNumbers:
    """What the numbers of scopes are summed from, arrays of shape (rows,); made from a batch, or from parts of one."""

    department: Texts
    category: Texts
    currency: Texts
    planned: Flags
    held: Flags
    change: Floats
    at_guardrail: Flags
    revenue: Floats
    loss: Floats
    gain: Floats

    @classmethod
    def of(cls, batch: Batch, inputs: pa.Table) -> "RowNumbers":
        """From a decided batch and the inputs (schema INPUTS) it was decided from."""
        ratio = batch.price / batch.previous
        step = np.log(ratio)
        revenue = np.nan_to_num(batch.previous * batch.units_before)
        worst = np.minimum(np.exp(step * batch.response.lo), np.exp(step * batch.response.hi)) * ratio
        bound = (Status.MOVED, Status.NEARER, Status.CONFLICT)
        return cls(
            department=inputs["department"].to_numpy(),
            category=inputs["category"].to_numpy(),
            currency=inputs["currency"].to_numpy(),
            planned=batch.promoted,
            held=(batch.reason > 0) & (batch.price == batch.previous),
            change=ratio - 1,
            at_guardrail=np.any(
                [np.isin(line.status, bound) for line in batch.lines if line.rule != "price_ending"], axis=0
            ),
            revenue=revenue,
            loss=revenue * np.maximum(1 - worst, 0.0),
            gain=np.where(batch.price == batch.previous, 0.0, np.clip(batch.gain, 0.0, MOST_PROMISED)),
        )

    @classmethod
    def joined(cls, parts: Sequence["RowNumbers"]) -> "RowNumbers":
        """Several parts of a batch as one."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__})


def measure(rows: RowNumbers) -> list[Numbers]:
    """The numbers of the chain, then of each department and of each category in alphabetical order."""
    scopes = [(CHAIN, np.ones(len(rows.change), dtype=bool))]
    for prefix, column in (("", rows.department), (CATEGORY, rows.category)):
        names = sorted({str(name) for name in set(column.tolist()) if name is not None})
        scopes += [(prefix + name, column == name) for name in names]
    return [_measure(rows, name, inside) for name, inside in scopes]


def judge(
    numbers: Sequence[Numbers], earlier: Mapping[str, Sequence[Numbers]], config: BreakerConfig
) -> tuple[Finding, ...]:
    """What is wrong with a batch; nothing when it may be published.

    `earlier` are the numbers of good batches by scope, newest last. Absolute limits hold for the chain and departments
    from the first batch on; the distribution of earlier batches counts from `minimum_batches` of them. Departments and
    categories of fewer than `minimum_rows` rows are judged with the chain only, and a number that is not finite is
    always wrong.
    """
    found = []
    for scope in numbers:
        if scope.scope != CHAIN and scope.rows < config.minimum_rows:
            continue
        before = list(earlier.get(scope.scope, ()))[-config.history :]
        for name in NUMBERS:
            found += _outside(scope, name, before, config)
    return tuple(found)


def _outside(scope: Numbers, name: str, before: Sequence[Numbers], config: BreakerConfig) -> list[Finding]:
    value, narrow = float(getattr(scope, name)), scope.scope.startswith(CATEGORY)
    limit = math.inf if narrow else float(getattr(config.limits, name))
    bounds: list[tuple[Literal["limit", "sigma"], float, float]] = [("limit", *_two_sided(name, 0.0, limit))]
    past = np.array([getattr(one, name) for one in before], dtype=np.float64)
    past = past[np.isfinite(past)]
    if len(past) >= config.minimum_batches:
        usual = float(np.median(past))
        deviation = max(NORMAL * float(np.median(np.abs(past - usual))), getattr(config.least_deviation, name))
        sigma = config.category_sigma if narrow else config.sigma
        bounds.append(("sigma", *_two_sided(name, usual, sigma * deviation)))
    return [
        Finding(scope.scope, name, value, low, high, kind)
        for kind, low, high in bounds
        if not (math.isfinite(value) and low <= value <= high)
    ]


def _two_sided(name: str, centre: float, spread: float) -> tuple[float, float]:
    """Prices may run away up or down; the other numbers are harmless when small."""
    return (centre - spread if name in TWO_SIDED else 0.0), centre + spread


def _measure(rows: RowNumbers, name: str, inside: Flags) -> Numbers:
    counted = inside & ~rows.planned & ~rows.held
    total = int(counted.sum())
    change = rows.change[counted]
    return Numbers(
        scope=name,
        rows=total,
        planned=int((inside & rows.planned).sum()),
        changed=_mean(change != 0),
        mean_change=_mean(change),
        changed_revenue=_by_revenue(rows, counted, rows.revenue * (rows.change != 0)),
        mean_change_revenue=_by_revenue(rows, counted, rows.revenue * rows.change),
        at_guardrail=_mean(rows.at_guardrail[counted]),
        revenue_at_risk=_by_revenue(rows, counted, rows.loss),
        promised_gain=_mean(rows.gain[counted]),
    )


def _mean(values: npt.NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _by_revenue(rows: RowNumbers, counted: Flags, part: Floats) -> float:
    """`part` as a share of revenue in each currency, weighted by its rows, as currencies cannot be added."""
    if not counted.any():
        return 0.0
    _, code = np.unique(rows.currency[counted].astype(str), return_inverse=True)
    revenue, amount = np.bincount(code, rows.revenue[counted]), np.bincount(code, part[counted])
    share = np.divide(amount, revenue, where=revenue != 0, out=np.zeros(len(revenue)))
    return float((share * np.bincount(code) / counted.sum()).sum())
