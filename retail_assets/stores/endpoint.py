"""The centre over HTTP: a store asks what it should hold, fetches files by their hash, sends decisions and its word.

Every route needs the store's own token as a bearer token, except /livez.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from retail_assets.core.background import Every
from retail_assets.core.errors import RetailError
from retail_assets.decisions.spool import WentBackwards
from retail_assets.releases.ledger import LedgerError
from retail_assets.resources.environments import Environment
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.connections.address_buckets import AddressBuckets
from retail_assets.serving.connections.json_body import BOM, parsed
from retail_assets.serving.connections.log_rate import spare
from retail_assets.serving.connections.refusals import CUT_OFF, Refusal, again_after, messages, options, wrong_method
from retail_assets.serving.connections.wire import Wire, speaking
from retail_assets.stores.bundle import StoreError
from retail_assets.stores.centre import Centre
from retail_assets.stores.status import StoreStatus

LOOK_EVERY_S = 0.2
TABLES_EVERY_S = 2.0
MOVE_EVERY_S = 5.0
PRUNE_EVERY_S = 3600.0
LONGEST_WAIT_S = 30.0
MOST_BYTES = 64 << 20
MOST_STATUS_BYTES = 1 << 20
BEARER = "bearer "
DIGITS = 12  # of the number of a segment, see LandedDecisions
SHOWN = 40  # characters of a value that is no number


NO_PATH = Refusal(404, "the centre has no such path", "see docs/run-a-store.md")


class _Change:
    """Wakes everybody who waits for the next change; `tell` may be called from any thread."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def next(self) -> asyncio.Event:
        return self._event

    def tell(self) -> None:
        self._loop.call_soon_threadsafe(self._fire)

    def _fire(self) -> None:
        self._event, before = asyncio.Event(), self._event
        before.set()


