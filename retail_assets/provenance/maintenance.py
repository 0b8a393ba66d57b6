"""Keeps tables small without taking anything from a trace: compaction of decisions, and a vacuum that asks first.

Services commit every few seconds, each time a small file. A trace reads decisions at their newest version, so their old
versions are not kept long; the gold and bronze that decisions name are.
"""

from collections.abc import Set
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError
from retail_assets.provenance.errors import TraceError
from retail_assets.provenance.retention import Named, named_versions
from retail_assets.resources.lake import Lake, properties

if TYPE_CHECKING:
    from deltalake import DeltaTable

DECISIONS = "decisions"
VACUUMED = ("bronze", "gold", "decisions")
DAY = "business_date"


class Tidied(BaseModel):
    """What was done to one table: small files made into large ones, files removed that nothing needs any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    compacted_days: int = 0
    files_before: int
    files_after: int
    removed: int = 0
    refused: str | None = None


def compact_decisions(lake: Lake, most_files: int) -> list[Tidied]:
    """Compacts each business date of `decisions/*` that lies in more than `most_files` files; other tables untouched.

    Rows and their order within a file stay; services may append meanwhile. A checkpoint follows, so that opening the
    table reads no thousands of commits.
    """
    return [_compacted(lake, name, most_files) for name in lake.tables(DECISIONS)]


def _compacted(lake: Lake, name: str, most_files: int) -> Tidied:
    table = lake.open(DECISIONS, name)
    _keep_properties(table, DECISIONS)
    days = crowded_days(table, most_files)
    before = len(table.file_uris())
    if days:
        table.optimize.compact(partition_filters=[(DAY, "in", days)])
        table.create_checkpoint()
        table.cleanup_metadata()
    after = lake.open(DECISIONS, name)
    return Tidied(
        table=f"{DECISIONS}/{name}", compacted_days=len(days), files_before=before, files_after=len(after.file_uris())
    )


def crowded_days(table: "DeltaTable", most_files: int) -> list[str]:
    """Business dates (ISO text) in more than `most_files` files, oldest first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    files = pa.table(table.get_add_actions(flatten=True))
    if not files.num_rows:
        return []
    counts = files.group_by(f"partition.{DAY}").aggregate([("path", "count")])
    crowded = counts.filter(pc.greater(counts["path_count"], most_files))[f"partition.{DAY}"]
    return sorted(str(day) for day in crowded.to_pylist() if day is not None)


def tidy(lake: Lake, most_files: int, live_decision_days: int, dry_run: bool = False) -> list[Tidied]:
    """Compacts decisions, then removes files of bronze, gold and decisions that their retention no longer keeps.

    A table of which a live decision needs such a file is left alone, and `refused` says which. With `dry_run` nothing
    is changed, and `removed` counts what would be.
    """
    compacted = {} if dry_run else {made.table: made for made in compact_decisions(lake, most_files)}
    named = named_versions(lake, live_decision_days)
    done = [_vacuumed(lake, layer, name, named, dry_run) for layer in VACUUMED for name in lake.tables(layer)]
    return [
        made.model_copy(update={"compacted_days": before.compacted_days, "files_before": before.files_before})
        if (before := compacted.get(made.table))
        else made
        for made in done
    ]


def _vacuumed(lake: Lake, layer: str, name: str, named: Set[Named], dry_run: bool) -> Tidied:
    table = lake.open(layer, name)
    if not dry_run:
        _keep_properties(table, layer)
    files = len(table.file_uris())
    found = {"table": f"{layer}/{name}", "files_before": files, "files_after": files}
    try:
        return Tidied(**found, removed=vacuum(lake, layer, name, named, dry_run))
    except TraceError as error:
        return Tidied(**found, refused=str(error))


def vacuum(lake: Lake, layer: str, name: str, named: Set[Named], dry_run: bool = False) -> int:
    """Removes files that no version within the table's retention has; returns how many.

    Raises TraceError, and removes nothing, when a version in `named` needs one of them.
    """
    table = lake.open(layer, name)
    old = set(table.vacuum(dry_run=True))
    if not old:
        return 0
    for version in sorted(number for at, other, number in named if (at, other) == (layer, name)):
        needed = old & _files(lake, layer, name, version)
        if needed:
            raise TraceError(
                f"{layer}/{name} is not vacuumed: {len(needed)} files that would go are of version {version}, which "
                f"live decisions name, e.g. {sorted(needed)[0]}",
                todo="lengthen delta.deletedFileRetentionDuration of this table, or shorten live_decision_days",
            )
    return len(old) if dry_run else len(table.vacuum(dry_run=False))


def _files(lake: Lake, layer: str, name: str, version: int) -> set[str]:
    from deltalake.exceptions import DeltaError

    try:
        return set(lake.open(layer, name, version).get_add_actions(flatten=True).column("path").to_pylist())
    except (DeltaError, RetailError):
        return set()  # a version that is gone already needs no file; the check on retention reports it


def _keep_properties(table: "DeltaTable", layer: str) -> None:
    """Gives a table of an older home the properties that new ones are made with."""
    wanted = properties(layer)
    if wanted.items() - table.metadata().configuration.items():
        table.alter.set_table_properties(wanted)
        table.update_incremental()
