"""Segments of decisions on this machine's disk, and how one reaches the lake exactly once."""

import fcntl
import json
import logging
import mmap
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from retail_assets.core.private import FILE, private_folder
from retail_assets.resources.lake import Lake
from retail_assets.serving.decision_rows import DECISION_SCHEMA, decode

logger = logging.getLogger(__name__)

SHIPPED = "shipped"
Append = Callable[[str, pa.Table, str, int], bool]
"""Product, rows, writer and segment number -> whether they were added; those that are there already are not."""


class Writer:
    """One folder of segments, held by at most one live process through a lock the kernel drops when it dies."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.app_id = _identity(folder)
        self._lock = lock

    @classmethod
    def claim(cls, folder: Path) -> "Writer | None":
        """Takes the folder, creating it if need be; None when a live process holds it."""
        private_folder(folder)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return cls(folder, lock)

    def segments(self) -> list[Path]:
        """Segment files, oldest first."""
        return sorted(self.folder.glob("*.jsonl"))

    def sync_names(self) -> None:
        """Forces the names of new segments to disk, without which a power cut could lose a synced file."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(folder)
        os.close(folder)

    def shipped(self) -> int:
        """The number of the last segment that arrived where it was sent; 0 before the first."""
        file = self.folder / SHIPPED
        return int(file.read_text()) if file.exists() else 0

    def drop(self, path: Path) -> None:
        """Deletes a segment that arrived, after its number was kept: a number is never given to two segments."""
        partial = self.folder / f"{SHIPPED}.partial"
        with partial.open("w") as file:
            file.write(path.stem)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / SHIPPED)
        self.sync_names()
        path.unlink()

    def release(self) -> None:
        """Gives the folder back."""
        os.close(self._lock)


def _identity(folder: Path) -> str:
    """A name for this writer that survives restarts and is never reused by another folder."""
    path = folder / "writer.json"
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({"app_id": f"decision-log/{uuid.uuid4()}"}))
        partial.replace(path)
    return json.loads(path.read_text())["app_id"]


def append_once(lake: Lake, product: str, rows: pa.Table, app_id: str, number: int) -> bool:
    """Appends `rows` to `decisions/<product>` unless segment `number` of `app_id`, or a later one, is there already.

    One commit; returns whether it wrote. Segments of one writer must come in order.
    """
    from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

    lake.ensure("decisions", product, DECISION_SCHEMA, partition_by=["business_date"])
    table = lake.open("decisions", product)
    if (table.transaction_version(app_id) or 0) >= number:
        return False
    write_deltalake(
        table,
        rows,
        mode="append",
        schema_mode="merge",
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
        commit_properties=CommitProperties(app_transactions=[Transaction(app_id, number)]),
    )
    return True


def read_segment(path: Path) -> tuple[pa.Table, int]:
    """The decisions of a segment file and how many lines were torn by a crash and left out.

    A last line without its end was never answered and is left out. Any other line that is not a decision (a power
    cut can leave a page of zeros) is kept beside the segment in `<segment>.torn` for a person to look at.
    """
    if not path.stat().st_size:
        return decode(b""), 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        whole = raw.rfind(b"\n") + 1
        torn = int(whole < len(raw))
        with memoryview(raw) as view, view[:whole] as lines:  # copies of a large segment would hold up the answers
            try:
                return decode(lines), torn
            except pa.ArrowInvalid:
                good, bad = _sort_lines(bytes(lines))
    torn_lines = path.with_suffix(".torn")
    torn_lines.touch(mode=FILE)
    torn_lines.write_bytes(b"".join(bad))
    logger.error("%d lines of %s are not decisions; kept in %s", len(bad), path, path.with_suffix(".torn"))
    return decode(b"".join(good)), torn + len(bad)


def _sort_lines(lines: bytes) -> tuple[list[bytes], list[bytes]]:
    good: list[bytes] = []
    bad: list[bytes] = []
    for line in lines.splitlines(keepends=True):
        try:
            decode(line)
        except pa.ArrowInvalid:
            bad.append(line)
        else:
            good.append(line)
    return good, bad


def count_lines(path: Path) -> int:
    """How many complete lines a segment file has."""
    return path.read_bytes().count(b"\n")


def recover(append: Append, product: str, folder: Path) -> int:
    """Sends what dead processes left below `folder`; writers that are alive are not touched.

    Returns how many decisions were added.
    """
    added = 0
    for place in sorted(folder.glob("writer-*")):
        writer = Writer.claim(place)
        if writer is None:
            continue
        for path in writer.segments():
            rows, _ = read_segment(path)
            if rows.num_rows and append(product, rows, writer.app_id, int(path.stem)):
                added += rows.num_rows
            writer.drop(path)
        writer.release()
    return added