def create_app(environment: Environment) -> Starlette:
    """The application; it begins to look at the home when it starts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        change = _Change()
        centre = Centre(environment, change.tell)
        app.state.centre, app.state.change = centre, change
        loops = [
            Every(LOOK_EVERY_S, centre.poll, "centre-ledger"),
            Every(TABLES_EVERY_S, centre.poll_tables, "centre-tables"),
            Every(MOVE_EVERY_S, _move(centre), "centre-decisions"),
            Every(PRUNE_EVERY_S, centre.prune, "centre-prune"),
        ]
        for loop in loops:
            await run_in_threadpool(loop.once)
            loop.start()
        yield
        for loop in loops:
            await run_in_threadpool(loop.stop)
        await run_in_threadpool(centre.landed.move)

    store = "/v1/stores/{target}"
    routes = [
        Route("/livez", _livez),
        Route(f"{store}/bundle", _bundle),
        Route(f"{store}/files/{{sha256}}", _file),
        Route(f"{store}/decisions/{{product}}/{{writer}}/{{number}}", _decisions, methods=["PUT"]),
        Route(f"{store}/status", _status, methods=["PUT"]),
    ]
    handlers = {
        StoreError: _refused,
        WentBackwards: _conflicting,
        LedgerError: _unknown,
        HTTPException: _http,
        ClientDisconnect: _gone,
    }
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    wrong = ServingConfig.load_file().wrong_keys
    app.state.wrong = AddressBuckets(wrong.per_second, wrong.burst)
    return app


def speaks() -> Mapping[str, Any]:
    """Options of uvicorn. Raises HostError for a host in RETAIL_ALLOWED_HOSTS that is none."""
    manners = ServingConfig.load_file().centre_manners()
    return {"http": speaking(manners, Wire), "ws": "none", "access_log": False}


def run(environment: Environment, host: str, port: int) -> None:
    """Answers until it is told to end. Raises StoreError where it cannot begin."""
    app = create_app(environment)
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=2, **speaks()))
    logging.getLogger().addHandler(logging.StreamHandler())
    spare("", "uvicorn")  # after uvicorn.Config, which sets up the log
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise StoreError("the centre did not start", where=f"{host}:{port}", todo="see above; is the port taken?")


def _move(centre: Centre) -> Callable[[], None]:
    def move() -> None:
        centre.landed.move()

    return move


class _Denied(StoreError):
    """No token, or not the one of this store."""


class _Throttled(StoreError):
    """Too many wrong tokens from one address."""

    retry_after = b"1"


class _TooLarge(StoreError):
    """A body with more bytes than are read."""


class _Encoded(StoreError):
    """A body that is compressed."""


STATUSES: Mapping[type[StoreError], int] = {_Denied: 401, _TooLarge: 413, _Encoded: 415, _Throttled: 429}


def _target(request: Request) -> str:
    """The store that asks, after its token was checked."""
    target, header = request.path_params["target"], request.headers.get("authorization", "")
    if not header.lower().startswith(BEARER):
        raise _Denied("a store shows its token", todo="Authorization: Bearer <token>, from `retail stores token`")
    if not request.app.state.centre.tokens.allows(target, header[len(BEARER) :]):
        raise _wrong_token(request, target)
    return str(target)


def _wrong_token(request: Request, target: str) -> StoreError:
    """A right token is taken all the same: stores share the address of a proxy."""
    client = request.client.host if request.client else ""
    wait_s = request.app.state.wrong.take(client, monotonic())
    if wait_s <= 0:
        return _Denied(f"this is not the token of {target}", todo=f"`retail stores token {target}` makes a new one")
    error = _Throttled("too many wrong tokens came from this address", todo="try again after Retry-After seconds")
    error.retry_after = again_after(wait_s)
    return error


async def _livez(_: Request) -> Response:
    return Response(status_code=200)


async def _bundle(request: Request) -> Response:
    target, state = _target(request), request.app.state
    seen = request.query_params.get("seen")
    wait = min(_number(request.query_params.get("wait", "0")), LONGEST_WAIT_S)
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        event = state.change.next()
        found = await run_in_threadpool(state.centre.bundle, target)
        left = deadline - asyncio.get_running_loop().time()
        if found.tag != seen:
            signed = state.centre.signed(found).model_dump_json()
            return Response(signed, media_type="application/json", headers={"ETag": found.tag})
        if left <= 0:
            return Response(status_code=304)
        try:
            await asyncio.wait_for(event.wait(), left)
        except (TimeoutError, asyncio.CancelledError):  # the server is told to end while it waits: no news either
            return Response(status_code=304)


def _number(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise StoreError(f"wait={text[:SHOWN]!r} is not a number of seconds") from error
    if math.isnan(seconds):
        raise StoreError(f"wait={text} is not a number of seconds")
    return max(seconds, 0.0)


async def _body(request: Request, most: int) -> bytes:
    """The whole body. Raises a StoreError for one that is compressed or has more than `most` bytes."""
    coding, length = request.headers.get("content-encoding", "identity"), request.headers.get("content-length", "0")
    if coding.lower() != "identity":
        raise _Encoded("the body is compressed", todo="send it as it is, without Content-Encoding")
    body = bytearray()
    if int(length) <= most:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
    if int(length) > most or len(body) > most:
        raise _TooLarge(f"the body has more than {most >> 20} MiB", todo="send less in one request")
    return bytes(body)


async def _file(request: Request) -> Response:
    target = _target(request)
    path = await run_in_threadpool(request.app.state.centre.file, target, request.path_params["sha256"])
    return FileResponse(path, media_type="application/octet-stream")


async def _decisions(request: Request) -> Response:
    target, of = _target(request), request.path_params
    number = of["number"]
    if not (number.isdecimal() and number.isascii() and len(number) <= DIGITS):
        raise StoreError(f"{number[:SHOWN]!r} is not the number of a segment")
    body = await _body(request, MOST_BYTES)
    take = request.app.state.centre.landed.take
    await run_in_threadpool(take, target, of["product"], f"decision-log/{of['writer']}", int(number), body)
    return Response(status_code=204)


async def _status(request: Request) -> Response:
    target = _target(request)
    body = await _body(request, MOST_STATUS_BYTES)
    try:
        parsed(body)
        status = StoreStatus.model_validate_json(body.removeprefix(BOM))
    except ValueError as error:
        raise StoreError(f"the status of {target} cannot be read: {error}") from error
    if status.target != target:
        raise StoreError(f"{target} speaks for {status.target}")
    await run_in_threadpool(request.app.state.centre.hear, status)
    return Response(status_code=204)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError)
    return _said(error, STATUSES.get(type(error), 422))


async def _conflicting(_: Request, error: Exception) -> Response:
    assert isinstance(error, RetailError)
    return _said(error, 409)


async def _unknown(_: Request, error: Exception) -> Response:
    assert isinstance(error, RetailError)
    return _said(error, 404)


async def _http(request: Request, error: Exception) -> Response:
    """A path or a method that there is not."""
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        return _refusal(NO_PATH)
    allow = (*(error.headers or {})["Allow"].split(", "), "OPTIONS")
    said = ", ".join(sorted(allow)).encode()
    return _refusal(options(said) if request.method == "OPTIONS" else wrong_method(said))


async def _gone(_: Request, __: Exception) -> Response:
    return _refusal(CUT_OFF)


def _refusal(refusal: Refusal) -> Response:
    head, body = messages(refusal)
    headers = {name.decode(): value.decode() for name, value in head["headers"]}
    return Response(body["body"], refusal.status, headers)


def _said(error: RetailError, status: int) -> JSONResponse:
    body: dict[str, Any] = {"detail": error.what, "todo": error.todo}
    headers = {401: {"WWW-Authenticate": "Bearer"}, 415: {"Accept-Encoding": "identity"}}
    if isinstance(error, _Throttled):
        headers[429] = {"Retry-After": error.retry_after.decode()}
    return JSONResponse(body, status, headers.get(status))
