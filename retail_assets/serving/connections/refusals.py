"""Why a request gets no further than the connection or the front of a service, and what the caller is told."""

import json
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from starlette.types import Message

RETRY_WHEN_FULL_S = "1"


@dataclass(frozen=True)
class Refusal:
    """A request that gets no further."""

    status: int
    detail: str
    todo: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    why: str | None = None
    """Set when the service could have answered, but not now."""


def _again(detail: str, why: str) -> Refusal:
    return Refusal(
        503, detail, "try again after Retry-After seconds", ((b"retry-after", RETRY_WHEN_FULL_S.encode()),), why
    )


BROWSER = (b"www-authenticate", b'Basic realm="any name, the API key as password", charset="UTF-8"')
NO_KEY = Refusal(
    401,
    "this service asks for an API key",
    "send the header Authorization: Bearer <key>; `retail keys add` makes one",
    ((b"www-authenticate", b"Bearer"), BROWSER),
)
BAD_KEY = Refusal(
    401,
    "this API key is unknown, expired or revoked",
    "ask the operator for a new one (`retail keys list`)",
    ((b"www-authenticate", b'Bearer error="invalid_token"'), BROWSER),
)
CLOSE = ((b"connection", b"close"),)
NO_ROUTE = Refusal(404, "this service has no such route", "GET / lists its routes")
NOT_JSON = Refusal(415, "the body must be JSON", "send the header Content-Type: application/json")
ENCODED = Refusal(
    415,
    "the body is compressed",
    "send it as it is, without Content-Encoding",
    ((b"accept-encoding", b"identity"),),
)
SLOW = Refusal(408, "the rest of the request did not come", "send it without long pauses", CLOSE)
CUT_OFF = Refusal(400, "the body ended before its stated length", "send it again", CLOSE)
FULL = _again("too many requests are being answered", "full")
BUSY = _again("the service has more to do than it can", "busy")
CROWDED = Refusal(
    503,
    "too many connections are open",
    "keep fewer open, or try again after Retry-After seconds",
    (*CLOSE, (b"retry-after", RETRY_WHEN_FULL_S.encode())),
    "full",
)
DEADLINE = _again("no answer within the deadline", "deadline")


def unreadable(why: str) -> Refusal:
    """An answer to what is no HTTP request."""
    return Refusal(400, f"this is no HTTP/1.1 request: {why}", "send the request as RFC 9112 says", CLOSE)


UNKNOWN_METHOD = unreadable("its method is unknown; methods are written in capitals")
OLD_VERSION = unreadable("its first line names no version")
WRONG_HOST = Refusal(
    421,
    "this service does not answer to the host that the request names",
    "ask by a name that it has; the operator adds names with RETAIL_ALLOWED_HOSTS, or `hosts` in configs/serving.yaml",
    CLOSE,
)
FOREIGN_PAGE = Refusal(
    403,
    "a page of another host asks for this",
    "open the page that this server has itself; RETAIL_ALLOWED_HOSTS, or `hosts` in configs/serving.yaml, adds names",
    CLOSE,
)
BAD_HOST = unreadable("it needs one header Host, with the name of this service")
BAD_TARGET = unreadable("its first line names no path of this service")
NO_PROXY = unreadable("this service connects to nobody else")
HTTP_2 = unreadable("it begins HTTP/2")
NOT_CHUNKED = unreadable("its Transfer-Encoding does not end with the only chunked")
OLD_CODING = unreadable("HTTP/1.0 has no Transfer-Encoding")
NO_CODING = Refusal(501, "the only Transfer-Encoding is chunked", "send the body without another", CLOSE)
NO_VERSION = Refusal(505, "this service speaks HTTP/1.1", "ask again with HTTP/1.1", CLOSE)
LONG_TARGET = Refusal(414, "the address is too long", "send no more than 16 KiB", CLOSE)
LONG_HEAD = Refusal(431, "the headers are too long", "send no more than 64 KiB", CLOSE)


@lru_cache(64)
def wrong_method(allow: bytes) -> Refusal:
    """The answer to a method that a route does not have."""
    return Refusal(405, "this route has no such method", f"it has {allow.decode()}", ((b"allow", allow),))


@lru_cache(64)
def options(allow: bytes) -> Refusal:
    """The answer to OPTIONS: the methods of a route, and nothing for other origins."""
    return Refusal(204, "", "", ((b"allow", allow),))


@lru_cache(64)
def messages(refusal: Refusal) -> tuple[Message, Message]:
    """The head and the body of a refusal."""
    body = json.dumps({"detail": refusal.detail, "todo": refusal.todo}).encode() if refusal.detail else b""
    kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())] if body else []
    head = {"type": "http.response.start", "status": refusal.status, "headers": [*kind, *refusal.headers]}
    return head, {"type": "http.response.body", "body": body}


def on_the_wire(refusal: Refusal) -> bytes:
    """A refusal as it goes over the line."""
    head, body = messages(refusal)
    lines = [name + b": " + value for name, value in head["headers"]]
    said = HTTPStatus(refusal.status)
    first = f"HTTP/1.1 {said.value} {said.phrase}".encode()
    return b"\r\n".join([first, *lines, b"", body["body"]])


def again_after(wait_s: float) -> bytes:
    """The value of Retry-After, in whole seconds."""
    return str(max(1, -int(-wait_s // 1))).encode()
