"""A price at the till that is not the one on the shelf is what authorities fine: none may be missed, none invented."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.pricing.config import IntegrityConfig, PricingConfig
from retail_assets.pricing.publish.integrity import integrity, wrong_share
from retail_assets.resources.lake import Lake
from tests.pricing.conftest import Retailer
from tests.pricing.test_price_inputs import rewrite
from tests.pricing.test_publication import DE, US, Shop, shop

assert shop  # a fixture

SETTINGS = IntegrityConfig(days=7, tolerance=Decimal("0.005"), wrong_share=0.02, against="listed")


def till(lake: Lake, day: date, scanned: list[tuple[str, str, str, str | None, str]]) -> None:
    """Sold lines: (store, SKU, price, promotion, currency)."""
    kind = pa.decimal128(12, 4)
    lake.append(
        "bronze",
        "pos_lines",
        pa.table(
            {
                "store_id": [row[0] for row in scanned],
                "sku": [row[1] for row in scanned],
                "business_date": pa.array([day] * len(scanned), pa.date32()),
                "currency": [row[4] for row in scanned],
                "unit_price": pa.array([Decimal(row[2]) for row in scanned], kind),
                "quantity": pa.array([Decimal(1)] * len(scanned), pa.decimal128(12, 3)),
                "promo_code": pa.array([row[3] for row in scanned], pa.string()),
            }
        ),
    )


@pytest.fixture
def retailer(planted: Callable[..., Retailer]) -> Retailer:
    """Every list price is 5.00 since the first day."""
    made = planted()

    def level(history: pd.DataFrame) -> pd.DataFrame:
        first = history.sort_values("valid_from").drop_duplicates(["store_id", "sku"])
        return first.assign(list_price=Decimal("5.0000"))

    rewrite(made.lake, "fct_price_history", level)
    return made


def report(retailer: Retailer) -> dict[str, dict[str, Any]]:
    return {row["store_id"]: row for row in integrity(retailer.lake, retailer.last_day, SETTINGS).to_pylist()}


def test_wrong_prices_are_counted_per_store(retailer: Retailer) -> None:
    lines = [(US, "SKU-00001", "5.00", None, "USD")] * 7 + [(US, "SKU-00002", "5.20", None, "USD")]
    till(retailer.lake, retailer.last_day, [*lines, (DE, "SKU-00001", "5.00", None, "EUR")])
    found = report(retailer)
    assert (found[US]["lines"], found[US]["wrong_against_list"], found[US]["wrong_share_listed"]) == (8, 1, 0.125)
    assert found[US]["mean_difference"] == pytest.approx(0.2)
    assert found[DE]["wrong_share_listed"] == 0.0


@pytest.mark.parametrize(
    "line",
    [
        (US, "SKU-00001", "3.00", "P1", "USD"),  # a promotion has a price of its own
        (US, "SKU-00001", "5.004", None, "USD"),  # within the tolerance
        (US, "SKU-99999", "3.00", None, "USD"),  # no list price is known
        (US, "SKU-00001", "3.00", None, "CHF"),  # no list price in that currency
    ],
)
def test_what_cannot_be_judged_is_not_called_wrong(
    retailer: Retailer, line: tuple[str, str, str, str | None, str]
) -> None:
    till(retailer.lake, retailer.last_day, [(US, "SKU-00003", "5.00", None, "USD"), line])
    assert report(retailer)[US]["wrong_against_list"] == 0


def test_a_price_read_off_the_till_is_held_against_no_till(retailer: Retailer) -> None:
    rewrite(retailer.lake, "fct_price_history", lambda history: history.assign(source="observed"))
    till(retailer.lake, retailer.last_day, [(US, "SKU-00001", "9.00", None, "USD")])
    row = report(retailer)[US]
    assert (row["lines"], row["with_list_price"], row["wrong_against_list"]) == (1, 0, 0)


def test_only_the_last_days_count(retailer: Retailer) -> None:
    till(retailer.lake, retailer.last_day - timedelta(days=7), [(US, "SKU-00001", "9.00", None, "USD")])
    assert report(retailer) == {}
    till(retailer.lake, retailer.last_day - timedelta(days=6), [(US, "SKU-00001", "9.00", None, "USD")])
    assert report(retailer)[US]["wrong_share_listed"] == 1.0


def test_tills_are_held_against_published_prices_once_they_take_effect(shop: Shop, config: PricingConfig) -> None:
    shop.batch()
    inputs_day = shop.lake.query(f"select max(business_date) as d from {shop.lake.scan('gold', 'fct_sales_daily')}")
    day = inputs_day["d"][0].as_py()
    price = shop.prices(US)["SKU-00001"]
    for offset in (0, 1):
        lines = [(US, "SKU-00001", str(price), None, "USD"), (US, "SKU-00001", str(price + 1), None, "USD")]
        till(shop.lake, day + timedelta(days=offset), lines)
    row = integrity(shop.lake, day + timedelta(days=1), SETTINGS).to_pylist()[0]
    assert (row["lines"], row["with_published_price"], row["wrong_against_published"]) == (4, 2, 1)
    assert row["wrong_share_published"] == 0.5


def test_the_check_looks_at_what_the_configuration_says() -> None:
    assert wrong_share(SETTINGS) == "wrong_share_listed"
    assert wrong_share(SETTINGS.model_copy(update={"against": "published"})) == "wrong_share_published"
