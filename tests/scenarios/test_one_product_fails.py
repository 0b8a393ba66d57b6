"""Forecasting fails for real, and prices are decided and published all the same; the last step of a run is Prophet."""

from pathlib import Path

import dagster as dg
import pytest

from retail_assets.resources.dagster.instance import prepare
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.conftest import run_retail
from tests.scenarios.conftest import Retail, newest_day, one

NO_CLUSTER = {
    "RETAIL_DASK": "tcp://127.0.0.1:9"
}  # nothing listens there: forecasts are asked of a cluster that is gone


@pytest.mark.slow
def test_prices_do_not_wait_for_a_forecaster_that_fails(tiny_copy: Home, retail: Retail) -> None:
    lake = Lake.at(tiny_copy.lake)
    before, forecast = newest_day(lake), lake.version("gold", "forecasts")
    retail(tiny_copy.root, "sample", "--scale", "tiny", "--days", "91", "--json")
    failed = run_retail(tiny_copy.root, "run", "--json", check=False, environment=NO_CLUSTER)
    assert failed.returncode == 1
    assert "forecasting__forecasts" in failed.stderr and "no Dask scheduler answers" in failed.stderr
    assert "made all the same" in failed.stderr and "pricing" in failed.stderr
    newest = newest_day(lake)
    assert newest > before and lake.version("gold", "forecasts") == forecast
    decided = f"select count(*) from {lake.scan('decisions', 'pricing')} where business_date = date '{newest}'"
    published = f"select count(*) from {lake.scan('ops', 'price_publications')} where business_date = date '{newest}'"
    assert one(lake, decided) > 0 and one(lake, published) > 0


def test_prophet_runs_after_prices_are_published(tiny_home: Path) -> None:
    home = Home.at(tiny_home)
    prepare(home)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        run = instance.get_runs(limit=1)[0]
        steps = {stats.step_key: stats for stats in instance.get_run_step_stats(run.run_id)}
    begun = {key: step.start_time for key, step in steps.items() if step.start_time is not None}
    prophet, published = begun["forecasting__demand_components"], steps["pricing__price_files"].end_time
    assert published is not None and published < prophet
    after = {key for key, start in begun.items() if start > prophet}
    assert after == {"decomposition_checks"}
