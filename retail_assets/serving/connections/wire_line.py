"""The transport of one connection as wire.py uses it: left instead of closed, given up when nobody reads from it."""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable


class WireLine:
    """A transport. Closing it only calls `leave`; `end` closes it."""

    def __init__(
        self, transport: Transport, leave: Callable[[], None], loop: AbstractEventLoop, unread_s: float
    ) -> None:
        self.raw = transport
        self.get_extra_info = transport.get_extra_info
        self.close = leave
        self.left = False
        self._loop = loop
        self._unread_s = unread_s
        self._unsent = 0  # bytes, at the last look
        self._look: TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Sends `data` while there is somebody to send it to: who hung up may not be known to those who answer yet."""
        if not self.raw.is_closing():
            self.raw.write(data)

    def is_closing(self) -> bool:
        """Whether nothing more is said."""
        return self.left or self.raw.is_closing()

    def end(self) -> None:
        """Closes the connection once its other side has read what it was sent; it has to go on reading."""
        self.left = True
        self.raw.close()
        if self.raw.get_write_buffer_size():
            self.watch()

    def watch(self) -> None:
        """Gives the connection up when `unread_s` pass in which nothing of what waits is read."""
        if self._look is None:
            self._unsent = self.raw.get_write_buffer_size()
            self._look = self._loop.call_later(self._unread_s, self._look_again)

    def unwatch(self) -> None:
        """What waited is read, or the connection has ended."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_again(self) -> None:
        self._look = None
        if self.raw.get_write_buffer_size() >= self._unsent > 0:
            self.raw.abort()
        else:
            self.watch()
