"""A caller never gets more than the burst and the rate allow, and always gets that much."""

from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core.token_bucket import TokenBucket

pauses = st.lists(st.floats(min_value=0, max_value=10), min_size=1, max_size=60)
rates = st.floats(min_value=0.1, max_value=100)
bursts = st.integers(min_value=1, max_value=20)


@given(pauses, rates, bursts)
def test_no_more_than_burst_plus_rate_passes_in_any_window(waits: list[float], rate: float, burst: int) -> None:
    bucket, now, passed = TokenBucket(rate, burst), 0.0, []
    for wait in waits:
        now += wait
        if bucket.take(now) == 0:
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + (passed[last] - passed[first]) * rate + 1e-6


@given(pauses, rates, bursts)
def test_a_refused_caller_passes_after_the_wait_it_was_told(waits: list[float], rate: float, burst: int) -> None:
    bucket, now = TokenBucket(rate, burst), 0.0
    for wait in waits:
        now += wait
        told = bucket.take(now)
        assert told >= 0
        if told > 0:
            now += told * (1 + 1e-9) + 1e-9
            assert bucket.take(now) == 0


def test_a_clock_that_goes_back_gains_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    assert bucket.take(100.0) == 0
    assert bucket.take(50.0) == 1.0
