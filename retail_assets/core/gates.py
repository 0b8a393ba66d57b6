"""Gates: pure decisions whether a candidate model may replace what is live.

A gate looks at one metric, or at one metric per segment, from four sides: its possible range, an absolute floor, a
baseline measured on the same rows, and the model that is live. What cannot be compared fails: a metric that is
missing, NaN or infinite, in the candidate, in its baseline or in the live model, is a reason to stay. So is a standard
error that is missing, not finite or below zero where a gate asks for confidence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from math import hypot, isfinite, nan
from statistics import NormalDist
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Side = Literal["present", "range", "floor", "baseline", "live", "champion"]
HELD_AGAINST = {"floor": "its floor", "baseline": "its baseline", "live": "what is live"}


class Gate(BaseModel):
    """What one metric must satisfy.

    `metric` is a name, or a pattern such as `wape/*` that stands for every metric it matches (at least one must).
    `lowest` and `highest` bound what is possible at all: beyond them the metric was computed wrongly (a wrong sign).
    `floor` is the worst acceptable value; exactly the floor passes. `baseline` names the baseline's metric (one `*` is
    replaced by what `*` matched): the candidate must be better by more than `baseline_gain`; a tie with it fails.
    `live_gain` is how much better than the live value it must be, in the metric's unit; exactly that much passes, so
    0 admits a tie and a negative value tolerates that much loss. Absent sides are not looked at.

    `error` names the metric with the standard error of this one (`*` as in `baseline`). Floor and live value must then
    hold for the bound of a one-sided normal interval at `confidence`, where the live model's own error counts too: 0.95
    asks for proof, 0.05 gives the benefit of the doubt, and an error of 0 is a plain comparison. `new_passes` lets a
    metric pass that the live model lacks (a segment that is new); without it that fails.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    better: Literal["lower", "higher"]
    lowest: float = float("-inf")
    highest: float = float("inf")
    floor: float | None = None
    baseline: str | None = None
    baseline_gain: float = 0.0
    live_gain: float | None = None
    error: str | None = None
    confidence: float = Field(default=0.95, gt=0, lt=1)
    new_passes: bool = False

    @model_validator(mode="after")
    def _must_decide_something(self) -> "Gate":
        if self.floor is None and self.baseline is None and self.live_gain is None:
            raise ValueError(f"gate {self.metric!r} has neither floor, baseline nor live_gain: it would pass anything")
        if self.metric.count("*") > 1 or (self.baseline or "").count("*") > self.metric.count("*"):
            raise ValueError(f"gate {self.metric!r}: at most one '*', and in the baseline only if in the metric")
        if (self.error or "").count("*") > self.metric.count("*"):
            raise ValueError(f"gate {self.metric!r}: '*' in the error only if in the metric")
        if self.error is not None and self.baseline is not None:
            raise ValueError(f"gate {self.metric!r}: an error belongs to a ratio to the baseline with a floor of 1")
        return self


@dataclass(frozen=True)
class Comparison:
    """One side of one metric: the value, what it was held against, and whether it passed.

    `bound` is the end of the interval that was compared where the gate asks for confidence.
    """

    metric: str
    side: Side
    value: float | None
    limit: float | None
    passed: bool
    reason: str
    bound: float | None = None


