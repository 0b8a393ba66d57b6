"""The HTTP face that all products share: errors as clear JSON, /version, /metrics, and how BentoML runs it."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from retail_assets.core.errors import RetailError
from retail_assets.decisions.rows import DecisionLogError
from retail_assets.resources import duck
from retail_assets.resources.environments import current, keys_file, workers
from retail_assets.serving import logs
from retail_assets.serving.catalogue import UnknownKey
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.connections.json_body import StrictRoute
from retail_assets.serving.docs_page import add_docs_page
from retail_assets.serving.gateway import intake
from retail_assets.serving.gateway.bind_guard import listening_hosts, require_keys, stated_host
from retail_assets.serving.gateway.gateway import LATE, Guard
from retail_assets.serving.gateway.keys import KeyRing
from retail_assets.serving.gateway.routes import Direct, needs
from retail_assets.serving.live import NothingLive
from retail_assets.serving.processes.bentos import REQUIREMENTS
from retail_assets.serving.processes.products import product
from retail_assets.serving.runtime import Runtime
from retail_assets.serving.tracing import Spans

LOG_REQUESTS = "RETAIL_LOG_REQUESTS"
Decide = Callable[[Any, Any, bool], dict[str, Any]]


class NoAnswer(RetailError):
    """Features are stale or missing and there is no batch answer to fall back to."""


UNAVAILABLE = (NothingLive, NoAnswer, DecisionLogError)
RETRY_AFTER_S = "5"
ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "Unknown store or SKU; `unknown` names it"},
    422: {
        "description": "The request breaks the schema, or its body is no JSON that is read here: not UTF-8, a key "
        "twice, nested too deeply, a number of too many digits, NaN or Infinity; `detail[].loc` names field or byte"
    },
    503: {
        "description": "No model is live, features are missing without fallback, decisions cannot be logged, or there "
        "is more to do than this process can; `Retry-After` says when to try again"
    },
}
REFUSALS: dict[str, dict[str, str]] = {
    "400": {"description": "This is no HTTP/1.1 request; `detail` says why, and the connection ends"},
    "401": {"description": "No API key, or one that is unknown, expired or revoked"},
    "403": {"description": "The key lacks the scope of this route"},
    "405": {"description": "The route has no such method; `Allow` names those it has"},
    "408": {"description": "The rest of the request did not come"},
    "413": {"description": "The body is too large"},
    "415": {"description": "The body is not declared as JSON, or is compressed (`Content-Encoding`)"},
    "421": {"description": "The header Host names none of the hosts that this service answers to"},
    "429": {
        "description": "More requests than the key may make, or too many wrong keys from this address; `Retry-After` "
        "says when to try again"
    },
    "431": {"description": "The headers are longer than 64 KiB; an address longer than 16 KiB is 414"},
}


def create_app(product: str, description: str) -> FastAPI:
    """An application with /version, /metrics and the shared error answers; `attach` gives it its runtime."""
    intake.install()
    app = FastAPI(title=f"retail-assets {product}", description=description, docs_url=None, redoc_url=None)
    add_docs_page(app)
    app.router.route_class = StrictRoute
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnknownKey, _unknown)
    for kind in UNAVAILABLE:
        app.add_exception_handler(kind, _unavailable)

    @app.get("/", include_in_schema=False)
    async def routes() -> dict[str, Any]:
        """In place of BentoML's page, which loads a tracker."""
        operations = [
            (m.upper(), p, o["summary"]) for p, item in app.openapi()["paths"].items() for m, o in item.items()
        ]
        return {"product": product, "routes": {f"{method} {path}": said for method, path, said in operations},
                "contract": "/openapi.json", "page": "/docs"}  # fmt: skip

    @app.get("/version", summary="What answers, since when, and what was refused")
    async def version(request: Request) -> dict[str, Any]:
        return request.app.state.runtime.version()

    @app.get(
        "/metrics", summary="Counts for Prometheus", response_class=PlainTextResponse, openapi_extra=needs("metrics")
    )
    async def metrics(request: Request) -> Response:
        return Response(request.app.state.runtime.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app


def decides(
    app: FastAPI, path: str, *, scope: str, summary: str, asked: type[BaseModel], answered: type[BaseModel]
) -> Callable[[Decide], Decide]:
    """A POST route that asks the desk and answers at once: `decide(desk, question, late)` gives the answer.

    FastAPI has the route for the contract and for everything that is wrong with a request. Good requests do not go
    through it, as its routing, dependencies and response cost more than the decision: the front has the body validated
    by the same model, and answers.
    """

    def add(decide: Decide) -> Decide:
        async def route(question: BaseModel, request: Request) -> Response:
            late = LATE in request.scope
            return answer(decide(request.app.state.desk, question, late))

        route.__name__, route.__doc__ = decide.__name__, decide.__doc__
        route.__annotations__["question"] = asked
        route.direct = Direct(asked, decide)  # type: ignore[attr-defined]
        app.post(path, response_model=answered, responses=ERRORS, summary=summary, openapi_extra=needs(scope))(route)
        return decide

    return add


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: every route asks for a key and may refuse a request."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version="1", description=app.description, routes=app.routes)
        made.setdefault("components", {})["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key, made with `retail keys add`"}
        }
        for operation in (o for path in made["paths"].values() for o in path.values()):
            operation.setdefault("security", [{"key": []}])
            operation["responses"] |= {status: said for status, said in REFUSALS.items() if _may(operation, status)}
        app.openapi_schema = made
    return app.openapi_schema


