"""Raw rows against gold, sum by sum: what agrees, and where it does not. Returns, late rows, every column."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from retail_assets.pricing.trace.agreement import agreement, first_difference
from retail_assets.pricing.trace.days import days_of
from retail_assets.pricing.trace.evidence import Evidence
from tests.pricing.trace.test_recompute import TODAY, ago, count, evidence, inputs, line, listed

RAW: dict[str, list[dict[str, Any]]] = {
    "pos_lines": [
        line(ago(2), "3", "2.00", list_price=Decimal("2.50")),
        line(ago(1), "1", "2.00", receipt_id="R2"),
        line(ago(1), "-2", "2.00", receipt_id="R3"),  # what came back was sold before these rows
        line(TODAY, "-1", "2.50", receipt_id="R4"),
    ],
    "stock_levels": [count(ago(2), 9), count(ago(1), 10), count(TODAY, 0)],
    "price_list": [listed(ago(200), "2.20", "1.10"), listed(ago(9), "2.50", "1.25")],
    "competitor_prices": [
        {"observed_on": ago(6), "price": Decimal("2.40"), "currency": "EUR"},
        {"observed_on": ago(6), "price": Decimal("2.60"), "currency": "EUR"},
    ],
    "promotions": [{"promo_code": "P"}],
}


def gold_of(raw: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Gold that agrees with `raw`."""
    sums = ("gross_amount", "returned_amount", "discount_amount", "receipts", "source_rows", "on_hand")
    sales = [
        {name: getattr(day, name) for name in sums}
        | {name: float(getattr(day, name)) for name in ("gross_units", "returned_units")}
        | {"business_date": day.business_date, "competitor_price": Decimal("2.40")}
        for day in days_of(raw)
    ]
    prices = [row | {"valid_from": row["effective_on"], "source": "price_list"} for row in raw["price_list"]]
    return {"fct_sales_daily": sales, "fct_price_history": prices, "dim_promotion": [{"promo_code": "P"}]}


def said(raw: dict[str, list[dict[str, Any]]], gold: dict[str, list[dict[str, Any]]]) -> str | None:
    """The first difference between raw rows and gold."""
    return first_difference(agreement(evidence(raw, gold=gold), inputs()))


def test_everything_that_gold_says_is_held_against_raw_rows() -> None:
    sums = {found.what: found for found in agreement(evidence(RAW, gold=gold_of(RAW)), inputs())}
    assert list(sums) == [
        "units sold", "units returned", "sales amount", "returns amount", "discounts", "receipts",
        "stock counted at close", "raw rows", "list price", "unit cost", "lowest competitor price",
        "promotions planned for the next day",
    ]  # fmt: skip
    assert all(found.agrees for found in sums.values())
    assert (sums["units sold"].raw, sums["units returned"].raw) == ("4 on 3 days", "3 on 3 days")
    assert (sums["sales amount"].gold, sums["returns amount"].gold) == ("8 on 3 days", "6.5 on 3 days")
    assert sums["stock counted at close"].raw == f"0 on {TODAY}, one of 3"
    assert sums["unit cost"].gold == f"1.25 on {ago(9)}, one of 2"
    assert sums["lowest competitor price"].raw_rows == 2


@pytest.mark.parametrize(
    ("table", "column", "value", "expected"),
    [
        ("fct_sales_daily", "gross_units", 5.0, f"units sold: on {ago(2)} raw rows give 3, gold has 5"),
        ("fct_sales_daily", "returned_units", 1.0, f"units returned: on {ago(2)} raw rows give 0, gold has 1"),
        ("fct_sales_daily", "gross_amount", Decimal(7), f"sales amount: on {ago(2)} raw rows give 6, gold has 7"),
        ("fct_sales_daily", "returned_amount", Decimal(7), f"returns amount: on {ago(2)} raw rows give 0, gold has 7"),
        ("fct_sales_daily", "discount_amount", Decimal(0), f"discounts: on {ago(2)} raw rows give 1.5, gold has 0"),
        ("fct_sales_daily", "receipts", 2, f"receipts: on {ago(2)} raw rows give 1, gold has 2"),
        ("fct_sales_daily", "on_hand", 8, f"stock counted at close: on {ago(2)} raw rows give 9, gold has 8"),
        ("fct_sales_daily", "source_rows", 1, f"raw rows: on {ago(2)} raw rows give 2, gold has 1"),
        (
            "fct_sales_daily", "competitor_price", Decimal("2.60"),
            f"lowest competitor price: on {ago(2)} raw rows give 2.4, gold has 2.6",
        ),
        (
            "fct_price_history", "list_price", Decimal(3),
            f"list price: on {ago(200)} raw rows give 2.2, gold has 3",
        ),
        ("fct_price_history", "unit_cost", None, f"unit cost: on {ago(200)} raw rows give 1.1, gold has nothing"),
        ("dim_promotion", "promo_code", "Q", "promotions planned for the next day: only one of both has P, Q"),
    ],
)  # fmt: skip
def test_where_gold_says_something_else_the_column_and_day_are_named(
    table: str, column: str, value: Any, expected: str
) -> None:
    gold = deepcopy(gold_of(RAW))
    gold[table][0][column] = value
    assert said(RAW, gold) == f"gold/{table}, {expected}"


@pytest.mark.parametrize(
    ("source", "row", "expected"),
    [
        ("pos_lines", line(ago(5), "2", "2.00"), f"units sold: on {ago(5)} raw rows give 2, gold has nothing"),
        ("pos_lines", line(ago(1), "-1", "2.00"), f"units returned: on {ago(1)} raw rows give 3, gold has 2"),
        ("stock_levels", count(ago(4), 3), f"units sold: on {ago(4)} raw rows give 0, gold has nothing"),
        ("price_list", listed(ago(1), "2.70", "1.30"), f"list price: on {ago(1)} raw rows give 2.7, gold has nothing"),
        (
            "competitor_prices", {"observed_on": ago(1), "price": Decimal(2), "currency": "EUR"},
            f"lowest competitor price: on {ago(1)} raw rows give 2, gold has 2.4",
        ),
    ],
)  # fmt: skip
def test_a_late_row_that_gold_does_not_have_yet_is_where_they_differ(
    source: str, row: dict[str, Any], expected: str
) -> None:
    late = RAW | {source: [*RAW[source], row]}
    assert str(said(late, gold_of(RAW))).split(", ", 1)[1] == expected
    if source != "competitor_prices":
        assert said(late, gold_of(late)) is None, "gold that was built after it came agrees"


def test_prices_of_another_currency_take_no_part() -> None:
    foreign = RAW | {"price_list": [*RAW["price_list"], listed(ago(3), "9.99", currency="USD")]}
    assert said(foreign, gold_of(foreign)) is None


def test_without_raw_rows_nothing_is_said_to_agree() -> None:
    assert agreement(Evidence(gold=gold_of(RAW), raw={}, quarantined={}), inputs()) == []
