"""A gate lets the better model through and nothing else: in all directions, and when a number is not there."""

import json
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from retail_assets.core.gates import Gate, evaluate

LOWER = Gate(metric="wape", better="lower", lowest=0.0, floor=0.5, baseline="naive", live_gain=1 / 64)
HIGHER = Gate(metric="gain", better="higher", highest=1.0, floor=0.1, baseline="naive", live_gain=0.01)
NUMBERS = st.floats(min_value=-1e6, max_value=1e6)
NOT_NUMBERS = st.sampled_from([nan, inf, -inf])


def lower(wape: float, naive: float = 0.45, live: float | None = None) -> bool:
    return evaluate([LOWER], {"wape": wape, "naive": naive}, None if live is None else {"wape": live}).passed


@pytest.mark.parametrize(
    ("wape", "naive", "live", "passed"),
    [
        (0.30, 0.45, 0.35, True),  # better than everything
        (0.34375, 0.45, 0.359375, True),  # exactly the gain that is asked for
        (0.3438, 0.45, 0.359375, False),  # better than live, by too little
        (0.35, 0.45, 0.35, False),  # a tie with live where a gain is asked for
        (0.36, 0.45, 0.35, False),  # worse than live
        (0.45, 0.45, 0.60, False),  # a tie with the baseline
        (0.46, 0.45, 0.60, False),  # worse than the baseline
        (0.50, 0.60, 0.90, True),  # exactly the floor
        (0.51, 0.60, 0.90, False),  # beyond the floor, though better than the rest
        (-0.10, 0.45, 0.35, False),  # a wrong sign is not a very good model
        (0.30, 0.45, None, True),  # first release
        (0.46, 0.45, None, False),  # first release, worse than the baseline
    ],
)
def test_lower_is_better(wape: float, naive: float, live: float | None, passed: bool) -> None:
    assert lower(wape, naive, live) is passed


@pytest.mark.parametrize(
    ("gain", "naive", "live", "passed"),
    [(0.5, 0.2, 0.4, True), (0.4, 0.2, 0.4, False), (0.3, 0.2, 0.4, False), (0.1, 0.05, 0.05, True),
     (0.09, 0.0, 0.0, False), (0.2, 0.2, 0.1, False), (1.5, 0.2, 0.4, False), (-0.5, -0.6, -0.6, False)],
)  # fmt: skip
def test_higher_is_better(gain: float, naive: float, live: float, passed: bool) -> None:
    assert evaluate([HIGHER], {"gain": gain, "naive": naive}, {"gain": live}).passed is passed


def test_a_tie_with_live_passes_where_no_gain_is_asked_for() -> None:
    gate = Gate(metric="wape", better="lower", live_gain=0.0)
    assert evaluate([gate], {"wape": 0.3}, {"wape": 0.3}).passed
    assert not evaluate([gate], {"wape": 0.3 + 1e-9}, {"wape": 0.3}).passed


def test_a_negative_gain_tolerates_that_much_loss() -> None:
    gate = Gate(metric="wape", better="lower", live_gain=-0.02)
    assert evaluate([gate], {"wape": 0.315}, {"wape": 0.3}).passed
    assert not evaluate([gate], {"wape": 0.325}, {"wape": 0.3}).passed


@pytest.mark.parametrize(
    ("candidate", "live"),
    [
        ({"naive": 0.4}, {"wape": 0.5}),
        ({"wape": 0.3}, {"wape": 0.5}),
        ({"wape": 0.3, "naive": 0.4}, {}),
        ({"wape": 0.3, "naive": 0.4}, {"wape": nan}),
        ({"wape": 0.3, "naive": nan}, {"wape": 0.5}),
    ],
)
def test_what_is_missing_fails(candidate: dict[str, float], live: dict[str, float]) -> None:
    report = evaluate([LOWER], candidate, live)
    assert not report.passed and report.reasons


