"""The gate on age, in every direction."""

import math

import pytest

from retail_assets.features.policy import believe


@pytest.mark.parametrize(
    ("age", "passed", "reason"),
    [
        (0.0, True, ""),
        (99.9, True, ""),
        (100.0, True, ""),
        (100.1, False, "stale"),
        (None, False, "missing"),
        (-0.1, False, "not yet known"),
        (math.nan, False, "stale"),
        (math.inf, False, "stale"),
    ],
)
def test_only_a_value_no_older_than_its_time_to_live_is_believed(age: float | None, passed: bool, reason: str) -> None:
    verdict = believe(age, 100.0)
    assert (verdict.passed, verdict.reason, verdict.ttl_seconds) == (passed, reason, 100.0)


def test_an_unknown_time_to_live_is_never_believed() -> None:
    assert not believe(1.0, math.nan).passed
