"""The centre over HTTP: a store asks what it should hold, fetches files by their hash, sends decisions and its word.

Every route needs the store's own token as a bearer token, except /livez.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from retail_assets.core.errors import RetailError
from retail_assets.environments import Environment
from retail_assets.serving.background import Every
from retail_assets.serving.ledger import LedgerError
from retail_assets.serving.store_bundle import StoreError
from retail_assets.serving.store_centre import Centre
from retail_assets.serving.store_status import StoreStatus

LOOK_EVERY_S = 0.2
TABLES_EVERY_S = 2.0
MOVE_EVERY_S = 5.0
PRUNE_EVERY_S = 3600.0
LONGEST_WAIT_S = 30.0
MOST_BYTES = 64 << 20
BEARER = "Bearer "


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
        Route(f"{store}/decisions/{{product}}/{{writer}}/{{number:int}}", _decisions, methods=["PUT"]),
        Route(f"{store}/status", _status, methods=["PUT"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={StoreError: _refused, LedgerError: _unknown})


def _move(centre: Centre) -> Callable[[], None]:
    def move() -> None:
        centre.landed.move()

    return move


class _Denied(StoreError):
    """No token, or not the one of this store."""


def _target(request: Request) -> str:
    """The store that asks, after its token was checked."""
    target, header = request.path_params["target"], request.headers.get("authorization", "")
    if not header.startswith(BEARER):
        raise _Denied("a store shows its token", todo="Authorization: Bearer <token>, from `retail stores token`")
    if not request.app.state.centre.tokens.allows(target, header.removeprefix(BEARER)):
        raise _Denied(f"this is not the token of {target}", todo=f"`retail stores token {target}` makes a new one")
    return str(target)


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
        if found.etag != seen:
            return Response(found.model_dump_json(), media_type="application/json", headers={"ETag": found.etag})
        if left <= 0:
            return Response(status_code=304)
        try:
            await asyncio.wait_for(event.wait(), left)
        except (TimeoutError, asyncio.CancelledError):  # the server is told to end while it waits: no news either
            return Response(status_code=304)


def _number(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError as error:
        raise StoreError(f"wait={text!r} is not a number of seconds") from error


async def _file(request: Request) -> Response:
    target = _target(request)
    path = await run_in_threadpool(request.app.state.centre.file, target, request.path_params["sha256"])
    return FileResponse(path, media_type="application/octet-stream")


async def _decisions(request: Request) -> Response:
    target, of = _target(request), request.path_params
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise StoreError(f"a segment of {target} has more than {MOST_BYTES >> 20} MiB")
    take = request.app.state.centre.landed.take
    await run_in_threadpool(take, target, of["product"], f"decision-log/{of['writer']}", of["number"], bytes(body))
    return Response(status_code=204)


async def _status(request: Request) -> Response:
    target = _target(request)
    try:
        status = StoreStatus.model_validate_json(await request.body())
    except ValueError as error:
        raise StoreError(f"the status of {target} cannot be read: {error}") from error
    if status.target != target:
        raise StoreError(f"{target} speaks for {status.target}")
    await run_in_threadpool(request.app.state.centre.hear, status)
    return Response(status_code=204)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RetailError)
    return _said(error, 401 if isinstance(error, _Denied) else 422)


async def _unknown(_: Request, error: Exception) -> Response:
    assert isinstance(error, RetailError)
    return _said(error, 404)


def _said(error: RetailError, status: int) -> JSONResponse:
    body: dict[str, Any] = {"detail": error.what, "todo": error.todo}
    return JSONResponse(body, status_code=status)
