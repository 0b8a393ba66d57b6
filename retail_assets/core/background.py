"""Threads that outlive their failures: one does a thing again and again, one does what others leave to it."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

logger = logging.getLogger(__name__)
Work = Callable[[], Sequence[Mapping[str, Any]]]

WAITING = 1000


class Every(threading.Thread):
    """Calls `what`, then again `seconds` after it returned, until stopped; logs and counts what it raises."""

    def __init__(self, seconds: float, what: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.failures = 0
        self._seconds = seconds
        self._what = what
        self._stop_requested = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    def once(self) -> None:
        """One call, as a future, so that any exception of it is a value here: logged and counted, never raised."""
        error = self._pool.submit(self._what).exception()
        if error is not None:
            self.failures += 1
            logger.error("%s failed and is tried again", self.name, exc_info=error)

    def run(self) -> None:
        """The loop."""
        while not self._stop_requested.is_set():
            self.once()
            self._stop_requested.wait(self._seconds)

    def stop(self) -> None:
        """Asks the loop to end and waits until it has."""
        self._stop_requested.set()
        if self.is_alive():
            self.join()
        self._pool.shutdown(wait=True)


class Beside(threading.Thread):
    """Does work after an answer has left, one piece at a time; drops what does not fit in its queue."""

    def __init__(
        self, record: Callable[[Sequence[Mapping[str, Any]]], None], name: str, waiting: int = WAITING
    ) -> None:
        """`record` takes the rows that a piece of work returns; at most `waiting` pieces wait."""
        super().__init__(name=name, daemon=True)
        self.rows = self.dropped = self.failures = 0
        self._record = record
        self._queue: queue.Queue[Work | None] = queue.Queue(waiting)
        self._begun = threading.Lock()

    def take(self, work: Work) -> None:
        """Queues `work` and returns at once; the thread starts with the first piece."""
        with self._begun:
            if not self.is_alive() and self.ident is None:
                self.start()
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self.dropped += 1

    def run(self) -> None:
        """The loop."""
        while (work := self._queue.get()) is not None:
            try:
                rows = work()
                self._record(rows)
                self.rows += len(rows)
            except Exception:  # whatever a candidate version raises: the one that answers must not notice
                self.failures += 1
                logger.exception("%s failed", self.name)

    def close(self) -> None:
        """Does what is waiting, then ends."""
        if self.is_alive():
            self._queue.put(None)
            self.join()
