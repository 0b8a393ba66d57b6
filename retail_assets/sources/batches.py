"""One batch of files: judged in parts, each written to quarantine and bronze, then committed by ops/loads.

A batch that is named in ops/load_batches but has no row in ops/loads never happened: the next load deletes what it
left behind and loads its files again.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb

from retail_assets.resources.lake import Lake
from retail_assets.sources.contract import Contract
from retail_assets.sources.discover import changed
from retail_assets.sources.layouts import Layouts, Seen
from retail_assets.sources.parts import Part, Tally
from retail_assets.sources.raw import Layout, NotRead, RawFile, Told, layout_text
from retail_assets.sources.readers import slices
from retail_assets.sources.report import SchemaChange, SourceReport
from retail_assets.sources.state import State
from retail_assets.sources.tables import BATCHES, LOADS, RowsDoNotAddUp, append_rows, delete_loads

PART_ROWS, PART_BYTES = 1_000_000, 512 << 20


class BatchLoader:
    """Loads batches of one source over a DuckDB connection of its own."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        contract: Contract,
        state: State,
        prefix: str,
        fault_point: Callable[[str], None],
    ) -> None:
        self._lake, self._contract, self._prefix, self._fault_point = lake, contract, prefix, fault_point
        self._connection = connection
        self._part: Part | None = None
        self._state = state
        self._layouts = Layouts(state.layouts)
        self._rows_by_load = dict(state.rows_by_load)
        self._rows: list[dict[str, Any]] = []
        self._reasons: Counter[str] = Counter()
        self._changes: list[SchemaChange] = []
        self._clock_changes: Counter[str] = Counter()
        self.not_read: dict[str, str] = {}

    def roll_back_unfinished(self) -> None:
        """Deletes the rows of batches that were started and never committed, and says so in ops/load_batches."""
        for batch_id, load_ids in self._state.unfinished.items():
            delete_loads(self._connection, self._lake, self._contract.source, load_ids)
            self._fault_point("rolled_back")
            self._mark(batch_id, load_ids, "rolled_back")

    def load(self, files: Sequence[RawFile]) -> None:
        """Loads `files` as one batch: all of them or, when the process dies, none.

        Without those that go or change while they are read: they are named in the report, and new to the next load.
        """
        while files and (not_read := self._load(files)):
            self.not_read |= {file.name: not_read[file.index] for file in files if file.index in not_read}
            left = [file for file in files if file.index not in not_read]
            files = [replace(file, index=i) for i, file in enumerate(left)]

    def _load(self, files: Sequence[RawFile]) -> dict[int, str]:
        """Commits `files`, or undoes all it did and returns by index why some of them could not be read."""
        part = self._part = self._part or Part(self._connection, self._lake, self._contract)
        batch_id, loaded_at = uuid.uuid4().hex, datetime.now(UTC)
        self._mark(batch_id, [file.load_id for file in files], "started")
        self._fault_point("batch_started")
        part.register(files)
        tallies = {file.index: Tally() for file in files}
        layouts: dict[int, Layout] = {file.index: {} for file in files}
        told: dict[int, Told] = {file.index: {} for file in files}
        part.start()
        reasons = self._reasons.copy()
        try:
            for piece in slices(files):
                for index, count in piece.read.items():
                    tallies[index].read += count
                judged = part.add(piece)
                for index, layout in judged.layouts.items():
                    layouts[index] |= layout
                for index, told_of in judged.told.items():
                    told[index] |= told_of
                if part.rows >= PART_ROWS or part.bytes >= PART_BYTES:
                    self._write(part, files, tallies, loaded_at)
                    part.start()
            not_read = {file.index: why for file in files if (why := changed(file)) is not None}
        except NotRead as error:
            not_read = {error.file.index: error.why}
        if not_read:
            self._reasons = reasons
            self._undo(part, files, batch_id)
            return not_read
        if part.rows:
            self._write(part, files, tallies, loaded_at)
        self._commit(files, tallies, layouts, told, batch_id, loaded_at)
        return {}

    def _undo(self, part: Part, files: Sequence[RawFile], batch_id: str) -> None:
        """Deletes what was written of a batch, and forgets the part, which remembers keys of it."""
        part.start()
        self._part = None
        load_ids = [file.load_id for file in files]
        delete_loads(self._connection, self._lake, self._contract.source, load_ids)
        self._mark(batch_id, load_ids, "rolled_back")

    def _write(self, part: Part, files: Sequence[RawFile], tallies: dict[int, Tally], loaded_at: datetime) -> None:
        part.settle()
        part.tally(tallies)
        check_sums(files, tallies)
        self._reasons.update(part.reasons())
        part.write_quarantine(loaded_at)
        self._fault_point("quarantine_written")
        part.write_bronze(loaded_at)
        self._fault_point("bronze_written")

    def record_repeated(self, files: Sequence[RawFile]) -> None:
        """Notes files whose content came before under another name: every row of theirs is a duplicate."""
        rows = []
        for file in files:
            read = self._rows_by_load[file.load_id]
            tally = Tally(read=read, duplicate=read)
            rows.append(self._load_row(file, tally, "{}", (), "", datetime.now(UTC), "duplicate"))
        if rows:
            append_rows(self._lake, "loads", rows, LOADS)
            self._rows += rows

    def loaded(self) -> dict[str, list[str]]:
        """The load ids of the files that this loader read, by feed."""
        found: dict[str, list[str]] = {}
        for row in self._rows:
            if row["status"] == "committed":
                found.setdefault(row["feed"], []).append(row["load_id"])
        return found

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
            clock_changes=dict(sorted(self._clock_changes.items())),
            batches_rolled_back=len(self._state.unfinished),
            not_read=self.not_read,
        )

    def _commit(
        self,
        files: Sequence[RawFile],
        tallies: dict[int, Tally],
        layouts: dict[int, Layout],
        told: dict[int, Told],
        batch_id: str,
        loaded_at: datetime,
    ) -> None:
        rows = []
        for file in files:
            label, layout = self._prefix + file.feed.name, layouts[file.index]
            seen = Seen(label, file.name, layout, tallies[file.index].read, told[file.index])
            changes = self._layouts.changes(self._contract, file.feed, seen)
            self._changes += [SchemaChange(feed=label, file=file.name, change=change) for change in changes]
            kept = layout_text(layout, told[file.index] if file.feed.derive is not None else ())
            rows.append(self._load_row(file, tallies[file.index], kept, changes, batch_id, loaded_at, "committed"))
        append_rows(self._lake, "loads", rows, LOADS)
        self._fault_point("loads_written")
        self._rows += rows
        self._clock_changes.update(sum((tallies[file.index].clock_changes for file in files), Counter()))
        self._rows_by_load |= {row["load_id"]: row["rows_read"] for row in rows}

    def _load_row(
        self,
        file: RawFile,
        tally: Tally,
        layout: str,
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
            "layout": layout,
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


def check_sums(files: Sequence[RawFile], tallies: dict[int, Tally]) -> None:
    """Raises RowsDoNotAddUp, before anything of a part is written, when a row of a file is not accounted for."""
    for file in files:
        tally = tallies[file.index]
        if not tally.adds_up():
            raise RowsDoNotAddUp(
                f"{tally.read} rows were read, but {tally.bronze} are good, {tally.quarantined} rejected and "
                f"{tally.duplicate} duplicates",
                where=file.name,
                todo="nothing of this batch is committed; this is a defect of the loader, report the file",
            )
