"""Whether a caller may use a route: his key, its scopes and its rate."""

from retail_assets.serving.connections.refusals import BAD_KEY, NO_KEY, Refusal, again_after
from retail_assets.serving.gateway.keys import Caller, KeyRing
from retail_assets.serving.gateway.routes import Place


def _bad_key(keys: KeyRing, client: tuple[str, int] | None, now: float) -> Refusal:
    """A right key is taken all the same: one caller with a wrong one must not lock out all behind the same proxy."""
    wait_s = keys.wrong.take(client[0] if client else "", now)
    if wait_s <= 0:
        return BAD_KEY
    return Refusal(
        429,
        "too many requests with unknown, expired or revoked API keys came from this address",
        "try again after Retry-After seconds, with a key that the operator made (`retail keys list`)",
        ((b"retry-after", again_after(wait_s)),),
    )


def key_or_refusal(
    keys: KeyRing, place: Place, authorization: bytes | None, client: tuple[str, int] | None, now: float
) -> Caller | Refusal:
    """Who asks with this Authorization header, and a token taken; or why it may not use a route.

    `client` is where the request came from, `now` of a monotonic clock.
    """
    if keys.broken is not None:
        return Refusal(503, keys.broken.what, "ask the operator to look at the log of this service")
    if authorization is None:
        return NO_KEY
    caller = keys.find(authorization)
    if caller is None:
        return _bad_key(keys, client, now)
    key = caller.key
    if place.scope is not None and place.scope not in key.scopes:
        return Refusal(
            403,
            f"this key may not be used here: it lacks the scope {place.scope!r}",
            f"it has {', '.join(sorted(key.scopes))}; ask the operator for a key with {place.scope!r}",
        )
    wait_s = caller.bucket.take(now)
    if wait_s > 0:
        return Refusal(
            429,
            f"more than {key.rate.per_second:g} requests a second with this key",
            "try again after Retry-After seconds, or ask for many items in one request",
            ((b"retry-after", again_after(wait_s)),),
            "rate",
        )
    return caller
