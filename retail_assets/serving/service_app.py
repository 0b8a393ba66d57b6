"""The HTTP face that all products share: errors as clear JSON, /version, and requests counted without access logs."""

import logging
from time import perf_counter
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retail_assets.core.errors import RetailError
from retail_assets.serving.catalogue import UnknownKey
from retail_assets.serving.decision_rows import DecisionLogError
from retail_assets.serving.live import NothingLive
from retail_assets.serving.runtime import Runtime


class NoAnswer(RetailError):
    """Features are stale or missing and there is no batch answer to fall back to."""


UNAVAILABLE = (NothingLive, NoAnswer, DecisionLogError)
RETRY_AFTER_S = "5"
ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "Unknown store or SKU; `unknown` names it"},
    422: {"description": "The request breaks the schema; `detail[].loc` names the field"},
    503: {"description": "No model is live, features are missing without fallback, or decisions cannot be logged"},
}


def create_app(product: str, description: str) -> FastAPI:
    """An application with /version and the shared error answers; `attach` gives it its runtime."""
    app = FastAPI(title=f"retail-assets {product}", description=description)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnknownKey, _unknown)
    for kind in UNAVAILABLE:
        app.add_exception_handler(kind, _unavailable)

    @app.get("/version", summary="What answers, since when, and what was refused")
    async def version(request: Request) -> dict[str, Any]:
        return request.app.state.runtime.version()

    return app


def attach(app: FastAPI, runtime: Runtime[Any]) -> None:
    """Binds the application to the runtime of its process, and our log lines to where BentoML's go."""
    app.state.runtime = runtime
    ours, bentoml = logging.getLogger("retail_assets"), logging.getLogger("bentoml")
    ours.handlers, ours.propagate = bentoml.handlers, bentoml.propagate
    ours.setLevel(logging.INFO)


def answer(content: dict[str, Any]) -> Response:
    """A JSON answer without a second validation: tests hold what the desks answer against the published schemas."""
    return Response(orjson.dumps(content), media_type="application/json")


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Names the field and what is wrong with it; does not echo the input, which may be anything (NaN, a megabyte)."""
    assert isinstance(error, RequestValidationError)
    detail = [{"loc": e["loc"], "msg": e["msg"], "type": e["type"]} for e in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UnknownKey)
    return JSONResponse({"detail": error.what, "unknown": error.unknown, "todo": error.todo}, status_code=404)


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RetailError)
    body = {"detail": error.what, "where": error.where, "todo": error.todo}
    return JSONResponse(body, status_code=503, headers={"Retry-After": RETRY_AFTER_S})


class CountRequests:
    """ASGI middleware: route, status and time of each answer into the runtime's metrics. Labels are a fixed set."""

    def __init__(self, app: ASGIApp, owner: FastAPI, routes: frozenset[str]) -> None:
        self._app = app
        self._owner = owner
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = scope["path"] if scope["path"] in self._routes else "other"
            self._owner.state.runtime.metrics.request(route, status, perf_counter() - started)
