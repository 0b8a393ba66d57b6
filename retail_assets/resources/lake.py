"""The lake: every Delta table of a home, addressed by layer and name.

A plain class, so that services and the command line open tables without importing Dagster.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError
from retail_assets.resources import duck
from retail_assets.resources.damage import DOCTOR

if TYPE_CHECKING:
    import duckdb
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

KEPT_DAYS = 400  # how long a replaced file and an old version of a table can still be read: a price can be disputed
KEPT = dict.fromkeys(("delta.logRetentionDuration", "delta.deletedFileRetentionDuration"), f"interval {KEPT_DAYS} days")
DECISIONS_KEPT_DAYS = 7  # decisions are only ever added: what an old version says, the newest one says too
COMMIT = re.compile(r"\d{20}\.json")  # the name of a commit in the log of a Delta table
TAIL = 1_000_000  # bytes at the end of a commit that are looked at
LAYERS = ("bronze", "quarantine", "gold", "ops", "decisions", "reports")


def properties(layer: str) -> dict[str, str]:
    """The Delta properties that tables of a layer are made with. Delta refuses to change or delete a decision."""
    if layer != "decisions":
        return dict(KEPT)
    return dict.fromkeys(KEPT, f"interval {DECISIONS_KEPT_DAYS} days") | {"delta.appendOnly": "true"}


class LakeError(RetailError):
    """A layer or a table that does not exist, or an Arrow table that does not fit it."""


class DamagedTable(LakeError):
    """A table whose log a disk or a power cut has damaged."""

    def __init__(self, layer: str, name: str, where: str, said: str) -> None:
        super().__init__(f"the log of {layer}/{name} is damaged: {said}", where=where, todo=DOCTOR)


class Lake(BaseModel):
    """Reads and writes the Delta tables below one URI (a local folder or `s3://...`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    storage_options: dict[str, str] = {}

    @classmethod
    def at(cls, path: Path | str) -> "Lake":
        """A lake in a local folder; nothing is created until the first write."""
        return cls(uri=str(path))

    def table_uri(self, layer: str, name: str) -> str:
        """Where `layer/name` lives; raises LakeError for an unknown layer."""
        if layer not in LAYERS:
            raise LakeError(f"{layer!r} is not a layer of the lake", todo=f"use one of {', '.join(LAYERS)}")
        return f"{self.uri}/{layer}/{name}"

    @property
    def url(self) -> str:
        """The lake for DuckDB's `delta_scan`, which reads even a local path as a URL: `%` and `#` in it are escaped."""
        return self.uri if "://" in self.uri else Path(self.uri).absolute().as_uri()

    def exists(self, layer: str, name: str) -> bool:
        """Whether `layer/name` has a first commit."""
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(self.table_uri(layer, name), storage_options=self.storage_options or None)

    def open(self, layer: str, name: str, version: int | None = None) -> "DeltaTable":
        """The Delta table at its newest version, or at `version`.

        Raises LakeError when it is not there, and DamagedTable where its log cannot be read to the end.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        if version is None:
            self.refuse_torn(layer, name)
        try:
            return DeltaTable(
                self.table_uri(layer, name), version=version, storage_options=self.storage_options or None
            )
        except TableNotFoundError as error:
            raise LakeError(
                f"the lake has no table {layer}/{name}",
                where=self.table_uri(layer, name),
                todo="run the stage that writes it: `retail run`",
            ) from error
        except DeltaError as error:
            if version is not None:  # a version may be gone because nobody keeps it any more
                raise
            said = str(error).splitlines()[0][:300]
            raise DamagedTable(layer, name, self.table_uri(layer, name), said) from error

    def refuse_torn(self, layer: str, name: str) -> None:
        """Raises DamagedTable where the newest commit of `layer/name` is no whole one: a power cut left a part of it.

        Delta readers pass over an empty commit and show the table without its rows; whoever wrote the next one would
        make that final.
        """
        log = Path(self.table_uri(layer, name), "_delta_log")
        if "://" in self.uri or not log.is_dir():
            return
        newest = max((entry for entry in log.iterdir() if COMMIT.fullmatch(entry.name)), default=None)
        if newest is not None and (why := _torn(newest)):
            raise DamagedTable(layer, name, str(newest), f"the newest commit {why}")

    def read(self, layer: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A small table as it is now, for commands: read in this thread, because a command that ends while threads of
        a reader still do aborts.
        """
        dataset = self.open(layer, name).to_pyarrow_dataset()
        return dataset.to_table(columns=None if columns is None else list(columns), use_threads=False)

    def files(self, layer: str, name: str) -> "FileSystem":
        """The files of a table by the paths its log gives them; which of them are in a version only the log says."""
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import PyFileSystem

        return PyFileSystem(DeltaStorageHandler(self.table_uri(layer, name), self.storage_options or None))

    def version(self, layer: str, name: str) -> int | None:
        """The newest Delta version of `layer/name`, or None where the table does not exist."""
        return self.open(layer, name).version() if self.exists(layer, name) else None

    def may_be_newer(self, layer: str, name: str, version: int) -> bool:
        """Whether `layer/name` may be at another version than `version`, for those who look several times a second.

        In a local lake this asks the file system for two names; elsewhere it is always true.
        """
        log = Path(self.table_uri(layer, name), "_delta_log")
        if "://" in self.uri:
            return True
        return (log / f"{version + 1:020}.json").exists() or not (log / f"{version:020}.json").exists()

    def tables(self, layer: str) -> list[str]:
        """Names of the tables of a layer in a local lake, sorted."""
        folder = Path(self.table_uri(layer, ""))
        return sorted(p.name for p in folder.glob("*/") if self.exists(layer, p.name)) if folder.is_dir() else []

    def ensure(self, layer: str, name: str, schema: pa.Schema, partition_by: Sequence[str] = ()) -> None:
        """Creates an empty `layer/name` with `schema` unless it exists."""
        from deltalake import DeltaTable

        if Path(self.table_uri(layer, name), "_delta_log", f"{0:020}.json").exists():
            return  # said without reading the log; a log whose beginning was cleaned up is asked below
        DeltaTable.create(
            self.table_uri(layer, name),
            schema=schema,
            mode="ignore",
            partition_by=list(partition_by) or None,
            storage_options=self.storage_options or None,
            configuration=properties(layer),
        )

    def append(
        self,
        layer: str,
        name: str,
        data: pa.Table | pa.RecordBatchReader,
        partition_by: Sequence[str] = (),
        metadata: dict[str, str] | None = None,
    ) -> int:
        """Appends `data` in one commit and returns the new Delta version; a new column of it is added to the table."""
        return self._write(layer, name, data, partition_by, metadata, mode="append", schema_mode="merge")

    def overwrite(
        self,
        layer: str,
        name: str,
        data: pa.Table | pa.RecordBatchReader,
        partition_by: Sequence[str] = (),
        metadata: dict[str, str] | None = None,
    ) -> int:
        """Replaces the whole table, schema included, in one commit and returns the new Delta version."""
        return self._write(layer, name, data, partition_by, metadata, mode="overwrite", schema_mode="overwrite")

    def overwrite_days(
        self,
        layer: str,
        name: str,
        data: pa.Table | pa.RecordBatchReader,
        days: Sequence[date],
        metadata: dict[str, str] | None = None,
    ) -> int:
        """Replaces the `business_date` partitions `days` (all rows of `data` must lie in them) in one commit.

        A new column of `data` is added to the table, null in the days before. Days absent from `data` end up empty.
        Other partitions are not touched. Returns the new Delta version.
        """
        if not days:
            raise LakeError(f"no days were given to overwrite in {layer}/{name}")
        listed = ", ".join(f"'{day.isoformat()}'" for day in sorted(set(days)))
        predicate = f"business_date IN ({listed})"
        return self._write(
            layer, name, data, ["business_date"], metadata, mode="overwrite", predicate=predicate, schema_mode="merge"
        )

    def _write(
        self,
        layer: str,
        name: str,
        data: pa.Table | pa.RecordBatchReader,
        partition_by: Sequence[str],
        metadata: dict[str, str] | None,
        **options: Any,
    ) -> int:
        from deltalake import CommitProperties, WriterProperties, write_deltalake

        self.refuse_torn(layer, name)
        write_deltalake(
            self.table_uri(layer, name),
            data,
            partition_by=list(partition_by) or None,
            storage_options=self.storage_options or None,
            writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
            commit_properties=CommitProperties(custom_metadata=metadata),
            configuration=properties(layer),  # of a table that this write creates
            **options,
        )
        return self.open(layer, name).version()

    def connect(self, *, private: bool = False) -> "duckdb.DuckDBPyConnection":
        """An in-memory DuckDB connection that can `delta_scan` this lake.

        It has temporary tables and registered names of its own, but shares DuckDB's global settings and attached files
        with the others of this process, unless it is `private`, which costs a third of a CPU second.
        """
        return _duckdb_with_delta() if private else _shared_duckdb(os.getpid()).cursor()

    def scan(self, layer: str, name: str, version: int | None = None) -> str:
        """The SQL table expression that reads `layer/name`, at `version` if given."""
        if version is None:
            self.refuse_torn(layer, name)
        self.table_uri(layer, name)  # refuses a layer there is not
        url = f"{self.url}/{layer}/{name}".replace("'", "''")
        return f"delta_scan('{url}', version => {version})" if version is not None else f"delta_scan('{url}')"

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Runs one statement, with `values` for its `$names`, on a connection of its own; returns an Arrow table."""
        with self.connect() as connection:
            return connection.execute(sql, values).to_arrow_table()


def _torn(commit: Path) -> str | None:
    """Why a commit of a log is not whole, as far as its end says it; None where it ends as it should."""
    with commit.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        lines = file.read().rstrip(b"\r\n ").split(b"\n")
    if not size:
        return "is an empty file"
    if len(lines) == 1 and size > TAIL:  # one line longer than what was read
        return None if lines[0].endswith(b"}") else "ends within a line"
    try:
        return None if isinstance(json.loads(lines[-1]), dict) else "ends in what is no action"
    except ValueError:
        return "ends within a line"


def _duckdb_with_delta() -> "duckdb.DuckDBPyConnection":
    return duck.connect(
        delta=True,
        enable_external_file_cache=False,  # memory is for the work at hand
        allocator_background_threads=True,  # what was freed goes back to the system within seconds
        memory_limit=duck.memory_limit(),  # its default, most of the machine, is never given back
    )


@cache
def _shared_duckdb(process: int) -> "duckdb.DuckDBPyConnection":
    """One instance per process, because loading `delta` means hashing it; threads of DuckDB do not survive a fork."""
    return _duckdb_with_delta()
