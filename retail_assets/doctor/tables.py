"""Examines one Delta table: its log first, then the files of its newest version, then what no version names."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.doctor.delta_log import LAST, DeltaLog, unreadable_parquet
from retail_assets.doctor.findings import BACKUP, Finding, Kind, Remedy
from retail_assets.resources.lake import Lake

MADE_AGAIN = {
    "gold": "`retail run` makes it again from bronze (forecasts of earlier days are not made again)",
    "reports": "`retail run` makes it again (the proof of a forecasting model with its next training: `--retrain`)",
}
REMADE_OPS = ("feature_materialisations", "publishes")  # what they say is found again by doing it again
AFTER_TORN = {
    "bronze": "the files that its rows came from are then loaded again",
    "ops": "what runs note is noted again by the next `retail run`; what a person did then (an approval, a stop) has "
    "to be done again",
    "decisions": "prices of a run are decided again by the next `retail run`; answers that services gave in these "
    "moments are in no other place",
}
MADE_BY_RUN = "`retail run` makes it again"


class TableExamination:
    """One table, `layer/name`, of a local lake; `findings()` reads everything, `files` counts what was read."""

    def __init__(self, lake: Lake, root: Path, layer: str, name: str) -> None:
        self.lake, self.layer, self.name, self.table = lake, layer, name, f"{layer}/{name}"
        self.folder = Path(lake.table_uri(layer, name))
        self.root = root
        self.files = 0
        self.log = DeltaLog.read(self.folder)

    @property
    def is_made_again(self) -> bool:
        """Whether the next run makes the table from others."""
        return self.layer in MADE_AGAIN or (self.layer == "ops" and self.name in REMADE_OPS)

    def findings(self) -> Iterator[Finding]:
        """Everything that is not as it should be."""
        broken = list(self._log_findings())
        yield from broken
        if not broken:
            yield from self._file_findings()
        yield from self._orphans()

    def _log_findings(self) -> Iterator[Finding]:
        log = self.log
        if log.newest in log.torn:
            path = log.commits[log.newest]
            before = f"version {log.newest - 1}" if log.newest else "nothing: the table had just been made"
            what = f"the newest commit of {self.table} was never whole ({log.torn[log.newest]}); before it was {before}"
            yield self._finding("torn_commit", path, what, AFTER_TORN.get(self.layer, MADE_BY_RUN), "set_aside")
        last = log.folder / LAST
        if last.is_file() and not _is_document(last):
            what = f"the name of the newest summary of {self.table} is damaged"
            yield self._finding("damaged_checkpoint", last, what, "nothing is lost without it", "set_aside")
        if breaks := log.breaks():
            named = ", ".join(str(version) for version in breaks[:5])
            torn = any(version in log.torn for version in breaks)
            what = f"{self.table} cannot be read: commits {named} of its log are {'torn' if torn else 'missing'}"
            yield self._lost("torn_commit" if torn else "log_gap", log.folder / f"{breaks[0]:020}.json", what)
        elif log.bad_checkpoints:
            yield from self._bad_checkpoints()
        elif log.newest not in log.torn and (said := self._unreadable()):
            yield self._lost("log_unreadable", log.folder, f"{self.table} cannot be read: {said}")

    def _bad_checkpoints(self) -> Iterator[Finding]:
        for version, why in self.log.bad_checkpoints.items():
            path = self.log.checkpoints[version]
            what = f"the summary of version {version} of {self.table} is damaged ({why}); every commit is there"
            yield self._finding("damaged_checkpoint", path, what, "nothing is lost without it", "set_aside")

    def _unreadable(self) -> str | None:
        """What a Delta library says that cannot read the log; None where it can."""
        try:
            self.lake.open(self.layer, self.name)
        except RetailError as error:
            return error.what
        return None

    def _file_findings(self) -> Iterator[Finding]:
        actions = pa.table(self.lake.open(self.layer, self.name).get_add_actions(flatten=True))
        day = "partition.business_date"
        days = actions[day].to_pylist() if day in actions.column_names else [None] * actions.num_rows
        rows = zip(*(actions[n].to_pylist() for n in ("path", "size_bytes", "num_records")), days, strict=True)
        for path, size, count, of_day in rows:
            self.files += 1
            file = self.folder / path
            kind, why = _judged(file, size, count)
            if kind is not None:
                what = f"a file of {self.table} {why}"
                yield self._damaged(kind, file, what, "" if of_day is None else str(of_day))

    def _damaged(self, kind: Kind, file: Path, what: str, day: str) -> Finding:
        if self.layer == "gold":
            lost = (day,) if day else ()
            return self._finding(kind, file, what, MADE_AGAIN["gold"], "empty_days", lost)
        if self.layer == "bronze" and day:
            todo = "`--repair` has the files that the rows came from loaded again, where they still lie in landing/; "
            return self._finding(kind, file, what, todo + BACKUP.format("it"), "empty_days", (day,))
        return self._lost(kind, file, what)

    def _lost(self, kind: Kind, path: Path, what: str) -> Finding:
        """What is beyond repair: the table is made again where that is possible."""
        if self.is_made_again:
            return self._finding(kind, path, what, MADE_AGAIN.get(self.layer, MADE_BY_RUN), "make_anew")
        return self._finding(kind, path, what, BACKUP.format(path.relative_to(self.root)), None)

    def _orphans(self) -> Iterator[Finding]:
        there = {path.relative_to(self.folder).as_posix() for path in _data_files(self.folder)}
        nameless = there - self.log.mentioned()
        if nameless and not self.log.breaks():
            size = sum((self.folder / path).stat().st_size for path in nameless)
            what = f"{len(nameless)} files of {self.table} ({size / 1e6:.1f} MB) are in no version of it"
            todo = "nothing: they cost space only; `retail trace tidy` removes old ones"
            first = self.folder / min(nameless)
            yield self._finding("orphan", first, what, todo, None).model_copy(update={"wrong": False})

    def _finding(
        self, kind: Kind, path: Path, what: str, todo: str, remedy: Remedy | None, rows_of: tuple[str, ...] = ()
    ) -> Finding:
        where = str(path.relative_to(self.root))
        return Finding(kind=kind, where=where, what=what, todo=todo, remedy=remedy, table=self.table, rows_of=rows_of)


def _judged(file: Path, size: int, rows: int | None) -> tuple[Kind | None, str]:
    if not file.is_file():
        return "missing_file", "is missing"
    if (there := file.stat().st_size) != size:
        return "wrong_size", f"has {there:,} bytes, the log says {size:,}"
    why = unreadable_parquet(file, rows)
    return ("damaged_file", f"cannot be read: {why}") if why else (None, "")


def _is_document(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_bytes()), dict)
    except ValueError:
        return False


def _data_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith("_")]
        yield from (Path(place, name) for name in names if name.endswith(".parquet"))
