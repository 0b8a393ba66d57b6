"""When a process has more to do than it can: how long a request has waited for its turn, and what it gets then.

Decisions run on the event loop, one after the other, and what all connections have sent is read before the first of it
is answered. How many requests wait is therefore known exactly when the next one is read, and so is about how long that
one would wait: their number times what an answer took lately. See intake.py for the reading.

Where several callers wait (a caller is a key), they take turns (see turns.py), and only those are sent away who wait
behind their own requests.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from retail_assets.serving.gateway.turns import Party, Turns

Ticket = tuple[float, int, Party | None, int]
"""When a request was read, and how many had begun by then; of one that had to wait its caller, and how many of that."""

LATELY = 1 / 32  # weight of the newest answer in the time that one takes
NOBODY = b""
"""All callers without a good key, who take their turns together."""
ROUND_S, MOST_AT_ONCE, LEAST_S = 0.002, 16, 1e-6


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
    on_shed: Callable[[str], None] = lambda _: None
    """Told why one was sent away that found no place."""
    caller_of: Callable[[bytes | None], bytes] = lambda _: NOBODY
    """Who an Authorization header is of; NOBODY for what is no key."""
    turns: Turns = field(default_factory=Turns)
    starting: int = 0
    """So many were started and have not begun: while there are any, others queue."""
    _begun: int = 0
    _turn_s: float = ROUND_S  # the longest that one took lately
    _each_s: float = 0.0

    def arrive(self, now: float) -> Ticket:
        """A request is read; returns its ticket for `begin`."""
        self.waiting += 1
        return now, self._begun, None, 0

    def queue(
        self, ticket: Ticket, authorization: bytes | None, start: Callable[[], object], is_gone: Callable[[], bool]
    ) -> Ticket:
        """Starts a request that has arrived when its turn comes; returns its new ticket.

        One whose sender `is_gone` by then is never started.
        """

        def start_later() -> bool:
            if is_gone():
                self.waiting -= 1
                return False
            self.starting += 1
            start()
            return True

        party = self.turns.add(self.caller_of(authorization), start_later)
        return ticket[0], ticket[1], party, party.begun

    def begin(self, ticket: Ticket, now: float) -> float:
        """Its turn has come; returns how long it waited, 0 where no more than `ahead` went before it.

        Of those of other callers so many count as fair turns would have let before it. Others begin after it has done
        its work, and after what came meanwhile was read.
        """
        self.waiting -= 1
        arrived, begun_then, party, own_then = ticket
        before, self._begun = self._begun - begun_then, self._begun + 1
        if party is not None:
            own, party.begun = party.begun - own_then, party.begun + 1
            before = min(before, (own + 1) * (self.turns.callers() + 1))
        if self.turns.waiting and self.starting == 1:
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self.starting -= 1
        return now - arrived if before >= self.ahead else 0.0

    def _next(self) -> None:
        """Starts as many as take `ROUND_S` at most: a turn of the event loop for each would cost too much."""
        self.starting = 0
        for _ in range(max(1, min(MOST_AT_ONCE, int(ROUND_S / self._turn_s)))):
            if not self.turns.start():
                return

    def worked(self, ticket: Ticket, seconds: float) -> None:
        """The request of this ticket kept the process busy for so long."""
        self._turn_s = max(seconds, LEAST_S, self._turn_s * (1 - LATELY))
        if ticket[2] is not None:
            ticket[2].clock += seconds

    def took(self, seconds: float) -> None:
        """An answer was made in one go, without waiting for anything."""
        self._each_s += (seconds - self._each_s) * LATELY

    def is_full(self) -> bool:
        """Whether one more would have to wait longer than `shed_s`."""
        return self.waiting > self.ahead and self.waiting * self._each_s > self.shed_s

    def refuse(self, request: bytes) -> bytes | None:
        """The answer to what was read where that is one whole request that may be refused unread, else None."""
        label = self.refusals.get(request[: request.find(b"\r\n") + 2])
        if label is None or not is_whole(request) or not self._is_full_of(self.caller_of(authorization_of(request))):
            return None
        self.on_refused(label)
        return self.refusal

    def _is_full_of(self, caller: bytes) -> bool:
        """Whether one more request of `caller` would wait longer than `shed_s` in its share of the turns."""
        own, callers = self.turns.share(caller)
        return callers == 1 or own > self.ahead and own * callers * self._each_s > self.shed_s


def authorization_of(request: bytes) -> bytes | None:
    """The value of the header Authorization of a whole request; None where there is none."""
    head = request[: request.find(b"\r\n\r\n")]
    at = head.lower().find(b"\r\nauthorization:")
    return head[at + 16 :].lstrip(b"\r\n:").partition(b"\r\n")[0].strip() if at >= 0 else None


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
