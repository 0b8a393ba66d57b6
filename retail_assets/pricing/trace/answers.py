"""Answers of GET /trace: the trace of a decision, made one at a time."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retail_assets.core.errors import RetailError
from retail_assets.pricing.trace.document import Trace
from retail_assets.pricing.trace.page import page
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.resources.environments import Environment

PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-store"}


class TooManyTraces(RetailError):
    """As many traces are waiting as may wait, or as may of one caller."""


class TraceDesk:
    """Traces one decision at a time, so that a trace never takes more than one core from the prices."""

    def __init__(self, environment: Environment, waiting: int) -> None:
        """At most `waiting` traces wait for the one that is made."""
        self._environment = environment
        self._one_at_a_time = threading.Lock()
        self._places = threading.Semaphore(waiting + 1)
        self._most_of_one = (waiting + 2) // 2
        self._of_callers: Counter[str | None] = Counter()
        self._counting = threading.Lock()

    def trace(self, decision_id: str, replay: bool, caller: str | None = None) -> dict[str, Any]:
        """The same document as `retail trace price --json`; blocks, for a thread of its own.

        Raises TraceError, and TooManyTraces at once when no more may wait, or no more of this caller: one who is known
        has half of the places at most.
        """
        return self._trace(decision_id, replay, caller).model_dump(mode="json")

    def page(self, decision_id: str, replay: bool, caller: str | None = None) -> str:
        """The same page as `retail trace price --html`; blocks and raises as `trace` does."""
        return page(self._trace(decision_id, replay, caller))

    def _trace(self, decision_id: str, replay: bool, caller: str | None) -> Trace:
        with self._place_of(caller):
            if not self._places.acquire(blocking=False):
                raise _too_many()
            try:
                with self._one_at_a_time:
                    return trace_price(self._environment, decision_id, replay=replay)
            finally:
                self._places.release()

    @contextmanager
    def _place_of(self, caller: str | None) -> Iterator[None]:
        """One of the places that a caller may have at the same time."""
        with self._counting:
            if caller is not None and self._of_callers[caller] >= self._most_of_one:
                raise _too_many()
            self._of_callers[caller] += 1
        try:
            yield
        finally:
            with self._counting:
                self._of_callers[caller] -= 1
                if not self._of_callers[caller]:
                    del self._of_callers[caller]


def _too_many() -> TooManyTraces:
    return TooManyTraces("too many traces are waiting", todo="try again after Retry-After seconds")
