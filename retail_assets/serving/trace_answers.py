"""Answers of GET /trace: the trace of a decision, made one at a time."""

import threading
from typing import Any

from retail_assets.core.errors import RetailError
from retail_assets.environments import Environment
from retail_assets.lineage.document import Trace
from retail_assets.lineage.page import page
from retail_assets.lineage.trace import trace_price

PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-store"}


class TooManyTraces(RetailError):
    """As many traces are waiting as may wait."""


class TraceDesk:
    """Traces one decision at a time, so that a trace never takes more than one core from the prices."""

    def __init__(self, environment: Environment, waiting: int) -> None:
        """At most `waiting` traces wait for the one that is made."""
        self._environment = environment
        self._one_at_a_time = threading.Lock()
        self._places = threading.Semaphore(waiting + 1)

    def trace(self, decision_id: str, replay: bool) -> dict[str, Any]:
        """The same document as `retail trace price --json`; blocks, for a thread of its own.

        Raises TraceError, and TooManyTraces at once when no more may wait.
        """
        return self._trace(decision_id, replay).model_dump(mode="json")

    def page(self, decision_id: str, replay: bool) -> str:
        """The same page as `retail trace price --html`; blocks and raises as `trace` does."""
        return page(self._trace(decision_id, replay))

    def _trace(self, decision_id: str, replay: bool) -> Trace:
        if not self._places.acquire(blocking=False):
            raise TooManyTraces("too many traces are waiting", todo="try again after Retry-After seconds")
        try:
            with self._one_at_a_time:
                return trace_price(self._environment, decision_id, replay=replay)
        finally:
            self._places.release()
