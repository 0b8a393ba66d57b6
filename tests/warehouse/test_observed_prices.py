"""The price on the shelf where no price list tells it: dbt's SQL against plain Python over the same raw lines."""

import os
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pytest

from retail_assets.pricing.decide.decisions import Decision
from retail_assets.pricing.decide.gold_inputs import gold_versions, read_inputs
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.trace.evidence import Versions, read_evidence
from retail_assets.pricing.trace.observed import Observed, observed_days
from retail_assets.pricing.trace.recompute import recompute
from retail_assets.provenance.records import made_from
from retail_assets.provenance.snapshots import Snapshots
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse import impact
from retail_assets.warehouse.build import build_warehouse
from tests.warehouse import bronze

DAYS = 60
LISTED_FROM = 30  # the day on which SKU-2 gets a price list
SKUS = {"SKU-1": "2.10", "SKU-2": "12.75", "SKU-3": "2.08", "SKU-4": "0.06", "SKU-5": "3.335"}
SHOP = {"store_id": "US-001", "country": "US", "currency": "USD", "time_zone": "UTC", "business_date": bronze.START}


def on(day: int) -> date:
    return bronze.START + timedelta(days=day)


def lines_of(day: int) -> Iterator[dict[str, Any]]:
    """Sales of a shop that keeps no price list: quantity breaks, a dear line now and then, promotions, returns."""
    yield bronze.sale(on(day), sku="SKU-6", list_price=None, promo_code="HALF", line_no=9)
    dice = random.Random(day)  # noqa: S311
    for sku, price in SKUS.items():
        shelf = Decimal(price) * (2 if sku == "SKU-1" and day >= 40 else 1)
        for number in range(dice.choice([0, 1, 1, 3])):
            kind = dice.choice(["shelf"] * 6 + ["bulk", "dear", "promotion", "return", "till"])
            changes: dict[str, Any] = {
                "shelf": {"quantity": Decimal(dice.choice([1, 1, 2, 4]))},
                "bulk": {"quantity": Decimal(48), "unit_price": shelf * Decimal("0.8")},
                "dear": {"unit_price": shelf * Decimal("1.96")},
                "promotion": {"unit_price": shelf / 2, "promo_code": "HALF"},
                "return": {"quantity": Decimal(-1), "unit_price": shelf * 3},
                "till": {"unit_price": shelf / 2, "list_price": shelf, "promo_code": "HALF"},
            }[kind]
            names = {"receipt_id": f"R-{day}-{sku}-{number}", "line_no": number + 1, "list_price": None}
            yield bronze.sale(on(day), "US-001", sku, unit_price=shelf) | names | changes


def expected(lake: Lake) -> dict[tuple[str, date], Observed]:
    """What plain Python makes of every raw line."""
    lines = lake.query(f"select * from {lake.scan('bronze', 'pos_lines')}").to_pylist()
    found = {}
    for sku in [*SKUS, "SKU-6"]:
        listed = on(LISTED_FROM) if sku == "SKU-2" else None
        days = observed_days([line for line in lines if line["sku"] == sku], listed)
        found |= {(sku, day): observed for day, observed in days.items()}
    return found


def built(lake: Lake) -> dict[tuple[str, date], Observed]:
    """What gold says, where it observed a price."""
    rows = lake.query(
        f"""select sku, business_date, list_price, list_price_low, list_price_high, list_price_lines,
                   list_price_agreement, price_tiers
            from {lake.scan("gold", "fct_sales_daily")} where list_price_lines is not null"""
    ).to_pylist()
    return {(sku, day): Observed(*said) for sku, day, *said in (row.values() for row in rows)}


