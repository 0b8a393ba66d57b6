"""What stands in front of every route of a service: keys, rates, limits, load, counts, spans and the log of failures.

One ASGI middleware around the whole BentoML service, so that no route can be forgotten: all but the probes need a key
where keys are asked for. Everything a request does not need costs it nothing but a comparison.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retail_assets.core.errors import RetailError
from retail_assets.core.token_bucket import TokenBucket
from retail_assets.serving import docs_page
from retail_assets.serving.config import LoadLimits
from retail_assets.serving.connections.json_body import parsed
from retail_assets.serving.connections.refusals import (
    BUSY,
    CUT_OFF,
    DEADLINE,
    ENCODED,
    FULL,
    NO_ROUTE,
    NOT_JSON,
    SLOW,
    Refusal,
    messages,
    on_the_wire,
    options,
    wrong_method,
)
from retail_assets.serving.connections.wire_limits import PROBES
from retail_assets.serving.gateway.intake import CYCLE, DOOR, LINE, TICKET, Door
from retail_assets.serving.gateway.key_check import key_or_refusal
from retail_assets.serving.gateway.keys import Caller, KeyRing
from retail_assets.serving.gateway.load_shedding import Line
from retail_assets.serving.gateway.routes import Place, places
from retail_assets.serving.service_metrics import ServiceMetrics
from retail_assets.serving.tracing import Spans

logger = logging.getLogger("retail_assets.requests")

PAGES = frozenset({"/", "/openapi.json"}) | docs_page.PATHS
READS = frozenset({"GET", "HEAD"})
JSON_TYPE = b"application/json"
ANSWER, LATE, SHED, WHO = "retail.answer", "retail.late", "retail.shed", "retail.who"
LINES_PER_S, LINES_AT_ONCE = 5.0, 50.0  # of failures in the log: a flood of requests must not become one of lines


@dataclass(frozen=True)
class Guard:
    """What a front needs of its process; the service sets it as `app.state.guard`."""

    keys: KeyRing
    limits: LoadLimits
    metrics: ServiceMetrics
    spans: Spans | None = None
    log_all: bool = False


class _Answer:
    """Sends on what the application says, and notes its status: 0 until it has begun to answer."""

    __slots__ = ("_send", "idle_s", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.idle_s = 0.0  # that this process waited for the body

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


_Heads = tuple[int | None, bytes | None, bytes | None, bytes | None]
"""Length of a body (0 for none, None where it is not stated), its type, its coding; and the key."""


def _heads(headers: Iterable[tuple[bytes, bytes]]) -> _Heads:
    authorization = kind = coding = None
    length: int | None = 0
    for name, value in headers:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"transfer-encoding":
            length = None
        elif name == b"content-encoding":
            coding = value
        elif name == b"authorization":
            authorization = value
    return length, kind, coding, authorization


class Front:
    """The middleware. `owner` is the FastAPI application whose routes say which scope they need (see `needs`)."""

    def __init__(self, app: ASGIApp, owner: FastAPI) -> None:
        self._app = app
        self._owner = owner
        self._guard: Guard | None = None
        self._active = 0
        self._lines = TokenBucket(LINES_PER_S, LINES_AT_ONCE)
        self._line = Line()

    def _step_forward(self, scope: Scope) -> None:
        """Takes the place of all that BentoML puts around a middleware that is added to a service.

        Its spans and time limit are there twice (see Guard.spans and Place.deadline_s), and a request that is shed
        would cost what an answer costs. The connections of this process get its line.
        """
        if isinstance(whole := scope.get("app"), Starlette):
            whole.middleware_stack = self
        if "state" in scope:
            scope["state"][LINE] = self._line

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From the start of the application to its end."""
        self._step_forward(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            door: Door | None = scope.get("state", {}).get(DOOR)
            if door is not None:
                door.close()

    def _prepare(self) -> Guard:
        guard: Guard = self._owner.state.guard
        self._exact, self._below = places(self._owner, guard.limits)
        self._other, self._none = (Place("other", None, guard.limits.deadline_s) for _ in range(2))
        self._exact |= dict.fromkeys(PROBES | PAGES - self._exact.keys(), self._other)
        self._too_large = Refusal(
            413, f"the body is larger than {guard.limits.body_bytes:,} bytes", "send fewer items in one request"
        )
        line = self._line
        line.ahead, line.shed_s, line.refusal = guard.limits.ahead, guard.limits.shed_s, on_the_wire(BUSY)
        line.refusals = {
            f"POST {path} HTTP/1.1\r\n".encode(): place.label for path, place in self._exact.items() if place.direct
        }
        line.on_refused = self._refused_unread
        line.on_shed = guard.metrics.shed
        line.caller_of = guard.keys.id_of
        line.on_unreadable = lambda status: guard.metrics.request(self._none.label, status, 0.0)
        self._guard = guard
        return guard

    def _refused_unread(self, label: str) -> None:
        assert self._guard is not None and BUSY.why is not None
        self._guard.metrics.request(label, BUSY.status, 0.0)
        self._guard.metrics.shed(BUSY.why)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        begun, waited = perf_counter(), 0.0
        started = begun
        if (ticket := scope.get(TICKET)) is not None:
            waited = self._line.begin(ticket, begun)
            started = ticket[0]
        if scope["type"] != "http" or (scope["path"] in PROBES and scope["method"] in READS):
            await self._app(scope, receive, send)
            return
        guard = self._guard or self._prepare()
        place = self._exact.get(scope["path"]) or self._place(scope["path"])
        reply = _Answer(send)
        try:
            if guard.spans is None:
                await self._pass(guard, place, waited, scope, receive, reply)
            else:
                with guard.spans.request(scope, place.label) as span:
                    await self._pass(guard, place, waited, scope, receive, reply)
                    guard.spans.answered(span, reply.status or 500, scope.get(ANSWER))
        finally:
            now, status = perf_counter(), reply.status or 500
            seconds = now - started
            if ticket is not None and place.deadline_s <= guard.limits.deadline_s:
                self._line.worked(ticket, now - begun - reply.idle_s)
            guard.metrics.request(place.label, status, seconds)
            if guard.log_all or (status >= 500 and SHED not in scope and self._lines.take(monotonic()) == 0):
                _log(place, status, seconds, scope.get(ANSWER))

    async def _pass(
        self, guard: Guard, place: Place, waited: float, scope: Scope, receive: Receive, reply: _Answer
    ) -> None:
        heads = _heads(scope["headers"])
        refusal = self._judge(guard, place, waited, scope, heads)
        if refusal is None:
            refusal = await self._within(guard, place, heads[0], scope, receive, reply)
        if refusal is not None:
            if refusal.why is not None:
                scope[SHED] = True
                guard.metrics.shed(refusal.why)
            head, body = messages(refusal)
            await reply(head)
            await reply(body)

    async def _within(
        self, guard: Guard, place: Place, length: int | None, scope: Scope, receive: Receive, reply: _Answer
    ) -> Refusal | None:
        """Lets the request through, unless its body turns out too large or its deadline passes before the answer."""
        is_direct, body = place.direct is not None and scope["method"] == "POST", None
        if is_direct and length and not getattr(scope.get(CYCLE), "more_body", True):  # nothing left to wait for
            body = [await receive()]
            if await self._decide(place, body, scope, reply):
                return None
            is_direct = False
        try:
            async with asyncio.timeout(place.deadline_s) as deadline:
                if body is None:
                    asked = perf_counter()
                    body = await _body(receive, guard.limits.body_bytes) if length != 0 else []
                    reply.idle_s = perf_counter() - asked
                    if body is None:
                        return self._too_large
                if body and body[-1]["type"] == "http.disconnect":
                    return CUT_OFF
                if is_direct and await self._decide(place, body, scope, reply):
                    return None
                return await self._inside(guard, scope, _replayed(body, receive), reply)
        except TimeoutError:
            if reply.status or not deadline.expired():
                raise
            return DEADLINE if body is not None else SLOW
        return None

    async def _inside(self, guard: Guard, scope: Scope, receive: Receive, reply: _Answer) -> Refusal | None:
        """Lets the application answer, unless as many requests are inside as may be, or as many of one key.

        Whoever is still sending its body is not inside yet: slow ones would keep others out.
        """
        caller: Caller | None = scope.get(WHO)
        if self._active >= guard.limits.active or (caller is not None and caller.active * 2 >= guard.limits.active):
            return FULL
        self._active += 1
        if caller is not None:
            caller.active += 1
        try:
            await self._app(_as_get(scope), receive, reply)
        finally:
            self._active -= 1
            if caller is not None:
                caller.active -= 1
        return None

    async def _decide(self, place: Place, received: list[Message], scope: Scope, reply: _Answer) -> bool:
        """Answers a good question; what is wrong with any other is the application's to find and to say."""
        assert place.direct is not None
        started = perf_counter()
        try:
            body = b"".join([message.get("body", b"") for message in received])
            asked = place.direct.model.model_validate_json(body)
            if body.count(b":") > len(asked.model_fields_set):  # a colon in a value, or one key twice
                parsed(body)
            content = place.direct.decide(self._owner.state.desk, asked, LATE in scope)
        except (ValidationError, RetailError, json.JSONDecodeError):
            return False
        scope[ANSWER] = content
        body = orjson.dumps(content)
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", JSON_TYPE)]
        await reply({"type": "http.response.start", "status": 200, "headers": headers})
        await reply({"type": "http.response.body", "body": body})
        self._line.took(perf_counter() - started)
        return True

    def _judge(self, guard: Guard, place: Place, waited: float, scope: Scope, heads: _Heads) -> Refusal | None:
        """Why the request goes no further, if so."""
        length, kind, coding, authorization = heads
        asks = guard.keys.asks_for_keys() and scope["path"] not in PROBES
        if asks:
            caller = key_or_refusal(guard.keys, place, authorization, scope.get("client"), monotonic())
            if isinstance(caller, Refusal):
                return caller
            scope[WHO] = caller
        if place is self._none:
            return NO_ROUTE
        if scope["method"] not in place.methods:
            return options(place.allow) if scope["method"] == "OPTIONS" else wrong_method(place.allow)
        if length is not None and length > guard.limits.body_bytes:
            return self._too_large
        if coding is not None and coding.lower() != b"identity":
            return ENCODED
        if scope["method"] not in READS and (kind is None or kind.partition(b";")[0].strip().lower() != JSON_TYPE):
            return NOT_JSON
        if waited > guard.limits.late_s:
            if waited > guard.limits.shed_s:
                return BUSY
            scope[LATE] = True
        return None

    def _place(self, path: str) -> Place:
        return next((place for pattern, place in self._below if pattern.match(path)), self._none)


def caller_of(scope: Scope) -> str | None:
    """The id of the key that a request came with; None where none is asked for."""
    caller: Caller | None = scope.get(WHO)
    return caller.key.id if caller is not None else None


def _as_get(scope: Scope) -> Scope:
    """A question for the head of an answer as one for the whole of it; the server leaves out the body."""
    return scope if scope["method"] != "HEAD" else {**scope, "method": "GET"}


async def _body(receive: Receive, most: int) -> list[Message] | None:
    """The messages of a whole body; None once it is larger than `most` bytes. The last tells of a client that left."""
    received = [await receive()]
    size = len(received[0].get("body", b""))
    while size <= most and received[-1].get("more_body", False):
        received.append(await receive())
        size += len(received[-1].get("body", b""))
    return received if size <= most else None


def _replayed(received: list[Message], receive: Receive) -> Receive:
    left = iter(received)

    async def replay() -> Message:
        message = next(left, None)
        return message if message is not None else await receive()

    return replay


def _log(place: Place, status: int, seconds: float, answer: Mapping[str, Any] | None) -> None:
    said = (
        {name: answer[name] for name in ("decision_id", "model_version", "fallback") if name in answer}
        if answer
        else {}
    )
    logger.log(
        logging.ERROR if status == 500 else logging.WARNING if status > 500 else logging.INFO,
        "%s answered %d after %.1f ms",
        place.label,
        status,
        seconds * 1000,
        extra={"route": place.label, "status": status, "seconds": round(seconds, 6)} | said,
    )
