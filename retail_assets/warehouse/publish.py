"""Marts leave the private DuckDB file as an Arrow stream and become gold Delta tables."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from retail_assets.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse import state
from retail_assets.warehouse.errors import WarehouseError
from retail_assets.warehouse.manifest import is_by_day, load_manifest, mart_columns

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 65_536
KEYS = ("business_date", "store_id", "sku", "receipt_id", "session_id", "payment_id", "customer_id")

PUBLISHES = pa.schema(
    [
        ("mart", pa.string()),
        ("status", pa.string()),
        ("delta_version", pa.int64()),
        ("bronze", pa.string()),
        ("days", pa.list_(pa.date32())),
        ("rows", pa.int64()),
        ("total_rows", pa.int64()),
        ("code_hash", pa.string()),
        ("published_at", pa.timestamp("us", tz="UTC")),
    ]
)


class Publish(BaseModel):
    """What became of one mart. `rows` were written (on `days`, or the whole mart), `total_rows` are in gold now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mart: str
    status: str
    delta_version: int
    rows: int
    total_rows: int
    days: list[date] = []


def publish_mart(lake: Lake, home: Home, mart: str) -> Publish:
    """Writes what was built of `mart` and is not yet in gold: its touched days, or all of it.

    Status is `unchanged` when nothing waits or a mart that is built whole holds the same rows as before, else `days` or
    `whole`. A publish that dies can be repeated: what waits is struck off last. Raises WarehouseError when the mart was
    never built.
    """
    built = state.read(home)
    if built is None or not built.complete:
        raise WarehouseError(
            f"{mart} cannot be published: the last build did not end", todo="build the warehouse again"
        )
    pending = built.pending.get(mart, state.Pending())
    there = lake.exists("gold", mart)
    if there and pending.is_empty:
        return _unchanged(lake, mart)
    manifest = load_manifest()
    with open_warehouse(home) as connection:
        by_day = is_by_day(manifest, mart)
        digest = None if by_day else _digest(connection, mart)
        if there and digest is not None and digest == built.digests.get(mart):
            state.published(home, mart)
            return _unchanged(lake, mart)
        days = list(pending.days) if by_day and there and not pending.whole else None
        done = _write(lake, connection, mart, mart_columns(manifest, mart), by_day, days, built)
    _record(lake, done, built)
    state.published(home, mart, digest)
    return done


def open_warehouse(home: Home) -> "duckdb.DuckDBPyConnection":
    """The private DuckDB file, to read; nobody may build meanwhile."""
    import duckdb

    connection = duckdb.connect(str(home.warehouse), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _unchanged(lake: Lake, mart: str) -> Publish:
    table = lake.open("gold", mart)
    return Publish(mart=mart, status="unchanged", delta_version=table.version(), rows=0, total_rows=_rows(lake, mart))


def _rows(lake: Lake, mart: str) -> int:
    counts = pa.table(lake.open("gold", mart).get_add_actions(flatten=True)).column("num_records")
    return sum(counts.to_pylist())


def _digest(connection: "duckdb.DuckDBPyConnection", mart: str) -> str:
    found = connection.execute(f"SELECT count(*), bit_xor(hash(m)), sum(hash(m)) FROM marts.{mart} AS m").fetchone()
    return "-".join(str(part) for part in found or ())


def _write(
    lake: Lake,
    connection: "duckdb.DuckDBPyConnection",
    mart: str,
    columns: dict[str, str],
    by_day: bool,
    days: Sequence[date] | None,
    built: state.BuildState,
) -> Publish:
    where = (
        "" if days is None else f" WHERE business_date IN ({', '.join(f'DATE {day.isoformat()!r}' for day in days)})"
    )
    rows = _count(connection, f"marts.{mart}{where}")
    stream = connection.execute(f"SELECT {_select(columns)} FROM marts.{mart}{where} {_order(columns)}")
    reader = stream.to_arrow_reader(BATCH_ROWS)
    metadata = {"bronze": json.dumps(built.bronze), "code_hash": built.code_hash}
    if days is not None:
        version = lake.overwrite_days("gold", mart, reader, days, metadata)
    else:
        version = lake.overwrite("gold", mart, reader, ["business_date"] if by_day else [], metadata)
    return Publish(
        mart=mart,
        status="whole" if days is None else "days",
        delta_version=version,
        rows=rows,
        total_rows=rows if days is None else _rows(lake, mart),
        days=list(days or []),
    )


def _count(connection: "duckdb.DuckDBPyConnection", relation: str) -> int:
    found: Any = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(found[0])


def _select(columns: dict[str, str]) -> str:
    """Instants leave as instants (UTC): a Delta timestamp without a zone is a feature that few readers know."""
    return ", ".join(
        f"{name}::TIMESTAMPTZ AS {name}" if kind == "timestamp" else name for name, kind in columns.items()
    )


def _order(columns: dict[str, str]) -> str:
    """Rows in the order of their keys: same rows, same files, and readers can skip."""
    keys = [key for key in KEYS if key in columns] or list(columns)[:3]
    return f"ORDER BY {', '.join(keys)}"


def _record(lake: Lake, done: Publish, built: state.BuildState) -> None:
    row = done.model_dump() | {
        "bronze": json.dumps(built.bronze, sort_keys=True),
        "code_hash": built.code_hash,
        "published_at": datetime.now(UTC),
    }
    lake.append("ops", "publishes", pa.Table.from_pylist([row], schema=PUBLISHES))
