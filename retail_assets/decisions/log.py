"""The log of what services decided: durable on this machine at once, in the lake's `decisions/<product>` seconds later.

A decision is written to a local segment file before its answer leaves the process, so killing the process loses
nothing; the segment is forced to disk every `SYNC_EVERY_S`, so a power cut loses at most the answers of that window.
Sealed segments move to Delta in order, each in one commit that carries (writer, segment number) as a Delta
application transaction: a segment that is met again after a crash is recognised and not written twice.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from retail_assets.core.background import Every
from retail_assets.core.errors import RetailError
from retail_assets.core.private import FILE
from retail_assets.decisions.rows import DecisionLogError, encode
from retail_assets.decisions.spool import Append, Writer, append_once, count_lines, recover
from retail_assets.resources.lake import Lake

logger = logging.getLogger(__name__)

SYNC_EVERY_S = 0.2
SHIP_EVERY_S = 5.0
LARGE_SEGMENT_BYTES = 8 << 20


@dataclass
class Backlog:
    """What is on this machine and not yet in the lake."""

    rows: int = 0
    segments: int = 0
    shipped_rows: int = 0
    recovered_rows: int = 0
    torn_lines: int = 0
    refused_segments: int = 0
    failures: int = 0
    oldest_at: datetime | None = None


@dataclass
class _Segment:
    path: Path
    rows: int
    sealed_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def number(self) -> int:
        return int(self.path.stem)


class DecisionLog:
    """Takes the decisions of one product from one process. `record` is safe from any thread."""

    def __init__(
        self,
        lake: Lake,
        product: str,
        spool: Path,
        sync_every_s: float = SYNC_EVERY_S,
        ship_every_s: float = SHIP_EVERY_S,
        send: Append | None = None,
        require_lake: Callable[[], None] = lambda: None,
    ) -> None:
        """`spool` is a local folder, one subfolder per living process of `product` on this machine.

        Takes the first subfolder nobody holds. Nothing is read or moved before `start`. `send` takes the segments where
        they do not go into `lake`: a store's go to its centre. `require_lake` raises a RetailError while the lake is
        away: where a folder is not mounted, a log that made it anew would lose its rows when the real one returns.
        """
        self.product = product
        self.backlog = Backlog()
        self._require_lake = require_lake
        self._lake = lake
        self._send = send
        self._root = spool / product
        self._sync_every_s = sync_every_s
        self._ship_every_s = ship_every_s
        self._writer = self._claim()
        self._gate = threading.Lock()
        self._shipping = threading.Lock()
        self._sealed: list[_Segment] = []
        self._loops: list[Every] = []
        self._file: int | None = None
        self._rows = self._size = 0
        self._dirty = self._orphans_recovered = False
        self._next = self._first_number()

    def _claim(self) -> Writer:
        for index in range(1000):
            if writer := Writer.claim(self._root / f"writer-{index:03d}"):
                return writer
        raise DecisionLogError("1,000 processes already hold this spool", where=str(self._root))

    def _first_number(self) -> int:
        shipped = self._writer.shipped()
        if self._send is None and self._lake.exists("decisions", self.product):
            in_lake = self._lake.open("decisions", self.product).transaction_version(self._writer.app_id) or 0
            shipped = max(shipped, in_lake)
        return max([shipped, *(int(path.stem) for path in self._writer.segments())]) + 1

    def start(self) -> None:
        """Queues what a process that died has left behind and starts the two background threads."""
        self._sealed = [_Segment(path, count_lines(path)) for path in self._writer.segments()]
        self.backlog.recovered_rows = sum(segment.rows for segment in self._sealed)
        self._measure()
        self._loops = [
            Every(self._sync_every_s, self.sync, "decision-log-sync"),
            Every(self._ship_every_s, self._try_to_ship, "decision-log-ship"),
        ]
        for loop in self._loops:
            loop.start()

    def record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes the decisions of one answer, all or none; raises DecisionLogError when the disk refuses.

        Returns once the operating system holds them: they survive this process, and a power cut after the next sync.
        """
        lines = b"".join(map(encode, rows))
        with self._gate:
            file = self._open_segment() if self._file is None else self._file
            self._write(file, lines)
            self._size += len(lines)
            self._rows += len(rows)
            self.backlog.rows += len(rows)
            self._dirty = True

    def _open_segment(self) -> int:
        path = self._writer.folder / f"{self._next:012d}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, FILE)
        self._next += 1
        self._rows = self._size = 0
        return self._file

    def _write(self, file: int, lines: bytes) -> None:
        try:
            written = os.write(file, lines)
            while written < len(lines):
                written += os.write(file, lines[written:])
        except OSError as error:
            os.ftruncate(file, self._size)
            raise DecisionLogError(
                f"a decision of {self.product} could not be written: {error.strerror}",
                where=str(self._writer.folder),
                todo="free space on this disk; answers are refused until then",
            ) from error

    def sync(self) -> None:
        """Forces what was recorded so far to disk."""
        with self._gate:
            file = os.dup(self._file) if self._file is not None and self._dirty else None
            self._dirty = False
        if file is not None:
            os.fdatasync(file)
            os.close(file)
            self._writer.sync_names()

    def _seal(self) -> None:
        with self._gate:
            if self._file is None:
                return
            file, self._file = self._file, None
            path = self._writer.folder / f"{self._next - 1:012d}.jsonl"
            self._sealed.append(_Segment(path, self._rows))
            self._dirty = False
        os.fdatasync(file)
        os.close(file)

    def ship(self) -> None:
        """Moves every segment to the lake; leaves the rest where the lake refuses.

        While an older one waits, the open segment is only sealed when it is large: days without a lake are few files.
        """
        with self._shipping:
            waiting = bool(self._sealed)
            if not waiting or self._size >= LARGE_SEGMENT_BYTES:
                self._seal()
            self._ship_sealed()
            if waiting:
                self._seal()
                self._ship_sealed()

    def _ship_sealed(self) -> None:
        self._measure()
        while self._sealed:
            self._ship_one(self._sealed[0])
            self._sealed.pop(0)
            self._measure()

    def _append(self, product: str, rows: pa.Table, app_id: str, number: int) -> bool:
        if self._send is not None:
            return self._send(product, rows, app_id, number)
        return append_once(self._lake, product, rows, app_id, number)

    def _ship_one(self, segment: _Segment) -> None:
        shipped = self._writer.ship(self._append, self.product, segment.path)
        self.backlog.torn_lines += shipped.torn
        self.backlog.shipped_rows += shipped.rows
        self.backlog.refused_segments += shipped.refused

    def _measure(self) -> None:
        with self._gate:
            open_rows = self._rows if self._file is not None else 0
            self.backlog.segments = len(self._sealed)
            self.backlog.rows = open_rows + sum(segment.rows for segment in self._sealed)
            self.backlog.oldest_at = self._sealed[0].sealed_at if self._sealed else None

    def _try_to_ship(self) -> None:
        from deltalake.exceptions import DeltaError

        try:
            self._require_lake()
            if not self._orphans_recovered:
                self.backlog.recovered_rows += recover(self._append, self.product, self._root)
                self._orphans_recovered = True
            self.ship()
        except (DeltaError, OSError, RetailError) as error:
            self.backlog.failures += 1
            logger.error("decisions of %s wait in %s: %s", self.product, self._writer.folder, error)

    def close(self) -> None:
        """Stops the threads, ships what is left and gives the spool folder back; what cannot be shipped stays."""
        for loop in self._loops:
            loop.stop()
        self._try_to_ship()
        self._writer.release()