def test_one_losing_segment_stops_a_model_that_wins_on_average() -> None:
    gate = Gate(metric="wape/*", better="lower", baseline="naive/*")
    better = {"wape/us": 0.2, "naive/us": 0.5, "wape/de": 0.3, "naive/de": 0.4}
    assert evaluate([gate], better).passed
    report = evaluate([gate], better | {"wape/de": 0.41})
    assert report.reasons == ("wape/de fails against its baseline: 0.41, must be better than 0.4",)


def test_a_pattern_without_any_match_fails() -> None:
    gate = Gate(metric="wape/*", better="lower", floor=1.0)
    assert evaluate([gate], {"wape": 0.1}).reasons == ("wape/* is missing",)


def test_no_gates_prove_nothing() -> None:
    assert not evaluate([], {"wape": 0.1}).passed


def test_a_gate_that_would_pass_anything_is_refused() -> None:
    with pytest.raises(ValidationError, match="would pass anything"):
        Gate(metric="wape", better="lower")
    with pytest.raises(ValidationError, match="at most one"):
        Gate(metric="wape", better="lower", baseline="naive/*")


def test_the_report_is_json_even_with_numbers_that_are_not() -> None:
    report = evaluate([LOWER], {"wape": nan, "naive": 0.4}, {"wape": 0.3})
    text = json.dumps(report.as_dict(), allow_nan=False)
    assert json.loads(text)["comparisons"][0]["value"] == "nan"


@given(NOT_NUMBERS, NUMBERS, NUMBERS)
def test_no_gate_ever_passes_what_is_not_a_number(bad: float, naive: float, live: float) -> None:
    for gate in (LOWER, HIGHER):
        metric = gate.metric
        assert not evaluate([gate], {metric: bad, "naive": naive}, {metric: live}).passed
        assert not evaluate([gate], {metric: naive, "naive": bad}, {metric: live}).passed
        assert not evaluate([gate], {metric: naive, "naive": live}, {metric: bad}).passed


@given(NUMBERS, NUMBERS, NUMBERS, st.floats(min_value=0, max_value=100))
def test_improving_a_metric_never_closes_a_gate_within_its_range(
    value: float, naive: float, live: float, step: float
) -> None:
    gate = Gate(metric="loss", better="lower", floor=10.0, baseline="naive", live_gain=0.5)
    if evaluate([gate], {"loss": value, "naive": naive}, {"loss": live}).passed:
        assert evaluate([gate], {"loss": value - step, "naive": naive}, {"loss": live}).passed


@given(NUMBERS, NUMBERS, NUMBERS)
def test_lower_and_higher_mirror_each_other(value: float, naive: float, live: float) -> None:
    low = Gate(metric="m", better="lower", floor=3.0, baseline="naive", live_gain=0.25)
    high = Gate(metric="m", better="higher", floor=-3.0, baseline="naive", live_gain=0.25)
    mirrored = evaluate([high], {"m": -value, "naive": -naive}, {"m": -live})
    assert evaluate([low], {"m": value, "naive": naive}, {"m": live}).passed is mirrored.passed


@given(NUMBERS, NUMBERS, NUMBERS)
def test_passed_means_no_reasons_and_no_failed_comparison(value: float, naive: float, live: float) -> None:
    report = evaluate([LOWER], {"wape": value, "naive": naive}, {"wape": live})
    assert report.passed is (not report.reasons) is all(c.passed for c in report.comparisons)


SURE = Gate(metric="ratio", better="lower", floor=1.0, live_gain=-0.1, error="ratio_error", confidence=0.95)
DOUBT = SURE.model_copy(update={"confidence": 0.05})
Z = 1.6448536269514722


@pytest.mark.parametrize(
    ("ratio", "error", "sure", "doubt"),
    [
        (0.90, 0.01, True, True),  # clearly better
        (0.98, 0.02, False, True),  # better, but not proven
        (1.00, 0.00, True, True),  # without any error a plain comparison: the floor itself passes
        (1.02, 0.02, False, True),  # worse, but not proven to be
        (1.10, 0.02, False, False),  # clearly worse
        (0.50, nan, False, False),  # how sure one may be is not known
        (0.50, inf, False, False),
        (0.50, -0.1, False, False),
        (nan, 0.01, False, False),
    ],
)
def test_confidence_asks_for_proof_or_gives_the_benefit_of_the_doubt(
    ratio: float, error: float, sure: bool, doubt: bool
) -> None:
    metrics = {"ratio": ratio, "ratio_error": error}
    assert (evaluate([SURE], metrics).passed, evaluate([DOUBT], metrics).passed) == (sure, doubt)


