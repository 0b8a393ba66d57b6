"""A canary is withdrawn for what chance does not explain, and for nothing else: each reason in both directions."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from retail_assets.releases.verdicts import (
    Evidence,
    Limits,
    Pair,
    Verdict,
    canary_is_safe,
    kolmogorov,
    psi,
    psi_noise,
    wilson_low,
)

LIMITS = Limits(value_low=-0.05, value_high=0.05, promote_answers=1000, promote_hours=2.0)
GOOD = Pair(ms=1.0, champion_ms=1.0, score=0.1, champion_score=0.1, value=10.0, champion_value=10.0)


def pairs(count: int = 200, seed: int = 1, move: float = 0.0, value: float = 0.0, ms: float = 1.0) -> list[Pair]:
    """Answers around the champion's: scores `move`d by so many standard deviations, `value` changed by that share."""
    chance = np.random.default_rng(seed)
    score, worth = chance.normal(0.0, 1.0, count), chance.lognormal(1.0, 0.5, count)
    noise = chance.normal(0.0, 0.05, count)
    return [
        Pair(ms, 1.0, s + move + n, s, w * (1 + value + n), w)
        for s, w, n in zip(score.tolist(), worth.tolist(), noise.tolist(), strict=True)
    ]


def judged(found: list[Pair], answers: int = 500, failures: int = 0, hours: float = 0.5, **changes: int) -> Verdict:
    return canary_is_safe(Evidence(answers, failures, changes.get("champion_failures", 0), hours, found), LIMITS)


def withdrawn_for(verdict: Verdict) -> set[str]:
    assert verdict.passed is (verdict.outcome != "withdraw")
    return {c.metric for c in verdict.report.comparisons if not c.passed}


def test_a_canary_like_its_champion_waits_until_there_is_enough_good_traffic() -> None:
    assert judged(pairs()).outcome == "wait"
    assert judged(pairs(), answers=1000, hours=1.9).outcome == "wait"
    assert judged(pairs(), answers=999, hours=2.0).outcome == "wait"
    assert judged(pairs(), answers=1000, hours=2.0).outcome == "promote"
    assert judged(pairs(99), answers=1000, hours=2.0).outcome == "wait", "what was not compared is not proven"


def test_without_leave_to_promote_it_waits_for_a_person() -> None:
    by_hand = LIMITS.model_copy(update={"promote_answers": None, "promote_hours": None})
    assert canary_is_safe(Evidence(10**6, 0, 0, 1000.0, pairs()), by_hand).outcome == "wait"


def test_nothing_is_said_of_a_canary_that_answered_nothing() -> None:
    verdict = canary_is_safe(Evidence(0, 0, 0, 99.0), LIMITS)
    assert (verdict.outcome, verdict.report.comparisons) == ("wait", ())


@pytest.mark.parametrize(
    ("answers", "failures", "champion_failures", "reasons"),
    [
        (0, 2, 0, set()),  # fewer than say anything
        (0, 3, 0, {"error_rate"}),
        (997, 3, 0, set()),  # a rate that is allowed
        (50, 10, 0, {"error_rate"}),
        (985, 15, 0, set()),  # 1.5 %, but not surely more than the 1 % that is allowed
        (9500, 500, 0, {"error_rate"}),
        (180, 20, 20, set()),  # the champion fails as often
        (120, 80, 20, {"error_rate"}),  # and here less
    ],
)
def test_failures(answers: int, failures: int, champion_failures: int, reasons: set[str]) -> None:
    verdict = judged(pairs(180), answers, failures, champion_failures=champion_failures)
    assert withdrawn_for(verdict) == reasons


def test_failures_are_judged_before_anything_could_be_compared() -> None:
    assert withdrawn_for(judged([], 0, 3)) == {"error_rate"}


@pytest.mark.parametrize(("ms", "reasons"), [(0.1, set()), (5.9, set()), (6.0, set()), (6.1, {"latency_p95_ms"})])
def test_latency(ms: float, reasons: set[str]) -> None:
    assert withdrawn_for(judged(pairs(ms=ms))) == reasons


def test_latency_of_a_slow_champion_counts_as_a_multiple() -> None:
    slow = [replace(pair, ms=39.0, champion_ms=20.0) for pair in pairs()]
    assert withdrawn_for(judged(slow)) == set()
    assert withdrawn_for(judged([replace(pair, ms=41.0) for pair in slow])) == {"latency_p95_ms"}


@pytest.mark.parametrize(
    ("move", "reasons"), [(0.0, set()), (0.3, set()), (-0.3, set()), (2.0, {"psi"}), (-2.0, {"psi"})]
)
def test_the_distribution_of_answers(move: float, reasons: set[str]) -> None:
    assert withdrawn_for(judged(pairs(move=move))) == reasons


