"""The inputs of a decision once more, from its raw rows alone: plain Python over the traced rows, no SQL, no mart.

Written from the definitions of the inputs and not from the dbt models, so that a fault in either shows as a difference.
Pure. Rounding follows the definitions: halves away from zero; costs up to the next minor unit.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

from retail_assets.core.money import digits
from retail_assets.lineage.evidence import REFERENCE_DAYS, SALES_DAYS, Evidence
from retail_assets.pricing.inputs import DecisionInputs

Row = Mapping[str, Any]
CENT = Decimal("0.01")
BELIEVED_DAYS = 14
CATALOGUES = ("US", "UK", "GB")  # dbt_project.yml: the country whose catalogue describes a product
RECENT_COUNT_DAYS = 28


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
        gross_units=_sum(line["quantity"] for line in sales),
        returned_units=-_sum(line["quantity"] for line in returns),
        gross_amount=_sum(_cents(line["quantity"] * line["unit_price"]) for line in sales),
        returned_amount=-_sum(_cents(line["quantity"] * line["unit_price"]) for line in returns),
        discount_amount=_sum(_discount(line) for line in sales),
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


def recompute(evidence: Evidence, recorded: DecisionInputs) -> dict[str, Any]:
    """Fields of DecisionInputs as the traced raw rows give them, for those that raw rows decide.

    Keys (store, SKU, business date) are taken from `recorded`, and so is what comes from the forecasting model, which
    is recomputed from the forecast's own rows. A field that is absent could not be recomputed.
    """
    raw, today = evidence.raw, recorded.business_date
    if not raw:
        return {}
    days = days_of(raw.get("pos_lines", []), raw.get("stock_levels", []))
    found: dict[str, Any] = _place(raw, recorded, days) | _product(raw)
    currency = found.get("currency", recorded.currency)
    scale = 10 ** digits(currency)
    prices = listed_prices(raw.get("price_list", []), currency)
    found |= _prices(prices or observed_prices(days, currency), today, scale)
    found["on_promotion"] = bool(raw.get("promotions"))
    if found.get("unit_cost") is not None:
        found["costs_delivered"] = True
    recent = [day for day in days if day.business_date > today - timedelta(days=SALES_DAYS)]
    found |= _stock(recent) | _competitor(raw.get("competitor_prices", []), recent, currency, today, scale)
    return found | _demand(evidence, recorded, recent)


def _place(raw: Mapping[str, Sequence[Row]], recorded: DecisionInputs, days: Sequence[Day]) -> dict[str, Any]:
    if raw.get("stores"):
        newest = raw["stores"][0]
        return {"country": newest["country"], "currency": newest["currency"]}
    currencies = [day.currency for day in days if day.currency]
    return {"currency": min(currencies)} if currencies else {}


def _product(raw: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    newest: dict[str, Row] = {}
    for row in raw.get("products", []):
        newest.setdefault(row["country"], row)
    if not newest:
        return {}
    country = max(newest, key=lambda c: (c in CATALOGUES, c))
    return {"department": newest[country]["department"], "category": newest[country]["category"]}


def _prices(prices: Sequence[ListPrice], today: date, scale: int) -> dict[str, Any]:
    prices = [price for price in prices if price.valid_from <= today]
    if not prices:
        return {}
    costs = [(price.unit_cost, price.valid_from) for price in prices if price.unit_cost]
    ends = [*(price.valid_from for price in prices[1:]), today + timedelta(days=1)]
    first = today - timedelta(days=REFERENCE_DAYS - 1)
    spans = [max((end - max(p.valid_from, first)).days, 0) for p, end in zip(prices, ends, strict=True)]
    weighted = sum((p.list_price * days for p, days in zip(prices, spans, strict=True)), Decimal(0))
    return {
        "previous_price": int((prices[-1].list_price * scale).to_integral_value(ROUND_HALF_UP)),
        "previous_price_at": prices[-1].valid_from,
        "unit_cost": int((costs[-1][0] * scale).to_integral_value(ROUND_CEILING)) if costs else None,
        "unit_cost_at": costs[-1][1] if costs else None,
        "reference_price": _half_up(float(weighted) / sum(spans) * scale) if sum(spans) else None,
    }


def _stock(days: Sequence[Day]) -> dict[str, Any]:
    counted = [day for day in days if day.on_hand is not None]
    if not counted:
        return {"on_hand": None, "on_hand_at": None}
    return {"on_hand": counted[-1].on_hand, "on_hand_at": counted[-1].business_date}


def lowest_competitor(observations: Sequence[Row], currency: str, day: date) -> Decimal | None:
    """The lowest price of the newest day of observations by `day`, if that is not older than it is believed."""
    seen = [row for row in observations if row["currency"] == currency and row["observed_on"] <= day]
    newest = max((row["observed_on"] for row in seen), default=None)
    if newest is None or (day - newest).days > BELIEVED_DAYS:
        return None
    return min(row["price"] for row in seen if row["observed_on"] == newest)


def _competitor(
    observations: Sequence[Row], days: Sequence[Day], currency: str, today: date, scale: int
) -> dict[str, Any]:
    for day in reversed([day for day in days if day.business_date > today - timedelta(days=BELIEVED_DAYS)]):
        price = lowest_competitor(observations, day.currency or currency, day.business_date)
        if price is not None and price > 0:
            minor = int((price * scale).to_integral_value(ROUND_HALF_UP))
            return {"competitor_price": minor, "competitor_price_at": day.business_date}
    return {"competitor_price": None, "competitor_price_at": None}


def _demand(evidence: Evidence, recorded: DecisionInputs, days: Sequence[Day]) -> dict[str, Any]:
    if recorded.base_demand_source == "forecast":
        rows = evidence.gold.get("forecasts", [])
        if not rows:
            return {}
        mean = float(_sum(row["exact_mean"] for row in rows)) / len(rows)
        return {"base_demand": _four_places(max(mean, 0.0)), "base_demand_at": rows[0]["origin_date"]}
    if recorded.base_demand_source != "recent_mean":
        return {}
    first_count = recorded.business_date - timedelta(days=RECENT_COUNT_DAYS)
    counts = evidence.last_count is not None and evidence.last_count > first_count
    in_stock = [day for day in days if not (day.on_hand is not None and day.on_hand <= 0)]
    open_days = len(in_stock) if counts else len(evidence.store_days)
    if not open_days:
        return {}
    units = float(_sum(day.gross_units for day in in_stock)) / open_days
    return {"base_demand": _four_places(max(units, 0.0)), "base_demand_at": recorded.business_date}


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _half_up(number: float) -> int:
    """The nearest whole number of a positive one, halves up."""
    whole = math.floor(number)
    return whole + (number - whole >= 0.5)


def _four_places(number: float) -> float:
    return _half_up(number * 10_000) / 10_000
