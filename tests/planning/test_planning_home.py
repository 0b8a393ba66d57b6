"""A whole home after its refresh, asked by the real command line: the way a planner meets all of this."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from retail_assets.planning import checks
from retail_assets.resources.lake import Lake

Retail = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def lake(tiny_home: Path) -> Lake:
    return Lake.at(tiny_home / "lake")


def test_a_refresh_leaves_every_plan_and_the_checks_that_block_hold(lake: Lake) -> None:
    for table in ("forecast_levels", "forecasts_weekly", "order_proposals"):
        assert lake.open("gold", table).count() > 0
    judged = [result for check in checks.CHECKS for result in check(lake=lake)]
    failed = {result.check_name for result in judged if not result.passed and result.severity.value == "ERROR"}
    assert len(judged) == 13 and failed == set()


def test_the_intervals_of_levels_come_from_several_origins(lake: Lake) -> None:
    rows = lake.open("reports", "forecast_level_origins").to_pyarrow_table().to_pandas()
    newest = lake.query(f"select max(business_date) as day from {lake.scan('gold', 'fct_sales_daily')}")["day"]
    assert len(set(rows["origin_date"])) > 1 and rows["target_date"].max() <= newest[0].as_py()
    scores = lake.open("reports", "forecast_levels").to_pyarrow_table().to_pandas().set_index("level")
    assert scores.loc["total", "judged"] == 28 * len(set(rows["origin_date"])) > scores.loc["total", "rows"]


def test_the_levels_weeks_and_orders_are_of_the_same_forecasts(lake: Lake) -> None:
    def total(table: str, where: str) -> float:
        sql = f"select sum(mean) as units from {lake.scan('gold', table)} where {where}"
        return float(lake.query(sql)["units"][0].as_py())

    days = total("forecasts", "true")
    assert total("forecast_levels", "level = 'total'") == pytest.approx(days, rel=1e-6)
    assert total("forecasts_weekly", "week <= 4") == pytest.approx(days, rel=1e-9)


def test_a_planner_shows_exports_and_asks(tiny_home: Path, lake: Lake, retail: Retail, tmp_path: Path) -> None:
    row = lake.query(
        f"select store_id, sku, target_date from {lake.scan('gold', 'forecasts')} order by mean desc limit 1"
    )
    store, sku, day = (row[name][0].as_py() for name in row.column_names)
    item = ("--store", store, "--sku", sku)
    assert sku in retail(tiny_home, "forecast", "show", *item).stdout
    retail(tiny_home, "forecast", "export", "--out", str(tmp_path / "stores.csv"), "--level", "store")
    assert len(pd.read_csv(tmp_path / "stores.csv")["store_id"].unique()) > 2
    asked = ("forecast", "what-if", *item, "--promotion", "40", "--from", str(day), "--to", str(day), "--json")
    document = json.loads(retail(tiny_home, *asked, "--html", str(tmp_path / "plan.html")).stdout)
    changed = [entry for entry in document["days"] if entry["changed"] != entry["planned"]]
    assert [entry["date"] for entry in changed] == [str(day)] and (tmp_path / "plan.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "--store", "nowhere", "--sku", "SKU-00001"), 1, "there is no store_id 'nowhere'"),
        (
            ("what-if", "--store", "S", "--sku", "K", "--from", "2026-01-01", "--to", "2026-01-02"),
            2,
            "either --price or",
        ),
        (("export", "--out", "plan.doc"), 1, "use one of .csv, .json, .parquet"),
    ],
)
def test_a_wrong_question_has_a_clear_answer(
    tiny_home: Path, retail: Retail, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = retail(tiny_home, "forecast", *arguments, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert says in done.stdout + done.stderr
