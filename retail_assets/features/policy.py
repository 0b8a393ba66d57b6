"""Whether a feature value may still be believed. Feast does not ask: it serves any age as present."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Belief:
    """The verdict on one value: `passed`, why not, and the two numbers compared, in seconds."""

    passed: bool
    reason: str
    age_seconds: float | None
    ttl_seconds: float


def believe(age_seconds: float | None, ttl_seconds: float) -> Belief:
    """Whether a value of that age may be served; an age of None means there is no value, a negative one the future.

    A value exactly as old as its time to live is still served, as in the point-in-time join.
    """
    if age_seconds is None:
        return Belief(False, "missing", None, ttl_seconds)
    if age_seconds < 0:
        return Belief(False, "not yet known", age_seconds, ttl_seconds)
    if not age_seconds <= ttl_seconds:
        return Belief(False, "stale", age_seconds, ttl_seconds)
    return Belief(True, "", age_seconds, ttl_seconds)
