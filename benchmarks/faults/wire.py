"""What strangers, broken clients and bad lines do to a server that speaks HTTP, on purpose and from a seed.

    python benchmarks/faults/wire.py --port 3002 --seeds 50

`abuse(server, seed)` does one of ABUSES, chosen and measured by the seed, and asks a probe and a good question while it
goes on and when it is over. What comes back names everything that was wrong: a probe or a good question without its
answer, an answer 500, a connection that never ended. The server must be on this machine.
"""

import argparse
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

MOST = 400
"""Connections of one abuse."""
WITHIN_S = 10.0
PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
QUESTION = b'{"store_id": "UK-001", "sku": "SKU-00001"}'
HEAD = b"POST /price HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
NAMES = ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::2]", "10.9.8.7", "a b", "x" * 5000)
STARTS = (
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00",
    b"GET",
    b"SSH-2.0-x\r\n",
    b"\r\n\r\n",
)


@dataclass(frozen=True)
class Server:
    """What is abused: a port of this machine, and a question with the statuses that a good answer has."""

    port: int
    good: bytes = HEAD + b"Content-Length: %d\r\n\r\n" % len(QUESTION) + QUESTION
    statuses: frozenset[int] = frozenset({200, 404})


@dataclass
class Abused:
    """What one abuse did and what it met. `answers` counts statuses, 0 for a connection that ended without one."""

    abuse: str
    seed: int
    what: str = ""
    answers: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def recipe(self) -> str:
        """How it is done again."""
        return f"--seeds 1 --first {self.seed}: {self.abuse}, {self.what}"


class Abuser:
    """The connections of one abuse."""

    def __init__(self, server: Server, rng: random.Random, found: Abused) -> None:
        self.server, self.rng, self.found = server, rng, found
        self.open: list[socket.socket] = []

    def connect(self, count: int, receive: int | None = None) -> list[socket.socket]:
        """So many connections, with a small buffer for what is received where one is given."""
        made = []
        for _ in range(count):
            one = socket.socket()
            if receive is not None:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            one.settimeout(WITHIN_S)
            try:
                one.connect(("127.0.0.1", self.server.port))
            except OSError as error:
                self.found.problems.append(f"no connection: {error}")
                one.close()
                break
            made.append(one)
        self.open += made
        return made

    def send(self, one: socket.socket, data: bytes) -> None:
        """Sends what the server still takes."""
        with suppress(OSError):
            one.sendall(data)

    def answer(self, one: socket.socket) -> int:
        """The status of an answer, 0 where the connection ended; a connection that does neither is a problem."""
        try:
            said = one.recv(1 << 16)
        except TimeoutError:
            self.found.problems.append(f"neither an answer nor an end within {WITHIN_S:g} s")
            return -1
        except OSError:
            said = b""
        status = int(said[9:12]) if said[:5] == b"HTTP/" else 0
        self.found.answers[status] += 1
        if status == 500:
            self.found.problems.append("an answer 500")
        return status

    def check(self, when: str) -> None:
        """A probe and a good question, each on a connection of its own."""
        for name, sent, statuses in (
            ("probe", PROBE, frozenset({200})),
            ("question", self.server.good, self.server.statuses | {503}),
        ):
            began = time.monotonic()
            (one, *_) = self.connect(1) or [None]
            if one is None:
                continue
            self.send(one, sent)
            with suppress(OSError):
                status = one.recv(12)[9:12]
                if status.isdigit() and int(status) in statuses:
                    continue
            self.found.problems.append(f"the {name} got no answer {when} ({time.monotonic() - began:.1f} s)")

    def close(self, *, reset: bool = False) -> None:
        """Ends every connection; with `reset` as a line that was cut does."""
        for one in self.open:
            if reset:
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
        self.open = []


def half_heads(a: Abuser) -> None:
    """Heads that stop somewhere, and go on byte by byte."""
    count, cut = a.rng.randrange(50, MOST), a.rng.randrange(1, len(HEAD))
    a.found.what = f"{count} heads cut after {cut} bytes"
    for one in a.connect(count):
        a.send(one, HEAD[:cut])
    for _ in range(5):
        a.check("while heads were open")
        for one in a.open:
            a.send(one, b"a")


