"""Files of which nothing reached bronze, read again once their feed reads them otherwise.

That is a file that was refused as a whole, or one whose rows are derived by other SQL now. Its load is withdrawn: a row
in ops/loads takes back what the first one counted, the file's rows leave quarantine, and the file is loaded like a new
one. A process that dies in between leaves a file that the next load finds new.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from retail_assets.resources.lake import Lake
from retail_assets.sources.batches import BatchLoader
from retail_assets.sources.chosen import Judged
from retail_assets.sources.closed import closed_lake
from retail_assets.sources.discover import Fence, raw_file
from retail_assets.sources.imports import remember
from retail_assets.sources.names import PROBLEM
from retail_assets.sources.raw import RawFile
from retail_assets.sources.readers import slices
from retail_assets.sources.report import ReplayReport
from retail_assets.sources.requarantined import WHOLE
from retail_assets.sources.staging import literal
from retail_assets.sources.state import WITHDRAWN, read_state
from retail_assets.sources.tables import LOADS, append_rows

CUT = "truncated"  # the reason of a whole file only where no column of it is known
COUNTS = ("rows_read", "rows_bronze", "rows_quarantined", "rows_duplicate")


def read_again(connection: duckdb.DuckDBPyConnection, lake: Lake, judged: Judged, notes: list[str]) -> ReplayReport:
    """Loads those files of `judged` anew that can be read now. Rows that are refused one by one then are not tried."""
    source = judged.contract.source
    ready: list[tuple[dict[str, Any], RawFile]] = []
    for load in _all_in_quarantine(connection, lake, judged):
        if not (load.pop("refused") or _derived_otherwise(load, judged)):
            continue
        file = _found(load, judged)
        if file is None:
            notes.append(f"{load['file']} has to be read again as a whole and is not where it was: deliver it again")
        elif not _refused_again(file):
            ready.append((load, replace(file, index=len(ready))))
    if not ready:
        return ReplayReport(source=source)
    if judged.file is not None and judged.root is not None:
        remember(lake, judged.prefix[:-1], judged.file, judged.root)  # before the load, whose mapping it is
    _withdraw(lake, source, [load for load, _ in ready])
    with closed_lake(lake) as loading:
        state = read_state(loading, lake, [source])[source]
        loader = BatchLoader(loading, lake, judged.contract, state, judged.prefix, lambda _: None)
        loader.load([file for _, file in ready])
        report = loader.report()
    notes += [
        f"{name} could not be read again ({why}): the next load tries it" for name, why in report.not_read.items()
    ]
    return ReplayReport(
        source=source,
        rows_tried=report.rows_bronze + report.rows_duplicate,
        rows_moved=report.rows_bronze,
        rows_duplicate=report.rows_duplicate,
        business_dates=report.business_dates,
    )


def _all_in_quarantine(connection: duckdb.DuckDBPyConnection, lake: Lake, judged: Judged) -> Iterator[dict[str, Any]]:
    """Rows of ops/loads about files all of whose rows are in quarantine; `refused`: because of what the file is."""
    labels = ", ".join(literal(label) for label in judged.labels)
    kinds = ", ".join(literal(kind) for kind in WHOLE)
    cut = literal(CUT)
    found = connection.execute(
        "WITH kept AS (SELECT load_id, count(*) AS kept, "
        f"bool_and(split_part(reasons[1], ':', 1) IN ({kinds})) AS whole, "
        f"bool_and(split_part(reasons[1], ':', 1) = {cut}) AS cut "
        f"FROM {lake.scan('quarantine', judged.contract.source)} WHERE status = 'open' GROUP BY 1), "
        f"loads AS (FROM {lake.scan('ops', 'loads')} "
        f"WHERE source = {literal(judged.contract.source)} AND status = 'committed' "
        "QUALIFY row_number() OVER (PARTITION BY load_id ORDER BY loaded_at DESC) = 1) "
        "SELECT loads.*, whole OR (cut AND layout = '{}') AS refused FROM loads JOIN kept USING (load_id) "
        f"WHERE feed IN ({labels}) AND rows_quarantined = kept AND rows_read = kept ORDER BY file"
    )
    yield from found.to_arrow_table().to_pylist()


def _derived_otherwise(load: dict[str, Any], judged: Judged) -> bool:
    """Whether the rows of a load would be derived by other SQL now than they were."""
    feed = judged.labels[load["feed"]]
    then = judged.derive_then(feed, load["loaded_at"])
    return then is not None and then.split() != (feed.derive or "").split()


def _found(load: dict[str, Any], judged: Judged) -> RawFile | None:
    """The file of a load, if it lies where it lay and holds what it held."""
    path = None if judged.root is None else Path(judged.root, load["file"])
    if path is None or not path.is_file() or Fence(Path(str(judged.root))).outside(path) is not None:
        return None
    try:
        file = raw_file(path, load["file"], judged.labels[load["feed"]])
    except OSError:
        return None
    return file if file.sha256 == load["sha256"] else None


def _refused_again(file: RawFile) -> bool:
    """Whether the file would be refused as a whole once more."""
    first = next(slices([replace(file, index=0)]))
    problems = {str(problem).split(":")[0] for problem in first.rows[PROBLEM].to_pylist()}
    unread = not first.layout and not first.parse_json
    return unread or problems <= {*WHOLE, CUT}


def withdraw_counts(lake: Lake, loads: Sequence[dict[str, Any]]) -> None:
    """Takes back what `loads` counted: to the next load their files are new."""
    now = datetime.now(UTC)
    taken = [
        load
        | {name: -load[name] for name in COUNTS}
        | {"status": WITHDRAWN, "loaded_at": now, "business_dates": [], "schema_changes": []}
        for load in loads
    ]
    append_rows(lake, "loads", taken, LOADS)


def _withdraw(lake: Lake, source: str, loads: Sequence[dict[str, Any]]) -> None:
    """Takes back what `loads` counted, then their rows in quarantine."""
    withdraw_counts(lake, loads)
    listed = ", ".join(literal(load["load_id"]) for load in loads)
    lake.open("quarantine", source).delete(f"load_id IN ({listed})")
