"""What a service shows Prometheus."""

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from retail_assets.serving.counts import LATENCY_BUCKETS_S, Counts, Siblings, together

FALLBACKS = ("stale", "missing", "unpublished", "busy")
SHED = ("busy", "full", "deadline", "rate")
Gauges = Callable[[], dict[str, tuple[str, float]]]


class ServiceMetrics(Collector):
    """Counts in plain integers on the event loop; turns them into Prometheus families only when scraped.

    prometheus_client's own counters cost a file-backed write each in BentoML's multi-process mode.
    """

    def __init__(
        self, product: str, gauges: Gauges, version: Callable[[], dict[str, str]], siblings: Siblings | None = None
    ) -> None:
        """`gauges` gives name -> (help, value) and `version` the labels of the live model, both read at each scrape.

        `siblings` are the other processes of the same service, if there are any.
        """
        self.counts = Counts()
        self._product = product
        self._gauges = gauges
        self._version = version
        self._siblings = siblings
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request; `route` must come from a fixed set."""
        self.counts.request(route, status, seconds)

    def decided(self, count: int = 1, version: str = "none", arm: str = "none") -> None:
        """Decisions made by a version, fallbacks included; `arm` is how it came to answer, or `fallback`."""
        self.counts.decisions[version, arm] += count

    def fallback(self, why: str, count: int = 1) -> None:
        """Answers that are not of now: what they need was `stale`, `missing`, `unpublished`, or the process `busy`."""
        self.counts.fallbacks[why] += count

    def shed(self, why: str) -> None:
        """A request that was refused although it was good: `busy`, `full`, `deadline` or `rate`."""
        self.counts.shed[why] += 1

    def publish(self) -> None:
        """Leaves the counts for the other processes of this service."""
        if self._siblings is not None:
            self._siblings.publish(self.counts, {name: value for name, (_, value) in self._gauges().items()})

    def text(self) -> str:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """The families, for prometheus_client."""
        others = list(self._siblings.read()) if self._siblings is not None else []
        counts = sum((theirs for theirs, _ in others), self.counts)
        yield self._counter("requests", "Requests by route and status", ["route", "status"], dict(counts.requests))
        errors = sum(n for (_, status), n in counts.requests.items() if status >= 500)
        yield self._counter("errors", "Answers that were the service's fault (status 5xx)", [], {(): errors})
        yield self._latency(counts)
        decisions = dict(counts.decisions) or {("none", "none"): 0}
        yield self._counter("decisions", "Decisions made, by version and arm", ["version", "arm"], decisions)
        fallbacks = {(why,): counts.fallbacks[why] for why in dict.fromkeys((*FALLBACKS, *counts.fallbacks))}
        yield self._counter("fallbacks", "Answers that are not of now, by why", ["why"], fallbacks)
        shed = {(why,): counts.shed[why] for why in SHED}
        yield self._counter("shed", "Good requests that were refused, by why", ["why"], shed)
        yield InfoMetricFamily(
            "retail_model", "The live model version", value={"product": self._product} | self._version()
        )
        for name, (text, value) in self._gauges().items():
            gauge = GaugeMetricFamily(f"retail_{name}", text, labels=["product"])
            values = [value, *(theirs[name] for _, theirs in others if name in theirs)]
            gauge.add_metric([self._product], together(name, values))
            yield gauge

    def _counter(self, name: str, text: str, labels: list[str], values: dict[tuple, int]) -> Metric:
        family = CounterMetricFamily(f"retail_{name}", text, labels=["product", *labels])
        for label_values, value in values.items():
            family.add_metric([self._product, *map(str, label_values)], value)
        return family

    def _latency(self, counts: Counts) -> Metric:
        latency = HistogramMetricFamily(
            "retail_request_seconds", "Time from request to complete answer", labels=["product"]
        )
        bounds = [*map(str, LATENCY_BUCKETS_S), "+Inf"]
        latency.add_metric([self._product], list(zip(bounds, accumulate(counts.buckets), strict=True)), counts.seconds)
        return latency