@dataclass(frozen=True)
class GateReport:
    """The decision with every number that went into it. `reasons` are those of the comparisons that failed."""

    passed: bool
    reasons: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain lists and dicts for JSON; numbers that are not finite become text."""
        rows = [asdict(comparison) for comparison in self.comparisons]
        plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
        return {"passed": self.passed, "reasons": list(self.reasons), "comparisons": plain}


def evaluate(
    gates: Iterable[Gate], candidate: Mapping[str, float], live: Mapping[str, float] | None = None
) -> GateReport:
    """Holds the metrics of a candidate against every gate; `live` is None when nothing is live yet.

    A first release is not compared with anything live, and still needs its floors and baselines. No gates: not passed.
    """
    comparisons = tuple(c for gate in gates for c in _gate(gate, candidate, live))
    reasons = tuple(c.reason for c in comparisons if not c.passed)
    if not comparisons:
        reasons = ("no gate was given, so nothing was proven",)
    return GateReport(passed=not reasons, reasons=reasons, comparisons=comparisons)


def _gate(gate: Gate, candidate: Mapping[str, float], live: Mapping[str, float] | None) -> list[Comparison]:
    names = sorted(name for name in candidate if _matches(gate.metric, name))
    if not names:
        return [Comparison(gate.metric, "present", None, None, False, f"{gate.metric} is missing")]
    return [c for name in names for c in _metric(gate, name, candidate, live)]


def _metric(
    gate: Gate, name: str, candidate: Mapping[str, float], live: Mapping[str, float] | None
) -> list[Comparison]:
    value = candidate[name]
    if not isfinite(value):
        return [Comparison(name, "present", value, None, False, f"{name} is {value}: not a finite number")]
    found = []
    if not gate.lowest <= value <= gate.highest:
        limit = gate.lowest if value < gate.lowest else gate.highest
        found.append(Comparison(name, "range", value, limit, False, f"{name} is {value:g}: beyond {limit:g}"))
    errors = [_error(gate, name, metrics) for metrics in (candidate, live or {})] if gate.error else [0.0, 0.0]
    if gate.floor is not None:
        found.append(_compare(gate, name, "floor", value, gate.floor, 0.0, ties=True, error=errors[0]))
    if gate.baseline is not None:
        baseline = _counterpart(gate.metric, name, gate.baseline)
        found.append(_compare(gate, name, "baseline", value, candidate.get(baseline), gate.baseline_gain, ties=False))
    if gate.live_gain is not None and live is not None and not (gate.new_passes and name not in live):
        both = hypot(*errors)
        found.append(_compare(gate, name, "live", value, live.get(name), gate.live_gain, ties=True, error=both))
    return found


def _error(gate: Gate, name: str, metrics: Mapping[str, float]) -> float:
    """The standard error of a metric, NaN where it is none."""
    error = metrics.get(_counterpart(gate.metric, name, gate.error or ""), nan)
    return error if isfinite(error) and error >= 0 else nan


def _compare(
    gate: Gate,
    name: str,
    side: Side,
    value: float,
    other: float | None,
    gain: float,
    *,
    ties: bool,
    error: float = 0.0,
) -> Comparison:
    against = HELD_AGAINST[side]
    if other is None or not isfinite(other):
        return Comparison(name, side, value, other, False, f"{name} cannot be compared: {against} is {other}")
    if not isfinite(error):
        return Comparison(
            name,
            side,
            value,
            other,
            False,
            f"{name} cannot be held to {against}: too few rows to know its error",
        )
    limit = other - gain if gate.better == "lower" else other + gain
    margin = NormalDist().inv_cdf(gate.confidence) * error
    bound = value + margin if gate.better == "lower" else value - margin
    strictly = bound < limit if gate.better == "lower" else bound > limit
    passed = strictly or (ties and bound == limit)
    must = f"{'at most' if gate.better == 'lower' else 'at least'} {limit:g}" if ties else f"better than {limit:g}"
    said = f"{value:g}" if gate.error is None else f"{value:g} ({bound:g} at {gate.confidence:.0%} confidence)"
    reason = f"{name} {'holds' if passed else 'fails'} against {against}: {said}, must be {must}"
    return Comparison(name, side, value, limit, passed, reason, None if gate.error is None else bound)


def _matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) if "*" in pattern else name == pattern


def _counterpart(pattern: str, name: str, baseline: str) -> str:
    if "*" not in baseline:
        return baseline
    head, tail = pattern.split("*")
    return baseline.replace("*", name[len(head) : len(name) - len(tail)])


def _plain(value: object) -> object:
    return str(value) if isinstance(value, float) and not isfinite(value) else value
