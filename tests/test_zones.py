"""What comes out depends on no clock of the machine: the same bytes whatever its time zone is."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake

Retail = Callable[..., "CompletedProcess[str]"]
ZONES = ["UTC", "Asia/Kolkata", "America/New_York"]
SHOP = Path(__file__).parent / "cases" / "shop"
DERIVED = """
  - name: derived
    source: pos_lines
    files: orders.parquet
    format: parquet
    timestamps: offset
    time_zone: store
    delivered_at: business_day_end
    derive: SELECT *, hour(placed) AS hour FROM rows
    columns: {store_id: shop, receipt_id: {sql: "id || '-' || hour"}, line_no: {sql: _line}, sold_at: placed, sku: item, quantity: qty, unit_price: price}
    constants: {currency: USD}
"""  # noqa: E501
TABLES = {
    ("bronze", "pos_lines"): "store_id, receipt_id, sold_at, business_date, delivered_at, content_hash",
    ("quarantine", "pos_lines"): "line, raw, reasons, business_date, delivered_at",
}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose files have local times around a change of clocks, instants of another zone, and a panel."""
    folder = tmp_path_factory.mktemp("zones") / "in"
    shutil.copytree(SHOP, folder)
    mapping = folder / "m.yaml"
    mapping.write_text(mapping.read_text() + DERIVED)
    hours = [datetime(2024, 3, 9, 12) + timedelta(hours=n) for n in range(48)]  # noqa: DTZ001 - of a wall clock
    lines = [f"S1,{n},{hour},A1,1,1.5" for n, hour in enumerate(hours)]
    (folder / "sales" / "a.csv").write_text(
        "\n".join(["shop,receipt,time,item,qty,price", *lines, "S1,x,never,A1,1,1"]) + "\n"
    )
    instants = pa.array(hours, pa.timestamp("us", "UTC"))
    columns = {
        "shop": ["S1"] * 48, "id": [f"o{n}" for n in range(48)], "placed": instants, "item": ["B2"] * 48,
        "qty": [1] * 48, "price": [2.5] * 48,
    }  # fmt: skip
    pq.write_table(pa.table(columns), folder / "orders.parquet")
    chance = random.Random(3)
    days = [(f"I{item}", date(2023, 1, 1) + timedelta(n)) for item in (1, 2) for n in range(90)]
    panel = {
        "item": [item for item, _ in days], "units": [chance.randint(3, 12) for _ in days],
        "day": pa.array([datetime(d.year, d.month, d.day) for _, d in days], pa.timestamp("us", "Asia/Kolkata")),  # noqa: DTZ001
    }  # fmt: skip
    pq.write_table(pa.table(panel), folder / "panel.parquet")
    return folder


def made(retail: Retail, delivered: Path, home: Path, zone: str) -> dict[str, str]:
    """Digests of the tables and files that the commands make in a zone."""
    there = {"TZ": zone}
    retail(home, "import", str(delivered / "m.yaml"), str(delivered), environment=there)
    retail(home, "replay", "pos_lines", environment=there)
    out = home / "forecast.csv"
    options = ("--series", "item", "--time", "day", "--units", "units", "--horizon", "7", "--out", str(out))
    retail(home, "backtest", "forecasting", str(delivered / "panel.parquet"), *options, environment=there)
    lake = Lake.at(Home.at(home).lake)
    found = {"forecast.csv": hashlib.sha256(out.read_bytes()).hexdigest()}
    for (layer, name), columns in TABLES.items():
        rows = lake.query(f"SELECT {columns} FROM {lake.scan(layer, name)} ORDER BY ALL").to_pylist()
        assert rows
        found[f"{layer}/{name}"] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found


def test_a_process_is_in_utc_wherever_its_machine_is() -> None:
    asked = "import time, retail_assets; print(time.tzname[0], time.localtime(0).tm_hour)"
    for zone in (*ZONES, ":America/St_Johns", "EST5EDT", "nowhere"):
        run = subprocess.run(
            [sys.executable, "-c", asked], env=os.environ | {"TZ": zone}, capture_output=True, check=True
        )
        assert run.stdout == b"UTC 0\n", zone


def test_every_zone_makes_the_same_bytes(retail: Retail, delivered: Path, tmp_path: Path) -> None:
    digests = {zone: made(retail, delivered, tmp_path / str(n), zone) for n, zone in enumerate(ZONES)}
    assert digests["Asia/Kolkata"] == digests["UTC"]
    assert digests["America/New_York"] == digests["UTC"]