def test_without_its_error_a_metric_is_not_sure() -> None:
    report = evaluate([SURE], {"ratio": 0.5})
    assert report.reasons == ("ratio cannot be held to its floor: too few rows to know its error",)
    live = {"ratio": 0.5}
    assert not evaluate([SURE], {"ratio": 0.5, "ratio_error": 0.0}, live).passed


@pytest.mark.parametrize(("loss", "passed"), [(0.015, True), (0.05, False), (0.10, False), (-0.3, True)])
def test_both_errors_count_against_the_live_version(loss: float, passed: bool) -> None:
    candidate, live = {"ratio": 0.7 + loss, "ratio_error": 0.03}, {"ratio": 0.7, "ratio_error": 0.04}
    report = evaluate([SURE], candidate, live)
    assert report.passed is passed
    (held,) = [c for c in report.comparisons if c.side == "live"]
    assert held.bound == pytest.approx(0.7 + loss + Z * 0.05) and held.limit == pytest.approx(0.8)


def test_a_bound_that_meets_its_floor_is_a_tie_and_passes() -> None:
    gate = Gate(metric="m", better="higher", floor=0.25, error="e", confidence=0.5)
    assert evaluate([gate], {"m": 0.25, "e": 9.0}).passed, "at even odds the bound is the value"
    assert not evaluate([gate], {"m": 0.2499, "e": 9.0}).passed


def test_no_segment_may_be_worse_than_its_bound_although_the_mean_improves() -> None:
    gates = [SURE, Gate(metric="ratio/*", better="lower", floor=1.1, error="ratio_error/*", confidence=0.05)]
    mean = {"ratio": 0.7, "ratio_error": 0.01}
    segments = {"ratio/us": 0.6, "ratio_error/us": 0.01, "ratio/de": 1.3, "ratio_error/de": 0.02}
    report = evaluate(gates, mean | segments, {"ratio": 0.9, "ratio_error": 0.01})
    assert [c.metric for c in report.comparisons if not c.passed] == ["ratio/de"]
    assert evaluate(gates, mean | segments | {"ratio_error/de": 0.2}).passed, "within what chance alone would give"
    assert not evaluate(gates, mean | segments | {"ratio_error/de": nan}).passed


def test_a_segment_that_is_new_passes_where_that_is_allowed() -> None:
    gate = Gate(metric="ratio/*", better="lower", floor=1.0, live_gain=0.0)
    new, live = {"ratio/us": 0.5, "ratio/new store": 0.6}, {"ratio/us": 0.5}
    assert not evaluate([gate], new, live).passed
    lenient = gate.model_copy(update={"new_passes": True})
    assert evaluate([lenient], new, live).passed
    assert not evaluate([lenient], new | {"ratio/new store": 1.1}, live).passed, "its floor holds for the new one too"
    assert not evaluate([lenient], new, {"ratio/us": 0.4}).passed


def test_an_error_belongs_to_one_metric_and_not_to_a_baseline() -> None:
    with pytest.raises(ValidationError, match="floor of 1"):
        Gate(metric="rmse", better="lower", baseline="naive", error="rmse_error")
    with pytest.raises(ValidationError, match="in the error only"):
        Gate(metric="rmse", better="lower", floor=1.0, error="error/*")


@given(NUMBERS, st.floats(0, 100), st.floats(0, 100))
def test_more_doubt_never_opens_a_gate_that_asks_for_proof(value: float, error: float, more: float) -> None:
    for better in ("lower", "higher"):
        gate = Gate(metric="m", better=better, floor=3.0, error="e", confidence=0.9)  # type: ignore[arg-type]
        if evaluate([gate], {"m": value, "e": error + more}).passed:
            assert evaluate([gate], {"m": value, "e": error}).passed
