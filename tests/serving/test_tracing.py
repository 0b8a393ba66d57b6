"""Spans reach a collector over OTLP with the decision id; without a collector there are none."""

import asyncio

import pytest

from retail_assets.serving.tracing import ENDPOINTS, Spans, TracingError
from tests.serving.collector import attributes, collector

CALLER = "0af7651916cd43dd8448eb211c80319c"
SCOPE = {
    "type": "http", "method": "POST", "path": "/price",
    "headers": [(b"traceparent", f"00-{CALLER}-b7ad6b7169203331-01".encode())],
}  # fmt: skip


def test_a_span_carries_the_decision_and_continues_the_callers_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with collector() as (address, received):
        monkeypatch.setenv(ENDPOINTS[1], address)
        monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
        spans = Spans.configured("pricing", {ENDPOINTS[1]: address})
        assert spans is not None

        async def answered() -> None:
            with spans.request(SCOPE, "/price") as span:
                answer = {"decision_id": "d-1", "model_version": "v1", "fallback": False, "price": "4.79"}
                spans.answered(span, 200, answer)
            with spans.request(SCOPE, "/price") as span:
                spans.answered(span, 503, None)

        asyncio.run(answered())
        spans.close()
    (resource, good), (_, bad) = received
    assert attributes(resource)["service.name"] == "pricing"
    assert (good.name, good.trace_id.hex()) == ("POST /price", CALLER)
    said = attributes(good)
    assert (said["retail.decision_id"], said["retail.model_version"]) == ("d-1", "v1")
    assert (said["http.response.status_code"], said["retail.fallback"]) == (200, False)
    assert "retail.price" not in said
    assert (good.status.code, bad.status.code) == (0, 2)


@pytest.mark.parametrize(
    "environment", [{}, {ENDPOINTS[0]: ""}, {ENDPOINTS[1]: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}]
)
def test_without_a_collector_there_are_no_spans(environment: dict[str, str]) -> None:
    assert Spans.configured("pricing", environment) is None


def test_a_collector_without_an_exporter_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracingError, match="no exporter is installed"):
        Spans.configured("pricing", {ENDPOINTS[0]: "http://127.0.0.1:4318"})
