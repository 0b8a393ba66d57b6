"""The Delta tables of this domain: bronze and quarantine per source, ops/loads and ops/load_batches."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import ColumnProperties, WriterProperties, write_deltalake

from retail_assets.core.errors import RetailError
from retail_assets.resources.lake import Lake
from retail_assets.sources.contract import Contract
from retail_assets.sources.raw import RawFile
from retail_assets.sources.staging import literal, quoted

_UP_TO_DATE: set[str] = set()  # a home meets newer contracts only with newer code, hence in a new process
ROWS_PER_BATCH = 500_000
INSTANT = pa.timestamp("us", tz="UTC")
ARROW_TYPES = {
    "text": pa.string(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": INSTANT,
}
COMMON = [
    ("row_id", pa.string()),
    ("load_id", pa.string()),
    ("file", pa.string()),
    ("line", pa.int32()),
    ("content_hash", pa.int64()),
    ("delivered_at", INSTANT),
    ("loaded_at", INSTANT),
    ("business_date", pa.date32()),
]
QUARANTINE = pa.schema(
    [
        ("row_id", pa.string()),
        ("load_id", pa.string()),
        ("file", pa.string()),
        ("line", pa.int32()),
        ("raw", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("delivered_at", INSTANT),
        ("loaded_at", INSTANT),
        ("business_date", pa.date32()),
        ("status", pa.string()),
    ]
)
LOADS = pa.schema(
    [
        ("load_id", pa.string()),
        ("source", pa.string()),
        ("feed", pa.string()),
        ("file", pa.string()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("mtime_us", pa.int64()),
        ("layout", pa.string()),
        ("rows_read", pa.int64()),
        ("rows_bronze", pa.int64()),
        ("rows_quarantined", pa.int64()),
        ("rows_duplicate", pa.int64()),
        ("business_dates", pa.list_(pa.date32())),
        ("schema_changes", pa.list_(pa.string())),
        ("delivered_at", INSTANT),
        ("loaded_at", INSTANT),
        ("batch_id", pa.string()),
        ("status", pa.string()),
    ]
)
BATCHES = pa.schema(
    [
        ("batch_id", pa.string()),
        ("source", pa.string()),
        ("load_ids", pa.list_(pa.string())),
        ("status", pa.string()),
        ("at", INSTANT),
    ]
)


class RowsDoNotAddUp(RetailError):
    """A load whose rows read differ from bronze + quarantine + duplicates: nothing of it is committed."""


def arrow_type(type_name: str) -> pa.DataType:
    """The Arrow type of a contract type."""
    decimal = re.fullmatch(r"decimal\((\d+),(\d+)\)", type_name)
    return pa.decimal128(int(decimal[1]), int(decimal[2])) if decimal else ARROW_TYPES[type_name]


def bronze_schema(contract: Contract) -> pa.Schema:
    """Canonical columns, then the columns every bronze table has."""
    return pa.schema([*((n, arrow_type(c.type)) for n, c in contract.columns.items()), *COMMON])


def ensure_bronze(lake: Lake, contracts: dict[str, Contract]) -> None:
    """Creates every bronze and quarantine table and the two ops tables, empty, where they do not exist.

    A table of a home that is older than a column of its contract gets that column, null in the rows it has.
    """
    lake.ensure("ops", "loads", LOADS)
    lake.ensure("ops", "load_batches", BATCHES)
    for name, contract in contracts.items():
        lake.ensure("bronze", name, bronze_schema(contract), ["business_date"])
        lake.ensure("quarantine", name, QUARANTINE)
    if lake.uri not in _UP_TO_DATE:
        for contract in contracts.values():
            _add_new_columns(lake, contract)
        _UP_TO_DATE.add(lake.uri)


def _add_new_columns(lake: Lake, contract: Contract) -> None:
    table, wanted = lake.open("bronze", contract.source), bronze_schema(contract)
    if not {field.name for field in table.schema().fields} >= set(wanted.names):
        write_deltalake(table, wanted.empty_table(), mode="append", schema_mode="merge")


def bronze_view(lake: Lake, contract: Contract) -> str:
    """SQL that reads bronze with its instants as plain UTC timestamps, typed like freshly judged rows."""
    instants = [name for name, kind in ((f.name, f.type) for f in bronze_schema(contract)) if kind == INSTANT]
    replaced = ", ".join(f"CAST({quoted(n)} AS TIMESTAMP) AS {quoted(n)}" for n in instants)
    return f"(SELECT * REPLACE ({replaced}) FROM {lake.scan('bronze', contract.source)})"


def append_bronze(
    lake: Lake,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    expected: int,
    files: Sequence[RawFile],
    texts: dict[str, pa.ChunkedArray],
) -> None:
    """Appends what `sql` selects to bronze in one commit; raises RowsDoNotAddUp unless it is `expected` rows.

    `sql` selects _pos and _file and every column but the names of file, load and row and those in `texts`, whose
    values are found there at position _pos.
    """
    counted, schema = Counted(), bronze_schema(contract)
    reader = counted.count(connection.execute(sql).to_arrow_reader(ROWS_PER_BATCH))
    batches = (batch for read in reader for batch in _completed(read, schema, files, texts).to_batches())
    unlike = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
    identifiers = [name for name, column in contract.columns.items() if column.identifier]
    write_deltalake(
        lake.table_uri("bronze", contract.source),
        pa.RecordBatchReader.from_batches(schema, batches),
        mode="append",
        partition_by=["business_date"],
        storage_options=lake.storage_options or None,
        writer_properties=WriterProperties(
            compression="ZSTD",
            compression_level=1,
            column_properties=dict.fromkeys([*identifiers, "row_id", "line", "content_hash"], unlike),
        ),
    )
    counted.check("bronze", contract.source, expected)


def _completed(
    batch: pa.RecordBatch, schema: pa.Schema, files: Sequence[RawFile], texts: dict[str, pa.ChunkedArray]
) -> pa.Table:
    """`batch` as `schema`: strings that repeat or that nobody changed never go through the database."""
    which = pc.subtract(batch["_file"], files[0].index)
    load_id = pa.array([file.load_id for file in files]).take(which)
    made = {
        "load_id": load_id,
        "file": pa.array([file.name for file in files]).take(which),
        "row_id": pc.binary_join_element_wise(load_id, batch["line"].cast(pa.string()), ":"),
    }
    positions = batch["_pos"].to_numpy()
    made |= {name: _at(values, positions) for name, values in texts.items()}
    columns = [made[f.name] if f.name in made else batch[f.name].cast(f.type) for f in schema]
    return pa.table(columns, schema=schema)


def append_quarantine(lake: Lake, source: str, connection: duckdb.DuckDBPyConnection, sql: str, expected: int) -> None:
    """Appends what `sql` selects to quarantine in one commit; raises RowsDoNotAddUp unless it is `expected` rows."""
    counted = Counted()
    reader = counted.count(connection.execute(sql).to_arrow_reader(ROWS_PER_BATCH))
    batches = (batch.cast(QUARANTINE) for batch in reader)
    lake.append("quarantine", source, pa.RecordBatchReader.from_batches(QUARANTINE, batches))
    counted.check("quarantine", source, expected)


def _at(values: pa.ChunkedArray, positions: npt.NDArray[np.int32]) -> pa.ChunkedArray:
    """`values` at `positions`, without copying where these follow each other (as they do unless rows were rejected)."""
    if len(positions) and positions[-1] - positions[0] + 1 == len(positions) and (np.diff(positions) == 1).all():
        return values.slice(int(positions[0]), len(positions))
    return values.take(pa.array(positions))


class Counted:
    """Counts the rows that pass on their way into a table."""

    def __init__(self) -> None:
        self._rows = 0

    def count(self, reader: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches of `reader`."""
        for batch in reader:
            self._rows += batch.num_rows
            yield batch

    def check(self, layer: str, name: str, expected: int) -> None:
        """Raises RowsDoNotAddUp unless `expected` rows passed."""
        if self._rows != expected:
            raise RowsDoNotAddUp(f"{self._rows} rows were written to {layer}/{name}, {expected} were counted")


def append_rows(lake: Lake, name: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Appends `rows` to ops/`name` in one commit."""
    lake.append("ops", name, pa.Table.from_pylist(list(rows), schema=schema))


def bronze_days(lake: Lake, source: str) -> set[date]:
    """The business dates that have a partition in bronze, from the Delta log alone."""
    values = lake.open("bronze", source).partitions()
    return {date.fromisoformat(str(value["business_date"])[:10]) for value in values}


def delete_loads(connection: duckdb.DuckDBPyConnection, lake: Lake, source: str, load_ids: Sequence[str]) -> None:
    """Deletes the rows of `load_ids` from bronze and quarantine; does not touch a table that has none."""
    listed = ", ".join(literal(load_id) for load_id in load_ids)
    for layer in ("bronze", "quarantine"):
        sql = f"SELECT DISTINCT business_date FROM {lake.scan(layer, source)} WHERE load_id IN ({listed})"
        days = [day for (day,) in connection.execute(sql).fetchall()]
        if not days:
            continue
        predicate = f"load_id IN ({listed})"
        if layer == "bronze":
            predicate += " AND business_date IN (" + ", ".join(f"'{day}'" for day in days) + ")"
        lake.open(layer, source).delete(predicate)
