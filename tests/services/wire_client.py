"""A client that sends bytes and reads answers, and does nothing that it is not told."""

import socket
from dataclasses import dataclass, field
from types import TracebackType

WITHIN_S = 20.0
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """One answer, and the statuses of those that only announced it."""

    status: int
    headers: dict[str, str]
    body: bytes
    before: list[int] = field(default_factory=list)

    def closes(self) -> bool:
        """Whether it says that it is the last of its connection."""
        return self.headers.get("connection") == "close"


class WireClient:
    """One connection to a service of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
        self._read = b""

    def __enter__(self) -> "WireClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def send(self, *parts: bytes) -> None:
        """Sends each part by itself."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            self._socket.sendall(part)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer to a request of this method."""
        before: list[int] = []
        while True:
            head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1])
            if status >= 200:
                break
            before.append(status)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        return Answer(status, headers, self._body(method, status, headers), before)

    def interim(self) -> int:
        """The status of an answer that only announces another."""
        return int(self._until(b"\r\n\r\n").split(b" ")[1])

    def is_closed(self) -> bool:
        """Whether the service ends the connection and says nothing more."""
        return not self._read and not self._socket.recv(1)

    def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (204, 304):
            return b""
        if headers.get("transfer-encoding") != "chunked":
            return self._exactly(int(headers["content-length"]))
        chunks = []
        while size := int(self._until(b"\r\n"), 16):
            chunks.append(self._exactly(size))
            self._until(b"\r\n")
        self._until(b"\r\n")
        return b"".join(chunks)

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        found, _, self._read = self._read.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _more(self) -> None:
        received = self._socket.recv(1 << 16)
        if not received:
            raise ConnectionError(f"the service hung up after {self._read!r}")
        self._read += received


def chunked(body: bytes, sizes: tuple[int, ...] = (1, 7, 3), extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """A body in chunks of these sizes, again and again."""
    made, at, turn = [], 0, 0
    while at < len(body):
        part = body[at : at + sizes[turn % len(sizes)]]
        made.append(b"%x%b\r\n%b\r\n" % (len(part), extension, part))
        at, turn = at + len(part), turn + 1
    return b"".join(made) + b"0\r\n" + trailer + b"\r\n"
