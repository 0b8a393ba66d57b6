"""When a process has more to do than it can: how long a request has waited for its turn, and what it gets then.

Decisions run on the event loop, one after the other, and what all connections have sent is read before the first of it
is answered. How many requests wait is therefore known exactly when the next one is read, and so is about how long that
one would wait: their number times what an answer took lately. See intake.py for the reading.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

LATELY = 1 / 32  # weight of the newest answer in the time that one takes


@dataclass
class Line:
    """The requests of one process that were read and not yet begun. Times are in seconds."""

    ahead: int = 0
    """So many that came before do not make a queue: a few may be slow because others have the processor."""
    shed_s: float = float("inf")
    waiting: int = 0
    refusals: dict[bytes, str] = field(default_factory=dict)
    """First lines of requests that may be refused unread, each with the label of its route."""
    refusal: bytes = b""
    """The whole answer that such a request gets."""
    on_refused: Callable[[str], None] = lambda _: None
    """Told the label of each that got it."""
    on_unreadable: Callable[[int], None] = lambda _: None
    """Told the status of the answer to what was no request (see wire.py)."""
    _begun: int = 0
    _each_s: float = 0.0

    def arrive(self, now: float) -> tuple[float, int]:
        """A request is read; returns its ticket for `begin`."""
        self.waiting += 1
        return now, self._begun

    def begin(self, ticket: tuple[float, int], now: float) -> float:
        """Its turn has come; returns how long it waited, 0 where no more than `ahead` went before it."""
        self.waiting -= 1
        arrived, begun_then = ticket
        before, self._begun = self._begun - begun_then, self._begun + 1
        return now - arrived if before >= self.ahead else 0.0

    def took(self, seconds: float) -> None:
        """An answer was made in one go, without waiting for anything."""
        self._each_s += (seconds - self._each_s) * LATELY

    def is_full(self) -> bool:
        """Whether one more would have to wait longer than `shed_s`."""
        return self.waiting > self.ahead and self.waiting * self._each_s > self.shed_s

    def refuse(self, request: bytes) -> bytes | None:
        """The answer to what was read where that is one whole request that may be refused unread, else None."""
        label = self.refusals.get(request[: request.find(b"\r\n") + 2])
        if label is None or not is_whole(request):
            return None
        self.on_refused(label)
        return self.refusal


def is_whole(request: bytes) -> bool:
    """Whether this is one plain HTTP/1.1 request, no more and no less, whose body has a stated length."""
    end = request.find(b"\r\n\r\n")
    head = request[:end].lower()
    if end < 0 or head.count(b"\r\ncontent-length:") != 1 or b"\r\ntransfer-encoding:" in head:
        return False
    if b"\r\nexpect:" in head or b"\r\nupgrade:" in head or _value(head, b"connection") not in (b"", b"keep-alive"):
        return False
    length = _value(head, b"content-length")
    return length.isdigit() and len(request) == end + 4 + int(length)


def _value(head: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-case head; empty where it is not there."""
    _, found, after = head.partition(b"\r\n" + name + b":")
    return after.partition(b"\r\n")[0].strip() if found else b""
