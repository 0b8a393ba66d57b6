"""What answers, or stands around what answers, for the sake of the connection alone; see wire.py."""

from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

ANY_METHODS = b"GET, HEAD, OPTIONS, POST, PUT"
ASGI = Callable[[Any, Any, Any], Awaitable[None]]


def without_waiting(app: ASGI, cycle: RequestResponseCycle) -> ASGI:
    """Ends the connection after an answer that came before the body was asked for: it may come or not."""

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        async def reply(message: Any) -> None:
            if cycle.waiting_for_100_continue and cycle.more_body:
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, reply)

    return asked


async def options_of_server(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers `OPTIONS *`, which asks for the server and not for a route."""
    await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", ANY_METHODS)]})
    await send({"type": "http.response.body", "body": b""})