def history(lake: Lake, sku: str) -> list[tuple[Any, ...]]:
    rows = lake.query(
        f"""select valid_from, valid_to, list_price, source from {lake.scan("gold", "fct_price_history")}
            where sku = '{sku}' order by valid_from"""
    ).to_pylist()
    return [tuple(row.values()) for row in rows]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of that shop, built. Read it only."""
    home = Home.at(tmp_path_factory.mktemp("observed") / "home")
    lake = Lake.at(home.lake)
    bronze.create(lake)
    bronze.append(lake, "stores", [SHOP])
    price = {"country": "US", "sku": "SKU-2", "list_price": Decimal(11), "unit_cost": Decimal(7), "currency": "USD"}
    bronze.append(lake, "price_list", [price | {"effective_on": on(LISTED_FROM), "business_date": on(LISTED_FROM)}])
    bronze.append(lake, "pos_lines", [line for day in range(DAYS) for line in lines_of(day)])
    assert build_warehouse(lake, home).mode == "full"
    return home


def test_gold_and_plain_python_observe_the_same_prices(shop: Home) -> None:
    lake = Lake.at(shop.lake)
    found = built(lake)
    assert found == expected(lake)
    assert {told.tiers for told in found.values()} >= {None, "quantity_breaks", "several_prices"}
    assert [row[2:] for row in history(lake, "SKU-6")] == [(Decimal(10), "observed")], (
        "of promotions only, what was paid"
    )


def test_what_the_till_told_ends_where_the_price_list_begins(shop: Home) -> None:
    [*observed, newest] = history(Lake.at(shop.lake), "SKU-2")
    assert newest == (on(LISTED_FROM), None, Decimal(11), "price_list")
    assert {row[3] for row in observed} == {"observed"}
    assert observed[-1][1] == on(LISTED_FROM - 1)


def test_a_late_line_changes_six_weeks_as_a_full_build_would(shop: Home, tmp_path: Path) -> None:
    home = Home.at(shutil.copytree(shop.root, tmp_path / "late"))
    lake = Lake.at(home.lake)
    first = built(lake)
    late = bronze.sale(on(10), "US-001", "SKU-3", receipt_id="late", list_price=None, unit_price=Decimal(9))
    bronze.append(lake, "pos_lines", [*lines_of(DAYS), late])
    assert build_warehouse(lake, home).mode == "days"
    after = built(lake)
    assert after == expected(lake)
    changed = {day for (sku, day), told in after.items() if first.get((sku, day)) != told}
    assert changed - {on(DAYS)} <= {on(day) for day in range(10, 52)}
    assert len(changed) > 10


def test_inputs_of_observed_prices_are_the_same_from_raw_rows(shop: Home) -> None:
    lake = Lake.at(shop.lake)
    found = read_inputs(lake, gold_versions(lake))
    versions = Versions.of({"decision_id": "", **asdict(made_from(lake, found.versions))})
    sources = set()
    with Snapshots(lake) as reader:
        for row in found.rows.to_pylist():
            inputs = DecisionInputs(**row)
            decision = cast("Decision", SimpleNamespace(inputs=inputs))
            again = recompute(read_evidence(reader, decision, versions, datetime.now(UTC)), inputs)
            assert {name: getattr(inputs, name) for name in again} == again, inputs.sku
            sources.add((again["price_source"], again["price_lines"] is None))
    assert sources == {("observed", False), ("price_list", True), ("observed", True)}


def test_only_a_late_line_without_a_list_reaches_the_days_after_it(lake: Lake, home: Home) -> None:
    bronze.create(lake)
    bronze.append(lake, "stores", [SHOP])
    price = {"country": "US", "sku": "SKU-1", "list_price": Decimal(5), "unit_cost": None, "currency": "USD"}
    bronze.append(lake, "price_list", [price | {"effective_on": on(3), "business_date": on(3)}])
    bronze.append(
        lake,
        "pos_lines",
        [
            bronze.sale(on(5)),
            bronze.sale(on(2)),
            bronze.sale(on(6), "XX-9"),
            bronze.sale(on(7), sku="SKU-2", quantity=-1),
        ],
    )
    versions = impact.versions(lake, bronze.COLUMNS)
    days = {on(day) for day in range(10)}
    assert impact.unlisted_days(lake, versions, days) == {on(2), on(6)}
    assert impact.unlisted_days(lake, versions, set()) == set()


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("RETAIL_REAL_DATA"), reason="RETAIL_REAL_DATA is not set: no UCI Online Retail")
def test_a_wholesaler_of_gifts_asks_what_most_of_its_next_customers_pay() -> None:
    """UCI Online Retail sells at quantity breaks and to several customer groups, and keeps no price list."""
    file = Path(os.environ["RETAIL_REAL_DATA"]) / "online_retail" / "transactions.parquet"
    sold = f"from '{file}' where Quantity > 0 and UnitPrice > 0 and InvoiceDate::date"
    names = ("business_date", "quantity", "unit_price")
    by_sku: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for sku, *line in duckdb.sql(
        "select StockCode, InvoiceDate::date, Quantity::decimal(18, 3), round(UnitPrice, 2)::decimal(12, 2) "
        f"{sold} between date '2011-03-05' and date '2011-04-15'"
    ).fetchall():
        by_sku[sku].append(dict(zip(names, line, strict=True)) | {"list_price": None, "promo_code": None})
    days = {sku: observed_days(lines) for sku, lines in by_sku.items()}
    asked = {sku: found[max(found)].price for sku, found in days.items() if found}
    dearest = {
        sku: max(line["unit_price"] for line in by_sku[sku] if line["business_date"] == max(days[sku])) for sku in asked
    }
    assert (asked["21166"], dearest["21166"]) == (Decimal("2.08"), Decimal("4.13"))
    paid = duckdb.sql(
        "select StockCode, quantile_disc(UnitPrice, 0.5) as price, sum(UnitPrice * Quantity) as revenue "
        f"{sold} between date '2011-04-16' and date '2011-04-29' group by 1"
    ).fetchall()
    known = [(sku, price, revenue) for sku, price, revenue in paid if sku in asked]
    seen = [(float(asked[sku]) / price, float(dearest[sku]) / price, revenue) for sku, price, revenue in known]
    whole = sum(revenue for *_, revenue in seen)
    assert sum(revenue for ratio, _, revenue in seen if ratio > 1.3) < 0.10 * whole
    assert sum(revenue for _, ratio, revenue in seen if ratio > 1.3) > 0.35 * whole
    assert sum(revenue for ratio, _, revenue in seen if abs(ratio - 1) <= 0.1) > 0.80 * whole
