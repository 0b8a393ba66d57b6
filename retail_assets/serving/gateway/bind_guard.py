"""A service without keys may listen on loopback only."""

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from retail_assets.core.errors import RetailError
from retail_assets.serving.gateway.keys import KeyStore


class ExposedError(RetailError):
    """A service would answer the network without asking for keys."""


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine only. A name other than `localhost` counts as open."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False


def require_keys(hosts: Iterable[str], keys: Path) -> None:
    """Raises ExposedError when a host is not loopback and no key was ever made; KeyFileError for a broken file."""
    exposed = sorted({host for host in hosts if not is_loopback(host)})
    if exposed and not KeyStore(keys).all():
        raise ExposedError(
            f"this service would answer on {', '.join(exposed)} without asking for keys",
            where=str(keys),
            todo="make a key first: `retail keys add NAME --scope price`; or listen on 127.0.0.1",
        )


def listening_hosts() -> list[str]:
    """The addresses on which this process listens, sockets that it inherited included."""
    found = psutil.Process().net_connections(kind="inet")
    return sorted({connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN})


def stated_host() -> str | None:
    """The host that `bentoml serve` was started with; None outside of that command."""
    import click

    context = click.get_current_context(silent=True)
    host = context.params.get("host") if context is not None else None
    return str(host) if host else os.environ.get("BENTOML_HOST")
