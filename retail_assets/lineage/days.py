"""Receipt lines and stock counts added up per day, and the prices in force: plain Python over raw rows. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Row = Mapping[str, Any]
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Day:
    """What one store sold and counted of one SKU on a day, in units and in amounts of `currency`."""

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
    list_price: Decimal | None


@dataclass(frozen=True)
class ListPrice:
    """A list price and unit cost (None: not delivered) from a day on."""

    valid_from: date
    list_price: Decimal
    unit_cost: Decimal | None
    currency: str


def days_of(lines: Sequence[Row], counts: Sequence[Row]) -> list[Day]:
    """Receipt lines and stock counts, added up per business date."""
    sold: dict[date, list[Row]] = defaultdict(list)
    for line in lines:
        sold[line["business_date"]].append(line)
    counted = {row["business_date"]: row for row in counts}
    return [_day(day, sold.get(day, []), counted.get(day)) for day in sorted({*sold, *counted})]


def _day(day: date, lines: Sequence[Row], count: Row | None) -> Day:
    sales = [line for line in lines if line["quantity"] > 0]
    returns = [line for line in lines if line["quantity"] < 0]
    recorded = [line["list_price"] for line in sales if line["list_price"] is not None]
    regular = [line["unit_price"] for line in sales if line["promo_code"] is None]
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
        list_price=max(recorded, default=None) or max(regular, default=None),
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


def observed_prices(days: Sequence[Day], currency: str) -> list[ListPrice]:
    """Without a price list: the price on the shelf as the till recorded it, from each day on which it was another."""
    found: list[ListPrice] = []
    for day in days:
        sold = day.gross_units > 0 and day.list_price and day.currency == currency
        if sold and (not found or found[-1].list_price != day.list_price):
            found.append(ListPrice(day.business_date, day.list_price or Decimal(0), None, currency))
    return found


def prices_of(raw: Mapping[str, Sequence[Row]], days: Sequence[Day], currency: str) -> list[ListPrice]:
    """Prices of a SKU in force, oldest first: of the list, or without any list what the till recorded."""
    listed = raw.get("price_list", [])
    return listed_prices(listed, currency) if listed else observed_prices(days, currency)


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum, 0 of nothing."""
    return sum(values, Decimal(0))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)
