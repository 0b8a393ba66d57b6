"""Services that ask for keys, over real HTTP: every route of the OpenAPI document, scopes, rates, sizes, types."""

import json
import os
import pickle
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.resources.lake import Lake
from retail_assets.serving import docs_page
from retail_assets.serving.config import Rate, ServingConfig
from retail_assets.serving.gateway.keys import KeyStore
from retail_assets.serving.processes.openapi import DOCUMENT, application, combined
from retail_assets.serving.processes.processes import service_spec
from retail_assets.serving.processes.products import products
from tests.services.harness import Served, eventually, free_port, serving
from tests.services.wire_client import WireClient
from tests.serving.collector import attributes, collector

CONFIG = ServingConfig.load_file()
HIDDEN = (
    "/",
    "/docs",
    "/docs.json",
    "/redoc",
    "/docs/swagger-ui-bundle.js",
    "/openapi.json",
    "/schema.json",
    "/static_content/x",
    "/price/",
    "/no-such",
)
"""Paths outside of the document: what BentoML and FastAPI bring, and what does not exist."""
OPERATIONS = [
    (product, path, method.upper())
    for product in list(products())
    for path, operations in application(product).openapi()["paths"].items()
    for method in operations
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyStore:
    """The keys of the guarded services."""
    store = KeyStore(tmp_path_factory.mktemp("keys") / "keys.json")
    store.add("first", frozenset({"price"}), CONFIG)
    return store


@pytest.fixture(scope="module")
def otlp() -> Iterator[tuple[str, list[Any]]]:
    """A collector of spans: its address and what it was sent; no address where the exporter is not installed."""
    if find_spec("opentelemetry.exporter") is None:
        yield "", []
        return
    with collector() as found:
        yield found


@pytest.fixture(scope="module")
def guarded(served_home: Home, keys: KeyStore, otlp: tuple[str, list[Any]]) -> Iterator[dict[str, Served]]:
    """Both services, asking for keys and sending spans."""
    traced = {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": otlp[0], "OTEL_BSP_SCHEDULE_DELAY": "200"}
    environment = {"RETAIL_KEYS": str(keys.path), "RETAIL_LOG_REQUESTS": "all"} | (traced if otlp[0] else {})
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        started = {p: pool.submit(stack.enter_context, serving(p, served_home, environment)) for p in list(products())}
        yield {product: future.result() for product, future in started.items()}


@pytest.fixture(scope="module")
def question(served_home: Home) -> dict[str, str]:
    """A store-SKU that has a price."""
    found: dict[str, str] = InputBook.read(Lake.at(served_home.lake)).rows.select(["store_id", "sku"]).to_pylist()[0]
    return found


def header(keys: KeyStore, *scopes: str, rate: Rate | None = None) -> dict[str, str]:
    """The header of a new key for `scopes`."""
    _, secret = keys.add("test", frozenset(scopes), CONFIG, rate=rate)
    return {"Authorization": f"Bearer {secret}"}


def known(served: Served, headers: dict[str, str]) -> bool:
    """Whether the service has learnt a key that was made a moment ago."""
    return served.client.get("/version", headers=headers).status_code == 200


@pytest.fixture(scope="module")
def wrong(keys: KeyStore) -> dict[str, str]:
    """A key for everything, changed in its last character."""
    good = header(keys, *CONFIG.scopes)["Authorization"]
    return {"Authorization": good[:-1] + ("A" if good[-1] != "A" else "B")}


@pytest.mark.parametrize(("product", "path", "method"), OPERATIONS)
def test_every_route_answers_401_without_a_key(
    guarded: dict[str, Served], wrong: dict[str, str], product: str, path: str, method: str
) -> None:
    asked = path.replace("{decision_id}", "01a1b874-6c00-7cac-a220-ee2fa5f10fea")
    for headers in ({}, wrong, {"Authorization": "Bearer"}, {"Authorization": "Basic eDp5"}):
        response = guarded[product].client.request(method, asked, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert set(response.json()) == {"detail", "todo"}


@pytest.mark.parametrize("path", HIDDEN)
@pytest.mark.parametrize("product", list(products()))
def test_what_is_not_in_the_document_answers_401_too(guarded: dict[str, Served], product: str, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS", "HEAD"):
        assert guarded[product].client.request(method, path).status_code == 401


@pytest.mark.parametrize("product", list(products()))
def test_an_offer_to_speak_otherwise_opens_nothing(guarded: dict[str, Served], product: str) -> None:
    offered = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    with WireClient(guarded[product].spec.port or 0) as client:
        client.send(b"GET /version HTTP/1.1\r\nHost: localhost\r\n" + offered + b"\r\n")
        assert client.answer().status == 401


def test_the_probes_are_open(guarded: dict[str, Served]) -> None:
    for served in guarded.values():
        assert served.client.get("/livez").status_code == 200
        assert served.client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("product", "path", "method"), OPERATIONS)
def test_a_key_of_another_scope_is_403(
    guarded: dict[str, Served], keys: KeyStore, product: str, path: str, method: str
) -> None:
    operation = application(product).openapi()["paths"][path][method.lower()]
    needed = {scope for choice in operation["security"] for scope in choice["key"]}
    others = header(keys, *(CONFIG.scopes.keys() - needed))
    assert eventually(lambda: known(guarded[product], others), within=20)
    asked = path.replace("{decision_id}", "01a1b874-6c00-7cac-a220-ee2fa5f10fea")
    response = guarded[product].client.request(method, asked, headers=others)
    assert response.status_code == (403 if needed else 200)
    if needed:
        assert f"lacks the scope {needed.pop()!r}" in response.json()["detail"]


def test_the_right_key_is_answered_until_it_is_revoked(
    guarded: dict[str, Served], keys: KeyStore, question: dict[str, str]
) -> None:
    made, secret = keys.add("checkout", frozenset({"price", "metrics"}), CONFIG)
    right, served = {"Authorization": f"bearer {secret}"}, guarded["pricing"]
    assert eventually(lambda: known(served, right), within=20)
    assert served.client.post("/price", json=question, headers=right).status_code == 200
    assert "retail_requests_total" in served.client.get("/metrics", headers=right).text
    keys.revoke(made.id)
    assert eventually(lambda: served.client.post("/price", json=question, headers=right).status_code == 401, within=20)


def test_a_decision_is_found_in_the_trace_and_in_the_log(
    guarded: dict[str, Served], keys: KeyStore, question: dict[str, str], otlp: tuple[str, list[Any]]
) -> None:
    if not otlp[0]:
        pytest.skip("needs the exporter: pip install 'retail-assets[tracing]'")
    served, right = guarded["pricing"], header(keys, "price")
    assert eventually(lambda: known(served, right), within=20)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = served.client.post(
        "/price", json=question, headers=right | {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    ).json()

    def span() -> Any:
        return next((s for _, s in otlp[1] if attributes(s).get("retail.decision_id") == answer["decision_id"]), None)

    assert eventually(lambda: span() is not None, within=30)
    assert (span().trace_id.hex(), span().name) == (trace_id, "POST /price")
    assert attributes(span())["retail.model_version"] == answer["model_version"]
    line = next(line for line in served.log().splitlines() if answer["decision_id"] in line)
    said = json.loads(line)
    assert (said["route"], said["status"], said["version"]) == ("/price", 200, answer["model_version"])
    assert not [s for _, s in otlp[1] if "key" in str(attributes(s)).lower()], "no key is told to the collector"


def test_a_key_that_asks_too_often_is_429_and_is_told_when(
    guarded: dict[str, Served], keys: KeyStore, question: dict[str, str]
) -> None:
    served, slow = guarded["pricing"], header(keys, "price", rate=Rate(per_second=0.001, burst=3))
    quick = header(keys, "price", "metrics")
    assert eventually(lambda: known(served, quick), within=20)
    asked = [served.client.post("/price", json=question, headers=slow) for _ in range(5)]
    assert [response.status_code for response in asked] == [200, 200, 200, 429, 429]
    assert 900 < int(asked[-1].headers["retry-after"]) <= 1000
    assert served.client.post("/price", json=question, headers=quick).status_code == 200, "others are not held back"
    metrics = served.client.get("/metrics", headers=quick).text
    assert 'retail_shed_total{product="pricing",why="rate"} 2.0' in metrics


class TestWithoutKeys:
    """Limits that hold on loopback as well."""

    def chunks(self, size: int) -> Iterator[bytes]:
        """A body whose length is not stated."""
        for _ in range(size // 1000):
            yield b" " * 1000

    def test_the_front_page_lists_the_routes(self, pricing: Served) -> None:
        page = pricing.client.get("/").json()
        assert page["routes"]["POST /price"] == "Decide one price"
        assert pricing.client.get(page["contract"]).status_code == pricing.client.get(page["page"]).status_code == 200
        for name, kind in docs_page.FILES.items():
            found = pricing.client.get(f"{docs_page.PAGE}/{name}")
            assert (
                found.status_code == 200 and found.headers["content-type"].startswith(kind) and len(found.content) > 1e5
            )

    @pytest.mark.parametrize("path", ["/docs.json", "/schema.json", "/static_content/index.css", "/price/", "/no-such"])
    def test_a_route_that_does_not_exist_is_404_and_says_where_to_look(self, pricing: Served, path: str) -> None:
        for method in ("GET", "POST"):
            response = pricing.client.request(method, path)
            assert (response.status_code, response.json()["todo"]) == (404, "GET / lists its routes")

    @pytest.mark.parametrize(("method", "path"), [("POST", "/price"), ("POST", "/prices"), ("GET", "/version")])
    def test_a_body_that_is_too_large_is_413(self, pricing: Served, method: str, path: str) -> None:
        asked, json_type = pricing.client.request, {"content-type": "application/json"}
        stated = asked(method, path, content=b" " * (CONFIG.load.body_bytes + 1), headers=json_type)
        assert stated.status_code == 413
        assert "65,536 bytes" in stated.json()["detail"]
        unstated = asked(method, path, content=self.chunks(CONFIG.load.body_bytes * 4), headers=json_type)
        assert unstated.status_code == 413

    def test_a_body_without_a_stated_length_is_read(self, pricing: Served, question: dict[str, str]) -> None:
        body = json.dumps(question).encode()
        response = pricing.client.post(
            "/price",
            content=(body[i : i + 7] for i in range(0, len(body), 7)),
            headers={"content-type": "application/json"},
        )
        assert response.status_code == 200

    def test_the_largest_batch_fits(self, pricing: Served) -> None:
        item = {"store_id": "x" * 64, "sku": "y" * 64}
        assert pricing.client.post("/prices", json={"items": [item] * 200}).status_code == 200

    @pytest.mark.parametrize(
        "kind",
        ["application/vnd.bentoml+pickle", "application/python-pickle", "application/octet-stream", "text/plain",
         "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""],
    )  # fmt: skip
    def test_no_pickle_is_read_whatever_it_calls_itself(self, pricing: Served, tmp_path: Path, kind: str) -> None:
        touched = tmp_path / "touched"

        class Touch:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (touched,)

        for path in ("/price", "/prices", "/trace/x", "/"):
            response = pricing.client.post(path, content=pickle.dumps(Touch()), headers={"content-type": kind})
            takes_bodies = path.startswith("/price")
            assert response.status_code == (415 if takes_bodies else 405)
            assert ("application/json" if takes_bodies else "GET") in response.json()["todo"]
        said_json = pricing.client.post(
            "/price", content=pickle.dumps(Touch()), headers={"content-type": "application/json"}
        )
        assert said_json.status_code == 422
        assert not touched.exists()


def test_a_service_does_not_start_beyond_loopback_without_keys(served_home: Home, tmp_path: Path) -> None:
    spec = service_spec("pricing", served_home, free_port(), PROJECT_ROOT)
    command = [part if part != "127.0.0.1" else "0.0.0.0" for part in spec.command]
    environment = os.environ | dict(spec.env) | {"RETAIL_ENV": "test", "RETAIL_KEYS": str(tmp_path / "none.json")}
    done = subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "would answer on 0.0.0.0 without asking for keys" in done.stderr
    assert "retail keys add" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_document_in_docs_is_that_of_the_services() -> None:
    assert json.loads(DOCUMENT.read_text()) == json.loads(json.dumps(combined())), "run `retail openapi`"


def test_the_command_writes_the_document_wherever_it_is_run(
    home: Home,
    tmp_path: Path,
    retail: Callable[..., "subprocess.CompletedProcess[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    retail(home.root, "openapi", "--out", str(tmp_path / "api.json"))
    assert (tmp_path / "api.json").read_bytes() == DOCUMENT.read_bytes()


def test_the_document_names_every_route_of_every_product() -> None:
    document = combined()
    assert {path for _, path, _ in OPERATIONS} | {"/livez", "/readyz"} == set(document["paths"])
    owners = {path: [s["description"] for s in item["servers"]] for path, item in document["paths"].items()}
    assert (owners["/price"], owners["/version"]) == (["pricing"], ["forecasting", "pricing"])


def test_httpx_sends_what_this_file_believes_it_sends(pricing: Served) -> None:
    """An empty content type is sent as such, and a generator without a length."""
    request = httpx.Request("POST", pricing.spec.url or "", content=iter([b"x"]), headers={"content-type": ""})
    assert "content-length" not in request.headers and request.headers["content-type"] == ""
