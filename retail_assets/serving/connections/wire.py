"""HTTP/1.1 as real clients speak it: one connection, from its first byte to its last.

uvicorn's own protocol is built for what well-behaved clients send. Java offers an upgrade with every request, and its
body was lost; a client that hangs in the middle of a request kept its connection for ever; one that was refused while
it still sent was reset before it had read why; a bad request behind a good one took the answer of that one. One that
sent a byte every few seconds held its connection for ever, and some hundred of these all that a process could hold.
"""

import re
from asyncio import AbstractEventLoop, Transport
from typing import Any, ClassVar, TypeVar, cast

import httptools
from httptools.parser.errors import HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from retail_assets.serving.connections.crowd import Crowd, fitting, party
from retail_assets.serving.connections.refusals import (
    BAD_HOST,
    BAD_TARGET,
    CROWDED,
    HTTP_2,
    LONG_HEAD,
    LONG_TARGET,
    NO_CODING,
    NO_PROXY,
    NO_VERSION,
    NOT_CHUNKED,
    OLD_CODING,
    OLD_VERSION,
    SLOW,
    UNKNOWN_METHOD,
    WRONG_HOST,
    Refusal,
    on_the_wire,
    unreadable,
)
from retail_assets.serving.connections.wire_answers import options_of_server, without_waiting
from retail_assets.serving.connections.wire_limits import PROBES, Manners
from retail_assets.serving.connections.wire_line import WireLine

MOST_HEAD = 64 << 10
"""Bytes of a request line and its headers."""
MOST_TARGET = 16 << 10
SPARE_S = 1.0
"""So long may a connection without a place take to ask for a probe."""

HOST = re.compile(rb"[^\s/?#@,\\\x00-\x20\x7f-\xff]*")
_PROBES = frozenset(path.encode() for path in PROBES)
CROWD = "retail.crowd"


class _Unreadable(Exception):
    """Raised through the parser, which stops there."""


