"""When a process has more to do than it can: how long a request has waited for its turn, and what it gets then.

Decisions run on the event loop, one after the other. What waits is therefore in the loop's list of ready tasks, which
cannot be asked for its length; but all tasks of one turn were ready when the turn began, so the time since then is how
long this one waited. Those read next may have arrived as early as the turn before.
"""

from asyncio import get_running_loop
from collections.abc import Callable
from time import perf_counter


class Turns:
    """Measures the waiting of requests on one event loop, at the cost of two readings of the clock a turn."""

    def __init__(self, most_before_s: float, ahead: int, clock: Callable[[], float] = perf_counter) -> None:
        """At most `most_before_s` is counted of a turn before: what is ready now may still be answered.

        The first `ahead` requests of a turn have not waited, however long it takes: a few that are slow because
        other processes have the processor are no queue.
        """
        self._ahead = ahead
        self._number = 0
        self._most_before = most_before_s
        self._clock = clock
        self._began: float | None = None
        self._before_s = 0.0
        self._ended = 0.0
        self._length = 0.0

    def waited(self, now: float) -> float:
        """Seconds that the request which starts at `now` has waited, at most."""
        if self._began is None:
            self._began = now
            idle = now - self._ended
            self._before_s = min(max(self._length - idle, 0.0), self._most_before)
            get_running_loop().call_soon(self.end)
            self._number = 0
        self._number += 1
        if self._number <= self._ahead:
            return 0.0
        return self._before_s + now - self._began

    def end(self) -> None:
        """Ends a turn: every task that was ready when it began has run."""
        if self._began is not None:
            self._ended = self._clock()
            self._length = self._ended - self._began
            self._began = None
