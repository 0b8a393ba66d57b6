"""Many connections at once: slow ones, silent ones, and more than there is room for. Raw sockets, a real server."""

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from retail_assets.serving.connections.crowd import FEWEST, OWN_FILES, Crowd, fitting, party
from tests.services.harness import eventually
from tests.services.wire_client import LIVE, WireClient
from tests.serving.test_wire import HEAD, listening

HALF = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
ASK = b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def opened(port: int, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have sent the same."""
    with ExitStack() as stack:
        made = [stack.enter_context(closing(socket.create_connection(("127.0.0.1", port)))) for _ in range(count)]
        for connection in made:
            connection.sendall(sent)
        yield made


def ended(connection: socket.socket) -> bool:
    """Whether the server has closed it, whatever it said before."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def dribbled(connection: socket.socket, part: bytes, for_s: float) -> float:
    """Seconds until the server answered or hung up while it was sent a part every 50 ms."""
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < for_s:
        try:
            connection.sendall(part)
            if connection.recv(1 << 16)[9:12] in (b"408", b""):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("begun", "part"),
    [
        (b"", b"\r\n"),
        (b"P", b"O"),
        (HALF, b"a"),
        (ASK + HALF, b"a"),
        (HEAD + b"\r\n", b""),
        (HEAD.replace(b"10", b"100000") + b"\r\n", b"a"),
        (HEAD.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"\r\n", b"1\r\na\r\n"),
        (HEAD.replace(b"/echo", b"/deaf").replace(b"10", b"100000") + b"\r\n", b"a"),
    ],
    ids=["empty lines", "method", "header", "behind another", "silent body", "body", "chunks", "refused body"],
)
def test_what_comes_a_byte_at_a_time_ends_all_the_same(begun: bytes, part: bytes) -> None:
    with listening(idle_s=0.4, head_s=0.6, body_s=0.6, body_pause_s=0.4) as port, opened(port, 1, begun) as (one,):
        assert dribbled(one, part, for_s=15) < 15


def test_a_body_that_keeps_its_pace_may_take_long() -> None:
    with listening(body_s=0.2, body_bytes_per_s=100) as port, WireClient(port) as client:
        client.send(HEAD.replace(b"10", b"60") + b"\r\n")
        for _ in range(6):
            client.send(b"0123456789")
            time.sleep(0.05)
        assert client.answer().status == 200


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
def test_when_all_places_are_taken_probes_are_answered(limit: str) -> None:
    with listening(**{limit: 20, "spare_connections": 4}) as port, opened(port, 200, HALF):
        for _ in range(20):
            with WireClient(port) as probe:
                probe.send(LIVE)
                answer = probe.answer()
                assert (answer.status, answer.closes()) == (200, True)
        with WireClient(port) as other:
            other.send(ASK)
            refused = other.answer()
            assert (refused.status, refused.headers["retry-after"], refused.closes()) == (503, "1", True)


def test_a_place_is_given_back() -> None:
    with listening(connections=20, spare_connections=4) as port:
        for _ in range(3):
            with opened(port, 20, ASK) as made:
                assert {one.recv(12) for one in made} == {b"HTTP/1.1 200"}
                with WireClient(port) as more:
                    more.send(ASK)
                    assert more.answer().status == 503
            assert eventually(lambda: _answered(port), within=10)


def _answered(port: int) -> bool:
    with WireClient(port) as client:
        client.send(ASK)
        return client.answer().status == 200


def test_silent_heads_leave_their_places() -> None:
    with listening(connections=20, spare_connections=4, idle_s=0.3, head_s=0.3) as port, opened(port, 20, HALF) as held:
        assert eventually(lambda: all(ended(one) for one in held), within=15)
        assert eventually(lambda: _answered(port), within=15)


@pytest.mark.parametrize("size", [100_000, 30_000_000])
def test_an_answer_that_nobody_reads_is_given_up(size: int) -> None:
    limits = {"idle_s": 0.2, "unread_s": 0.3, "connections": 1, "spare_connections": 1}
    with listening(**limits) as port, closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"GET /much/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size)
        assert eventually(lambda: _answered(port), within=15), "its place is free although it stays"


def test_an_answer_that_is_read_slowly_is_not_given_up() -> None:
    size = 3_000_000
    with listening(idle_s=0.2, unread_s=0.5) as port, closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"GET /much/%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % size)
        read = 0
        while received := slow.recv(1 << 17):
            read += len(received)
            time.sleep(0.02)
        assert read > size


def test_the_oldest_without_a_place_leaves_first() -> None:
    crowd, left = Crowd(1, 1, 2), []
    assert crowd.enter("a", "x", lambda: left.append("a"))
    for who in ("b", "c", "d"):
        assert not crowd.enter(who, "x", lambda who=who: left.append(who))
    assert left == ["b"]
    crowd.left("b", "x", had_place=False)
    crowd.left("a", "x", had_place=True)
    assert crowd.inside == 0
    assert crowd.enter("e", "x", lambda: None)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fd00::1:2:3:4", "fd00::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_stands_for_who_has_it(address: str, counted: str) -> None:
    assert party(address) == counted


@pytest.mark.parametrize(
    ("soft", "hard", "most"),
    [(400, 400, 400 - 32 - OWN_FILES), (50, 50, FEWEST), (400, 100_000, 1000), (100_000, 100_000, 1000)],
)
def test_there_are_no_more_places_than_descriptors(
    soft: int, hard: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[int, int]] = [(soft, hard)]
    set_: Callable[[int, tuple[int, int]], None] = lambda _, pair: limits.append(pair)  # noqa: E731
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", set_)
    assert fitting(1000, 32) == most
    assert limits[-1][0] >= min(hard, 1000 + 32 + OWN_FILES)
