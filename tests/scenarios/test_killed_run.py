"""`retail run` is killed without warning at several points; running it again gives what an undisturbed run gives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from retail_assets.resources.dagster.instance import prepare
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.scenarios.conftest import Retail, one

KILL_AFTER = ["bronze/pos_lines", "gold/fct_sales_daily", "forecasting/demand_model"]
RESULTS = {
    "bronze rows": "select count(*) || ':' || sum(line) from {pos}",
    "sales": "select sum(net_units) || ':' || sum(net_amount) || ':' || count(*) from {sales}",
    "forecasts": "select count(*) || ':' || round(sum(mean), 6) from {forecasts}",
    "prices": "select count(*) || ':' || count(distinct decision_id) || ':' || sum(price) from {prices}",
}


def results(lake: Lake) -> dict[str, str]:
    tables = {
        "pos": lake.scan("bronze", "pos_lines"),
        "sales": lake.scan("gold", "fct_sales_daily"),
        "forecasts": lake.scan("gold", "forecasts"),
        "prices": lake.scan("decisions", "pricing"),
    }
    return {name: one(lake, sql.format(**tables)) for name, sql in RESULTS.items()}


@pytest.mark.slow
def test_a_killed_run_can_be_repeated(tiny_home: Path, home: Home, retail: Retail) -> None:
    retail(home.root, "sample", "--scale", "tiny", "--json")
    for asset in KILL_AFTER:
        _kill_run_after(home, dg.AssetKey.from_user_string(asset))
    retail(home.root, "run", "--json")
    assert results(Lake.at(home.lake)) == results(Lake.at(Home.at(tiny_home).lake))


def _kill_run_after(home: Home, asset: dg.AssetKey) -> None:
    """Starts `retail run` in its own process group and kills the whole group once `asset` was materialised in it."""
    prepare(home)
    child = subprocess.Popen(
        [sys.executable, "-m", "retail_assets.cli", "run", "--json"],
        env=os.environ | {"RETAIL_HOME": str(home.root), "RETAIL_ENV": "test"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            before = _storage_id(instance, asset)
            while _storage_id(instance, asset) == before:
                _wait_a_moment(child)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _storage_id(instance: dg.DagsterInstance, asset: dg.AssetKey) -> int | None:
    records = instance.fetch_materializations(asset, limit=1).records
    return records[0].storage_id if records else None


def _wait_a_moment(child: "subprocess.Popen[bytes]") -> None:
    try:
        code = child.wait(timeout=0.1)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"the run ended by itself with exit code {code} before it could be killed")
