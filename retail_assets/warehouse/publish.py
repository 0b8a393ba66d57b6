"""Marts leave the private DuckDB file and become gold Delta tables: what was built since, and only that."""

import json
from datetime import UTC, date, datetime

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse import state
from retail_assets.warehouse.errors import WarehouseError
from retail_assets.warehouse.gold import GoldTable, count_rows, open_warehouse
from retail_assets.warehouse.manifest import is_by_day, load_manifest, mart_columns

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

    Status is `unchanged` when nothing waits, or gold holds just these rows already, else `days` or `whole`. A publish
    that dies can be repeated: what waits is struck off last. Raises WarehouseError when the mart was never built or the
    last build did not end.
    """
    built = state.read(home)
    if built is None or not built.complete:
        raise WarehouseError(
            f"{mart} cannot be published: the last build did not end", todo="build the warehouse again"
        )
    there = lake.exists("gold", mart)
    waiting = built.pending.get(mart, state.Pending()) if there else state.Pending(whole=True)
    if waiting.is_empty:
        return _done(lake, mart, "unchanged")
    done, digest = _write(lake, home, mart, waiting, built)
    if done.status != "unchanged":
        _record(lake, done, built)
    state.published(home, mart, digest)
    return done


def _write(
    lake: Lake, home: Home, mart: str, waiting: state.Pending, built: state.BuildState
) -> tuple[Publish, str | None]:
    manifest = load_manifest()
    metadata = {"bronze": json.dumps(built.bronze, sort_keys=True), "code_hash": built.code_hash}
    with open_warehouse(home) as connection:
        table = GoldTable(lake, connection, mart, mart_columns(manifest, mart), metadata)
        if not is_by_day(manifest, mart):
            digest = table.digest()
            same = lake.exists("gold", mart) and digest == built.digests.get(mart)
            if same or table.is_published():
                return _done(lake, mart, "unchanged"), digest
            return _done(lake, mart, "whole", table.write_table()), digest
        if waiting.whole:
            if table.is_published():
                return _done(lake, mart, "unchanged"), None
            return _done(lake, mart, "whole", table.write_all_days()), None
        return _done(lake, mart, "days", table.write_days(waiting.days), list(waiting.days)), None


def _done(lake: Lake, mart: str, status: str, rows: int = 0, days: list[date] | None = None) -> Publish:
    return Publish(
        mart=mart,
        status=status,
        delta_version=lake.open("gold", mart).version(),
        rows=rows,
        total_rows=count_rows(lake, mart),
        days=days or [],
    )


def _record(lake: Lake, done: Publish, built: state.BuildState) -> None:
    row = done.model_dump() | {
        "bronze": json.dumps(built.bronze, sort_keys=True),
        "code_hash": built.code_hash,
        "published_at": datetime.now(UTC),
    }
    lake.append("ops", "publishes", pa.Table.from_pylist([row], schema=PUBLISHES))
