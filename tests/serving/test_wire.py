"""A connection whose client stops in the middle, or goes on for ever."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn

from retail_assets.serving import wire
from retail_assets.serving.wire import Wire
from tests.services.harness import eventually, free_port
from tests.services.wire_client import WireClient

HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
SLOWLY_S = 1.0


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body, on /slow after longer than a connection may be idle; on /deaf without reading it."""
    if scope["type"] != "http":
        return
    body, more = b"", scope["path"] != "/deaf"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOWLY_S)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a server listens that does not wait long."""
    port = free_port()
    config = uvicorn.Config(echo, port=port, http=Wire, ws="none", lifespan="off", log_level="error")
    config.timeout_keep_alive = 0.2  # type: ignore[assignment]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "STALLED_S", 0.2)
        try:
            assert eventually(lambda: server.started, within=20)
            yield port
        finally:
            server.should_exit = True
            thread.join(20)


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


def test_a_body_without_end_is_not_read_for_ever(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_DISCARDED", 1 << 20)
    endless = HEAD.replace(b"/echo", b"/deaf").replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"\r\n"
    with WireClient(port) as client:
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
