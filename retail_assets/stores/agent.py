"""What runs in a store beside its services: follows the centre while there is a line, and says how it is doing."""

import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import orjson

from retail_assets.core.background import Every
from retail_assets.core.errors import RetailError
from retail_assets.resources.environments import Environment
from retail_assets.stores.bundle import Bundle
from retail_assets.stores.copy import StoreCopy, Superseded
from retail_assets.stores.link import WAIT_S, LineDown, Link
from retail_assets.stores.status import ServiceStatus, StoreStatus

logger = logging.getLogger(__name__)

AGAIN_AFTER_S = 1.0
TELL_EVERY_S = 10.0
LOOK_THROUGH_EVERY_S = 3600.0
LOOK_SOONER_S = 60.0  # where a service says that something is wrong
LOCAL_WITHIN_S = 2.0


class StoreAgent:
    """Keeps the copy of one store up to date, in threads of its own; nothing it meets stops it."""

    def __init__(
        self,
        environment: Environment,
        target: str,
        services: Mapping[str, str],
        most_bytes_per_s: float | None = None,
        say: Callable[[str], None] = logger.info,
    ) -> None:
        """`services` maps each product of this store to the URL of its service on this machine."""
        self.target = target
        self.failures = 0
        self.last_failure: str | None = None
        self.taken_at: datetime | None = None
        self._started_at = datetime.now(UTC)
        self._following, self._telling = Link.of(environment, target), Link.of(environment, target)
        self.copy = StoreCopy(environment, self._following, most_bytes_per_s)
        self._services = dict(services)
        self._looked_at: float | None = None
        self._doubtful = False
        self._say = say
        self._line_is_up: bool | None = None
        self._stopped = threading.Event()
        self._follower = threading.Thread(target=self._run, name=f"follow-{target}", daemon=True)
        self._teller = Every(TELL_EVERY_S, self._tell, f"tell-{target}")

    def first_copy(self) -> None:
        """Waits until there is something to answer from: at once where an earlier run has left a copy."""
        self._look_through()
        if self.copy.broken:  # mended before anything answers from it, if the line is up
            self._try_to_follow()
        while self.copy.etag is None and not self._stopped.is_set():
            self._try_to_follow()

    def start(self) -> None:
        """Begins to follow the centre and to tell it."""
        self._follower.start()
        self._teller.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._try_to_follow()

    def _try_to_follow(self) -> None:
        try:
            self._follow()
        except Exception:  # what serves goes on whatever is wrong with the copy, and the next look tries again
            self.failures += 1
            logger.exception("%s could not follow its centre", self.target)
            self._stopped.wait(AGAIN_AFTER_S)

    def _follow(self) -> None:
        """One question to the centre, held open until there is news; a pause where the line is down."""
        self._look_through()
        try:
            bundle = self._following.bundle(self.copy.tag, wait_s=WAIT_S)
            self._heard()
            while bundle is not None:
                bundle = self._take(bundle)
            if self.copy.tag is None:  # the next question would be answered at once, and so without end
                self._stopped.wait(AGAIN_AFTER_S)
        except (RetailError, OSError) as error:
            self._failed(error)
            self._stopped.wait(AGAIN_AFTER_S)

    def _take(self, bundle: Bundle) -> Bundle | None:
        try:
            self.copy.take(bundle)
        except Superseded as superseded:
            return superseded.bundle
        self.taken_at = datetime.now(UTC)
        self.last_failure = None
        self._say(f"{self.target} holds {bundle.etag[:12]}")
        return None

    def _look_through(self) -> None:
        """Now and then, and soon after a service refused something: are the files of the copy what they were?"""
        due = LOOK_SOONER_S if self._doubtful else LOOK_THROUGH_EVERY_S
        now = time.monotonic()
        if self._looked_at is None or now - self._looked_at >= due:
            self._looked_at, self._doubtful = now, False
            for broken in self.copy.look_through():
                self._say(f"{self.target}: {broken} is broken on this disk and is fetched anew")

    def _heard(self) -> None:
        if self._line_is_up is not True:
            self._say(f"{self.target}: the line to the centre is up")
        self._line_is_up = True

    def _failed(self, error: Exception) -> None:
        """Says once that the line is down, and every other failure each time it is new."""
        self.failures += 1
        what = error.what if isinstance(error, RetailError) else f"{type(error).__name__}: {error}"
        if isinstance(error, LineDown):
            if self._line_is_up is not False or what != self.last_failure:
                goes_on = "it answers from its copy" if self.copy.etag else "it waits for its first copy"
                self._say(f"{self.target}: {what}; {goes_on}")
            self._line_is_up = False
        elif what != self.last_failure:
            logger.error("%s: %s", self.target, error)
        self.last_failure = what

    def _tell(self) -> None:
        try:
            self._telling.tell(self.status())
        except LineDown:
            return  # the thread that follows says so

    def status(self) -> StoreStatus:
        """The word of this store now."""
        services = {product: service_status(url) for product, url in self._services.items()}
        self._doubtful = any(one.refused or (one.up and not one.ready) for one in services.values())
        return StoreStatus(
            target=self.target,
            started_at=self._started_at,
            etag=None if self.copy.broken else self.copy.etag,
            broken=self.copy.broken,
            taken_at=self.taken_at,
            fetching=self.copy.fetching,
            fetched_bytes=self.copy.fetched_bytes,
            resumed_bytes=self.copy.resumed_bytes,
            failures=self.failures,
            last_failure=self.last_failure,
            services=services,
        )

    def close(self) -> None:
        """Ends the threads, without waiting for a question that the centre holds open."""
        self._stopped.set()
        self._teller.stop()
        self._telling.close()


