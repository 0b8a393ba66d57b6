"""A thread that does one thing again and again and outlives its failures."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger(__name__)


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
