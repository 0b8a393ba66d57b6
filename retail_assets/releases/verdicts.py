"""Is a canary safe? A pure decision over its own answers and the champion's answers to the same questions.

The champion is asked beside the canary what the canary was asked, so that both are judged on the same stores and items:
answers of other stores would differ for reasons of their own. Differences that chance explains are not held against a
canary; what is not a number is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from retail_assets.core.gates import Comparison, GateReport

Floats = npt.NDArray[np.float64]
Outcome = Literal["wait", "withdraw", "promote"]

SURE = NormalDist().inv_cdf(0.999)  # a canary is judged again every few seconds: 2.5 % would often be met by chance
BINS = 10


class Limits(BaseModel):
    """What a canary may do before it is withdrawn, and what it takes to be promoted by itself.

    `answers`: pairs of answers before latency, distribution and value are judged. `failures`: fewer failed answers say
    nothing. `error_rate`: how much more often than the champion it may surely fail. `slower`: how many times the
    champion's 95th percentile its own may be, if it is `slower_ms` more at all. `psi`: the largest population
    stability index beyond what chance gives. `value_low`, `value_high`: the range for the change of the business metric
    as a share of the champion's. `promote_answers` and `promote_hours`: how much good traffic makes it the champion;
    None: only a person does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: int = Field(default=100, ge=10)
    failures: int = Field(default=3, ge=1)
    error_rate: float = Field(default=0.01, ge=0, lt=1)
    slower: float = Field(default=2.0, ge=1)
    slower_ms: float = Field(default=5.0, ge=0)
    psi: float = Field(default=0.25, gt=0)
    value_low: float = Field(ge=-1, le=0)
    value_high: float = Field(ge=0)
    promote_answers: int | None = Field(default=None, ge=10)
    promote_hours: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Limits":
        if (self.promote_answers is None) != (self.promote_hours is None):
            raise ValueError("promote_answers and promote_hours belong together")
        if self.promote_answers is not None and self.promote_answers < self.answers:
            raise ValueError("promote_answers must be at least answers: an unjudged canary is not promoted")
        return self


@dataclass(frozen=True)
class Pair:
    """One question, answered by the canary and then by the champion. Milliseconds are of CPU.

    `score` is what the distribution is judged on, `value` the business metric, None where it is not known.
    """

    ms: float
    champion_ms: float
    score: float
    champion_score: float
    value: float | None = None
    champion_value: float | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of a canary. `answers` and `failures` count its own, the champion's are of the same questions."""

    answers: int
    failures: int
    champion_failures: int
    hours: float
    pairs: Sequence[Pair] = field(default=())

    def column(self, name: str) -> Floats:
        """One field of the pairs; NaN where it is not known."""
        return np.array([getattr(pair, name) for pair in self.pairs], dtype=np.float64)


@dataclass(frozen=True)
class Verdict:
    """`passed` while nothing speaks against the canary; `report` holds every number and what it was held against."""

    outcome: Outcome
    report: GateReport

    @property
    def passed(self) -> bool:
        """Whether the canary may go on, or even everywhere."""
        return self.report.passed

    @property
    def reason(self) -> str:
        """One line for the ledger."""
        return "; ".join(self.report.reasons) or "; ".join(c.reason for c in self.report.comparisons)


def canary_is_safe(evidence: Evidence, limits: Limits) -> Verdict:
    """Judges error rate at once, and latency, distribution and business metric once there are enough pairs.

    Any of them withdraws the canary. Enough answers over enough hours without that promote it; until then it waits.
    """
    found = _errors(evidence, limits)
    if len(evidence.pairs) >= limits.answers:
        found += [_latency(evidence, limits), _distribution(evidence, limits), *_value(evidence, limits)]
    reasons = tuple(c.reason for c in found if not c.passed)
    report = GateReport(passed=not reasons, reasons=reasons, comparisons=tuple(found))
    if reasons:
        return Verdict("withdraw", report)
    return Verdict("promote" if _proven(evidence, limits) else "wait", report)


def _proven(evidence: Evidence, limits: Limits) -> bool:
    if limits.promote_answers is None or limits.promote_hours is None or len(evidence.pairs) < limits.answers:
        return False
    return evidence.answers >= limits.promote_answers and evidence.hours >= limits.promote_hours


