"""Repairs what can be made again. Nothing is deleted: what is broken is set aside, and every step can be undone."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from retail_assets.doctor.delta_log import LAST, DeltaLog
from retail_assets.doctor.examine import examine
from retail_assets.doctor.findings import Done, Examination, Finding
from retail_assets.doctor.loads import load_again, lost_loads
from retail_assets.releases.journal import lost
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import releases_schema
from retail_assets.resources import durable
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.home_lock import alone
from retail_assets.warehouse import state

FOLDER = "set-aside"
ROUNDS = 5  # behind a torn commit there may be a damaged file, and behind that rows that are gone
Told = Callable[[Done], None]


def repair(environment: Environment, told: Told) -> Examination:
    """Repairs the home under its lock and returns what is left, and everything that was done; `told` hears each step.

    Raises RefreshBusy where somebody else writes into the home. A second repair finds nothing to do.
    """
    done: list[Done] = []
    with alone(environment.home):
        for _ in range(ROUNDS):
            found = examine(environment)
            steps = [finding for finding in found.findings if finding.remedy is not None]
            if not steps:
                break
            for one in _Repair(environment).all(steps):
                told(one)
                done.append(one)
    return found.model_copy(update={"done": tuple(done)})


class _Repair:
    """One round of repairs; what it sets aside lies in one folder, named by the moment."""

    def __init__(self, environment: Environment) -> None:
        self.environment, self.home, self.lake = environment, environment.home, environment.lake
        self.aside = _aside(environment.home)

    def all(self, findings: Sequence[Finding]) -> Iterator[Done]:
        """Does what each finding says; a table is made anew, or loses days, once.

        First of all the record of the warehouse goes, or a repair that is killed would leave gold short and believed.
        """
        if any(f.table is not None and f.table.startswith("gold/") for f in findings):
            yield from self._build_again()
        for finding in findings:
            if finding.remedy == "set_aside":
                yield from self._set_aside(self.home.root / finding.where)
            elif finding.remedy == "write_releases":
                yield self._write_releases()
            elif finding.remedy == "load_again" and finding.table is not None:
                yield self._load_again(finding.table.split("/")[1])
        for table in sorted({f.table for f in findings if f.remedy == "empty_days" and f.table is not None}):
            yield from self._empty_days(table, [f for f in findings if (f.table, f.remedy) == (table, "empty_days")])
        for table in sorted({f.table for f in findings if f.remedy == "make_anew" and f.table is not None}):
            yield from self._make_anew(table)

    def _set_aside(self, path: Path) -> Iterator[Done]:
        for one in [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))]:
            if one.exists():
                place = self.aside / one.relative_to(self.home.root)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(one, place)
                durable.sync(one.parent)
                where = one.relative_to(self.home.root)
                yield Done(what=f"set aside {where}", undo=f"mv '{place}' '{one}'")

    def _empty_days(self, table: str, findings: Sequence[Finding]) -> Iterator[Done]:
        """A commit that takes the days of the damaged files out of the table; its versions before stay as they are."""
        layer, name = table.split("/")
        opened = self.lake.open(layer, name)
        before, days = opened.version(), sorted({day for finding in findings for day in finding.rows_of})
        listed = ", ".join(f"'{day}'" for day in days)
        opened.delete(f"business_date IN ({listed})" if days else None)
        what = f"took {', '.join(days) or 'all rows'} out of {table}, whose files are damaged"
        yield Done(what=what, undo=f"DeltaTable('{self.lake.table_uri(layer, name)}').restore({before})")
        for finding in findings:
            yield from self._set_aside(self.home.root / finding.where)

    def _make_anew(self, table: str) -> Iterator[Done]:
        """Sets the whole table aside; an empty one goes on where its versions ended: no number means two things."""
        layer, name = table.split("/")
        folder = Path(self.lake.table_uri(layer, name))
        log = DeltaLog.read(folder)
        yield from self._set_aside(folder)
        if layer == "gold" and (metadata := log.metadata()) is not None:
            _empty_successor(folder, metadata, log.newest + 1)
            yield Done(what=f"made an empty {table} of version {log.newest + 1}", undo=f"mv '{folder}' elsewhere")

    def _build_again(self) -> Iterator[Done]:
        """Without its record the warehouse is built anew and compared with gold, day by day."""
        if state.path(self.home).exists():
            yield from self._set_aside(state.path(self.home))

    def _write_releases(self) -> Done:
        import pyarrow as pa

        ledger = Ledger(self.lake)
        gone = lost(ledger.journal.releases(), ledger.log())
        rows = pa.Table.from_pylist([release.model_dump() for release in gone], schema=releases_schema())
        version = self.lake.append("ops", "releases", rows)
        undo = f"DeltaTable('{self.lake.table_uri('ops', 'releases')}').restore({version - 1})"
        return Done(what=f"wrote {len(gone)} releases into the ledger again", undo=undo)

    def _load_again(self, source: str) -> Done:
        loads = lost_loads(self.lake, source)
        load_again(self.lake, source, loads)
        what = f"{len(loads)} files of {source} are loaded again by the next `retail run`"
        return Done(what=what, undo="nothing to undo: their rows come again")


def _empty_successor(folder: Path, metadata: dict[str, object], version: int) -> None:
    """An empty Delta table of the same columns whose log begins with a summary of `version`."""
    from deltalake import DeltaTable, Schema

    table = DeltaTable.create(
        str(folder),
        schema=Schema.from_json(str(metadata["schemaString"])),
        partition_by=list(metadata.get("partitionColumns") or ()) or None,  # type: ignore[call-overload]
        configuration=dict(metadata.get("configuration") or {}),  # type: ignore[call-overload]
    )
    table.create_checkpoint()
    log = folder / "_delta_log"
    for ending in ("json", "checkpoint.parquet"):
        (log / f"{0:020}.{ending}").rename(log / f"{version:020}.{ending}")
    last = json.loads((log / LAST).read_bytes())
    (log / LAST).write_text(json.dumps(last | {"version": version}))


def _aside(home: Home) -> Path:
    """A folder that is not there yet, named by the moment."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    places = (home.root / FOLDER / (name if not number else f"{name}-{number}") for number in range(10_000))
    return next(place for place in places if not place.exists())
