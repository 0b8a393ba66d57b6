"""What was answered is held against what was sold: worked out by hand for a shop of two stores."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from retail_assets.decisions.rows import DECISION_SCHEMA, new_decision_id
from retail_assets.monitoring.assets import live_quality
from retail_assets.monitoring.checks import live_errors_match_the_proof
from retail_assets.monitoring.live_quality import by_arm, days_to_judge, judge, quality_table
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.releases.stored import saved

DAY = date(2026, 3, 10)
SALES = pa.schema(
    [("store_id", pa.string()), ("sku", pa.string()), ("business_date", pa.date32()), ("gross_units", pa.float64()),
     ("list_price", pa.decimal128(12, 4))]
)  # fmt: skip
FORECASTS = pa.schema(
    [("store_id", pa.string()), ("sku", pa.string()), ("target_date", pa.date32()), ("mean", pa.float64()),
     ("origin_date", pa.date32()), ("model_version", pa.string()), ("business_date", pa.date32())]
)  # fmt: skip


def sold(lake: Lake, *rows: tuple[str, str, date, float, str]) -> None:
    names = SALES.names
    made = [dict(zip(names, (*row[:4], Decimal(row[4])), strict=True)) for row in rows]
    lake.append("gold", "fct_sales_daily", pa.Table.from_pylist(made, SALES), partition_by=["business_date"])


def forecast(lake: Lake, store: str, sku: str, mean: float, origin: date, version: str = "a", ahead: int = 1) -> None:
    row = {"store_id": store, "sku": sku, "target_date": origin + timedelta(days=ahead), "mean": mean,
           "origin_date": origin, "model_version": version, "business_date": origin}  # fmt: skip
    lake.append("gold", "forecasts", pa.Table.from_pylist([row], FORECASTS), partition_by=["business_date"])


def decided(lake: Lake, product: str, **values: Any) -> None:
    row = {"decision_id": new_decision_id(), "at": datetime.now(UTC), "product": product, "mode": "batch"} | values
    table = pa.Table.from_pylist([row], DECISION_SCHEMA)
    lake.append("decisions", product, table, partition_by=["business_date"])


def priced(lake: Lake, store: str, sku: str, price: str, units: float, margin: float, **values: Any) -> None:
    output = json.dumps({"units_after": units, "margin_after": margin})
    decided(lake, "pricing", store_id=store, sku=sku, price=Decimal(price), output=output,
            business_date=DAY - timedelta(days=1), **{"model_version": "p", "arm": "champion"} | values)  # fmt: skip


def row(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (found,) = [r for r in rows if all(r[name] == value for name, value in wanted.items())]
    return found


def test_the_newest_forecast_before_a_day_is_held_against_its_sales(lake: Lake) -> None:
    before = DAY - timedelta(days=1)
    forecast(lake, "1", "milk", 9.0, DAY - timedelta(days=2), ahead=2)
    forecast(lake, "1", "milk", 4.0, before)
    forecast(lake, "1", "bread", 2.0, before)
    forecast(lake, "2", "milk", 3.0, before)
    sold(lake, ("1", "milk", DAY, 5.0, "1.00"))
    (found,) = judge(lake, [DAY]).to_pylist()[:1]
    assert (found["answers"], found["judged"], found["units"], found["expected_units"]) == (2, 2, 5.0, 6.0)
    assert found["absolute_error"] == 1.0 + 2.0, "what has no row on an open day sold nothing"
    closed = row(judge(lake, [DAY]).to_pylist(), store_id="2")
    assert (closed["answers"], closed["judged"], closed["absolute_error"]) == (1, 0, 0.0), "the store has no sales yet"


def test_answers_of_services_are_told_apart_by_arm(lake: Lake) -> None:
    for mode, arm, mean in (("service", "champion", 4.0), ("service", "canary", 6.0), ("shadow", "shadow", 9.0)):
        days = json.dumps({"columns": ["date", "mean", "q50"], "days": [[DAY.isoformat(), mean, 3.0]]})
        decided(lake, "forecasting", store_id="1", sku="milk", output=days, mode=mode, arm=arm, model_version=arm[:2],
                business_date=DAY - timedelta(days=3))  # fmt: skip
    decided(lake, "forecasting", store_id="1", sku="milk", mode="fallback", output="{}", business_date=DAY)
    sold(lake, ("1", "milk", DAY, 5.0, "1.00"))
    found = judge(lake, [DAY]).to_pylist()
    assert {r["arm"]: r["absolute_error"] for r in found} == {"champion": 1.0, "canary": 1.0, "shadow": 4.0}
    assert {r["source"] for r in found} == {"service", "shadow"}


def test_a_price_is_judged_where_it_was_asked(lake: Lake) -> None:
    priced(lake, "1", "milk", "2.00", units=10.0, margin=500.0)
    priced(lake, "1", "bread", "3.00", units=4.0, margin=400.0)
    priced(lake, "1", "jam", "5.00", units=1.0, margin=90.0)
    sold(lake, ("1", "milk", DAY, 8.0, "2.00"), ("1", "bread", DAY, 9.0, "2.50"))
    (found,) = judge(lake, [DAY]).to_pylist()
    assert (found["answers"], found["judged"]) == (3, 1), "bread was sold at another price, of jam nothing is known"
    assert (found["expected_units"], found["units"], found["absolute_error"]) == (10.0, 8.0, 2.0)
    assert (found["expected_value"], found["value"]) == (500.0, 400.0)


def test_arms_that_rows_do_not_say_come_from_the_ledger(lake: Lake) -> None:
    ledger = Ledger(lake)
    ledger.promote("forecasting", "a", by="t", reason="t")
    ledger.canary("forecasting", "b", 0.5, by="t", reason="t")
    ledger.promote("forecasting", "c", by="t", reason="t", target="store-9", wider=("cloud",))
    before = DAY - timedelta(days=1)
    for sku, version in (("milk", "a"), ("bread", "b"), ("jam", "c")):
        forecast(lake, "1", sku, 1.0, before, version)
    sold(lake, ("1", "milk", DAY, 1.0, "1.00"))
    arms = {r["model_version"]: r["arm"] for r in judge(lake, [DAY]).to_pylist()}
    assert arms == {"a": "champion", "b": "canary", "c": "champion"}


def test_days_are_judged_once_and_again_while_files_may_come_late(lake: Lake) -> None:
    assert days_to_judge(lake) == []
    days = [DAY + timedelta(days=n) for n in range(10)]
    forecast(lake, "1", "milk", 4.0, DAY - timedelta(days=1))
    sold(lake, *[("1", "milk", day, 5.0, "1.00") for day in days])
    assert days_to_judge(lake) == days
    first = live_quality(lake=lake).metadata or {}
    assert (first["status"], first["days"]) == ("judged", 10)
    assert (live_quality(lake=lake).metadata or {})["status"] == "unchanged"
    for ahead in (1, 2):
        forecast(lake, "1", "milk", 7.0, days[-1], ahead=ahead)
    sold(lake, ("1", "milk", days[-1] + timedelta(days=1), 5.0, "1.00"))
    assert days_to_judge(lake)[-1] == days[-1] + timedelta(days=1)
    made = live_quality(lake=lake).metadata or {}
    assert made["status"] == "judged" and "0.400" in str(made["by_arm"])
    assert lake.open("reports", "live_quality").count() == 2, "days without an answer have no row"


def test_nothing_answered_is_no_error(lake: Lake) -> None:
    sold(lake, ("1", "milk", DAY, 5.0, "1.00"))
    assert judge(lake, [DAY]).num_rows == 0 == judge(lake, []).num_rows
    assert by_arm(lake) == [] and "product" in quality_table([])
    assert (live_quality(lake=lake).metadata or {})["status"] == "judged"


@pytest.mark.parametrize(("mean", "passed"), [(5.5, True), (9.0, False)])
def test_a_model_that_errs_more_than_it_was_proven_to_is_seen(
    lake: Lake, tmp_path: Path, mean: float, passed: bool
) -> None:
    store = ModelStore.at(tmp_path / "models")
    version, before = saved(store, {"wape": 0.2}), DAY - timedelta(days=1)
    rows = [{"store_id": "1", "sku": f"{n}", "target_date": DAY, "mean": mean, "origin_date": before,
             "model_version": version, "business_date": before} for n in range(500)]  # fmt: skip
    lake.append("gold", "forecasts", pa.Table.from_pylist(rows, FORECASTS), partition_by=["business_date"])
    assert live_errors_match_the_proof(lake=lake, model_store=store).passed, "nothing is known yet"
    sold(lake, *[("1", f"{n}", DAY, 5.0, "1.00") for n in range(500)])
    live_quality(lake=lake)
    assert live_errors_match_the_proof(lake=lake, model_store=store).passed is passed
