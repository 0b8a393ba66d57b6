"""Examines a whole home; reads every file of the newest versions, changes nothing."""

from collections.abc import Iterator
from pathlib import Path

from retail_assets.core.errors import RetailError
from retail_assets.doctor import home_files
from retail_assets.doctor.findings import BACKUP, Examination, Finding
from retail_assets.doctor.loads import lost_loads, not_in_landing
from retail_assets.doctor.tables import TableExamination
from retail_assets.releases.journal import lost
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import Environment
from retail_assets.resources.lake import LAYERS, Lake

ReadingFails = (RetailError, OSError, ValueError)


def examine(environment: Environment) -> Examination:
    """Everything that is not as it should be in the home and its lake.

    Raises LakeError for a lake that is no local folder: its store keeps what it has answered for.
    """
    lake, home = environment.lake, environment.home
    tables = list(_tables(lake, home.root))
    findings = [finding for table in tables for finding in table.findings()]
    broken = {finding.table for finding in findings if finding.wrong}
    if "ops/releases" not in broken:
        findings += _lost_releases(lake)
    findings += _lost_rows(environment, broken)
    findings += home_files.databases(home)
    findings += home_files.documents(home)
    findings += home_files.price_files(home)
    findings += home_files.models(home, _live(lake))
    findings += home_files.strays(home)
    return Examination(
        home=str(home.root), tables=len(tables), files=sum(table.files for table in tables), findings=tuple(findings)
    )


def _tables(lake: Lake, root: Path) -> Iterator[TableExamination]:
    for layer in LAYERS:
        folder = Path(lake.table_uri(layer, ""))
        for table in sorted(folder.iterdir()) if folder.is_dir() else ():
            if (table / "_delta_log").is_dir() and any((table / "_delta_log").iterdir()):
                yield TableExamination(lake, root, layer, table.name)


def _lost_releases(lake: Lake) -> Iterator[Finding]:
    ledger = Ledger(lake)
    known = ledger.journal.releases()
    gone = lost(known, ledger.log())
    if gone:
        newest = gone[-1]
        what = (
            f"the ledger has lost {len(gone)} of its releases, the newest: {newest.action} of {newest.product} "
            f"{newest.version} on {newest.target} at {newest.at:%Y-%m-%d %H:%M:%S}"
        )
        todo = "`--repair` writes them again from the copy beside the ledger"
        where = "lake/ops/releases"
        yield Finding(kind="lost_releases", where=where, what=what, todo=todo, remedy="write_releases",
                      table="ops/releases")  # fmt: skip


def _lost_rows(environment: Environment, broken: set[str | None]) -> Iterator[Finding]:
    """Loads whose rows are not all there: a commit of bronze was lost behind their backs."""
    lake = environment.lake
    if broken & {"ops/loads", "ops/load_batches"} or not lake.exists("ops", "loads"):
        return
    for source in lake.tables("bronze"):
        if broken & {f"bronze/{source}", f"quarantine/{source}"}:
            continue
        loads = lost_loads(lake, source)
        if not loads:
            continue
        absent = not_in_landing(environment.home, loads)
        what = f"rows of {len(loads)} files of {source} are gone, e.g. of {loads[-1]['file']}"
        where = f"lake/bronze/{source}"
        todo = "`--repair` has the next `retail run` load them again from landing/"
        if absent:
            todo = f"{BACKUP.format(where)}; or deliver {absent[0]} again, as it was, and repair then"
        yield Finding(kind="lost_rows", where=where, what=what, todo=todo, table=f"bronze/{source}",
                      remedy=None if absent else "load_again")  # fmt: skip


def _live(lake: Lake) -> set[tuple[str, str]]:
    """The versions that answer somewhere, or that a store may go back to; everything while the ledger is broken."""
    try:
        return {(release.product, release.version) for release in Ledger(lake).log()}
    except ReadingFails:
        return _Everything()


class _Everything(set[tuple[str, str]]):
    """Holds whatever it is asked about."""

    def __contains__(self, _: object) -> bool:
        return True
