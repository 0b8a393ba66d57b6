"""The Delta tables of this domain: bronze and quarantine per source, ops/loads and ops/load_batches."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import Contract
from retail_assets.sources.staging import literal, quoted

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
    """Creates every bronze and quarantine table and the two ops tables, empty, where they do not exist."""
    lake.ensure("ops", "loads", LOADS)
    lake.ensure("ops", "load_batches", BATCHES)
    for name, contract in contracts.items():
        lake.ensure("bronze", name, bronze_schema(contract), ["business_date"])
        lake.ensure("quarantine", name, QUARANTINE)


def bronze_view(lake: Lake, contract: Contract) -> str:
    """SQL that reads bronze with its instants as plain UTC timestamps, typed like freshly judged rows."""
    instants = [name for name, kind in ((f.name, f.type) for f in bronze_schema(contract)) if kind == INSTANT]
    replaced = ", ".join(f"CAST({quoted(n)} AS TIMESTAMP) AS {quoted(n)}" for n in instants)
    return f"(SELECT * REPLACE ({replaced}) FROM {lake.scan('bronze', contract.source)})"


def append_query(
    lake: Lake,
    layer: str,
    name: str,
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    schema: pa.Schema,
    expected: int,
) -> None:
    """Appends what `sql` selects in one commit; raises RowsDoNotAddUp unless it is `expected` rows."""
    rows = 0

    def batches() -> Iterable[pa.RecordBatch]:
        nonlocal rows
        for batch in connection.execute(sql).to_arrow_reader(100_000):
            rows += batch.num_rows
            yield batch.cast(schema)

    partitions = ["business_date"] if layer == "bronze" else []
    lake.append(layer, name, pa.RecordBatchReader.from_batches(schema, batches()), partitions)
    if rows != expected:
        raise RowsDoNotAddUp(f"{rows} rows were written to {layer}/{name}, {expected} were counted")


def append_rows(lake: Lake, name: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Appends `rows` to ops/`name` in one commit."""
    lake.append("ops", name, pa.Table.from_pylist(list(rows), schema=schema))


def bronze_days(lake: Lake, source: str) -> set[date]:
    """The business dates that have a partition in bronze, from the Delta log alone."""
    values = lake.open("bronze", source).partitions()
    return {date.fromisoformat(str(value["business_date"])[:10]) for value in values}


def delete_loads(lake: Lake, source: str, load_ids: Sequence[str]) -> None:
    """Deletes the rows of `load_ids` from bronze and quarantine; does not touch a table that has none."""
    listed = ", ".join(literal(load_id) for load_id in load_ids)
    for layer in ("bronze", "quarantine"):
        sql = f"SELECT DISTINCT business_date FROM {lake.scan(layer, source)} WHERE load_id IN ({listed})"
        days = lake.query(sql).column(0).to_pylist()
        if not days:
            continue
        predicate = f"load_id IN ({listed})"
        if layer == "bronze":
            predicate += " AND business_date IN (" + ", ".join(f"'{day}'" for day in days) + ")"
        lake.open(layer, source).delete(predicate)