def service_status(url: str) -> ServiceStatus:
    """What a service on this machine says of itself; not `up` where it does not answer."""
    version = _get(f"{url}/version")
    metrics = _get(f"{url}/metrics")
    if version is None or metrics is None:
        return ServiceStatus()
    said: dict[str, Any] = orjson.loads(version)
    samples = _samples(metrics.decode())
    refused = said.get("refused")
    waiting = samples.get("retail_decision_log_backlog_rows", [({}, 0.0)])[0][1]
    return ServiceStatus(
        up=True,
        ready=said["version"] is not None,
        version=said["version"],
        action=said["action"],
        released_at=said["released_at"],
        refused=f"{refused['version']}: {refused['reason']}" if refused else None,
        requests=int(sum(value for _, value in samples.get("retail_requests_total", []))),
        errors=int(sum(value for _, value in samples.get("retail_errors_total", []))),
        fallbacks=int(sum(value for _, value in samples.get("retail_fallbacks_total", []))),
        p50_ms=percentile_ms(samples, 0.5),
        p99_ms=percentile_ms(samples, 0.99),
        waiting_decisions=int(waiting),
        refused_segments=int(samples.get("retail_decision_log_refused_segments", [({}, 0.0)])[0][1]),
    )


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=LOCAL_WITHIN_S) as response:
            body: bytes = response.read()
            return body
    except (urllib.error.URLError, OSError):
        return None


def _samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def percentile_ms(samples: Mapping[str, list[tuple[dict[str, str], float]]], share: float) -> float | None:
    """From the cumulative buckets, linear inside one, as Prometheus' histogram_quantile; None before any answer."""
    buckets = sorted((float(labels["le"]), value) for labels, value in samples.get("retail_request_seconds_bucket", []))
    total = buckets[-1][1] if buckets else 0.0
    if not total:
        return None
    for (low, below), (high, within) in pairwise([(0.0, 0.0), *buckets]):
        if within >= share * total:
            inside = 0.0 if high == float("inf") else (high - low) * (share * total - below) / (within - below)
            return 1000 * (low + inside)
    return None
