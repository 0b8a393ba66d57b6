"""Why a request gets no further than the front of a service, and what the caller is told."""

from dataclasses import dataclass
from time import monotonic

from retail_assets.serving.keys import KeyRing
from retail_assets.serving.places import Place

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
NO_ROUTE = Refusal(404, "this service has no such route", "GET / lists its routes")
NOT_JSON = Refusal(415, "the body must be JSON", "send the header Content-Type: application/json")
FULL = _again("too many requests are being answered", "full")
BUSY = _again("the service has more to do than it can", "busy")
DEADLINE = _again("no answer within the deadline", "deadline")


def key_refusal(keys: KeyRing, place: Place, authorization: bytes | None) -> Refusal | None:
    """Why a request with this Authorization header may not use a route; None, and a token taken, when it may."""
    if keys.broken is not None:
        return Refusal(503, keys.broken.what, "ask the operator to look at the log of this service")
    if authorization is None:
        return NO_KEY
    caller = keys.find(authorization)
    if caller is None:
        return BAD_KEY
    key = caller.key
    if place.scope is not None and place.scope not in key.scopes:
        return Refusal(
            403,
            f"this key may not be used here: it lacks the scope {place.scope!r}",
            f"it has {', '.join(sorted(key.scopes))}; ask the operator for a key with {place.scope!r}",
        )
    wait_s = caller.bucket.take(monotonic())
    if wait_s > 0:
        seconds = str(max(1, -int(-wait_s // 1)))
        return Refusal(
            429,
            f"more than {key.rate.per_second:g} requests a second with this key",
            "try again after Retry-After seconds, or ask for many items in one request",
            ((b"retry-after", seconds.encode()),),
            "rate",
        )
    return None
