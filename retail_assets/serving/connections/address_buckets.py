"""How often each address may do something that it should not do at all, in bounded memory."""

from collections import OrderedDict

from retail_assets.core.token_bucket import TokenBucket
from retail_assets.serving.connections.crowd import party

KEPT = 4096
"""Addresses that are remembered; beyond them the one that was quiet for longest is forgotten."""


class AddressBuckets:
    """A bucket for each address, and for each network of IPv6."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """Seconds until `address` may do it again; 0.0 when it may now, which counts. `now` is of a monotonic clock."""
        who = party(address)
        bucket = self._buckets.pop(who, None) or TokenBucket(self._per_second, self._burst)
        self._buckets[who] = bucket
        if len(self._buckets) > KEPT:
            self._buckets.popitem(last=False)
        return bucket.take(now)
