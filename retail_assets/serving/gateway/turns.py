"""Whose turn it is: those who ask little do not wait for those who ask much.

Fair queueing (Demers, Keshav and Shenker, 1989, in the form of start-time fair queueing): each caller has a clock that
runs while this process works for it, and of those who wait the one is served whose clock shows least. Who has not
waited lately starts at the clock of the one served last, so that nobody saves turns up.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

KNOWN = 256
"""Callers whose clocks are kept; beyond them those are forgotten who do not wait and are owed nothing."""


@dataclass(slots=True)
class Party:
    """The requests of one caller."""

    clock: float
    begun: int = 0
    waiting: deque[Callable[[], bool]] = field(default_factory=deque)


class Turns:
    """Requests that wait, by caller. What waits is a function that starts it; it returns False where nobody is left."""

    def __init__(self) -> None:
        self.waiting = 0
        self._callers: dict[bytes, Party] = {}
        self._busy: dict[bytes, Party] = {}
        self._clock = 0.0

    def add(self, caller: bytes, start: Callable[[], bool]) -> Party:
        """Puts a request behind those of the same caller, which it returns."""
        known = self._callers.get(caller)
        if known is None:
            self._forget()
            known = self._callers[caller] = Party(self._clock)
        if not known.waiting:
            known.clock = max(known.clock, self._clock)
            self._busy[caller] = known
        known.waiting.append(start)
        self.waiting += 1
        return known

    def start(self) -> bool:
        """Starts the next one; returns whether there was any."""
        while self._busy:
            caller = min(self._busy, key=lambda one: self._busy[one].clock)
            found = self._busy[caller]
            self._clock = found.clock
            start = found.waiting.popleft()
            if not found.waiting:
                del self._busy[caller]
            self.waiting -= 1
            if start():
                return True
        return False

    def share(self, caller: bytes) -> tuple[int, int]:
        """How many requests of `caller` wait, and how many callers do, with this one."""
        mine = self._busy.get(caller)
        return (len(mine.waiting), len(self._busy)) if mine is not None else (0, len(self._busy) + 1)

    def callers(self) -> int:
        """How many callers wait."""
        return len(self._busy)

    def _forget(self) -> None:
        if len(self._callers) >= KNOWN:
            kept = {name: one for name, one in self._callers.items() if one.waiting or one.clock > self._clock}
            self._callers = kept
