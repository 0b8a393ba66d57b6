"""What nobody has looked at does not leave the house: first batches, conflicts, unknown costs, prices nobody pays."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.pricing.config import PaidConfig, PricingConfig
from retail_assets.pricing.publish.approval import settle
from retail_assets.pricing.publish.breaker import Finding
from retail_assets.pricing.publish.checks import circuit_breaker_holds, decided_prices_are_near_those_paid
from retail_assets.pricing.publish.first_batches import FIRST
from retail_assets.pricing.publish.paid import NearPaid, judge_paid, near_paid
from retail_assets.pricing.publish.publication import PROPOSALS, current_publications, published_prices
from retail_assets.pricing.publish.waiting import batches, proposals_of, told
from tests.pricing.conftest import Retailer
from tests.pricing.test_price_inputs import rewrite
from tests.pricing.test_publication import DE, US, Shop, manifest_of, shop

assert shop  # a fixture


def test_the_first_batch_of_a_home_waits_whatever_the_mode(shop: Shop) -> None:
    done = shop.batch(looked_at=False, mode="automatic")
    assert shop.status(done) == {US: "pending", DE: "pending"}
    assert {row.reason for row in done.publications} == {f"{FIRST} home waits for a person"}
    assert shop.prices(US) == {}
    second = shop.batch(-2.0, looked_at=False)
    assert set(shop.status(second).values()) == {"pending"}, "until somebody has looked, the next one is the first"
    settle(shop.lake, "approve", second.batch_id, None, by="maria", reason="")
    assert set(shop.status(shop.batch(-1.9, looked_at=False)).values()) == {"published"}


def test_the_first_batch_of_a_store_waits(shop: Shop) -> None:
    shop.batch(stores={DE: "shadow"})
    done = shop.batch(-2.0, looked_at=False)
    assert shop.status(done) == {US: "published", DE: "pending"}
    assert {row.store_id: row.reason for row in done.publications}[DE] == f"{FIRST} store waits for a person"


def test_the_first_batch_of_a_new_kind_of_model_waits_and_only_that(shop: Shop) -> None:
    shop.batch()
    shop.code = "4"
    done = shop.batch(-2.0, looked_at=False)
    assert set(shop.status(done).values()) == {"pending"}
    assert done.publications[0].reason == f"{FIRST} new kind of model waits for a person: code 4, elasticities per SKU"
    settle(shop.lake, "approve", done.batch_id, US, by="maria", reason="")
    again = shop.batch(-1.9, looked_at=False)
    assert shop.status(again) == {US: "published", DE: "pending"}
    shop.code = "3"
    assert shop.status(shop.batch(-1.8, looked_at=False)) == {US: "published", DE: "published"}, "known of old"


def test_a_kind_is_the_code_and_whether_stores_are_told_apart() -> None:
    from retail_assets.pricing.publish.first_batches import model_kind

    plain = manifest_of("3")
    per_store = plain.model_copy(update={"metrics": {"store_level": 1.0}})
    assert model_kind(plain) != model_kind(per_store)
    assert model_kind(plain) == model_kind(plain.model_copy(update={"metrics": {"holdout_deviance": 0.4}}))


def test_homes_from_before_kinds_were_recorded_go_on(shop: Shop) -> None:
    from retail_assets.pricing.publish.first_batches import waits_for_a_person

    shop.batch()
    log = [row.model_copy(update={"model_kind": None}) for row in current_publications(shop.lake)]
    assert waits_for_a_person(US, "code 9", log) is None


def dear_cost(frame: pd.DataFrame) -> pd.DataFrame:
    """SKU-00001 costs far more than it is sold for; nobody knows what SKU-00002 costs."""
    cost = frame["unit_cost"].where(frame["sku"] != "SKU-00001", Decimal("99.0000"))
    return frame.assign(unit_cost=cost.where(frame["sku"] != "SKU-00002", None))


def test_a_conflict_and_an_unknown_cost_are_published_by_no_approval(shop: Shop) -> None:
    shop.batch(-3.5)
    good = shop.prices(US)
    rewrite(shop.lake, "fct_price_history", dear_cost)
    done = shop.batch(-1.2)
    assert done.held_back == {"conflict": 2, "cost_unknown": 2}
    rows = {row["sku"]: row for row in published_prices(shop.lake, US).to_pylist()}
    assert {sku: rows[sku]["price"] for sku in ("SKU-00001", "SKU-00002")} == {
        sku: good[sku] for sku in ("SKU-00001", "SKU-00002")
    }
    assert {row["batch_id"] for sku, row in rows.items() if sku > "SKU-00002"} == {done.batch_id}
    held = proposals_of(shop.lake, done.batch_id, US).to_pylist()
    assert {row["sku"]: row["held_back"] for row in held if row["held_back"]} == {
        "SKU-00001": "conflict", "SKU-00002": "cost_unknown",
    }  # fmt: skip
    [only] = [batch for batch in batches(shop.lake, every=True) if batch.batch_id == done.batch_id]
    assert only.held_back == {"conflict": 2, "cost_unknown": 2}
    said = "\n".join(told(only))
    assert "2 held back: two rules cannot both hold: a person has to decide" in said
    assert "deliver unit_cost in the price list, or set assumed_margin in configs/pricing.yaml" in said


def test_proposals_from_before_anything_was_held_back_are_still_read(shop: Shop) -> None:
    done = shop.batch()
    before = shop.prices(US)
    old = shop.lake.open("ops", PROPOSALS).to_pyarrow_table().drop(["held_back"])
    shop.lake.overwrite("ops", PROPOSALS, old, partition_by=["business_date"])
    assert shop.prices(US) == before
    assert proposals_of(shop.lake, done.batch_id)["held_back"].null_count == 24


PAID = PaidConfig(days=28, within_10=0.4, within_30=0.65, minimum_items=3)


def decided(retailer: Retailer, factor: float) -> pa.Table:
    """Every price as it was paid of late, times `factor`."""
    sales = retailer.lake.scan("gold", "fct_sales_daily")
    return retailer.lake.query(
        f"""select store_id, sku, quantile_disc(paid_price, 0.5) * {factor} as price, any_value(currency) as currency
            from {sales} where business_date > date '{retailer.last_day}' - 28 and paid_price > 0 and not on_promotion
            group by all"""
    )


@pytest.mark.parametrize(
    ("factor", "within_10", "within_30"), [(1.0, 1.0, 1.0), (1.09, 1.0, 1.0), (1.2, 0.0, 1.0), (1.96, 0.0, 0.0)]
)
def test_decided_prices_are_compared_with_what_was_paid(
    planted: Callable[..., Retailer], factor: float, within_10: float, within_30: float
) -> None:
    retailer = planted()
    found = near_paid(retailer.lake, decided(retailer, factor), retailer.last_day, PAID)
    assert found.items == 24
    assert (found.within_10, found.within_30) == pytest.approx((within_10, within_30))


def test_the_comparison_is_by_revenue_and_few_items_prove_nothing() -> None:
    assert judge_paid(NearPaid(500, 0.7, 0.9), PAID) == ()
    low = judge_paid(NearPaid(500, 0.29, 0.29), PAID)
    assert [(f.scope, f.number, f.value, f.low) for f in low] == [
        ("chain", "near_paid_10", 0.29, 0.4), ("chain", "near_paid_30", 0.29, 0.65),
    ]  # fmt: skip
    assert judge_paid(NearPaid(2, 0.0, 0.0), PAID) == ()
    assert judge_paid(NearPaid(500, float("nan"), float("nan")), PAID) != ()


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(list_price=[price * 2 for price in frame["list_price"]])


def test_prices_that_nobody_pays_are_withheld_and_the_check_says_the_numbers(shop: Shop, config: PricingConfig) -> None:
    """The price in force is believed to be twice what customers pay, as with the dearest line of a day."""
    rewrite(shop.lake, "fct_price_history", twice)
    done = shop.batch(paid=config.publication.paid.model_dump())
    assert set(shop.status(done).values()) == {"withheld"}
    assert {finding.number for finding in done.findings} == {"near_paid_10", "near_paid_30"}
    assert "priced within 10 % of what was paid of late" in done.publications[0].reason
    failed = decided_prices_are_near_those_paid(lake=shop.lake)
    assert not failed.passed
    assert failed.metadata["within_30_pct"].value < failed.metadata["at_least_within_30_pct"].value
    assert not circuit_breaker_holds(lake=shop.lake).passed
    settle(shop.lake, "release", done.batch_id, None, by="maria", reason="a new till, prices with tax from now on")
    assert decided_prices_are_near_those_paid(lake=shop.lake).passed


def test_a_finding_says_what_was_found_in_words() -> None:
    said = Finding("chain", "near_paid_10", 0.29, 0.4, 1.0, "limit").words
    assert said == (
        "chain: the share of revenue priced within 10 % of what was paid of late is 0.2900, outside 0.4000 to 1.0000, "
        "the limit set"
    )


def test_costs_that_are_only_assumed_are_said_aloud(shop: Shop, config: PricingConfig, rulebook: Any) -> None:
    from tests.pricing.test_price_policy import with_rules

    rewrite(shop.lake, "fct_price_history", lambda frame: frame.assign(unit_cost=None))
    shop.rulebook = with_rules(config, assumed_margin=0.35)
    shop.batch(looked_at=False)
    [waiting] = batches(shop.lake)
    assert waiting.assumed_cost == 24
    assert "24 priced on an assumed cost: assumed_margin in configs/pricing.yaml" in "\n".join(told(waiting))
    shop.rulebook = replace(rulebook)
    shop.batch(looked_at=False)
    newest = batches(shop.lake)[-1]
    assert (newest.prices, newest.held_back) == (0, {"cost_unknown": 24})