def _errors(evidence: Evidence, limits: Limits) -> list[Comparison]:
    asked, compared = evidence.answers + evidence.failures, len(evidence.pairs) + evidence.champion_failures
    if not asked:
        return []
    surely = wilson_low(evidence.failures, asked)
    limit = limits.error_rate + (evidence.champion_failures / compared if compared else 0.0)
    passed = evidence.failures < limits.failures or surely <= limit
    rate = evidence.failures / asked
    words = f"{evidence.failures} of {asked} answers failed ({surely:.1%} for sure, at most {limit:.1%})"
    return [Comparison("error_rate", "champion", rate, limit, passed, words, surely)]


def _latency(evidence: Evidence, limits: Limits) -> Comparison:
    taken, expected = evidence.column("ms"), evidence.column("champion_ms")
    if not (np.isfinite(taken).all() and np.isfinite(expected).all()):
        return Comparison("latency_p95_ms", "champion", None, None, False, "a time is not a finite number")
    own, champion = (float(np.quantile(times, 0.95)) for times in (taken, expected))
    limit = max(champion * limits.slower, champion + limits.slower_ms)
    words = f"95 % of the answers take {own:.2f} ms (champion {champion:.2f} ms, at most {limit:.2f} ms)"
    return Comparison("latency_p95_ms", "champion", own, limit, bool(own <= limit), words)


def _distribution(evidence: Evidence, limits: Limits) -> Comparison:
    scores, expected = evidence.column("score"), evidence.column("champion_score")
    if not (np.isfinite(scores).all() and np.isfinite(expected).all()):
        return Comparison("psi", "champion", None, limits.psi, False, "an answer is not a finite number")
    index, noise = psi(scores, expected), psi_noise(len(scores))
    words = (
        f"answers moved: PSI {index:.2f}, {noise:.2f} of it chance (at most {limits.psi:g} beyond it), "
        f"KS {kolmogorov(scores, expected):.2f}"
    )
    return Comparison("psi", "champion", index, limits.psi + noise, index - noise <= limits.psi, words)


def _value(evidence: Evidence, limits: Limits) -> list[Comparison]:
    """The mean change of the business metric, in its 99.8 % interval of paired differences; none where unknown."""
    own, champion = evidence.column("value"), evidence.column("champion_value")
    known = np.isfinite(own) & np.isfinite(champion)
    if known.sum() < limits.answers:
        return []
    base, change = float(np.mean(champion[known])), own[known] - champion[known]
    if base == 0.0:
        return []
    mean = float(np.mean(change)) / abs(base)
    error = float(np.std(change, ddof=1)) / float(np.sqrt(len(change))) / abs(base)
    low, high = mean - SURE * error, mean + SURE * error
    passed = high >= limits.value_low and low <= limits.value_high
    limit = limits.value_low if mean < 0 else limits.value_high
    words = f"the business metric changes by {mean:+.1%} ({low:+.1%} to {high:+.1%}, may by {limits.value_low:+.0%} to "
    words += f"{limits.value_high:+.0%})"
    return [Comparison("value_change", "champion", mean, limit, passed, words, high if mean < 0 else low)]


def wilson_low(failed: int, asked: int) -> float:
    """The lower end of the 99.8 % Wilson interval of a share; 0 without failures. Wilson (1927)."""
    if not failed:
        return 0.0
    rate, square = failed / asked, SURE**2
    middle = rate + square / (2 * asked)
    spread = SURE * float(np.sqrt(rate * (1 - rate) / asked + square / (4 * asked**2)))
    return (middle - spread) / (1 + square / asked)


def psi(scores: Floats, expected: Floats) -> float:
    """Population stability index of `scores` against `expected` over the deciles of both; 0 is the same, no upper end.

    Half a count is added to every bin, so that an empty one is finite.
    """
    edges = np.unique(np.quantile(np.concatenate([scores, expected]), np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = []
    for values in (scores, expected):
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(np.sum((shares[0] - shares[1]) * np.log(shares[0] / shares[1])))


def psi_noise(rows: int) -> float:
    """What two samples of `rows` from one distribution exceed in PSI once in 1,000 times: chi-squared with BINS - 1.

    Yurdakul (2018). Of answers to the same questions it is an upper bound: they differ less than independent samples.
    """
    degrees = BINS - 1
    chi = degrees * (1 - 2 / (9 * degrees) + SURE * float(np.sqrt(2 / (9 * degrees)))) ** 3  # Wilson and Hilferty
    return chi * 2 / rows


def kolmogorov(scores: Floats, expected: Floats) -> float:
    """The largest distance of the two empirical distributions, 0 to 1."""
    grid = np.concatenate([scores, expected])
    shares = [np.searchsorted(np.sort(values), grid, side="right") / len(values) for values in (scores, expected)]
    return float(np.max(np.abs(shares[0] - shares[1])))