@pytest.mark.parametrize(
    ("value", "reasons"),
    [(0.0, set()), (-0.04, set()), (0.04, set()), (-0.2, {"value_change"}), (0.2, {"value_change"})],
)
def test_the_business_metric_may_neither_fall_nor_rise_beyond_belief(value: float, reasons: set[str]) -> None:
    assert withdrawn_for(judged(pairs(value=value))) == reasons


def test_a_loss_that_chance_explains_is_not_held_against_it() -> None:
    one_bulk_order = [*pairs(150), replace(GOOD, value=-2000.0, champion_value=2000.0)]
    assert withdrawn_for(judged(one_bulk_order)) == set()


def test_where_the_business_metric_is_not_known_the_rest_decides() -> None:
    unknown = [replace(pair, value=None) for pair in pairs()]
    assert "value_change" not in {c.metric for c in judged(unknown).report.comparisons}
    assert withdrawn_for(judged([replace(pair, score=5.0) for pair in unknown])) == {"psi"}
    nothing = [replace(pair, champion_value=0.0) for pair in pairs()]
    assert judged(nothing, answers=1000, hours=2.0).outcome == "promote"


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_what_is_not_a_number_is_unsafe(bad: float) -> None:
    found = pairs()
    assert withdrawn_for(judged([*found, replace(GOOD, score=bad)])) == {"psi"}
    assert withdrawn_for(judged([*found, replace(GOOD, champion_score=bad)])) == {"psi"}, "nor can it be compared"
    assert withdrawn_for(judged([*found[:12], *[replace(GOOD, ms=bad)] * 100])) == {"latency_p95_ms"}


def test_equal_answers_are_a_tie_and_pass() -> None:
    verdict = judged([GOOD] * 100)
    assert verdict.passed
    assert {c.metric: c.value for c in verdict.report.comparisons} == {
        "error_rate": 0.0, "latency_p95_ms": 1.0, "psi": 0.0, "value_change": 0.0
    }  # fmt: skip


def test_the_reason_says_the_numbers() -> None:
    verdict = judged(pairs(value=-0.2), 90, 10)
    assert "10 of 100 answers failed" in verdict.reason and "the business metric changes by -20" in verdict.reason
    assert verdict.report.as_dict()["passed"] is False


def test_limits_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        Limits(value_low=-0.1, value_high=0.1, promote_answers=1000)
    with pytest.raises(ValidationError, match="unjudged"):
        Limits(value_low=-0.1, value_high=0.1, promote_answers=50, promote_hours=1.0)


def test_a_good_canary_is_hardly_ever_withdrawn_by_chance() -> None:
    """400 independent samples of one distribution; the limit beyond chance is nearly 0."""
    strict = LIMITS.model_copy(update={"psi": 1e-9})
    chance = np.random.default_rng(3)
    wrong = 0
    for _ in range(400):
        scores = chance.normal(size=(2, 150)).tolist()
        found = [Pair(1.0, 1.0, a, b) for a, b in zip(*scores, strict=True)]
        wrong += not canary_is_safe(Evidence(150, 0, 0, 1.0, found), strict).passed
    assert wrong <= 4


def test_statistics_by_hand() -> None:
    low, high = np.zeros(50), np.ones(50)
    assert psi(low, low) == 0.0 and kolmogorov(low, low) == 0.0
    assert kolmogorov(low, high) == 1.0
    assert psi(low, high) == pytest.approx(2 * (50 / 52) * np.log(50.5 / 0.5), rel=1e-6)
    assert psi_noise(100) == pytest.approx(27.877 * 2 / 100, rel=0.01), "chi-squared, 9 degrees, 1 in 1,000"
    assert wilson_low(0, 10) == 0.0
    assert 0.2 < wilson_low(3, 3) < 0.3


@given(st.lists(st.floats(-5, 5), min_size=10, max_size=60), st.lists(st.floats(-5, 5), min_size=10, max_size=60))
def test_distances_are_symmetric_and_at_least_zero(first: list[float], second: list[float]) -> None:
    one, two = np.array(first), np.array(second)
    assert psi(one, two) >= 0 and 0 <= kolmogorov(one, two) <= 1
    assert kolmogorov(one, two) == kolmogorov(two, one)
    if len(one) == len(two):
        assert psi(one, two) == pytest.approx(psi(two, one))


@given(st.integers(0, 500), st.integers(0, 500))
def test_one_more_failure_never_makes_a_canary_safer(answers: int, failures: int) -> None:
    if not canary_is_safe(Evidence(answers, failures, 0, 1.0), LIMITS).passed:
        assert not canary_is_safe(Evidence(answers, failures + 1, 0, 1.0), LIMITS).passed
