"""A late file rebuilds exactly the days it touches: one too few and gold is wrong, all of them and it is slow."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.resources.lake import Lake
from retail_assets.warehouse import impact
from retail_assets.warehouse.manifest import load_manifest, models
from tests.warehouse import bronze

DAY = bronze.START
KNOWN = {DAY + timedelta(days=n) for n in range(20)}


def on(*offsets: int) -> set[date]:
    return {DAY + timedelta(days=offset) for offset in offsets}


@pytest.fixture
def traded(lake: Lake) -> Lake:
    bronze.create(lake)
    bronze.append(lake, "pos_lines", [bronze.sale(day) for day in sorted(KNOWN)])
    return lake


def reach(lake: Lake, table: str, rows: list[dict[str, Any]]) -> set[date]:
    """The days that are reached when `rows` arrive."""
    before = impact.versions(lake, bronze.COLUMNS)
    bronze.append(lake, table, rows)
    after = impact.versions(lake, bronze.COLUMNS)
    changed = impact.changed_days(lake, table, before[table], after[table])
    return impact.reached_days(lake, after, table, changed, impact.known_days(lake, after))


def price(offset: int, sku: str = "SKU-1", country: str = "US") -> dict[str, Any]:
    day = DAY + timedelta(days=offset)
    keys = {"country": country, "sku": sku, "effective_on": day, "business_date": day}
    return keys | {"list_price": Decimal(5), "unit_cost": Decimal(3), "currency": "USD"}


def test_sales_reach_their_own_day(traded: Lake) -> None:
    assert reach(traded, "pos_lines", [bronze.sale(DAY), bronze.sale(DAY + timedelta(days=3))]) == on(0, 3)


def test_nothing_new_reaches_nothing(traded: Lake) -> None:
    version = traded.version("bronze", "pos_lines")
    assert version is not None
    assert impact.changed_days(traded, "pos_lines", version, version) == set()


def test_a_price_reaches_as_far_as_the_next_price_of_that_product(traded: Lake) -> None:
    bronze.append(traded, "price_list", [price(9), price(5, sku="SKU-2"), price(6, country="UK")])
    assert reach(traded, "price_list", [price(4)]) == on(4, 5, 6, 7, 8)


def test_the_newest_price_reaches_to_the_last_known_day_and_a_future_one_nothing(traded: Lake) -> None:
    assert reach(traded, "price_list", [price(18)]) == on(18, 19)
    assert reach(traded, "price_list", [price(40)]) == set()


def test_a_rate_reaches_as_far_as_the_next_rate_of_that_currency(traded: Lake) -> None:
    def rate(offset: int, currency: str) -> dict[str, Any]:
        day = DAY + timedelta(days=offset)
        return {"rate_date": day, "currency": currency, "rate_to_usd": Decimal(1), "business_date": day}

    bronze.append(traded, "exchange_rates", [rate(5, "GBP"), rate(3, "EUR")])
    assert reach(traded, "exchange_rates", [rate(2, "GBP")]) == on(2, 3, 4)


def test_a_promotion_reaches_the_days_it_was_and_is_planned_for(traded: Lake) -> None:
    def plan(first: int, last: int, announced: int) -> dict[str, Any]:
        keys = {"promo_code": "P", "country": "US", "sku": "SKU-1", "discount_pct": Decimal(10)}
        spans = {"starts_on": DAY + timedelta(days=first), "ends_on": DAY + timedelta(days=last)}
        return keys | spans | {"announced_on": DAY, "business_date": DAY + timedelta(days=announced)}

    assert reach(traded, "promotions", [plan(3, 4, 0)]) == on(3, 4)
    assert reach(traded, "promotions", [plan(6, 7, 1)]) == on(3, 4, 6, 7)
    until_further_notice = plan(18, 19, 2) | {"sku": "SKU-9", "ends_on": date.max}
    assert reach(traded, "promotions", [until_further_notice]) == on(18, 19)


def test_a_chargeback_reaches_the_day_of_the_payment(traded: Lake) -> None:
    payment = {"payment_id": "P1", "amount": Decimal(1), "business_date": DAY + timedelta(days=2)}
    bronze.append(traded, "payments", [payment])
    report = {"payment_id": "P1", "reported_on": DAY + timedelta(days=12), "business_date": DAY + timedelta(days=12)}
    unknown = report | {"payment_id": "P9"}
    assert reach(traded, "chargebacks", [report, unknown]) == on(2)


@pytest.mark.parametrize("table", ["products", "customers"])
def test_descriptions_reach_no_fact(table: str, traded: Lake) -> None:
    assert reach(traded, table, [{"business_date": DAY}]) == set()


def store(country: str, delivered: date) -> dict[str, Any]:
    return {"store_id": "US-001", "country": country, "currency": "USD", "business_date": delivered}


def test_a_store_moves_only_when_its_country_or_currency_changes(traded: Lake) -> None:
    bronze.append(traded, "stores", [store("US", DAY)])
    first = traded.version("bronze", "stores") or 0
    bronze.append(traded, "stores", [store("US", DAY + timedelta(days=1)) | {"name": "renamed"}])
    assert not impact.stores_moved(traded, first, first + 1)
    bronze.append(traded, "stores", [store("CA", DAY + timedelta(days=2))])
    assert impact.stores_moved(traded, first + 1, first + 2)


def node(name: str, parents: list[str], materialized: str = "view", **meta: Any) -> tuple[str, dict[str, Any]]:
    return f"model.r.{name}", {
        "unique_id": f"model.r.{name}",
        "name": name,
        "resource_type": "model",
        "depends_on": {"nodes": parents},
        "config": {"materialized": materialized, "meta": meta},
    }


MANIFEST: dict[str, Any] = {
    "nodes": dict(
        [
            node("stg", ["source.r.pos"]),
            node("other", ["source.r.clicks"]),
            node("fct", ["model.r.stg"]),
            node("feat", ["model.r.fct"], days_after=2),
            node("both", ["model.r.other", "model.r.feat"], days_before=1),
            node("rates", ["model.r.other", "model.r.stg"], days_from=["other"]),
        ]
    ),
    "sources": {f"source.r.{name}": {"unique_id": f"source.r.{name}", "name": name} for name in ("pos", "clicks")},
}


def test_days_follow_the_dependencies_and_widen_with_windows() -> None:
    spread = impact.spread(MANIFEST, {"pos": on(5), "clicks": on(0)}, last=DAY + timedelta(days=19))
    assert set(spread["fct"]) == on(5)
    assert set(spread["feat"]) == on(5, 6, 7)
    assert set(spread["both"]) == on(-1, 0, 4, 5, 6, 7)
    assert set(spread["other"]) == on(0)
    assert set(spread["rates"]) == on(0), "days_from leaves the other parents out"


@settings(deadline=None)
@given(st.sets(st.integers(0, 19)), st.integers(0, 19))
def test_windows_end_at_the_last_known_day_but_no_touched_day_is_lost(touched: set[int], last: int) -> None:
    feat = set(impact.spread(MANIFEST, {"pos": on(*touched)}, last=DAY + timedelta(days=last))["feat"])
    assert on(*touched) <= feat
    assert all(day <= DAY + timedelta(days=last) or day in on(*touched) for day in feat)


def test_every_source_of_the_project_says_how_far_it_reaches() -> None:
    sources = {source["name"] for source in load_manifest()["sources"].values()}
    assert sources == {*impact.SAME_DAY, *impact.REACH, "stores", "products", "customers", "retail_calendar"}
    assert models(load_manifest())["int_competitor_prices"]["config"]["meta"]["days_after"] == 14


def test_days_at_the_end_of_the_calendar_have_no_neighbours_beyond_it() -> None:
    found = impact._widen({date.max, date.min}, before=1, after=1, last=date.max)
    assert found == {date.min, date.min + timedelta(days=1), date.max - timedelta(days=1), date.max}
