"""What a service counts for Prometheus, beside what BentoML counts itself."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
Gauges = Callable[[], dict[str, tuple[str, float]]]


class ServiceMetrics(Collector):
    """Counts in plain integers on the event loop; turns them into Prometheus families only when scraped.

    prometheus_client's own counters cost a file-backed write each in BentoML's multi-process mode.
    """

    def __init__(self, product: str, gauges: Gauges, version: Callable[[], dict[str, str]]) -> None:
        """`gauges` gives name -> (help, value) and `version` the labels of the live model, both read at each scrape."""
        self._product = product
        self._gauges = gauges
        self._version = version
        self._requests: Counter[tuple[str, int]] = Counter()
        self._fallbacks: Counter[str] = Counter()
        self._decisions = 0
        self._buckets = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._seconds = 0.0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request; `route` must come from a fixed set."""
        self._requests[route, status] += 1
        self._buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._seconds += seconds

    def decided(self, count: int = 1) -> None:
        """Decisions made, fallbacks included."""
        self._decisions += count

    def fallback(self, why: str, count: int = 1) -> None:
        """Answers taken from the last batch because the features were `stale` or `missing`."""
        self._fallbacks[why] += count

    def text(self) -> str:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """The families, for prometheus_client."""
        labels = {"product": self._product}
        requests = CounterMetricFamily(
            "retail_requests", "Requests by route and status", labels=["product", "route", "status"]
        )
        for (route, status), count in self._requests.items():
            requests.add_metric([self._product, route, str(status)], count)
        yield requests
        yield self._errors()
        yield self._latency()
        decisions = CounterMetricFamily("retail_decisions", "Decisions made", labels=list(labels))
        decisions.add_metric(list(labels.values()), self._decisions)
        yield decisions
        fallbacks = CounterMetricFamily(
            "retail_fallbacks", "Answers taken from the last batch, by why", labels=["product", "why"]
        )
        for why in ("stale", "missing"):
            fallbacks.add_metric([self._product, why], self._fallbacks[why])
        yield fallbacks
        yield InfoMetricFamily("retail_model", "The live model version", value=labels | self._version())
        for name, (text, value) in self._gauges().items():
            gauge = GaugeMetricFamily(f"retail_{name}", text, labels=list(labels))
            gauge.add_metric(list(labels.values()), value)
            yield gauge

    def _errors(self) -> Metric:
        errors = CounterMetricFamily(
            "retail_errors", "Answers that were the service's fault (status 5xx)", labels=["product"]
        )
        errors.add_metric([self._product], sum(n for (_, status), n in self._requests.items() if status >= 500))
        return errors

    def _latency(self) -> Metric:
        latency = HistogramMetricFamily(
            "retail_request_seconds", "Time from request to complete answer", labels=["product"]
        )
        bounds = [*map(str, LATENCY_BUCKETS_S), "+Inf"]
        latency.add_metric([self._product], list(zip(bounds, accumulate(self._buckets), strict=True)), self._seconds)
        return latency
