"""Where requests come in: each gets a ticket when it is read, and too many are refused before they cost anything.

A request that goes through uvicorn and the front costs much even if all it gets is a 503. When a process is asked for
many times what it can, these would be all it does. One that is read whole while too many wait gets ready bytes instead.
"""

import os
import socket
from asyncio import AbstractEventLoop, Task, Transport
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, cast

import psutil
import uvicorn.config
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from retail_assets.serving.connections.refusals import Refusal
from retail_assets.serving.connections.wire import Wire
from retail_assets.serving.connections.wire_limits import PROBES, Manners
from retail_assets.serving.gateway.load_shedding import Line

LINE = "retail.line"
TICKET = "retail.ticket"
DOOR = "retail.door"
CYCLE = "retail.cycle"
AT_ONCE = PROBES | {"*"}
"""Paths that wait for nobody: probes, and what never comes to the front."""


def install() -> None:
    """Makes uvicorn speak through Intake in this process; for the time before a server is configured."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{Intake.__name__}"


def speak(manners: Manners) -> None:
    """Sets the limits and the hosts of this process; for the time before its first connection."""
    Intake.manners = manners


class Door:
    """Lets in every connection that waits. uvloop accepts one a turn, and under load turns are long."""

    def __init__(self, port: int) -> None:
        """Finds the socket of this process that listens on `port`."""
        tcp = psutil.Process().net_connections("tcp")
        found = [c.fd for c in tcp if c.status == psutil.CONN_LISTEN and c.laddr.port == port]
        self._listeners = [socket.socket(fileno=os.dup(fd)) for fd in found if fd >= 0]
        self._entering: set[Task[Any]] = set()

    def let_in(self, loop: AbstractEventLoop, protocol: Callable[[], "Intake"], room: int) -> None:
        """Accepts what waits, each with a protocol of its own, while there is room for so many.

        Those beyond wait for the loop: were all let in, they would take descriptors that the process needs.
        """
        for listener in self._listeners:
            while len(self._entering) < room and (connection := _accepted(listener)) is not None:
                task = loop.create_task(loop.connect_accepted_socket(protocol, connection))
                self._entering.add(task)
                task.add_done_callback(self._entering.discard)

    def close(self) -> None:
        """Lets nobody in any more."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        return listener.accept()[0]
    except OSError:  # nobody waits, or no file is left for it: then those who have one come first
        return None


class Intake(Wire):
    """One connection. The front leaves the line of its process in the state of the application (ASGI lifespan)."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._line: Line | None = app_state.get(LINE)

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Called by the event loop; takes those who wait behind this one along."""
        super().connection_made(transport)
        if self.server is None or self.server[1] is None or self.scheme != "http":
            return
        state = self.app_state
        if DOOR not in state:
            state[DOOR] = Door(self.server[1])
        crowd = self._crowd()
        state[DOOR].let_in(
            self.loop,
            lambda: type(self)(self.config, self.server_state, state, self.loop),
            crowd.most - crowd.inside,
        )

    def data_received(self, data: bytes) -> None:
        """Refuses or reads on."""
        line = self._line
        if (
            line is not None
            and line.is_full()
            and self._is_idle()
            and not self._deaf
            and (refusal := line.refuse(data)) is not None
        ):
            self._unset_keepalive_if_required()
            self.transport.write(refusal)
            wait = self.timeout_keep_alive
            self.timeout_keep_alive_task = self.loop.call_later(wait, self.timeout_keep_alive_handler)
            return
        super().data_received(data)

    def refuse(self, refusal: Refusal) -> None:
        """As Wire; counted."""
        if self._line is not None:
            self._line.on_unreadable(refusal.status)
            if refusal.why is not None:
                self._line.on_shed(refusal.why)
        super().refuse(refusal)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        line, scope = self._line, cast(dict[str, Any], cycle.scope)
        if line is None or scope["path"] in AT_ONCE:
            super()._start_asgi_task(cycle, app)
            return
        self._answered = cycle
        scope[CYCLE], ticket = cycle, line.arrive(perf_counter())
        if line.starting:
            start = partial(super()._start_asgi_task, cycle, app)
            authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
            ticket = line.queue(ticket, authorization, start, lambda: cycle.disconnected)
        else:
            line.starting = 1
            super()._start_asgi_task(cycle, app)
        scope[TICKET] = ticket
