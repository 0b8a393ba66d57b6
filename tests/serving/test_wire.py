"""A connection whose client stops in the middle, or goes on for ever."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn

from retail_assets.serving.connections.hosts import HostError, Hosts
from retail_assets.serving.connections.wire import Wire, speaking
from retail_assets.serving.connections.wire_limits import Manners, WireLimits
from tests.services.harness import eventually, free_port
from tests.services.wire_client import WireClient

HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
SLOWLY_S = 1.0


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body, on /slow after longer than a connection may be idle; on /deaf without reading it.

    On /much/N it answers with N bytes.
    """
    if scope["type"] != "http":
        return
    if scope["path"].startswith("/much/"):
        await much(int(scope["path"].rpartition("/")[2]), send)
        return
    body, more = b"", scope["path"] != "/deaf"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOWLY_S)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def much(size: int, send: Any) -> None:
    """Answers with so many bytes, in pieces."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    for start in range(0, size, 1 << 16):
        piece = b"a" * min(1 << 16, size - start)
        await send({"type": "http.response.body", "body": piece, "more_body": start + len(piece) < size})


@contextmanager
def listening(hosts: Hosts | None = None, **limits: float) -> Iterator[int]:
    """Where a server listens that has these limits instead of the usual ones."""
    port = free_port()
    manners = Manners(WireLimits(**limits), hosts or Hosts())  # type: ignore[arg-type]
    config = uvicorn.Config(
        echo, port=port, http=speaking(manners, Wire), ws="none", lifespan="off", log_level="error", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert eventually(lambda: server.started, within=20)
        yield port
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a server listens that does not wait long."""
    with listening(idle_s=0.2, body_pause_s=0.2) as port:
        yield port


@pytest.mark.parametrize(
    "sent",
    [b"P", b"POST /ec", HEAD, HEAD + b"\r\n", HEAD + b"\r\nhello", HEAD.replace(b"10", b"4") + b"\r\nbodyPOST /"],
)
def test_a_request_that_does_not_go_on_is_408(port: int, sent: bytes) -> None:
    with WireClient(port) as client:
        client.send(sent)
        if b"body" in sent:
            assert client.answer().body == b"body"
        answer = client.answer()
        assert (answer.status, answer.closes(), client.is_closed()) == (408, True, True)


@pytest.mark.parametrize("sent", [b"", b"\r\n", HEAD.replace(b"/echo", b"/deaf") + b"\r\n"])
def test_a_connection_on_which_nothing_is_due_is_closed(port: int, sent: bytes) -> None:
    with WireClient(port) as client:
        client.send(sent)
        if b"deaf" in sent:
            assert client.answer().status == 200
        assert client.is_closed()


def test_a_slow_answer_is_waited_for(port: int) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(WireClient(port)) for _ in range(2)]
        slow = HEAD.replace(b"/echo", b"/slow") + b"\r\n0123456789"
        clients[0].send(slow)
        clients[1].send(slow + b"GET /a")
        assert [client.answer().body for client in clients] == [b"0123456789"] * 2
        assert clients[1].answer().status == 408


def test_a_body_without_end_is_not_read_for_ever() -> None:
    endless = HEAD.replace(b"/echo", b"/deaf").replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"\r\n"
    with listening(discarded_bytes=1 << 20) as port, WireClient(port) as client:
        client.send(endless)
        assert client.answer().status == 200
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                client.send(b"100000\r\n" + b"a" * (1 << 20) + b"\r\n")


def test_a_bad_chunk_behind_an_answer_ends_the_connection(port: int) -> None:
    deaf = HEAD.replace(b"/echo", b"/deaf").replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"\r\n"
    with WireClient(port) as client:
        client.send(deaf)
        assert client.answer().status == 200
        client.send(b"zz\r\n")
        assert client.is_closed()


def test_a_bad_chunk_behind_another_request_leaves_that_its_answer(port: int) -> None:
    chunks = HEAD.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"\r\nzz\r\n"
    with WireClient(port) as client:
        client.send(HEAD + b"\r\n0123456789" + chunks)
        assert client.answer().body == b"0123456789"
        assert (client.answer().status, client.is_closed()) == (400, True)


LOCAL = Hosts(("localhost", "[::1]", "*.shop.example"))
GOOD_HOSTS = [b"localhost", b"LocalHost:3002", b"localhost.", b"[::1]:80", b"a.shop.example", b"127.0.0.1:1"]
BAD_HOSTS = [
    b"evil.example",
    b"shop.example",
    b"localhost.evil.example",
    b"127.0.0.1.nip.io",
    b"10.1.2.3",
    b"",
    b"[::2]",
]


@pytest.mark.parametrize("host", GOOD_HOSTS + BAD_HOSTS)
def test_who_asks_by_another_name_is_refused(host: bytes) -> None:
    """The address that a connection came to is allowed, though it is not among the names."""
    with listening(LOCAL) as port, WireClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        answer = client.answer()
        assert (answer.status, answer.closes()) == ((200, False) if host in GOOD_HOSTS else (421, True))
        assert b"evil" not in answer.body


def test_a_name_counts_for_each_request_of_a_connection() -> None:
    sent = [b"Host: localhost", b"Host: evil.example"]
    with listening(LOCAL) as port, WireClient(port) as client:
        client.send(b"".join(b"GET / HTTP/1.1\r\n" + host + b"\r\n\r\n" for host in sent))
        assert [client.answer().status for _ in sent] == [200, 421]
    for second in (b"GET / HTTP/1.0\r\n\r\n", b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with listening(LOCAL) as port, WireClient(port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + second)
            assert [client.answer().status for _ in range(2)] == [200, 421]


@pytest.mark.parametrize("path", [b"/livez", b"/readyz", b"/healthz", b"/livez?a=b"])
def test_probes_may_use_any_name(path: bytes) -> None:
    for line, status in ((b"GET " + path, 200), (b"POST " + path, 421)):
        with listening(LOCAL) as port, WireClient(port) as client:
            client.send(line + b" HTTP/1.1\r\nHost: 10.1.2.3:3002\r\n\r\n")
            assert client.answer().status == status


@pytest.mark.parametrize("name", ["http://x", "x:80", "", "a b", "*.", "x/y", "*x", "x..y"])
def test_what_is_no_host_cannot_be_allowed(name: str) -> None:
    with pytest.raises(HostError, match="is not the name of a host"):
        Hosts((name,))


def test_every_name_may_be_allowed() -> None:
    assert Hosts(("*",)).allows(b"evil.example")
    assert not Hosts(("*",)).allows(b"")
