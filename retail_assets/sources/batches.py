"""One batch of files: judged in DuckDB, then quarantine, bronze and ops/loads in that order.

ops/loads is the commit: a batch that is named in ops/load_batches but has no row in ops/loads never happened, and the
next load deletes what it left behind.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any

import pyarrow as pa

from retail_assets.resources.lake import Lake
from retail_assets.sources.config import Contract
from retail_assets.sources.discover import Known
from retail_assets.sources.duplicates import Keys
from retail_assets.sources.judging import Judge
from retail_assets.sources.layouts import Layouts
from retail_assets.sources.lookups import create_lookups
from retail_assets.sources.raw import Layout, RawFile, Slice
from retail_assets.sources.readers import slices
from retail_assets.sources.report import SchemaChange, SourceReport
from retail_assets.sources.staging import literal, quoted, release, stage
from retail_assets.sources.tables import (
    BATCHES,
    LOADS,
    RowsDoNotAddUp,
    append_bronze,
    append_quarantine,
    append_rows,
    delete_loads,
)

PART_ROWS = 1_000_000


class Tally:
    """What happened to the rows of one file."""

    def __init__(self) -> None:
        self.read = self.bronze = self.quarantined = self.duplicate = 0
        self.days: set[date] = set()


class BatchLoader:
    """Loads batches of one source over one DuckDB connection; use it as a context manager."""

    def __init__(
        self, lake: Lake, contract: Contract, known: Known, prefix: str, fault_point: Callable[[str], None]
    ) -> None:
        self._lake, self._contract, self._prefix, self._fault_point = lake, contract, prefix, fault_point
        self._connection = lake.connect()
        # Arrow input has no statistics, so the optimizer would build hash tables over it instead of over the lookups.
        self._connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        self._layouts = Layouts(known.layouts)
        self._rows_by_load = dict(known.rows_by_load)
        self._keys: Keys | None = None
        self._rows: list[dict[str, Any]] = []
        self._reasons: Counter[str] = Counter()
        self._changes: list[SchemaChange] = []
        self._rolled_back = 0
        self._views: list[str] = []

    def __enter__(self) -> "BatchLoader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def roll_back_unfinished(self) -> None:
        """Deletes the rows of batches that were started and never committed, and says so in ops/load_batches."""
        source = literal(self._contract.source)
        unfinished = self._connection.execute(
            f"SELECT batch_id, any_value(load_ids) FROM {self._lake.scan('ops', 'load_batches')} WHERE source = {source} "
            "GROUP BY 1 HAVING NOT bool_or(status = 'rolled_back') "
            f"AND batch_id NOT IN (SELECT batch_id FROM {self._lake.scan('ops', 'loads')} WHERE source = {source})"
        ).fetchall()
        for batch_id, load_ids in unfinished:
            delete_loads(self._lake, self._contract.source, load_ids)
            self._fault_point("rolled_back")
            self._mark(batch_id, load_ids, "rolled_back")
        self._rolled_back = len(unfinished)

    def load(self, files: Sequence[RawFile]) -> None:
        """Loads `files` as one batch: all of them or, when the process dies, none."""
        if self._keys is None:
            self._keys = Keys(self._connection, self._lake, self._contract)
            create_lookups(self._connection, self._lake, self._contract)
        batch_id, loaded_at = uuid.uuid4().hex, datetime.now(UTC)
        self._mark(batch_id, [file.load_id for file in files], "started")
        self._fault_point("batch_started")
        self._register(files)
        tallies = {file.index: Tally() for file in files}
        layouts: dict[int, Layout] = {}
        self._start_part()
        for piece in slices(files):
            for file, layout in self._judge(piece, tallies).items():
                layouts[file] = layouts.get(file, {}) | layout
            if self._part_is_full():
                self._write_part(tallies, loaded_at)
                self._start_part()
        self._write_part(tallies, loaded_at)
        self._commit(files, tallies, layouts, batch_id, loaded_at)

    def record_repeated(self, files: Sequence[RawFile]) -> None:
        """Notes files whose content came before under another name: every row of theirs is a duplicate."""
        rows = []
        for file in files:
            tally = Tally()
            tally.read = tally.duplicate = self._rows_by_load[file.load_id]
            rows.append(self._load_row(file, tally, {}, (), "", datetime.now(UTC), "duplicate"))
        if rows:
            append_rows(self._lake, "loads", rows, LOADS)
            self._rows += rows

    def report(self) -> SourceReport:
        """What this loader did."""
        total: Counter[str] = Counter()
        for row in self._rows:
            total.update({k: row[k] for k in ("rows_read", "rows_bronze", "rows_quarantined", "rows_duplicate")})
        return SourceReport(
            source=self._contract.source,
            files=len(self._rows),
            files_duplicate=sum(row["status"] == "duplicate" for row in self._rows),
            **total,
            quarantined_by_reason=dict(sorted(self._reasons.items())),
            business_dates=tuple(sorted({day for row in self._rows for day in row["business_dates"]})),
            schema_changes=tuple(self._changes),
            batches_rolled_back=self._rolled_back,
        )

    # --- a part: judged rows in memory ------------------------------------------------------------------------------

    def _register(self, files: Sequence[RawFile]) -> None:
        table = pa.table(
            {
                "_file": pa.array([f.index for f in files], pa.int32()),
                "load_id": pa.array([f.load_id for f in files], pa.string()),
                "file_name": pa.array([f.name for f in files], pa.string()),
                "file_delivered_at": pa.array([f.delivered_at.replace(tzinfo=None) for f in files], pa.timestamp("us")),
                "file_date": pa.array([f.file_date for f in files], pa.date32()),
            }
        )
        self._connection.register("files_arrow", table)
        self._connection.execute("CREATE OR REPLACE TEMP TABLE files AS SELECT * FROM files_arrow")
        self._connection.unregister("files_arrow")

    def _start_part(self) -> None:
        for view in self._views:
            release(self._connection, view)
        self._views = []
        self._connection.execute(
            "DROP TABLE IF EXISTS part; CREATE OR REPLACE TEMP TABLE rejected (_file INTEGER, _line INTEGER, "
            "_raw VARCHAR, reasons VARCHAR[], business_date DATE, delivered_at TIMESTAMP)"
        )

    def _judge(self, piece: Slice, tallies: dict[int, Tally]) -> dict[int, Layout]:
        view = f"raw_{len(self._views)}"
        self._views.append(view)
        piece = stage(self._connection, piece, view)
        for file, count in piece.read.items():
            tallies[file].read += count
        judge = Judge(self._contract.for_feed(piece.feed), piece.feed, piece.layout, piece.parse_json)
        into = "INSERT INTO part" if len(self._views) > 1 else "CREATE OR REPLACE TEMP TABLE part AS"
        self._connection.execute(f"{into} {judge.good_rows(view)}")
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE bad_rows AS "
            f"SELECT _file, _line FROM part WHERE NOT _ok AND _file IN ({', '.join(map(str, piece.read))})"
        )
        if self._count("bad_rows"):
            self._connection.execute(f"INSERT INTO rejected {judge.rejected_rows(view, 'bad_rows')}")
        return piece.layouts

    def _part_is_full(self) -> bool:
        return self._count("part") >= PART_ROWS

    def _count(self, relation: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])

    # --- writing a part and committing a batch ----------------------------------------------------------------------

    def _write_part(self, tallies: dict[int, Tally], loaded_at: datetime) -> None:
        if not self._views:
            return
        assert self._keys is not None
        if self._keys.find_repeats():
            self._reject_conflicts()
        self._count_part(tallies)
        at = f"TIMESTAMP '{loaded_at:%Y-%m-%d %H:%M:%S.%f}'"
        if quarantined := self._count("rejected"):
            append_quarantine(
                self._lake, self._contract.source, self._connection, self._quarantine_sql(at), quarantined
            )
        self._fault_point("quarantine_written")
        if good := self._count("part ANTI JOIN repeats USING (_file, _line) WHERE _ok"):
            append_bronze(self._lake, self._contract, self._connection, self._bronze_sql(at), good)
        self._fault_point("bronze_written")
        days = self._connection.execute("SELECT DISTINCT business_date FROM part WHERE _ok").fetchall()
        self._keys.remember(day for (day,) in days)

    def _reject_conflicts(self) -> None:
        raw = " UNION ALL ".join(f"SELECT _file, _line, _raw FROM {view}" for view in self._views)
        self._connection.execute(
            "INSERT INTO rejected SELECT _file, _line, _raw, "
            "['key_conflict: same key as row ' || other || ' with other content'], part.business_date, part.delivered_at "
            f"FROM repeats JOIN part USING (_file, _line) JOIN ({raw}) USING (_file, _line) WHERE NOT same"
        )

    def _count_part(self, tallies: dict[int, Tally]) -> None:
        """Adds the part to the tallies; raises RowsDoNotAddUp, before anything is written, when a row is missing."""
        run = self._connection.execute
        good = "SELECT _file, count(*), list(DISTINCT business_date) FROM part ANTI JOIN repeats USING (_file, _line)"
        for file, rows, days in run(f"{good} WHERE _ok GROUP BY 1").fetchall():
            tallies[file].bronze += rows
            tallies[file].days |= set(days)
        for file, rows in run("SELECT _file, count(*) FROM rejected GROUP BY 1").fetchall():
            tallies[file].quarantined += rows
        for file, rows in run("SELECT _file, count(*) FROM repeats WHERE same GROUP BY 1").fetchall():
            tallies[file].duplicate += rows
        for file, tally in tallies.items():
            if tally.read != tally.bronze + tally.quarantined + tally.duplicate:
                name = run(f"SELECT file_name FROM files WHERE _file = {file}").fetchall()[0][0]
                raise RowsDoNotAddUp(
                    f"{tally.read} rows were read, but {tally.bronze} are good, {tally.quarantined} rejected and "
                    f"{tally.duplicate} duplicates",
                    where=name,
                    todo="nothing of this batch is committed; this is a defect of the loader, report the file",
                )
        reasons = "SELECT split_part(r, ':', 1), count(*) FROM (SELECT unnest(reasons) AS r FROM rejected) GROUP BY 1"
        self._reasons.update(dict(run(reasons).fetchall()))

    def _quarantine_sql(self, at: str) -> str:
        return (
            "SELECT load_id || ':' || _line AS row_id, load_id, file_name AS file, _line AS line, "
            "rtrim(_raw, chr(10) || chr(13)) AS raw, reasons, coalesce(delivered_at, file_delivered_at) AS delivered_at, "
            f"{at} AS loaded_at, coalesce(business_date, CAST(file_delivered_at AS DATE)) AS business_date, "
            "'open' AS status FROM rejected JOIN files USING (_file) ORDER BY _file, _line"
        )

    def _bronze_sql(self, at: str) -> str:
        columns = ", ".join(f"part.{quoted(name)}" for name in self._contract.columns)
        return (
            f"SELECT {columns}, load_id || ':' || _line AS row_id, load_id, file_name AS file, _line AS line, "
            f"content_hash, delivered_at, {at} AS loaded_at, business_date "
            "FROM part ANTI JOIN repeats USING (_file, _line) JOIN files USING (_file) WHERE _ok"
        )

    def _commit(
        self,
        files: Sequence[RawFile],
        tallies: dict[int, Tally],
        layouts: dict[int, Layout],
        batch_id: str,
        loaded_at: datetime,
    ) -> None:
        rows = []
        for file in files:
            label, layout = self._prefix + file.feed.name, layouts.get(file.index, {})
            changes = self._layouts.changes(self._contract, file.feed, label, file.name, layout)
            self._changes += [SchemaChange(feed=label, file=file.name, change=change) for change in changes]
            rows.append(self._load_row(file, tallies[file.index], layout, changes, batch_id, loaded_at, "committed"))
        append_rows(self._lake, "loads", rows, LOADS)
        self._fault_point("loads_written")
        self._rows += rows
        self._rows_by_load |= {row["load_id"]: row["rows_read"] for row in rows}

    def _load_row(
        self,
        file: RawFile,
        tally: Tally,
        layout: Layout,
        changes: tuple[str, ...],
        batch_id: str,
        loaded_at: datetime,
        status: str,
    ) -> dict[str, Any]:
        return {
            "load_id": file.load_id,
            "source": self._contract.source,
            "feed": self._prefix + file.feed.name,
            "file": file.name,
            "sha256": file.sha256,
            "bytes": file.size,
            "mtime_us": file.mtime_us,
            "layout": json.dumps(layout),
            "rows_read": tally.read,
            "rows_bronze": tally.bronze,
            "rows_quarantined": tally.quarantined,
            "rows_duplicate": tally.duplicate,
            "business_dates": sorted(tally.days),
            "schema_changes": list(changes),
            "delivered_at": file.delivered_at,
            "loaded_at": loaded_at,
            "batch_id": batch_id,
            "status": status,
        }

    def _mark(self, batch_id: str, load_ids: Sequence[str], status: str) -> None:
        row = {"batch_id": batch_id, "source": self._contract.source, "load_ids": list(load_ids), "status": status}
        append_rows(self._lake, "load_batches", [row | {"at": datetime.now(UTC)}], BATCHES)
