"""Rows of a Delta table at one version, read from only the files that can hold them.

A version never changes, so its list of files is remembered: a second trace in the same process opens no log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.provenance.errors import VersionGone
from retail_assets.resources import duck
from retail_assets.resources.lake import KEPT_DAYS, Lake, LakeError

REMEMBERED = 512
Bounds = Mapping[str, tuple[date | datetime | None, date | datetime | None]]
Row = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """The files of a table at a version, and per file the lowest and highest value of its dates and instants."""

    uri: str
    version: int
    schema: pa.Schema
    actions: pa.Table

    def files(self, bounds: Bounds) -> list[str]:
        """Paths of the files that may hold rows within `bounds` (column to lowest and highest value, both included)."""
        kept = self.actions
        for column, (low, high) in bounds.items():
            for edge, limit, keep in (("max", low, pc.greater_equal), ("min", high, pc.less_equal)):
                values = _edge(kept, edge, column)
                if values is not None and limit is not None:
                    kept = kept.filter(pc.fill_null(keep(values, pa.scalar(limit, values.type)), True))
        return [f"{self.uri}/{path}" for path in kept["path"].to_pylist()]


def _edge(actions: pa.Table, edge: str, column: str) -> pa.ChunkedArray | None:
    for name in (f"partition.{column}", f"{edge}.{column}"):
        if name in actions.column_names:
            return actions[name]
    return None


@lru_cache(maxsize=REMEMBERED)
def snapshot(lake_json: str, layer: str, name: str, version: int) -> Snapshot:
    """The snapshot of `layer/name` at `version`; `lake_json` is the lake as JSON, which can be a key.

    Raises VersionGone when the log of that version was cleaned up.
    """
    from deltalake.exceptions import DeltaError

    lake = Lake.model_validate_json(lake_json)
    try:
        table = lake.open(layer, name, version)
        actions = pa.table(table.get_add_actions(flatten=True))
    except (DeltaError, LakeError) as error:  # a log without its beginning looks like no table at all
        raise gone(layer, name, version, str(error).splitlines()[0]) from error
    kept = [n for n in actions.column_names if n == "path" or n.startswith(("partition.", "min.", "max."))]
    schema = pa.schema(table.schema().to_arrow())
    return Snapshot(lake.table_uri(layer, name), version, schema, actions.select(kept))


def gone(layer: str, name: str, version: int, why: str) -> VersionGone:
    """The error for a version that cannot be opened any more."""
    return VersionGone(
        f"{layer}/{name} can no longer be read as it was at Delta version {version}: {why}",
        todo=f"restore the table's files from a backup; vacuum only what is older than {KEPT_DAYS} days",
    )


class Snapshots:
    """Reads tables of one lake at versions. One DuckDB connection: use it from one thread, and close it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._key = lake.model_dump_json()
        self._connection = lake.connect()
        self._newest: dict[tuple[str, str], int | None] = {}

    def __enter__(self) -> "Snapshots":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def newest(self, layer: str, name: str, by: datetime | None = None) -> int | None:
        """The newest version of a table when it was first asked for, of the commits until the instant `by` if given.

        None where the table does not exist, or did not then.
        """
        if (layer, name) not in self._newest:
            try:
                self._newest[layer, name] = self.lake.open(layer, name).version()
            except LakeError:
                self._newest[layer, name] = None
        newest = self._newest[layer, name]
        if newest is None or by is None:
            return newest
        commits = self.lake.open(layer, name).history()
        return next((c["version"] for c in commits if c["timestamp"] <= by.timestamp() * 1000), None)

    def columns(self, layer: str, name: str, version: int) -> list[str]:
        """The columns of a table at a version."""
        return list(snapshot(self._key, layer, name, version).schema.names)

    def newest_day(self, layer: str, name: str, version: int, until: date = date.max) -> date | None:
        """The newest business date by `until` with a file in a partitioned table; None where there is none."""
        found = snapshot(self._key, layer, name, version).actions
        if not found.num_rows:
            return None
        days = found["partition.business_date"]
        newest: date | None = pc.max(days.filter(pc.less_equal(days, pa.scalar(until, days.type)))).as_py()
        return newest

    def rows(
        self,
        layer: str,
        name: str,
        version: int,
        where: str,
        parameters: Sequence[Any] = (),
        bounds: Bounds | None = None,
        select: str | None = None,
        columns: Sequence[str] = (),
    ) -> list[Row]:
        """The rows of `layer/name` at `version` that satisfy `where` (`?` for each parameter), sorted.

        `bounds` must follow from `where`: files that lie outside are not opened. Without `select` those of `columns`
        that the table has, else every column; one that was added later only where a file has it. Raises VersionGone.
        """
        import duckdb

        found = snapshot(self._key, layer, name, version)
        paths = found.files(bounds or {})
        if not paths:
            return []
        every = ", ".join(f'"{name}"' for name in found.schema.names if not columns or name in columns)
        for chosen, same in ((select or every, True), (select or every, False), (select or "*", False)):
            sql = f"select {chosen} from {_files_as_table(found, paths, same)} where {where}"
            try:
                rows: list[Row] = self._connection.execute(sql, list(parameters)).to_arrow_table().to_pylist()
            except (duckdb.BinderException, duckdb.InvalidInputException):
                if chosen == "*" or (select and not same):
                    raise
            except duckdb.IOException as error:
                raise gone(layer, name, version, str(error).splitlines()[0]) from error
            else:
                return rows
        raise AssertionError("the last attempt answers or raises")


def _files_as_table(found: Snapshot, paths: Sequence[str], same_columns: bool) -> str:
    """The files as a table expression; matching columns by name costs a second look at each file."""
    listed = ", ".join("'" + duck.exact(path).replace("'", "''") + "'" for path in paths)
    partitioned = any(name.startswith("partition.") for name in found.actions.column_names)
    days = "hive_partitioning = true, hive_types = {business_date: DATE}"
    hive = days if partitioned else "hive_partitioning = false"
    return f"read_parquet([{listed}], union_by_name = {str(not same_columns).lower()}, {hive})"
