"""The circuit breaker: does a batch of price changes look like the batches before it? Pure.

Numbers are measured over the rows that no planned promotion explains, for the whole chain and for each department, so
that a promotion which moves half of an assortment is not taken for a model that went wild.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from retail_assets.core.guardrails import RULES, Flags, Status
from retail_assets.pricing.config import BreakerConfig
from retail_assets.pricing.policy import Batch

CHAIN = "chain"
NUMBERS = ("changed", "mean_change", "at_guardrail", "revenue_at_risk")
WORDS = {
    "changed": "the share of prices that change",
    "mean_change": "the mean change of prices",
    "at_guardrail": "the share of prices held back by a guardrail",
    "revenue_at_risk": "the share of revenue at risk",
}
LIMITING = [k for k, rule in enumerate(RULES) if rule != "price_ending"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """What a batch does to one scope (`chain` or a department), over the `rows` that are not on a planned promotion.

    `changed` and `at_guardrail` are shares of those rows (0 to 1), `mean_change` the mean of price / previous - 1,
    `revenue_at_risk` the share of the expected revenue that is lost if demand answers every change as badly as its 95 %
    interval allows. `planned` counts the rows on promotion.
    """

    scope: str
    rows: int
    planned: int
    changed: float
    mean_change: float
    at_guardrail: float
    revenue_at_risk: float


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

    department: npt.NDArray[np.object_]
    currency: npt.NDArray[np.object_]
    planned: Flags
    change: Floats
    at_guardrail: Flags
    revenue: Floats
    loss: Floats

    @classmethod
    def of(cls, batch: Batch, department: npt.NDArray[np.object_], currency: npt.NDArray[np.object_]) -> "RowNumbers":
        """From a decided batch; `department` and `currency` are those of its rows."""
        ratio = batch.price / batch.previous
        step = np.log(ratio)
        revenue = np.nan_to_num(batch.previous * batch.units_before)
        worst = np.minimum(np.exp(step * batch.response.lo), np.exp(step * batch.response.hi)) * ratio
        bound = (Status.MOVED, Status.NEARER, Status.CONFLICT)
        return cls(
            department=department,
            currency=currency,
            planned=batch.promoted,
            change=ratio - 1,
            at_guardrail=np.any([np.isin(batch.lines[k].status, bound) for k in LIMITING], axis=0),
            revenue=revenue,
            loss=revenue * np.maximum(1 - worst, 0.0),
        )

    @classmethod
    def joined(cls, parts: Sequence["RowNumbers"]) -> "RowNumbers":
        """Several parts of a batch as one."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__})


def measure(rows: RowNumbers) -> list[Numbers]:
    """The numbers of the chain, then of each department in alphabetical order."""
    departments = sorted({str(d) for d in set(rows.department.tolist()) if d is not None})
    everything = np.ones(len(rows.change), dtype=bool)
    scopes = [(CHAIN, everything)] + [(name, rows.department == name) for name in departments]
    return [_measure(rows, name, inside) for name, inside in scopes]


def judge(
    numbers: Sequence[Numbers], earlier: Mapping[str, Sequence[Numbers]], config: BreakerConfig
) -> tuple[Finding, ...]:
    """What is wrong with a batch; nothing when it may be published.

    `earlier` are the numbers of good batches by scope, newest last. Absolute limits hold from the first batch on; the
    distribution of earlier batches counts from `minimum_batches` of them. Departments of fewer than `minimum_rows` rows
    are judged with the chain only, and a number that is not finite is always wrong.
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
    value = float(getattr(scope, name))
    limit = float(getattr(config.limits, name))
    bounds: list[tuple[Literal["limit", "sigma"], float, float]] = [("limit", *_two_sided(name, 0.0, limit))]
    if len(before) >= config.minimum_batches:
        past = np.array([getattr(one, name) for one in before], dtype=np.float64)
        spread = config.sigma * max(float(past.std(ddof=1)), config.least_deviation)
        bounds.append(("sigma", *_two_sided(name, float(past.mean()), spread)))
    return [
        Finding(scope.scope, name, value, low, high, kind)
        for kind, low, high in bounds
        if not (math.isfinite(value) and low <= value <= high)
    ]


def _two_sided(name: str, centre: float, spread: float) -> tuple[float, float]:
    """Prices may run away up or down; the other numbers are harmless when small."""
    return (centre - spread if name == "mean_change" else 0.0), centre + spread


def _measure(rows: RowNumbers, name: str, inside: Flags) -> Numbers:
    counted = inside & ~rows.planned
    total = int(counted.sum())
    change = rows.change[counted]
    return Numbers(
        scope=name,
        rows=total,
        planned=int((inside & rows.planned).sum()),
        changed=_mean(change != 0),
        mean_change=_mean(change),
        at_guardrail=_mean(rows.at_guardrail[counted]),
        revenue_at_risk=_at_risk(rows, counted, total),
    )


def _mean(values: npt.NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _at_risk(rows: RowNumbers, counted: Flags, total: int) -> float:
    """The share of revenue at risk of each currency, weighted by its rows, as currencies cannot be added."""
    if not total:
        return 0.0
    _, code = np.unique(rows.currency[counted].astype(str), return_inverse=True)
    revenue, loss = np.bincount(code, rows.revenue[counted]), np.bincount(code, rows.loss[counted])
    share = np.divide(loss, revenue, where=revenue != 0, out=np.zeros(len(revenue)))
    return float((share * np.bincount(code) / total).sum())
