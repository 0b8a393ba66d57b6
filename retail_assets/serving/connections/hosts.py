"""By which names a server may be asked.

A page that a browser shows can make its own name lead to this machine (DNS rebinding), and could then read from
services that ask for no key: all that tells its requests from others is the name in their header Host.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from retail_assets.core.errors import RetailError

ANY = "*"
NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


class HostError(RetailError):
    """What is to be allowed is the name of no host."""


class Hosts:
    """The names that are allowed: each without a port, `*.example.com` for all below one, `*` for every name."""

    def __init__(self, names: Iterable[str] = ("localhost", "127.0.0.1", "[::1]")) -> None:
        """Raises HostError for what is no name and no address."""
        given = [_checked(name) for name in names]
        self._any = ANY in given
        self._names = frozenset(name for name in given if not name.startswith("*"))
        self._endings = tuple(name[1:] for name in given if name.startswith("*."))

    def allows(self, host: bytes, own: str | None = None) -> bool:
        """Whether a request may name `host`, with or without a port. `own` is the address that it came to.

        That one is always allowed: whoever names an address is where that address leads, and probes of Kubernetes name
        the address of the pod. An empty host never is.
        """
        name = bare(host.decode("latin-1"))
        if not name:
            return False
        return (
            self._any or name in self._names or name.endswith(self._endings) or (own is not None and name == bare(own))
        )

    def allows_origin(self, origin: bytes) -> bool:
        """Whether a page may ask that comes from `origin`, as in `https://example.com:8443`."""
        try:
            return self.allows(urlsplit(origin.decode("latin-1")).netloc.encode("latin-1"))
        except ValueError:
            return False


def bare(host: str) -> str:
    """A host without its port, in the one way that it is compared; empty for what is none."""
    host = host.strip().lower()
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        name, port = (name, port.removeprefix(":")) if closed else ("", "")
    elif host.count(":") > 1:
        name, port = host, ""
    else:
        name, _, port = host.partition(":")
    if port and not port.isdigit():
        return ""
    return _address(name) or name.removesuffix(".")


def _address(name: str) -> str | None:
    """An address in its shortest form, one of IPv4 within IPv6 as that of IPv4; None for what is no address."""
    try:
        found = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)


def _checked(name: str) -> str:
    made = name.strip().lower()
    if made == ANY or _address(made.strip("[]")) is not None:
        return _address(made.strip("[]")) or made
    if NAME.fullmatch(made) is None:
        raise HostError(
            f"{name!r} is not the name of a host",
            where="RETAIL_ALLOWED_HOSTS, or `hosts` in configs/serving.yaml",
            todo="give names without a scheme, port or path: prices.example.com, *.example.com, 10.0.0.5 or [fd00::5]",
        )
    return made.removesuffix(".")
