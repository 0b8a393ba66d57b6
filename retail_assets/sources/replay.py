"""Quarantined rows judged again by the mapping as it is now; what passes moves to bronze under its own row_id.

Order of the writes: bronze, ops/loads, then the deletion from quarantine. A replay that died in between leaves rows in
both tables; the next one recognises them by their row_id, notes them if that was not done, and deletes them.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from retail_assets.core.errors import RetailError
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.chosen import Judged, MappingNeeded, judges
from retail_assets.sources.closed import closed_lake
from retail_assets.sources.config import load_contracts
from retail_assets.sources.imports import remember
from retail_assets.sources.load import FaultPoint
from retail_assets.sources.locks import only_one
from retail_assets.sources.parts import Part
from retail_assets.sources.report import ReplayReport
from retail_assets.sources.requarantined import quarantined_files, quarantined_slices
from retail_assets.sources.reread import read_again
from retail_assets.sources.staging import literal
from retail_assets.sources.state import REPLAYED
from retail_assets.sources.tables import LOADS, append_rows, ensure_bronze
from retail_assets.sources.taken_out import finish_moves

MOVED = "part ANTI JOIN repeats USING (_file, _line) WHERE _ok"
HERE_ALREADY = "repeats JOIN files USING (_file) WHERE same AND other = load_id || ':' || _line"
DUPLICATE = "repeats JOIN files USING (_file) WHERE same AND other <> load_id || ':' || _line"


class UnknownSource(RetailError):
    """A replay of a source that no contract describes."""


@dataclass(frozen=True)
class Passed:
    """Rows that leave quarantine for one reason."""

    row_ids: tuple[str, ...]
    days: tuple[date, ...]

    @property
    def sha256(self) -> str:
        """Names this set of rows, so that it is noted once."""
        return hashlib.sha256("\n".join(self.row_ids).encode()).hexdigest()


def replay(
    lake: Lake,
    home: Home,
    source: str,
    config_dir: Path | None = None,
    mappings: Sequence[Path] | None = None,
    fault_point: FaultPoint | None = None,
) -> ReplayReport:
    """Judges the quarantine of `source` again and moves what passes into bronze; doing it twice moves nothing twice.

    Rows of an import are judged by the mapping in `mappings` that fits them, else by the one that loaded them, as its
    file reads now. Rows whose file could not be split or decoded as it was are left where they are. Raises
    MappingNeeded when there are rows and no mapping for any of them.
    """
    contracts = load_contracts(config_dir)
    if source not in contracts:
        raise UnknownSource(f"{source!r} is no source", todo=f"use one of {', '.join(contracts)}")
    ensure_bronze(lake, contracts)
    fault = fault_point or (lambda _: None)
    finish_moves(lake, contracts[source])
    with only_one(lake, source), closed_lake(lake) as connection:
        found, notes = judges(connection, lake, contracts, source, home.landing, mappings or ())
        if notes and not found:
            raise MappingNeeded(f"no row of {source} can be judged: " + "; ".join(notes), where=f"quarantine/{source}")
        reports = [report for judged in found for report in _judge(connection, lake, judged, notes, fault)]
        left = _left_by_reason(connection, lake, source, found)
        rows_left = lake.open("quarantine", source).count()
    if not found:
        notes.append(f"nothing of {source} is in quarantine")
    return ReplayReport(
        source=source,
        rows_tried=sum(report.rows_tried for report in reports),
        rows_moved=sum(report.rows_moved for report in reports),
        rows_duplicate=sum(report.rows_duplicate for report in reports),
        rows_left=rows_left,
        left_by_reason=dict(sorted(sum((Counter(report.left_by_reason) for report in reports), left).items())),
        business_dates=tuple(sorted({day for report in reports for day in report.business_dates})),
        judged_by=tuple(judged.by for judged in found),
        notes=tuple(dict.fromkeys(notes)),
    )


def _judge(
    connection: duckdb.DuckDBPyConnection, lake: Lake, judged: Judged, notes: list[str], fault_point: FaultPoint
) -> list[ReplayReport]:
    """Reads again what was refused as a whole, then judges kept rows; a mapping that moved rows is remembered."""
    reports = [
        read_again(connection, lake, judged, notes),
        _replay_feeds(connection, lake, judged, notes, fault_point),
    ]
    if judged.file is not None and judged.root is not None and any(report.rows_moved for report in reports):
        remember(lake, judged.prefix[:-1], judged.file, judged.root)
    return reports


def _replay_feeds(
    connection: duckdb.DuckDBPyConnection, lake: Lake, judged: Judged, notes: list[str], fault_point: FaultPoint
) -> ReplayReport:
    contract = judged.contract
    nothing = ReplayReport(source=contract.source)
    files = quarantined_files(connection, lake, contract.source, judged.labels, judged.derive_then)
    if not files:
        return nothing
    part = Part(connection, lake, contract)
    part.register([file.raw for file in files])
    part.start()
    for piece in quarantined_slices(connection, lake, contract, files, notes):
        part.add(piece)
    if part.rows == 0:
        return nothing
    part.settle()
    moved, here, duplicate = (_passed(connection, sql) for sql in (MOVED, HERE_ALREADY, DUPLICATE))
    now = datetime.now(UTC)
    for passed, is_duplicate in ((here, False), (moved, False), (duplicate, True)):
        if passed is moved:
            part.write_bronze(now)
            fault_point("bronze_written")
        _leave(connection, lake, contract.source, passed, is_duplicate, now, fault_point)
    return ReplayReport(
        source=contract.source,
        rows_tried=part.rows,
        rows_moved=len(moved.row_ids) + len(here.row_ids),
        rows_duplicate=len(duplicate.row_ids),
        rows_left=part.rows - len(moved.row_ids) - len(here.row_ids) - len(duplicate.row_ids),
        left_by_reason=dict(part.reasons()),
        business_dates=tuple(sorted({*moved.days, *here.days})),
    )


def _passed(connection: duckdb.DuckDBPyConnection, relation: str) -> Passed:
    rows = connection.execute(
        "SELECT f.load_id || ':' || r._line AS row_id, p.business_date "
        f"FROM (SELECT _file, _line FROM {relation}) AS r JOIN files AS f USING (_file) "
        "JOIN part AS p USING (_file, _line) ORDER BY 1"
    ).fetchall()
    return Passed(tuple(row_id for row_id, _ in rows), tuple(sorted({day for _, day in rows})))


def _leave(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    source: str,
    passed: Passed,
    is_duplicate: bool,
    now: datetime,
    fault_point: FaultPoint,
) -> None:
    """Notes in ops/loads that rows left quarantine (once), then deletes them there."""
    if not passed.row_ids:
        return
    noted = connection.execute(
        f"SELECT count(*) FROM {lake.scan('ops', 'loads')} "
        f"WHERE source = {literal(source)} AND status = '{REPLAYED}' AND sha256 = {literal(passed.sha256)}"
    ).fetchall()[0][0]
    if not noted:
        append_rows(lake, "loads", [_loads_row(source, passed, is_duplicate, now)], LOADS)
    fault_point("loads_written")
    listed = ", ".join(literal(row_id) for row_id in passed.row_ids)
    lake.open("quarantine", source).delete(f"row_id IN ({listed})")
    fault_point("quarantine_deleted")


def _loads_row(source: str, passed: Passed, is_duplicate: bool, now: datetime) -> dict[str, object]:
    count = len(passed.row_ids)
    return {
        "load_id": passed.sha256[:16],
        "source": source,
        "feed": "replay",
        "file": f"quarantine/{source}",
        "sha256": passed.sha256,
        "bytes": 0,
        "mtime_us": 0,
        "layout": "{}",
        "rows_read": 0,
        "rows_bronze": 0 if is_duplicate else count,
        "rows_quarantined": -count,
        "rows_duplicate": count if is_duplicate else 0,
        "business_dates": [] if is_duplicate else list(passed.days),
        "schema_changes": [],
        "delivered_at": now,
        "loaded_at": now,
        "batch_id": "",
        "status": REPLAYED,
    }


def _left_by_reason(
    connection: duckdb.DuckDBPyConnection, lake: Lake, source: str, judged: Sequence[Judged]
) -> Counter[str]:
    """Why rows are in quarantine that none of `judged` has judged just now."""
    labels = ", ".join(literal(label) for each in judged for label in each.labels) or "''"
    rows = connection.execute(
        "SELECT split_part(reason, ':', 1) AS kind, count(*) "
        f"FROM (SELECT load_id, status AS state, unnest(reasons) AS reason FROM {lake.scan('quarantine', source)}) "
        f"WHERE state <> 'open' OR load_id NOT IN (SELECT load_id FROM {lake.scan('ops', 'loads')} "
        f"WHERE source = {literal(source)} AND status = 'committed' AND feed IN ({labels})) GROUP BY 1"
    ).fetchall()
    return Counter(dict(rows))
