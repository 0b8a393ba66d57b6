"""What a server allows its connections: how many, how slow, and by which names. See wire.py."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from retail_assets.serving.connections.hosts import Hosts

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
PROBES = frozenset({"/livez", "/healthz", "/readyz"})
"""Paths that reveal nothing but whether a process answers: they need no key, no known host and no place in a line."""


class WireLimits(BaseModel):
    """Limits of the connections of one process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections: Count = 4096
    connections_per_address: Count = 1024
    spare_connections: Count = 32
    """Beyond the others, for probes only."""
    idle_s: Seconds = 5.0
    """So long a connection may wait for its next request, and a head may pause."""
    head_s: Seconds = 10.0
    """So long a head may take in all."""
    body_pause_s: Seconds = 20.0
    body_s: Seconds = 20.0
    """So long a body may take, and a second more for each `body_bytes_per_s`."""
    body_bytes_per_s: Count = 1000
    unread_s: Seconds = 20.0
    """So long may nothing be read of an answer."""
    discarded_bytes: Count = 128 << 20
    """So much is read, of a body that nobody wants, so that its sender comes to read the answer."""


@dataclass(frozen=True)
class Manners:
    """The limits of one kind of server and the hosts that it answers to."""

    limits: WireLimits = field(default_factory=WireLimits)
    hosts: Hosts = field(default_factory=Hosts)
