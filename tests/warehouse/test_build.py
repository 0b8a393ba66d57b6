"""Bronze becomes gold through real dbt: increments equal a full build, and a build that dies can be repeated."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.warehouse import DBT, PROJECT_DIR, child_environment, dbt_variables
from retail_assets.warehouse import build, state
from retail_assets.warehouse.build import build_warehouse
from retail_assets.warehouse.errors import WarehouseError
from retail_assets.warehouse.manifest import gold_marts, load_manifest
from retail_assets.warehouse.plan import Plan
from tests.warehouse import bronze

MARTS = gold_marts(load_manifest())
FACTS = [mart for mart in MARTS if mart.startswith("fct_")]


def refuse(plan: Plan, lake: Lake, home: Home) -> None:
    raise AssertionError("dbt was started")


def one(lake: Lake, sql: str) -> Any:
    return lake.query(sql).column(0)[0].as_py()


def files_by_day(lake: Lake, mart: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for uri in lake.open("gold", mart).file_uris():
        found.setdefault(uri.split("business_date=")[1].split("/")[0], set()).add(uri)
    return found


def rewritten(before: dict[str, set[str]], after: dict[str, set[str]]) -> set[date]:
    days = before.keys() | after.keys()
    return {date.fromisoformat(day) for day in days if before.get(day) != after.get(day)}


def difference(one_lake: Lake, other: Lake, mart: str) -> int:
    """Rows that only one of two gold tables has, counting repetitions."""
    left, right = (lake.scan("gold", mart) for lake in (one_lake, other))
    sql = f"(FROM {left} EXCEPT ALL FROM {right}) UNION ALL (FROM {right} EXCEPT ALL FROM {left})"
    return one_lake.query(f"SELECT * FROM ({sql})").num_rows


def test_without_news_dbt_is_not_started(built: Home, built_lake: Lake) -> None:
    versions = {mart: built_lake.version("gold", mart) for mart in MARTS}
    report = build_warehouse(built_lake, built, run=refuse)
    assert (report.mode, report.days) == ("unchanged", [])
    assert {mart.status for mart in report.marts} == {"unchanged"}
    assert {mart: built_lake.version("gold", mart) for mart in MARTS} == versions


def late_and_new(lake: Lake, dates: list[date]) -> dict[str, set[date]]:
    """A new day, a late file and a change of every kind that reaches further; the days each fact must rebuild."""
    new, late = dates[-1] + timedelta(days=1), dates[4]
    delivered = datetime.combine(new, time(6), UTC)
    bronze.trade(lake, [new])
    bronze.append(lake, "pos_lines", [bronze.sale(late, receipt_id="late", quantity=Decimal(-3))], delivered)
    observed = {"country": "UK", "competitor": "X", "sku": "SKU-1", "price": Decimal("7.5"), "currency": "GBP"}
    bronze.append(lake, "competitor_prices", [observed | {"observed_on": dates[17], "business_date": dates[17]}])
    price = {"country": "US", "sku": "SKU-2", "list_price": Decimal(12), "unit_cost": Decimal(7), "currency": "USD"}
    bronze.append(lake, "price_list", [price | {"effective_on": dates[18], "business_date": dates[18]}], delivered)
    report = {"payment_id": f"P-US-001-{dates[2]:%Y%m%d}-0", "reported_on": new, "reason": "stolen_card"}
    bronze.append(lake, "chargebacks", [report | {"business_date": new}])
    bronze.append(lake, "products", [{"sku": "SKU-6", "country": "UK", "name": "late", "business_date": new}])
    return {
        "fct_sales_daily": {late, *dates[17:], new},
        "fct_baskets": {late, new},
        "fct_sessions": {dates[-1], new},
        "fct_payments": {dates[2], new},
    }


def test_a_day_and_late_files_rebuild_their_days_and_equal_a_full_build(
    built: Home, built_lake: Lake, dates: list[date]
) -> None:
    before = {mart: files_by_day(built_lake, mart) for mart in FACTS if mart != "fct_price_history"}
    expected = late_and_new(built_lake, dates)
    report = build_warehouse(built_lake, built)
    assert report.mode == "days"
    touched = {mart: rewritten(files, files_by_day(built_lake, mart)) for mart, files in before.items()}
    assert touched == expected
    whole = Home.at(built.root.parent / "whole")
    other = Lake.at(whole.lake)
    (whole.root).mkdir()
    (whole.lake).mkdir()
    (whole.lake / "bronze").symlink_to(built.lake / "bronze")
    assert build_warehouse(other, whole).mode == "full"
    assert {mart: difference(built_lake, other, mart) for mart in MARTS} == dict.fromkeys(MARTS, 0)
    assert one(other, f"SELECT count(*) FROM {other.scan('gold', 'fct_sales_daily')} WHERE returned_units >= 3") >= 1


def partly(plan: Plan, lake: Lake, home: Home) -> None:
    """dbt that is killed after two models were built."""
    folders = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    arguments = ["--quiet", "run", *build.dbt_arguments(plan)[3:], "--select", "int_pos_lines", "fct_baskets"]
    subprocess.run([str(DBT), *arguments, *folders], env=child_environment(dbt_variables(home, lake)), check=True)
    raise KeyboardInterrupt


def test_a_killed_build_and_a_killed_publish_lose_and_double_nothing(
    built: Home, built_lake: Lake, dates: list[date], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {mart: built_lake.version("gold", mart) for mart in MARTS}
    bronze.trade(built_lake, [dates[-1] + timedelta(days=1)])
    with pytest.raises(KeyboardInterrupt):
        build_warehouse(built_lake, built, run=partly)
    assert {mart: built_lake.version("gold", mart) for mart in MARTS} == versions, "gold is as it was"
    with monkeypatch.context() as patched:
        patched.setattr(build, "publish_mart", _die_at("fct_payments"))
        with pytest.raises(KeyboardInterrupt):
            build_warehouse(built_lake, built)
    report = build_warehouse(built_lake, built, run=refuse)
    assert {mart.mart for mart in report.marts if mart.status == "days"} >= {"fct_payments", "fct_sales_daily"}
    totals = [
        one(built_lake, f"SELECT sum(net_amount) FROM {built_lake.scan('gold', mart)}")
        for mart in ("fct_sales_daily", "fct_baskets")
    ]
    lines = f"SELECT sum(round(quantity * unit_price, 2)) FROM {built_lake.scan('bronze', 'pos_lines')}"
    assert totals == [one(built_lake, lines)] * 2


def _die_at(mart: str) -> Any:
    def publish(lake: Lake, home: Home, name: str) -> Any:
        if name == mart:
            raise KeyboardInterrupt
        return real(lake, home, name)

    real = build.publish_mart
    return publish


@pytest.fixture
def bare(lake: Lake) -> Iterator[Lake]:
    """A retailer that has nothing but its sales, in one currency."""
    bronze.create(lake)
    rows = [
        bronze.sale(day, "S1", sku, receipt_id=f"{day}{sku}", currency="GBP", list_price=None)
        for day in (bronze.START, bronze.START + timedelta(days=40))
        for sku in ("A", "B")
    ]
    bronze.append(lake, "pos_lines", rows)
    yield lake


def test_sales_alone_are_enough(bare: Lake, home: Home) -> None:
    report = build_warehouse(bare, home)
    rows = {mart.mart: mart.total_rows for mart in report.marts}
    assert rows["fct_sales_daily"] == 4
    assert rows["fct_sessions"] == rows["fct_payments"] == 0
    inferred = bare.query(
        f"SELECT store_id, currency FROM {bare.scan('gold', 'dim_store')} WHERE is_inferred"
        f" UNION ALL SELECT sku, NULL FROM {bare.scan('gold', 'dim_product')} WHERE is_inferred ORDER BY 1"
    ).to_pylist()
    assert [row["store_id"] for row in inferred] == ["A", "B", "S1"]
    sales = bare.query(f"FROM {bare.scan('gold', 'fct_sales_daily')}").to_pylist()
    assert {(row["reporting_currency"], row["exchange_rate"], row["list_price"]) for row in sales} == {
        ("GBP", Decimal(1), Decimal(10))
    }
    prices = bare.query(f"FROM {bare.scan('gold', 'fct_price_history')}").to_pylist()
    assert {(row["sku"], row["source"], row["valid_to"]) for row in prices} == {
        ("A", "observed", None),
        ("B", "observed", None),
    }


def test_an_amount_without_a_rate_stops_the_build_before_gold(bare: Lake, home: Home) -> None:
    bronze.append(bare, "pos_lines", [bronze.sale(bronze.START, "S2", receipt_id="x", currency="EUR")])
    with pytest.raises(WarehouseError, match="every_amount_has_a_rate"):
        build_warehouse(bare, home)
    assert not bare.exists("gold", "fct_sales_daily")
    built = state.read(home)
    assert built is not None
    assert not built.complete


def test_mixed_currencies_and_rows_loaded_twice_stop_the_build(bare: Lake, home: Home) -> None:
    def line(receipt: str, number: int, currency: str) -> dict[str, Any]:
        return bronze.sale(bronze.START, "S1", "A", receipt_id=receipt, line_no=number, currency=currency)

    bronze.append(bare, "pos_lines", [line("mixed", 1, "GBP"), line("mixed", 2, "USD")])
    bronze.append(bare, "pos_lines", [line("mixed", 1, "GBP")])
    with pytest.raises(WarehouseError, match="unique_key_int_pos_lines") as stopped:
        build_warehouse(bare, home)
    assert "lines_of_a_sku_share_a_currency" in str(stopped.value)
    assert bare.tables("gold") == []


def test_the_business_rules_hold(built: Home, built_lake: Lake) -> None:
    """dbt's own unit tests: returns, promotions, stock-outs, prices in force, rates, chargebacks, inferred members."""
    folders = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    done = subprocess.run(
        [str(DBT), "--no-use-colors", "test", "--select", "test_type:unit", *folders],
        env=child_environment(dbt_variables(built, built_lake)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "PASS=0" not in done.stdout


class InSlices(Plan):
    """The same plan for a machine that windows 100 rows and aggregates 100 lines at once."""

    def variables(self) -> dict[str, Any]:
        return super().variables() | {"rows_at_once": 100, "lines_at_once": 100}


def in_slices(plan: Plan, lake: Lake, home: Home) -> None:
    build.run_dbt(InSlices(**plan.model_dump()), lake, home)
    compiled = home.warehouse.parent / "target/compiled/retail/models"
    for model in ("feat_store_product_daily", "feat_customer_daily", "feat_payment_token_daily"):
        assert "/* slice */" in (compiled / "marts" / f"{model}.sql").read_text()
    for model in ("marts/fct_baskets", "marts/fct_sales_daily", "intermediate/int_observed_prices"):
        assert "/* stretch */" in (compiled / f"{model}.sql").read_text()


def test_what_is_built_in_slices_and_stretches_is_the_same(
    built: Home, built_lake: Lake, tmp_path: Path, dates: list[date]
) -> None:
    sliced = Home.at(tmp_path / "sliced")
    shutil.copytree(built.lake / "bronze", sliced.lake / "bronze")
    lake = Lake.at(sliced.lake)
    report = build_warehouse(lake, sliced, run=in_slices)
    assert report.mode == "full"
    assert {mart: difference(built_lake, lake, mart) for mart in MARTS} == dict.fromkeys(MARTS, 0)
    again = build_warehouse(lake, sliced, days=dates[2:15], run=in_slices)
    assert again.mode == "days"
    assert {mart: difference(built_lake, lake, mart) for mart in MARTS} == dict.fromkeys(MARTS, 0)
