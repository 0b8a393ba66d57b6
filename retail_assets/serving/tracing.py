"""OpenTelemetry spans that carry the decision id. Off unless a collector is named: spans nobody receives cost a third
of a request.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from retail_assets.core.errors import RetailError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
CARRIED = ("decision_id", "model_version", "store_id", "sku", "fallback", "fallback_reason")


class TracingError(RetailError):
    """A collector is named, but what sends spans is not installed."""


class Spans:
    """One span per request, continuing the caller's trace (W3C traceparent), sent in the background."""

    def __init__(self, product: str, provider: "TracerProvider") -> None:
        self._product = product
        self._provider = provider
        self._tracer = provider.get_tracer("retail_assets")

    @classmethod
    def configured(cls, product: str, environment: Mapping[str, str]) -> "Spans | None":
        """What OpenTelemetry's own variables ask for: None unless an OTLP endpoint is named and the SDK is enabled.

        Sampling, headers and resource follow OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES.
        """
        if not any(environment.get(name) for name in ENDPOINTS) or environment.get("OTEL_SDK_DISABLED") == "true":
            return None
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ModuleNotFoundError as error:
            raise TracingError(
                f"{next(name for name in ENDPOINTS if environment.get(name))} is set, but no exporter is installed",
                todo="pip install 'retail-assets[tracing]'",
            ) from error
        provider = TracerProvider(resource=Resource.create({"service.name": product, "service.namespace": "retail"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(product, provider)

    @contextmanager
    def request(self, scope: Scope, route: str) -> Iterator["Span"]:
        """The span of one request, current while it is answered; an exception marks it as failed."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": scope["method"], "http.route": route, "retail.product": self._product}
        with self._tracer.start_as_current_span(
            f"{scope['method']} {route}", extract(carrier), SpanKind.SERVER, attributes
        ) as span:
            yield span

    def answered(self, span: "Span", status: int, answer: Mapping[str, Any] | None) -> None:
        """Adds the status and, of a decision, its id, version and whether it is a fallback."""
        from opentelemetry.trace import StatusCode

        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        for name in CARRIED:
            if answer is not None and (value := answer.get(name)) is not None:
                span.set_attribute(f"retail.{name}", value)

    def close(self) -> None:
        """Sends what is waiting."""
        self._provider.shutdown()
