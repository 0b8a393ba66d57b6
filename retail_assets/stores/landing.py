"""Decisions that stores have sent: checked at the door, safe on this disk when that is said, in the lake soon after.

Many segments of many stores move in one commit, which carries every writer's newest segment number as a Delta
application transaction. What is acknowledged is stored: a number that comes again with other rows is refused, so that
the writer starts a new stream, and rows that came before under any number are not added again. A segment that cannot be
moved is set aside with its reason, and the others go on.
"""

import json
import logging
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retail_assets.decisions.identity import DAY, ID, news, stored
from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.decisions.spool import WentBackwards
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.releases.targets import STORE
from retail_assets.resources import durable
from retail_assets.resources.environments import Environment
from retail_assets.stores.bundle import StoreError

if TYPE_CHECKING:
    from deltalake import DeltaTable

logger = logging.getLogger(__name__)

WRITER = re.compile(r"^decision-log/[0-9a-f-]{36}$")
LAST_NUMBER = 10**12 - 1
MOST_ROWS, MOST_BYTES_READ, MOST_DAYS = 1_000_000, 512 << 20, 400
EARLIEST, AHEAD = date(2000, 1, 1), timedelta(days=366)
UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
ASIDE = "set-aside"


class Aside(NamedTuple):
    """A segment that could not be moved: of which store, why, since when, and where it is now."""

    target: str
    reason: str
    at: datetime
    file: Path


