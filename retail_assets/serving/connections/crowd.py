"""How many connections one process holds, in all and from one address, and the room that is kept for probes."""

import ipaddress
import resource
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable

OWN_FILES = 128
"""Descriptors that a process needs besides its connections: tables, models, logs, its decision log."""
FEWEST = 8
NETWORK_BITS = 64
"""An address of IPv6 stands for its network: one customer of a provider has that many."""


def party(address: str) -> str:
    """Who is behind an address, as limits count them."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))


def fitting(wanted: int, spare: int) -> int:
    """How many of `wanted` connections this process has descriptors for, besides `spare` and its own files.

    Raises its limit of descriptors as far as it may.
    """
    needed = wanted + spare + OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(FEWEST, min(wanted, soft - spare - OWN_FILES))


class Crowd:
    """The connections of one server.

    Whoever comes when all places are taken, or all of its address, gets a spare one, which answers probes only; when
    these are taken too, the oldest of them has to leave.
    """

    def __init__(self, most: int, most_per_address: int, spare: int) -> None:
        self.most, self.most_per_address, self.spare = most, most_per_address, spare
        self.inside = 0
        self._parties: Counter[str] = Counter()
        self._spare: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()

    def enter(self, who: Hashable, address: str, leave: Callable[[], None]) -> bool:
        """Whether `who` gets a place; else it has a spare one, and `leave` is called when another needs that."""
        if self.inside < self.most and self._parties[address] < self.most_per_address:
            self.inside += 1
            self._parties[address] += 1
            return True
        if len(self._spare) >= self.spare:
            _, oldest = self._spare.popitem(last=False)
            oldest()
        self._spare[who] = leave
        return False

    def left(self, who: Hashable, address: str, had_place: bool) -> None:
        """Gives the place back."""
        if not had_place:
            self._spare.pop(who, None)
            return
        self.inside -= 1
        self._parties[address] -= 1
        if not self._parties[address]:
            del self._parties[address]
