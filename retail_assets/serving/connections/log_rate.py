"""Log lines that say the same again and again: a few at once, then one a second with the number of those left out.

What happens outside decides how often a service fails at something: garbage on every connection, a lake that is away.
None of it may fill the disk.
"""

import copy
import logging
import threading
from dataclasses import dataclass, field
from time import monotonic

from retail_assets.core.token_bucket import TokenBucket

PER_S, AT_ONCE = 1.0, 5.0
UNLIMITED = frozenset({"retail_assets.requests"})
"""Loggers that have a limit of their own (see front.py)."""

_Origin = tuple[str, int, str, int]


@dataclass(slots=True)
class _Lines:
    """Those of one place in the code: its bucket, and what was left out since the last."""

    bucket: TokenBucket = field(default_factory=lambda: TokenBucket(PER_S, AT_ONCE))
    left_out: int = 0
    newest: logging.LogRecord | None = None


class Sparing(logging.Handler):
    """Hands records on to `inner`; those of one logger, level and line of code at most so often."""

    def __init__(self, inner: logging.Handler) -> None:
        super().__init__()
        self.inner = inner
        self._origins: dict[_Origin, _Lines] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging, which holds the lock."""
        if record.name in UNLIMITED:
            self.inner.handle(record)
            return
        origin = record.name, record.levelno, record.pathname, record.lineno
        lines = self._origins.setdefault(origin, _Lines())
        if lines.bucket.take(monotonic()) == 0:
            self._hand_on(lines, record)
            return
        lines.left_out, lines.newest = lines.left_out + 1, record
        if self._timer is None:
            self._timer = threading.Timer(1 / PER_S, self._later)
            self._timer.daemon = True
            self._timer.start()

    def _hand_on(self, lines: _Lines, record: logging.LogRecord) -> None:
        if lines.left_out:
            record = copy.copy(record)
            record.msg, record.args = f"{record.getMessage()} ({lines.left_out:,} more like it)", ()
            record.__dict__["left_out"] = lines.left_out
            lines.left_out, lines.newest = 0, None
        self.inner.handle(record)

    def _later(self) -> None:
        """Says what was left out when nothing more comes that would."""
        with self.lock or threading.RLock():
            self._timer = None
            self._say()

    def _say(self) -> None:
        for lines in self._origins.values():
            if lines.newest is not None:
                lines.bucket.take(monotonic())
                lines.left_out -= 1  # the newest is the one that is said
                self._hand_on(lines, lines.newest)
                lines.newest = None

    def flush(self) -> None:
        """Called at the end of the process."""
        self.inner.flush()

    def close(self) -> None:
        """Says what was left out, and ends."""
        with self.lock or threading.RLock():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._say()
        super().close()


def spare(*loggers: str) -> None:
    """Makes what the handlers of these loggers write sparing."""
    for name in loggers:
        logger = logging.getLogger(name)
        logger.handlers = [one if isinstance(one, Sparing) else Sparing(one) for one in logger.handlers]