class Wire(HttpToolsProtocol):
    """One connection. `speaking` makes the class for servers with other limits and hosts than the usual ones."""

    manners: ClassVar[Manners] = Manners()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._midway = False  # a request has begun and not ended
        self._head_done = False
        self._offered = False  # the head that is read offers another protocol
        self._read = self._now = 0  # bytes: since the chunk in which the request began, and of the newest chunk
        self._deaf = False
        self._in_chunks = False
        self._host = b""  # one that is written as hosts are
        self._allowed = b""  # one that may be asked for
        self._discarded = 0
        self._found: Refusal | None = None
        self._last_words: bytes | None = None
        self._limits = self.manners.limits
        self.timeout_keep_alive = self._limits.idle_s  # type: ignore[assignment]
        self._answered: RequestResponseCycle | None = None  # the newest that was begun; `cycle` is the newest read
        self._due = 0.0  # when what is read now must be there; 0 before that was asked
        self._party = ""
        self._has_place = True

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        super().connection_made(transport)
        self.transport = WireLine(transport, self.leave, self.loop, self._limits.unread_s)  # type: ignore[assignment]
        self._party = party(self.client[0]) if self.client else ""
        self._has_place = self._crowd().enter(self, self._party, transport.abort)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._midway = False
        self.pipeline.clear()
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        self._crowd().left(self, self._party, self._has_place)
        cast(WireLine, self.transport).unwatch()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _crowd(self) -> Crowd:
        """All connections of this server."""
        state = vars(self.server_state)
        if CROWD not in state:
            limits = self._limits
            most = fitting(limits.connections, limits.spare_connections)
            state[CROWD] = Crowd(most, limits.connections_per_address, limits.spare_connections)
        crowd: Crowd = state[CROWD]
        return crowd

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._unset_keepalive_if_required()
        self._now = len(data)
        self._read += self._now
        if self._deaf:
            self._discard(self._now)
            self._wait()
            return
        try:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                self._decline(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            self.refuse(self._found or _said(error))
            return
        if self._midway:
            self._go_on(data)
        elif self.cycle is None or self.cycle.response_complete:
            self._wait()

    def _decline(self, rest: bytes) -> None:
        """The parser has ended with a head that offers another protocol; it gets the same head without it."""
        while True:
            self._offered = False
            self.parser.feed_data(self._head_without_offer())
            try:
                self.parser.feed_data(rest)
            except HttpParserUpgrade as offer:
                rest = rest[offer.args[0] :]
            else:
                return

    def _go_on(self, data: bytes) -> None:
        """In the middle of a request."""
        if not self._head_done and (refusal := self._hopeless(data)) is not None:
            self.refuse(refusal)
            return
        if self._head_done and self.cycle.response_complete:
            self._discard(len(data))
        if self._left_s() <= 0 and not self.flow.read_paused:
            self.refuse(SLOW)
            return
        self._wait()

    def _left_s(self) -> float:
        """How long what is read now may still take: the pause before it, its head, or its body at the least speed."""
        limits, now = self._limits, self.loop.time()
        in_body = self._midway and self._head_done
        if not self._due:
            self._due = now + (limits.body_s if in_body else limits.head_s if self._midway else limits.idle_s)
        return self._due - now + (self._read / limits.body_bytes_per_s if in_body else 0.0)

    def _head_without_offer(self) -> bytes:
        line = f" HTTP/{self.parser.get_http_version()}\r\n".encode()
        lines = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        return b"".join([self.parser.get_method(), b" ", self.url, line, *lines, b"\r\n"])

    def _hopeless(self, data: bytes) -> Refusal | None:
        """Why a head that has not ended need not be waited for."""
        if len(self.url) > MOST_TARGET:
            return LONG_TARGET
        if self._read > MOST_HEAD:
            return LONG_HEAD
        is_one_line = self._read == self._now and 0 < data.find(b"\r\n") == len(data) - 2
        return OLD_VERSION if is_one_line and b" HTTP/" not in data else None

    def _is_idle(self) -> bool:
        """Whether what is read now begins a request, and nothing before it is still to be answered."""
        return not self._midway and not self._deaf and (self.cycle is None or self.cycle.response_complete)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._midway, self._head_done, self._read, self._due = True, False, self._now, 0.0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offered = True
            return
        refusal = self._judge()
        if refusal is not None:
            self._found = refusal
            raise _Unreadable
        super().on_headers_complete()
        if not self._has_place:
            self.cycle.keep_alive = False
        self._head_done, self._due = True, 0.0
        self.headers = []  # what follows is a trailer, which changes nothing

    def _judge(self) -> Refusal | None:
        """What is wrong with a head that the parser takes. Makes the target one that begins with a slash."""
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            return OLD_VERSION if version == "0.9" else NO_VERSION
        if version == "1.0":
            self.expect_100_continue = False
        if len(self.url) > MOST_TARGET:
            return LONG_TARGET
        if self._read > MOST_HEAD and len(self._head_without_offer()) > MOST_HEAD:
            return LONG_HEAD
        hosts, codings = 0, b""
        for name, value in self.headers:
            if name == b"host":
                hosts += 1 if value == self._host or HOST.fullmatch(value) else 2
                self._host = value if hosts == 1 else b""
            elif name == b"transfer-encoding":
                codings += b"," + value.lower()
        if not hosts:
            self._host = b""
        self._in_chunks = bool(codings)
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            return BAD_HOST
        if codings and (codings != b",chunked" or version == "1.0"):
            return _coding_refusal(codings, version)
        if self.url[:1] != b"/" and (refusal := self._absolute()) is not None:
            return refusal
        return None if self._host == self._allowed and self._host and self._has_place else self._unwelcome()

    def _unwelcome(self) -> Refusal | None:
        """Whether a good head comes too many, or names a host that is none of ours; a probe never does."""
        if self.url.partition(b"?")[0] in _PROBES and self.parser.get_method() in (b"GET", b"HEAD"):
            return None
        if not self._has_place:
            return CROWDED
        if not self.manners.hosts.allows(self._host, self.server[0] if self.server else None):
            return WRONG_HOST
        self._allowed = self._host
        return None

    def _absolute(self) -> Refusal | None:
        """A target as it is sent to a proxy becomes its path, and its host the one that is asked (RFC 9112, 3.2.2)."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            return NO_PROXY
        if self.url == b"*" and method == b"OPTIONS":
            return None
        try:
            parsed = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            return BAD_TARGET
        if (parsed.schema or b"").lower() not in (b"http", b"https") or not parsed.host:
            return BAD_TARGET
        self._host = parsed.host if b":" not in parsed.host else b"[" + parsed.host + b"]"
        self.url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        return None

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._limits.discarded_bytes:
            self._hang_up()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._offered:
            return
        self._midway, self._discarded, self._due = False, 0, 0.0
        super().on_message_complete()
        if self._in_chunks and not self.parser.should_keep_alive():  # its trailer said so
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.leave()

    def on_response_complete(self) -> None:
        """Called when an answer was written."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._last_words is not None:
            self._say(self._last_words)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        if cycle.waiting_for_100_continue:
            app = without_waiting(app, cycle)
        if cast(dict[str, Any], cycle.scope)["path"] == "*":
            app = options_of_server
        super()._start_asgi_task(cycle, app)

    def _wait(self) -> None:
        """Gives what must come next a time."""
        if self.timeout_keep_alive_task is None:
            limits = self._limits
            wait = limits.body_pause_s if self._midway and self._head_done else limits.idle_s
            wait = min(wait if self._has_place else min(wait, SPARE_S), max(self._left_s(), 0.0))
            self.timeout_keep_alive_task = self.loop.call_later(wait, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Called when nothing was read for a while."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing() or self._is_idle():
            self._hang_up()
        elif self.flow.read_paused:  # it is we who do not read
            self._due = 0.0
            self._wait()
        elif self._midway:
            self.refuse(SLOW)

    def refuse(self, refusal: Refusal) -> None:
        """Ends the connection with an answer to what could not be read, after those to what was read before it."""
        self._deaf = True
        broken = self.cycle if self._midway and self._head_done else None
        said = on_the_wire(refusal)
        if broken is None:
            waits = self.cycle is not None and not self.cycle.response_complete
        elif waits := bool(self.pipeline) and self.pipeline[0][0] is broken:
            self.pipeline.popleft()
        if waits:
            self._last_words = said
            return
        if broken is not None:
            said = said if not broken.response_started else b""
            broken.disconnected = True
            broken.message_event.set()
        self._say(said)

    def _say(self, said: bytes) -> None:
        self.transport.write(said)
        self.leave()

    def leave(self) -> None:
        """Closes the connection; one whose other side is still sending only for what is said, until it has read it.

        Bytes that nobody has read when a socket is closed make its other side forget what it was sent.
        """
        line = cast(WireLine, self.transport)
        if line.left:
            return
        line.left = True
        if not self._midway or not line.raw.can_write_eof():
            line.end()
            return
        self._deaf = True
        line.raw.write_eof()
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self._due = 0.0
        self._wait()

    def _hang_up(self) -> None:
        cast(WireLine, self.transport).end()

    def pause_writing(self) -> None:
        """Called by the event loop when much of an answer waits to be read."""
        super().pause_writing()
        cast(WireLine, self.transport).watch()

    def resume_writing(self) -> None:
        """Called by the event loop when most of it was read."""
        super().resume_writing()
        if not self.transport.is_closing():
            cast(WireLine, self.transport).unwatch()


Kind = TypeVar("Kind", bound=type[Wire])


def speaking(manners: Manners, kind: Kind) -> Kind:
    """`kind` of connections with these limits and hosts, for uvicorn's option `http`."""
    return cast(Kind, type(kind.__name__, (kind,), {"manners": manners, "__module__": kind.__module__}))


def _said(error: httptools.HttpParserError) -> Refusal:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return UNKNOWN_METHOD
    if "PRI" in str(error):
        return HTTP_2
    return unreadable(str(error)) if not isinstance(error, httptools.HttpParserCallbackError) else BAD_TARGET


def _coding_refusal(codings: bytes, version: str) -> Refusal | None:
    """What RFC 9112 (6.1) has for codings other than chunked alone; `codings` begins with a comma."""
    if version == "1.0":
        return OLD_CODING
    named = [coding.strip() for coding in codings.split(b",") if coding.strip()]
    if named[-1:] != [b"chunked"] or named.count(b"chunked") > 1:
        return NOT_CHUNKED
    return NO_CODING if len(named) > 1 else None
