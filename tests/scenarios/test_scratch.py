"""What is decided is found in the lake: scratch may be deleted at will, and nothing is done a second time."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.faults import disks
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.conftest import run_retail
from tests.doctor.conftest import tree
from tests.scenarios.conftest import Retail, one

SCRATCH = [("warehouse",), ("features", "warehouse/target"), ("dagster", "logs", "services")]
ONCE = (
    "ops/releases", "ops/price_batches", "ops/price_proposals", "ops/price_publications", "ops/loads",
    "decisions/pricing", "gold/forecasts", "gold/fct_sales_daily", "gold/feat_store_product_daily", "bronze/pos_lines",
)  # fmt: skip


def held(home: Home) -> dict[str, object]:
    """What must not be done twice: rows of every table where an act is a row, versions of gold, price files, models."""
    lake = Lake.at(home.lake)
    counted = {table: one(lake, f"select count(*) from {lake.scan(*table.split('/'))}") for table in ONCE}
    files = {name: tree(home.root / name) for name in ("outbox", "models")}
    moments = {str(path): path.stat().st_mtime_ns for path in home.outbox.rglob("*") if path.is_file()}
    return {**counted, **files, "written": moments}


@pytest.mark.slow
@pytest.mark.parametrize("folders", SCRATCH)
def test_scratch_may_be_deleted(tiny_copy: Home, retail: Retail, folders: tuple[str, ...]) -> None:
    lake, before = Lake.at(tiny_copy.lake), held(tiny_copy)
    versions = {mart: lake.version("gold", mart) for mart in lake.tables("gold")}
    for folder in folders:
        shutil.rmtree(tiny_copy.root / folder, ignore_errors=True)
    status = json.loads(retail(tiny_copy.root, "run", "--json").stdout)
    assert held(tiny_copy) == before
    assert {mart: lake.version("gold", mart) for mart in lake.tables("gold")} == versions
    assert status["waiting"] == []
    assert retail(tiny_copy.root, "doctor").returncode == 0


@pytest.mark.slow
def test_a_run_over_damaged_gold_fails_and_a_repaired_home_decides_nothing_twice(
    tiny_copy: Home, retail: Retail
) -> None:
    """A day of sales is zeroed, the newest forecasts and the newest release are gone, scratch is garbage."""
    before = held(tiny_copy)
    retail(tiny_copy.root, "run", "--json")  # the copy of the ledger is made, as in every home that ran since
    sales = max((tiny_copy.lake / "gold/fct_sales_daily").glob("*/*.parquet"))
    sales.write_bytes(bytes(sales.stat().st_size))
    failed = run_retail(tiny_copy.root, "run", "--json", check=False)
    assert failed.returncode == 1 and "Parquet" in failed.stderr and "retail doctor" in failed.stderr
    max((tiny_copy.lake / "gold/forecasts").rglob("*.parquet")).unlink()
    newest = max((tiny_copy.lake / "ops/releases/_delta_log").glob("*.json"))
    newest.unlink()
    for name in ("warehouse/retail.duckdb", "features/online.db"):
        (tiny_copy.root / name).write_bytes(b"garbage" * 1000)
    failed = run_retail(tiny_copy.root, "run", "--json", check=False)
    assert failed.returncode == 1 and "retail doctor" in failed.stderr
    assert run_retail(tiny_copy.root, "doctor", check=False).returncode == 1
    retail(tiny_copy.root, "doctor", "--repair")
    retail(tiny_copy.root, "run", "--json")
    assert held(tiny_copy) == before
    assert retail(tiny_copy.root, "doctor").returncode == 0


def test_every_kind_of_file_of_a_home_is_among_the_faults(tiny_home: Path) -> None:
    for kind in (disks.COMMITS, disks.DATA, disks.SQLITE, disks.DOCUMENTS, disks.MODELS, disks.PRICES, disks.SCRATCH):
        assert disks.files_of(tiny_home, kind), kind
