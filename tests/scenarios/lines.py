"""Stores in network namespaces of their own, with a line to the centre that can be cut.

Where namespaces are not allowed a store is a process of this machine and its line a forwarder in this one, which is
said loudly: what it cannot show is that nothing but the line leads out of the store.
"""

import ctypes
import os
import selectors
import shutil
import socket
import subprocess
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress

from tests.services.harness import free_port

CLONE_NEWNET = 0x40000000


class Namespace:
    """A network namespace that one cable leads out of."""

    def __init__(self, number: int) -> None:
        """Names and addresses come from the number and this process, so that two runs do not meet."""
        self.name = f"retail{os.getpid() % 10000}n{number}"
        self._cable, inner = f"rt{os.getpid() % 10000}n{number}a", f"rt{os.getpid() % 10000}n{number}b"
        net = f"10.{64 + os.getpid() % 64}.{os.getpid() // 64 % 256}"
        self.host, self.address = f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}"
        _ip("netns", "add", self.name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", inner)
        _ip("link", "set", inner, "netns", self.name)
        _ip("addr", "add", f"{self.host}/30", "dev", self._cable)
        _ip("link", "set", self._cable, "up")
        for command in (("addr", "add", f"{self.address}/30", "dev", inner), ("link", "set", inner, "up"),
                        ("link", "set", "lo", "up")):  # fmt: skip
            _ip("-n", self.name, *command)

    def command(self, command: Sequence[str]) -> list[str]:
        """`command`, to be run inside."""
        return ["ip", "netns", "exec", self.name, *command]

    def enter(self) -> None:
        """Takes the calling thread inside: sockets that it opens from now on are the store's."""
        with open(f"/run/netns/{self.name}") as namespace:  # noqa: PTH123
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def url(self, port: int) -> str:
        """The centre's port as the store reaches it."""
        return f"http://{self.host}:{port}"

    def cut(self) -> None:
        """Pulls the cable."""
        _ip("link", "set", self._cable, "down")

    def restore(self) -> None:
        """Puts it back."""
        _ip("link", "set", self._cable, "up")

    def close(self) -> None:
        """Removes namespace and cable."""
        _ip("netns", "del", self.name)


class Forwarder:
    """A line without a namespace: bytes go to the centre through a thread of this process until it is cut."""

    def __init__(self, _: int) -> None:
        self._port = free_port()
        self._centre = 0
        self._is_cut = threading.Event()
        self._ended = threading.Event()

    def command(self, command: Sequence[str]) -> list[str]:
        """As it is."""
        return list(command)

    def enter(self) -> None:
        """Nowhere to go."""

    def url(self, port: int) -> str:
        """Begins to listen, for the port of the centre."""
        if not self._centre:
            self._centre = port
            listener = socket.create_server(("127.0.0.1", self._port))
            listener.settimeout(0.1)
            threading.Thread(target=self._listen, args=(listener,), daemon=True).start()
        return f"http://127.0.0.1:{self._port}"

    def _listen(self, listener: socket.socket) -> None:
        with listener:
            while not self._ended.is_set():
                with suppress(TimeoutError):
                    near, _ = listener.accept()
                    threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            if self._is_cut.is_set():
                return
            with socket.create_connection(("127.0.0.1", self._centre)) as far, selectors.DefaultSelector() as ready:
                ready.register(near, selectors.EVENT_READ, far)
                ready.register(far, selectors.EVENT_READ, near)
                while not self._is_cut.is_set() and not self._ended.is_set():
                    for key, _ in ready.select(0.1):
                        content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not content:
                            return
                        key.data.sendall(content)

    def cut(self) -> None:
        """Ends every connection and takes no other."""
        self._is_cut.set()

    def restore(self) -> None:
        """Takes connections again."""
        self._is_cut.clear()

    def close(self) -> None:
        """Ends it."""
        self._ended.set()


Line = Namespace | Forwarder


def new_line(number: int) -> Line:
    """A namespace with its cable where this machine allows one, else a forwarder, with a warning."""
    if os.geteuid() == 0 and shutil.which("ip"):
        try:
            return Namespace(number)
        except subprocess.CalledProcessError as error:
            warnings.warn(f"NO NETWORK NAMESPACES HERE ({error.stderr!r}): stores are plain processes", stacklevel=2)
    else:
        warnings.warn("NO NETWORK NAMESPACES HERE (not root, or no ip): stores are plain processes", stacklevel=2)
    return Forwarder(number)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
