"""Segments of decisions on this machine's disk, and how one reaches the lake exactly once."""

import fcntl
import json
import logging
import mmap
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from retail_assets.core.private import FILE, private_folder
from retail_assets.decisions.identity import news, stored
from retail_assets.decisions.rows import DECISION_SCHEMA, DecisionLogError, decode
from retail_assets.resources import durable
from retail_assets.resources.lake import Lake

logger = logging.getLogger(__name__)

IDENTITY, NAME = "writer.json", "decision-log/"
SHIPPED = "shipped"
REFUSED = "refused"
Append = Callable[[str, pa.Table, str, int], bool]
"""Product, rows, writer and segment number -> whether they were added; those that are there already are not.

Raises WentBackwards and SegmentRefused, and other errors where the same segment may be sent again later.
"""


class WentBackwards(DecisionLogError):
    """A writer used a segment number for something else before: its disk was restored from a backup, or copied."""


class SegmentRefused(DecisionLogError):
    """A segment that will never be taken, however often it is sent."""


class Shipped(NamedTuple):
    """What became of a segment: how many decisions it added, how many torn lines it had, whether it was refused."""

    rows: int
    torn: int
    refused: bool = False


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
        durable.sync(self.folder)

    def shipped(self) -> int:
        """The number of the last segment that arrived where it was sent; 0 before the first."""
        file = self.folder / SHIPPED
        said = file.read_text(errors="replace") if file.exists() else "0"
        if said.isdecimal():
            return int(said)
        logger.error("%s does not hold a number: a new stream of decisions begins", file)
        self.renew()
        return 0

    def drop(self, path: Path) -> None:
        """Deletes a segment that arrived, after its number was kept: a number is never given to two segments."""
        durable.write(self.folder / SHIPPED, path.stem)
        path.unlink()

    def renew(self) -> None:
        """Begins a new stream: the numbers go on, under a name that nobody has used."""
        durable.write(self.folder / IDENTITY, json.dumps({"app_id": _new_name()}))
        self.app_id = _identity(self.folder)

    def set_aside(self, path: Path, reason: str) -> None:
        """Keeps a segment that will never be taken, with the reason, where nothing sends it again."""
        aside = self.folder / REFUSED
        aside.mkdir(exist_ok=True)
        durable.write(aside / f"{path.stem}.txt", reason)
        path.replace(aside / path.name)
        self.sync_names()

    def ship(self, append: Append, product: str, path: Path) -> Shipped:
        """Sends one segment and deletes it when it arrived; where it can never arrive it is set aside.

        A writer that is told that it went backwards begins a new stream and sends the segment again.
        """
        rows, torn = read_segment(path)
        added = False
        try:
            if rows.num_rows:
                try:
                    added = append(product, rows, self.app_id, int(path.stem))
                except WentBackwards as error:
                    logger.error("%s begins a new stream: %s", self.folder, error)
                    self.renew()
                    added = append(product, rows, self.app_id, int(path.stem))
        except SegmentRefused as error:
            logger.error("%s is set aside: %s", path, error)
            self.set_aside(path, str(error))
            return Shipped(0, torn, refused=True)
        self.drop(path)
        return Shipped(rows.num_rows if added else 0, torn)

    def release(self) -> None:
        """Gives the folder back."""
        os.close(self._lock)


def _identity(folder: Path) -> str:
    """A name for this writer that survives restarts and is never reused by another folder."""
    path = folder / IDENTITY
    try:
        return _named(path)
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        logger.error("%s does not name a writer (%s): a new stream of decisions begins", path, error)
    durable.write(path, json.dumps({"app_id": _new_name()}))
    return _named(path)


def _named(path: Path) -> str:
    name = json.loads(path.read_bytes())["app_id"]
    if not isinstance(name, str) or not name.startswith(NAME):
        raise ValueError(f"{name!r} is no name")
    return name


def _new_name() -> str:
    return f"{NAME}{uuid.uuid4()}"


def append_once(lake: Lake, product: str, rows: pa.Table, app_id: str, number: int) -> bool:
    """Appends what `decisions/<product>` does not have of segment `number` of `app_id`.

    One commit; returns whether it wrote. Segments of one writer must come in order. Raises WentBackwards for a number
    that the writer has used, where not all of `rows` are there: it stood for others.
    """
    from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

    lake.ensure("decisions", product, DECISION_SCHEMA, partition_by=["business_date"])
    table = lake.open("decisions", product)
    before = table.transaction_version(app_id)
    if not before or before >= number:  # a new stream may bring what came by an earlier one
        found = news(rows, stored(table, rows))
        if before and (found.rows.num_rows or found.contradicting.num_rows):
            raise WentBackwards(f"{app_id} has written segments up to {before}, and now has other rows as {number}")
        if found.contradicting.num_rows:
            raise SegmentRefused(
                f"{found.contradicting.num_rows} decisions have ids that the log has for other decisions"
            )
        rows = found.rows
    if not rows.num_rows:
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
    durable.write(path.with_suffix(".torn"), b"".join(bad), mode=FILE)
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
        try:
            added += sum(writer.ship(append, product, path).rows for path in writer.segments())
        finally:
            writer.release()
    return added
