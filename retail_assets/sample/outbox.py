"""What is delivered, when, and how it reaches landing/ whole or not at all."""

import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path


@dataclass(frozen=True)
class Delivery:
    """One file on its way: `source` is the bronze table it feeds, `rows` counts its records."""

    source: str
    folder: str
    stem: str
    extension: str
    payload: bytes
    rows: int
    delivered: datetime

    @property
    def path(self) -> str:
        """Relative to landing/, with the delivery stamp before the extension."""
        return f"{self.folder}/{self.stem}_d{self.delivered:%Y%m%dT%H%M%SZ}.{self.extension}"

    def but(self, **changes: object) -> "Delivery":
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Delivered:
    """A file that lies in landing/."""

    source: str
    path: str
    bytes: int
    rows: int
    delivered: datetime


def write_whole(path: Path, payload: bytes, at: datetime | None = None) -> None:
    """Writes under a temporary name and renames, so that `path` is never half a file; an equal file is left alone."""
    if not (path.exists() and path.stat().st_size == len(payload) and path.read_bytes() == payload):
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(payload)
        if at is not None:
            os.utime(temporary, (at.timestamp(), at.timestamp()))
        temporary.replace(path)


class Outbox:
    """Holds deliveries back until their time has come; late files arrive days after they were made."""

    def __init__(self, landing: Path) -> None:
        self._landing = landing
        self._folders: set[str] = set()
        self._waiting: list[Delivery] = []
        self._paths: set[str] = set()
        self.delivered: list[Delivered] = []

    def put(self, delivery: Delivery) -> None:
        """Queues one file."""
        self._waiting.append(delivery)

    def release(self, until: datetime) -> None:
        """Writes every queued file whose delivery is not after `until`, in order of delivery."""
        due = sorted((d for d in self._waiting if d.delivered <= until), key=lambda d: (d.delivered, d.path))
        self._waiting = [d for d in self._waiting if d.delivered > until]
        for delivery in due:
            self._write(delivery)

    def _write(self, delivery: Delivery) -> None:
        if delivery.folder not in self._folders:
            (self._landing / delivery.folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(delivery.folder)
        while delivery.path in self._paths:  # two files of one second: the second one must not replace the first
            delivery = delivery.but(delivered=delivery.delivered + timedelta(seconds=1))
        self._paths.add(delivery.path)
        write_whole(self._landing / delivery.path, delivery.payload, delivery.delivered)
        size = len(delivery.payload)
        self.delivered.append(Delivered(delivery.source, delivery.path, size, delivery.rows, delivery.delivered))