class LandedDecisions:
    """The landing place of one centre. Safe to call from several threads."""

    def __init__(self, environment: Environment) -> None:
        self.moved_rows = 0
        self._lake = environment.lake
        self._folder = folder_of(environment)
        self._moving = threading.Lock()
        self._guard = threading.Lock()
        self._writers: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._newest: dict[tuple[str, str], int] = {}

    def take(self, target: str, product: str, writer: str, number: int, content: bytes) -> None:
        """Lands one segment (a Parquet file of DECISION_SCHEMA); on return it is stored, or was before.

        Raises StoreError when it is not the store's own or cannot be one, WentBackwards when the writer has used the
        number, or a later one, for something else.
        """
        if not WRITER.match(writer) or product not in ReleaseConfig.load().products() or not 0 < number <= LAST_NUMBER:
            raise StoreError(f"{product} {writer} {number} names no segment of decisions")
        rows = checked(content, target, product)
        path = self._folder / product / writer.removeprefix("decision-log/") / f"{number:012d}.parquet"
        with self._guard:
            lock = self._writers[writer]
        with lock:
            newest = self._newest_of(product, writer, path.parent)
            if number > newest:
                durable.write(path, content)
                self._newest[product, writer] = number
            elif not self._is_stored(product, path, rows):
                raise WentBackwards(
                    f"{writer} has sent segments up to {newest}, and now sends other rows as {number}",
                    todo="begin a new stream; was this machine restored from a backup, or copied?",
                )

    def _newest_of(self, product: str, writer: str, folder: Path) -> int:
        if (product, writer) not in self._newest:
            landed = [int(path.stem) for path in folder.glob("*.parquet")]
            moved = 0
            if self._lake.exists("decisions", product):
                moved = self._lake.open("decisions", product).transaction_version(writer) or 0
            self._newest[product, writer] = max([moved, *landed])
        return self._newest[product, writer]

    def _is_stored(self, product: str, path: Path, rows: pa.Table) -> bool:
        """Whether all of `rows` are landed under this number, or in the lake, as they are."""
        try:
            if pq.read_table(path, partitioning=None).cast(DECISION_SCHEMA).equals(rows):
                return True
        except (OSError, pa.ArrowException):
            pass  # moved by now, or never landed
        if not self._lake.exists("decisions", product):
            return False
        found = news(rows, stored(self._lake.open("decisions", product), rows))
        return not found.rows.num_rows and not found.contradicting.num_rows

    def move(self) -> int:
        """Moves everything that has landed to the lake, one commit per product; returns the rows that were added."""
        with self._moving:
            folders = [path for path in sorted(self._folder.glob("*")) if path.is_dir() and path.name != ASIDE]
            added = sum(self._move(folder) for folder in folders)
        self.moved_rows += added
        return added

    def _move(self, folder: Path) -> int:
        files = sorted(folder.glob("*/*.parquet"))
        if not files:
            return 0
        self._lake.ensure("decisions", folder.name, DECISION_SCHEMA, partition_by=["business_date"])
        table = self._lake.open("decisions", folder.name)
        segments: list[tuple[Path, pa.Table]] = []
        for path in files:
            try:
                rows = pq.read_table(path, partitioning=None).cast(DECISION_SCHEMA)
            except (OSError, pa.ArrowException) as error:
                self._set_aside(path, f"it cannot be read any more: {error}")
            else:
                segments.append((path, rows))
        try:
            return self._commit(table, segments)
        except Exception as error:  # whatever delta-rs raises for one segment must not hold up the others
            if len(segments) < 2:
                raise
            logger.error("%d segments of %s are moved one by one: %s", len(segments), folder.name, error)
        return self._one_by_one(folder.name, segments)

    def _one_by_one(self, product: str, segments: Sequence[tuple[Path, pa.Table]]) -> int:
        """Finds the segments that cannot be moved. Where none can it is the lake, and all of them stay."""
        added, failed = 0, list[tuple[Path, Exception]]()
        for path, rows in segments:
            try:
                added += self._commit(self._lake.open("decisions", product), [(path, rows)])
            except Exception as error:  # noqa: BLE001 - the reason is kept with the segment
                failed.append((path, error))
        if len(failed) == len(segments):
            raise failed[0][1]
        for path, reason in failed:
            self._set_aside(path, f"it cannot be moved to the lake: {reason}")
        return added

    def _commit(self, table: "DeltaTable", segments: Sequence[tuple[Path, pa.Table]]) -> int:
        """Adds what is new of the segments in one commit, and deletes their files."""
        from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

        newest: dict[str, int] = {}
        new = []
        for path, rows in segments:
            writer, number = f"decision-log/{path.parent.name}", int(path.stem)
            if number > max(table.transaction_version(writer) or 0, newest.get(writer, 0)):
                new.append(rows)
                newest[writer] = number
        added = 0
        if new:
            rows = pa.concat_tables(new)
            found = news(rows, stored(table, rows))
            if found.contradicting.num_rows:
                self._keep_contradicting(segments[0][0], found.contradicting)
            added = found.rows.num_rows
            if added:
                write_deltalake(
                    table,
                    found.rows,
                    mode="append",
                    schema_mode="merge",
                    writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
                    commit_properties=CommitProperties(app_transactions=[Transaction(w, n) for w, n in newest.items()]),
                )
        for path, _ in segments:
            path.unlink(missing_ok=True)
        return added

    def _keep_contradicting(self, beside: Path, rows: pa.Table) -> None:
        """Rows whose id stands for another decision in the lake are kept, per store, for a person to look at."""
        for store in rows["store_id"].unique().to_pylist():
            own = rows.filter(pc.equal(rows["store_id"], store))
            sink = pa.BufferOutputStream()
            pq.write_table(own, sink)
            path = beside.with_name(f"{own[ID][0].as_py()}.parquet")
            reason = f"{own.num_rows} of its decisions have ids that the log has for other decisions"
            self._write_aside(path, sink.getvalue().to_pybytes(), f"{STORE}{store}", reason)

    def _set_aside(self, path: Path, reason: str) -> None:
        content = path.read_bytes()
        try:
            target = f"{STORE}{pq.read_table(pa.BufferReader(content), columns=['store_id'])[0][0].as_py()}"
        except (pa.ArrowException, OSError, IndexError):
            target = "a store that cannot be told"
        self._write_aside(path, content, target, reason)
        path.unlink()

    def _write_aside(self, path: Path, content: bytes, target: str, reason: str) -> None:
        name = f"{path.parent.parent.name}-{path.parent.name}-{path.name}"
        kept = self._folder / ASIDE / name
        durable.write(kept, content)
        said = {"target": target, "reason": reason, "at": datetime.now(UTC).isoformat()}
        durable.write(kept.with_suffix(".json"), json.dumps(said, indent=1).encode())
        logger.error("a segment of %s is set aside in %s: %s", target, kept, reason)


