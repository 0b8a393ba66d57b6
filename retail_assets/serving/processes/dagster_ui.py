"""Dagster's UI, for this machine's own pages only: `python -m retail_assets.serving.processes.dagster_ui ...`.

It takes the options of dagster-webserver. That one asks for no key and answers to whatever name it is called by, so
that a page from anywhere could start runs and read their logs: by making its own name lead here (DNS rebinding), or by
opening a websocket or sending a form to it, which browsers allow. Requests that name another host, and those of pages
of other hosts, are refused here.
"""

import sys
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from retail_assets.core.errors import RetailError
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.connections.hosts import Hosts
from retail_assets.serving.connections.log_rate import spare
from retail_assets.serving.connections.refusals import FOREIGN_PAGE, WRONG_HOST, Refusal, messages

MAKES_APP = "create_app_from_workspace_process_context"


class UnknownWebserver(RetailError):
    """A version of dagster-webserver that makes its application in another way."""


class OwnHostsOnly:
    """ASGI middleware that refuses requests and websockets by the header Host, and by Origin where there is one."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":  # the log is set up by now: a line for each garbage connection is too much
            spare("uvicorn", "dagster-webserver")
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it was accepted: 403
        else:
            for message in messages(refusal):
                await send(message)

    def _refusal(self, scope: Scope) -> Refusal | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        own = scope["server"][0] if scope.get("server") else None
        if len(hosts) != 1 or not self._hosts.allows(hosts[0], own):
            return WRONG_HOST
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        asks_to_change = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if asks_to_change and not all(self._hosts.allows_origin(origin) for origin in origins):
            return FOREIGN_PAGE
        return None


def main() -> None:
    """Runs dagster-webserver with the options of the command line. Raises UnknownWebserver for one that is unknown."""
    from dagster_webserver import cli

    makes = getattr(cli, MAKES_APP, None)
    if makes is None:
        raise UnknownWebserver(
            f"this version of dagster-webserver has no {MAKES_APP}", todo="install that of requirements.lock"
        )
    hosts = ServingConfig.load_file().manners().hosts

    def own_hosts_only(*arguments: Any, **options: Any) -> ASGIApp:
        return OwnHostsOnly(makes(*arguments, **options), hosts)

    setattr(cli, MAKES_APP, own_hosts_only)
    sys.argv[0] = "dagster-webserver"
    cli.main()


if __name__ == "__main__":
    try:
        main()
    except RetailError as error:
        sys.exit(f"error: {error}")
