"""A small load generator: keep-alive HTTP/1.1 over loopback, cheap enough not to be what is measured."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import psutil

CPU_SETTLE_S = 0.2


@dataclass(frozen=True)
class Load:
    """What came of one run. `latencies_s` are of answers with status 200, sorted."""

    requests: int
    errors: int
    seconds: float
    cpu_seconds: float
    latencies_s: list[float]

    @property
    def per_cpu_second(self) -> float:
        """Answered requests per second of the server's processor time."""
        return (self.requests - self.errors) / self.cpu_seconds

    def percentile_ms(self, share: float) -> float:
        """Latency that `share` of the answers did not exceed, in milliseconds."""
        return self.latencies_s[min(int(share * len(self.latencies_s)), len(self.latencies_s) - 1)] * 1000


class Connection(asyncio.Protocol):
    """One keep-alive connection that sends ready-made requests, one at a time.

    A bare protocol: streams of asyncio cost the client more than an answer costs the server, and would be what is
    measured.
    """

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connects to 127.0.0.1."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def exchange(self, request: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """Status and body of the answer to one request; the server must send Content-Length.

        The future raises ConnectionError when the server hangs up instead.
        """
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._answer.set_exception(ConnectionResetError("the connection is closed"))
        else:
            self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = int(self._received[:head].lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        end = head + 4 + length
        if len(self._received) >= end:
            answer, self._received = self._received[:end], self._received[end:]
            if self._answer is not None and not self._answer.done():
                self._answer.set_result((int(answer[9:12]), answer[head + 4 :]))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server hung up"))


def post(path: str, body: bytes) -> bytes:
    """The bytes of one JSON POST."""
    kind = "Host: localhost\r\nContent-Type: application/json"
    head = f"POST {path} HTTP/1.1\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of these processes so far."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(t.user + t.system for t in times)


async def closed_loop(port: int, requests: Sequence[bytes], connections: int, pids: Sequence[int]) -> Load:
    """Sends all requests over `connections`, each sending its next as soon as it has an answer."""
    open_ = [await Connection.open(port) for _ in range(connections)]
    before, started = cpu_seconds(pids), time.perf_counter()
    results = await asyncio.gather(*(_drain(c, requests[i::connections]) for i, c in enumerate(open_)))
    seconds = time.perf_counter() - started
    await asyncio.sleep(CPU_SETTLE_S)
    used = cpu_seconds(pids) - before
    for connection in open_:
        connection.close()
    return _load([pair for result in results for pair in result], seconds, used)


async def _drain(connection: Connection, requests: Sequence[bytes]) -> list[tuple[int, float]]:
    results = []
    for request in requests:
        sent = time.perf_counter()
        status, _ = await connection.exchange(request)
        results.append((status, time.perf_counter() - sent))
    return results


async def at_rate(port: int, requests: Sequence[bytes], rate: float, connections: int, pids: Sequence[int]) -> Load:
    """Sends requests at `rate` per second whether or not earlier ones were answered.

    Latency counts from the moment a request was due, so that a server that stalls cannot hide it.
    """
    free: asyncio.Queue[Connection] = asyncio.Queue()
    open_ = [await Connection.open(port) for _ in range(connections)]
    for connection in open_:
        free.put_nowait(connection)
    before, started = cpu_seconds(pids), time.perf_counter()

    async def one(number: int, request: bytes) -> tuple[int, float]:
        due = started + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        connection = await free.get()
        status, _ = await connection.exchange(request)
        free.put_nowait(connection)
        return status, time.perf_counter() - due

    results = await asyncio.gather(*(one(number, request) for number, request in enumerate(requests)))
    seconds = time.perf_counter() - started
    used = cpu_seconds(pids) - before
    for connection in open_:
        connection.close()
    return _load(list(results), seconds, used)


def _load(results: list[tuple[int, float]], seconds: float, used: float) -> Load:
    good = sorted(latency for status, latency in results if status == 200)
    return Load(len(results), len(results) - len(good), seconds, used, good)