def folder_of(environment: Environment) -> Path:
    """Where a centre lands what stores send."""
    return environment.home.root / "spool" / "stores"


def set_aside(environment: Environment) -> list[Aside]:
    """The segments that could not be moved, the oldest first."""
    found = []
    for path in (folder_of(environment) / ASIDE).glob("*.json"):
        try:
            said = json.loads(path.read_bytes())
            at = datetime.fromisoformat(said["at"])
        except (ValueError, KeyError, OSError):
            said, at = {}, datetime.fromtimestamp(path.stat().st_mtime, UTC)
        file = path.with_suffix(".parquet")
        found.append(Aside(said.get("target", ""), said.get("reason", "its reason cannot be read"), at, file))
    return sorted(found, key=lambda one: one.at)


def checked(content: bytes, target: str, product: str) -> pa.Table:
    """The rows of a segment. Raises StoreError where they are not decisions of `target`, or too many or too large.

    Nothing is unpacked before its size is known: a small file can say that it holds terabytes.
    """
    whose = f"a segment of {target}"
    try:
        if pq.read_schema(pa.BufferReader(content)).remove_metadata() != DECISION_SCHEMA:
            raise StoreError(f"{whose} has other columns than decisions have")
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=_texts(DECISION_SCHEMA))
        groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
        _require(whose, "rows", file.metadata.num_rows, MOST_ROWS)
        _require(whose, "bytes", sum(group.total_byte_size for group in groups), MOST_BYTES_READ)
        packed = file.read()
        _require(whose, "rows", packed.num_rows, MOST_ROWS)
        _require(whose, "bytes", sum(map(_unpacked, packed.columns)), MOST_BYTES_READ)
        rows = packed.cast(DECISION_SCHEMA)
        rows.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"{whose} is not a Parquet file: {error}") from error
    for column, own in (("store_id", target.removeprefix(STORE)), ("product", product)):
        if set(rows[column].unique().to_pylist()) - {own}:
            raise StoreError(f"{whose} has rows of another {column} than {own}")
    _require_sound(rows, whose)
    return rows


def _require_sound(rows: pa.Table, whose: str) -> None:
    if not rows.num_rows:
        return
    ids, days = rows[ID], rows[DAY].unique().to_pylist()
    if not pc.all(pc.match_substring_regex(pc.fill_null(ids, ""), UUID)).as_py():
        raise StoreError(f"{whose} has a decision_id that is no UUID")
    latest = datetime.now(UTC).date() + AHEAD
    strange = [day for day in days if day is None or not EARLIEST <= day <= latest]
    if strange or len(days) > MOST_DAYS:
        what = f"the business date {strange[0]}" if strange else f"{len(days):,} business dates"
        raise StoreError(f"{whose} has {what}: from {EARLIEST} to {latest}, at most {MOST_DAYS} of them, can be")


def _require(whose: str, what: str, found: int, most: int) -> None:
    if found > most:
        raise StoreError(f"{whose} holds {found:,} {what}, at most {most:,} can be", todo="send less in one segment")


def _texts(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type)]


def _unpacked(column: pa.ChunkedArray) -> int:
    """How many bytes a column has once every value stands for itself."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    return sum(_unpacked_chunk(chunk) for chunk in column.chunks)


def _unpacked_chunk(chunk: pa.DictionaryArray) -> int:
    lengths: Iterable[int] = pc.binary_length(chunk.dictionary).take(chunk.indices)
    return int(pc.sum(lengths).as_py() or 0)
