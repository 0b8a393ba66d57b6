"""Definitions are light, complete and the same in every environment: a broken graph must fail here, not in the UI."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retail_assets.resources.dagster.jobs import REFRESH_JOB_NAME
from retail_assets.resources.environments import READY

HEAVY = ("torch", "feast", "prophet", "evidently", "bentoml", "lightgbm", "matplotlib")
MARTS = ["fct_sales_daily", "fct_price_history", "fct_sessions", "fct_baskets", "fct_payments"]
DIMENSIONS = ["dim_product", "dim_store", "dim_customer", "dim_calendar"]


@pytest.fixture(scope="module")
def graph() -> Any:
    from retail_assets.definitions import defs

    return defs.resolve_asset_graph()


PROBE = """
import json, socket, sys
def no_network(*args, **kwargs):
    raise AssertionError("the network was touched")
socket.socket.connect = no_network
written = []
def audit(event, args):
    if event == "open" and isinstance(args[0], str) and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        if "__pycache__" not in args[0] and not args[0].startswith("/dev/"):
            written.append(args[0])
sys.addaudithook(audit)
from retail_assets.definitions import defs
print(json.dumps({"modules": sorted(sys.modules), "written": written, "jobs": [j.name for j in defs.jobs]}))
"""


@pytest.mark.parametrize("environment", READY)
def test_definitions_load_without_heavy_modules_network_files_or_secrets(environment: str, tmp_path: Path) -> None:
    variables = {"PATH": os.environ["PATH"], "RETAIL_ENV": environment, "RETAIL_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", PROBE], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    probe = json.loads(done.stdout.splitlines()[-1])
    loaded = {name.split(".")[0] for name in probe["modules"]}
    assert "dagster" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)
    assert probe["written"] == []
    assert probe["jobs"] == [REFRESH_JOB_NAME]
    assert not (tmp_path / "home").exists()


def test_every_asset_says_what_it_is(graph: Any) -> None:
    bare = {
        key.to_user_string(): missing
        for key in graph.materializable_asset_keys
        if (missing := _missing(graph.get(key)))
    }
    assert bare == {}


def test_every_check_says_what_it_promises(graph: Any) -> None:
    said = {key.name: graph.get(key).description for key in graph.asset_check_keys}
    assert [name for name, promise in said.items() if not promise] == []
    assert said["sales_sku_is_known"] == "Every `sku` is in `dim_product`."


def _missing(node: Any) -> list[str]:
    wanted = {
        "group": node.group_name not in (None, "default"),
        "owners": bool(node.owners),
        "kinds": bool(node.kinds),
        "description": bool(node.description and len(node.description) > 20),
    }
    return [name for name, there in wanted.items() if not there]


def test_each_check_targets_an_existing_asset(graph: Any) -> None:
    targets = {check.asset_key for check in graph.asset_check_keys}
    assert targets
    assert targets <= graph.materializable_asset_keys


def test_every_upstream_is_an_asset_of_this_graph(graph: Any) -> None:
    assert graph.external_asset_keys == set()


@pytest.mark.parametrize("mart", MARTS + DIMENSIONS)
def test_every_mart_is_published_from_its_dbt_model(mart: str, graph: Any) -> None:
    assert dg.AssetKey(["warehouse", mart]) in graph.get(dg.AssetKey(["gold", mart])).parent_keys


@pytest.mark.parametrize(
    ("downstream", "upstream"),
    [
        ("pricing/price_decisions", "bronze/pos_lines"),
        ("pricing/price_decisions", "forecasting/forecasts"),
        ("forecasting/demand_model", "bronze/stock_levels"),
        ("forecasting/demand_model", "gold/fct_sales_daily"),
        ("features/online_features", "gold/feat_store_product_daily"),
        ("gold/fct_payments", "bronze/chargebacks"),
        ("gold/fct_sessions", "bronze/click_events"),
        ("serving/releases", "forecasting/demand_model"),
    ],
)
def test_a_decision_can_be_followed_to_its_raw_rows(downstream: str, upstream: str, graph: Any) -> None:
    found, frontier = set(), {dg.AssetKey.from_user_string(downstream)}
    while frontier:
        parents = set().union(*(graph.get(key).parent_keys for key in frontier))
        frontier = parents - found
        found |= parents
    assert dg.AssetKey.from_user_string(upstream) in found


def test_dbt_runs_once_per_refresh() -> None:
    """A check that shares a step over assets which wait for each other makes Dagster split dbt into several runs."""
    from retail_assets.definitions import defs

    steps = list(defs.resolve_job_def(REFRESH_JOB_NAME).graph.node_names())
    assert [step for step in steps if step.startswith("warehouse_models")] == ["warehouse_models"]
