"""Receipt lines and stock counts added up per day, and the prices in force: plain Python over raw rows. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from retail_assets.pricing.trace.observed import Observed, observed_days

Row = Mapping[str, Any]
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Day:
    """What one store sold and counted of one SKU on a day, in units and in amounts of `currency`.

    `paid` is what the middle line of the day paid, `observed` the price on the shelf as the till tells it: None where a
    price list does, or no line of six weeks.
    """

    business_date: date
    currency: str | None
    gross_units: Decimal
    returned_units: Decimal
    gross_amount: Decimal
    returned_amount: Decimal
    discount_amount: Decimal
    receipts: int
    source_rows: int
    on_hand: int | None
    paid: Decimal | None
    observed: Observed | None


@dataclass(frozen=True)
class ListPrice:
    """A list price and unit cost (None: not delivered) from a day on, and its source as in `fct_price_history`."""

    valid_from: date
    list_price: Decimal
    unit_cost: Decimal | None
    currency: str
    source: str = "price_list"


def days_of(raw: Mapping[str, Sequence[Row]]) -> list[Day]:
    """Receipt lines and stock counts of one SKU in one store, added up per business date."""
    lines, counts = raw.get("pos_lines", []), raw.get("stock_levels", [])
    prices = observed_days(lines, min((row["effective_on"] for row in raw.get("price_list", [])), default=None))
    sold: dict[date, list[Row]] = defaultdict(list)
    for line in lines:
        sold[line["business_date"]].append(line)
    counted = {row["business_date"]: row for row in counts}
    days = sorted({*sold, *counted})
    return [_day(day, sold.get(day, []), counted.get(day), prices.get(day)) for day in days]


def _day(day: date, lines: Sequence[Row], count: Row | None, observed: Observed | None) -> Day:
    sales = [line for line in lines if line["quantity"] > 0]
    returns = [line for line in lines if line["quantity"] < 0]
    return Day(
        business_date=day,
        currency=min((line["currency"] for line in lines), default=None),
        gross_units=total(line["quantity"] for line in sales),
        returned_units=-total(line["quantity"] for line in returns),
        gross_amount=total(_cents(line["quantity"] * line["unit_price"]) for line in sales),
        returned_amount=-total(_cents(line["quantity"] * line["unit_price"]) for line in returns),
        discount_amount=total(_discount(line) for line in sales),
        receipts=len({line["receipt_id"] for line in sales}),
        source_rows=len(lines) + (count is not None),
        on_hand=None if count is None else count["on_hand"],
        paid=sorted(line["unit_price"] for line in sales)[(len(sales) - 1) // 2] if sales else None,
        observed=observed,
    )


def _discount(line: Row) -> Decimal:
    listed = line["list_price"]
    if listed is None or listed <= line["unit_price"]:
        return Decimal(0)
    return _cents(line["quantity"] * (listed - line["unit_price"]))


def listed_prices(rows: Sequence[Row], currency: str) -> list[ListPrice]:
    """The rows of a price list in the store's currency, oldest first."""
    found = [
        ListPrice(row["effective_on"], row["list_price"], row["unit_cost"], row["currency"])
        for row in rows
        if row["currency"] == currency and row["list_price"] > 0
    ]
    return sorted(found, key=lambda price: price.valid_from)


def observed_prices(days: Iterable[Day], currency: str) -> list[ListPrice]:
    """The price on the shelf as the till tells it, or what was paid, from each day on which it was another."""
    found: list[ListPrice] = []
    for day in days:
        price = day.observed.price if day.observed else day.paid
        if price is not None and day.currency == currency and (not found or found[-1].list_price != price):
            found.append(ListPrice(day.business_date, price, None, currency, "observed"))
    return found


def prices_of(
    raw: Mapping[str, Sequence[Row]], days: Sequence[Day], currency: str, since: date | None = None
) -> list[ListPrice]:
    """Prices of a SKU in force, oldest first: what the till tells until a price list begins, then the list.

    `since` is the first day whose price the till can tell: rows that the days before it rest on are missing.
    """
    listed_from = min((row["effective_on"] for row in raw.get("price_list", [])), default=date.max)
    told = [day for day in days if (since or date.min) <= day.business_date < listed_from]
    return [*observed_prices(told, currency), *listed_prices(raw.get("price_list", []), currency)]


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum, 0 of nothing."""
    return sum(values, Decimal(0))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)
