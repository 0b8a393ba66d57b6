"""A small home with a table of every layer, a ledger, models and databases; and what lies in it, byte by byte."""

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import Release
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.resources.test_model_store import FILES, manifest

DAYS = (date(2026, 1, 1), date(2026, 1, 2))
PARTS = ((DAYS, "a"), (DAYS[1:], "b"), (DAYS, "c"))


def rows(days: tuple[date, ...], name: str) -> pa.Table:
    return pa.table({"business_date": list(days), "name": [name] * len(days)})


def tree(root: Path) -> dict[str, str]:
    """Every file below a folder but for locks, with a hash of its bytes."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def release(version: str, previous: str | None, minutes: int) -> Release:
    at = datetime(2026, 1, 2, 12, tzinfo=UTC) + timedelta(minutes=minutes)
    return Release(product="forecasting", version=version, action="promote", by="test", reason="better",
                   previous=previous, at=at)  # fmt: skip


@pytest.fixture
def environment(home: Home, lake: Lake) -> Environment:
    """The small home: three commits in each table, two releases of two models."""
    for layer, name in (("gold", "fct_test"), ("bronze", "pos"), ("decisions", "pricing"), ("reports", "seen")):
        for days, what in PARTS:
            lake.append(layer, name, rows(days, what), ["business_date"])
    for version in range(2):
        lake.append("gold", "dim_test", pa.table({"sku": ["A", "B"], "version": [version] * 2}))
    store = ModelStore.at(home.models)
    versions = [store.save("forecasting", FILES, manifest(seed=seed)) for seed in (1, 2, 3)]
    ledger = Ledger(lake)
    ledger.append(release(versions[0], None, 0))
    ledger.append(release(versions[1], versions[0], 1))
    for file in (home.dagster / "history/runs.db", home.features / "online.db"):
        file.parent.mkdir(parents=True)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("create table t (a)")
            connection.executemany("insert into t values (?)", [(number,) for number in range(2000)])
            connection.commit()
    return Environment(name="test", home=home, lake=lake)