def _may(operation: dict[str, Any], status: str) -> bool:
    if status == "403":
        return any(choice["key"] for choice in operation["security"])
    return "requestBody" in operation or status not in ("408", "413", "415")


def service_options(name: str) -> dict[str, Any]:
    """Options of `@bentoml.service`: loopback unless told otherwise, and nothing on the path of a request but ours.

    BentoML's own metrics would keep a series per path that anybody asks for, and its spans cost whether or not they are
    sent; Front counts and traces instead.
    """
    return {
        "workers": workers(),
        "http": {"host": "127.0.0.1", "port": product(name).port},
        "logging": {"access": {"enabled": False}},
        "metrics": {"enabled": False},
        "tracing": {"excluded_urls": ".*"},
        "image": _image(),
        "traffic": {"timeout": ServingConfig.load_file().load.slow_deadline_s * 2},
    }


def _image() -> Any:
    """What a container of a service is made of; `bentoml containerize` and `bentoml deploy` read it from the Bento."""
    from bentoml.images import Image

    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    image = Image(python_version="3.11", lock_python_packages=False)
    image.run("apt-get update && apt-get install -q -y --no-install-recommends libgomp1")  # LightGBM needs it
    return image.python_packages(*packages).run(f'python -c "{duck.INSTALL}"')


def refuse_exposed() -> None:
    """Ends `bentoml serve` before anything starts when it would answer the network without keys, or no host."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    try:
        require_keys([stated_host() or BentoMLContainer.http.host.get()], keys_file(current().home))
        ServingConfig.load_file().manners()
    except RetailError as error:
        raise SystemExit(f"error: {error}") from error


def attach(app: FastAPI, runtime: Runtime[Any]) -> None:
    """Binds the application and its front to the runtime of its process, and the log to JSON lines.

    Raises ExposedError when this process listens beyond loopback and no key was ever made.
    """
    keys = keys_file(current().home)
    require_keys(listening_hosts(), keys)
    logs.configure(runtime.about)
    config = ServingConfig.load_file()
    intake.speak(config.manners())
    app.state.runtime = runtime
    app.state.guard = Guard(
        keys=KeyRing(keys, config.wrong_keys),
        limits=config.load,
        metrics=runtime.metrics,
        spans=Spans.configured(runtime.product, os.environ),
        log_all=os.environ.get(LOG_REQUESTS) == "all",
    )


def detach(app: FastAPI) -> None:
    """Moves the last decisions to the lake and sends the last spans."""
    app.state.runtime.close()
    if app.state.guard.spans is not None:
        app.state.guard.spans.close()


def answer(content: dict[str, Any]) -> Response:
    """A JSON answer without a second validation: tests hold what the desks answer against the published schemas."""
    return Response(orjson.dumps(content), media_type="application/json")


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Names the field and what is wrong with it; does not echo the input, which may be anything (NaN, a megabyte)."""
    assert isinstance(error, RequestValidationError)
    detail = [{"loc": e["loc"], "msg": _why(e), "type": e["type"]} for e in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


def _why(found: Mapping[str, Any]) -> str:
    return f"no JSON: {found['ctx']['error']}" if found["type"] == "json_invalid" else str(found["msg"])


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UnknownKey)
    return JSONResponse({"detail": error.what, "unknown": error.unknown, "todo": error.todo}, status_code=404)


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RetailError)
    body = {"detail": error.what, "where": error.where, "todo": error.todo}
    return JSONResponse(body, status_code=503, headers={"Retry-After": RETRY_AFTER_S})