def slow_bodies(a: Abuser) -> None:
    """Bodies of which a byte comes now and then."""
    count, chunks = a.rng.randrange(50, MOST), a.rng.random() < 0.5
    a.found.what = f"{count} slow bodies{' in chunks' if chunks else ''}"
    for one in a.connect(count):
        a.send(
            one, HEAD + (b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n" if chunks else b"Content-Length: 50\r\n\r\n{")
        )
    for _ in range(5):
        a.check("while bodies were open")
        for one in a.open:
            a.send(one, b"1\r\n \r\n" if chunks else b" ")


def garbage(a: Abuser) -> None:
    """Bytes that are no HTTP, one connection after the other."""
    count = a.rng.randrange(100, 2000)
    a.found.what = f"{count} connections of garbage"
    for number in range(count):
        for one in a.connect(1):
            a.send(one, a.rng.choice(STARTS) + a.rng.randbytes(a.rng.randrange(1, 300)) + b"\r\n\r\n")
            with suppress(OSError):
                one.shutdown(socket.SHUT_WR)
            if a.answer(one) == 200:
                a.found.problems.append("garbage was answered 200")
        a.close()
        if number % 200 == 0:
            a.check("during garbage")


def wrong_hosts(a: Abuser) -> None:
    """Requests by names that are not the server's."""
    names = [a.rng.choice(NAMES) for _ in range(a.rng.randrange(20, 200))]
    a.found.what = f"{len(names)} other names"
    for name in names:
        for one in a.connect(1):
            a.send(one, b"GET /version HTTP/1.1\r\nHost: " + name.encode() + b"\r\n\r\n")
            if (status := a.answer(one)) not in (400, 421):
                a.found.problems.append(f"asked by the name {name[:40]!r} it answered {status}")
        a.close()


def large_bodies(a: Abuser) -> None:
    """Bodies far over the limit, stated and unstated; their sender must come to read why."""
    size, chunks = a.rng.randrange(1, 8) << 20, a.rng.random() < 0.5
    a.found.what = f"bodies of {size >> 20} MiB{' in chunks' if chunks else ''}"
    for one in a.connect(5):
        a.send(one, HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if chunks else b"Content-Length: %d\r\n\r\n" % size))
        a.send(one, (b"%x\r\n" % size if chunks else b"") + bytes(size) + (b"\r\n0\r\n\r\n" if chunks else b""))
        if (status := a.answer(one)) != 413:
            a.found.problems.append(f"a large body was answered {status}")
    a.check("during large bodies")


def deaf_readers(a: Abuser) -> None:
    """Questions whose answers are never read."""
    count, each = a.rng.randrange(20, 100), a.rng.randrange(10, 500)
    a.found.what = f"{count} connections with {each} questions and no ear"
    for one in a.connect(count, receive=2048):
        one.settimeout(0.01)
        a.send(one, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * each)
    for _ in range(3):
        a.check("while answers were not read")


def cut_lines(a: Abuser) -> None:
    """Requests that end in the middle with a reset."""
    count = a.rng.randrange(100, 1000)
    a.found.what = f"{count} cut requests"
    for number in range(count):
        for one in a.connect(1):
            a.send(one, a.server.good[: a.rng.randrange(len(a.server.good) + 1)])
        a.close(reset=True)
        if number % 200 == 0:
            a.check("between cut requests")


def wrong_keys(a: Abuser) -> None:
    """Keys that nobody made, as fast as they are answered."""
    count = a.rng.randrange(50, 500)
    a.found.what = f"{count} wrong keys"
    for _ in range(count):
        key = f"rk_{a.rng.randbytes(6).hex()}_{'A' * 43}".encode()
        for one in a.connect(1):
            a.send(
                one,
                PROBE.replace(b"livez", b"version").replace(
                    b"\r\n\r\n", b"\r\nAuthorization: Bearer " + key + b"\r\n\r\n"
                ),
            )
            a.answer(one)
        a.close()
    a.check("after wrong keys")


ABUSES: dict[str, Callable[[Abuser], None]] = {
    made.__name__: made
    for made in (half_heads, slow_bodies, garbage, wrong_hosts, large_bodies, deaf_readers, cut_lines, wrong_keys)
}


def abuse(server: Server, seed: int, name: str | None = None) -> Abused:
    """Does one abuse, of this name or chosen by the seed, and says what it met. Takes some seconds."""
    rng = random.Random(seed)
    chosen = name or rng.choice(sorted(ABUSES))
    found = Abused(chosen, seed)
    abuser = Abuser(server, rng, found)
    try:
        ABUSES[chosen](abuser)
    finally:
        abuser.close()
    abuser.check("when it was over")
    abuser.close()
    return found


def main() -> int:
    """Abuses a running service; returns 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3002)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--abuse", choices=sorted(ABUSES), help="only this one")
    given = parser.parse_args()
    failed = 0
    for seed in range(given.first, given.first + given.seeds):
        found = abuse(Server(given.port), seed, given.abuse)
        failed += bool(found.problems)
        print(f"{seed:4} {found.abuse:12} {found.what}: {dict(found.answers)}")
        for problem, times in Counter(found.problems).items():
            print(f"     {times} x {problem}  [{found.recipe}]")
    print(f"{given.seeds} abuses, {failed} with problems")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
