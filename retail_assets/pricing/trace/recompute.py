"""The inputs of a decision once more, from its raw rows alone: plain Python over the traced rows, no SQL, no mart.

Written from the definitions of the inputs and not from the dbt models, so that a fault in either shows as a difference.
Pure. Rounding follows the definitions: halves away from zero; costs up to the next minor unit.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

from retail_assets.core.money import digits
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.trace.catalogue import by_sku, described, family_of
from retail_assets.pricing.trace.days import Day, ListPrice, days_of, prices_of, total
from retail_assets.pricing.trace.evidence import REFERENCE_DAYS, Evidence
from retail_assets.pricing.trace.families import Pack, bounds_of
from retail_assets.pricing.trace.surroundings import COUNT_DAYS, SALE_DAYS, SALES_DAYS

Row = Mapping[str, Any]
BELIEVED_DAYS = 14
RECENT_COUNT_DAYS = 28
WEEK_DAYS = 6  # a week before the price takes effect, which is the day after


def recompute(evidence: Evidence, recorded: DecisionInputs) -> dict[str, Any]:
    """Fields of DecisionInputs as the traced raw rows give them, for those that raw rows decide.

    Keys (store, SKU, business date) are taken from `recorded`. What comes from the forecasting model is recomputed from
    the forecast's own rows; see lineage.forecasts for those. A field that is absent could not be recomputed.
    """
    raw, today = evidence.raw, recorded.business_date
    if not raw:
        return {}
    days = days_of(raw)
    found: dict[str, Any] = _place(evidence, days) | _product(raw)
    currency = found.get("currency", recorded.currency)
    scale = 10 ** digits(currency)
    prices = [p for p in prices_of(raw, days, currency, evidence.prices_since) if p.valid_from <= today]
    found |= _prices(prices, today, scale)
    if recorded.price_source is not None:  # rows from before it was recorded know nothing of it
        found |= _source(prices, days, scale)
    found["on_promotion"] = bool(raw.get("promotions"))
    found["costs_delivered"] = found.get("unit_cost") is not None or bool(evidence.store.costs_elsewhere)
    recent = [day for day in days if day.business_date > today - timedelta(days=SALES_DAYS)]
    found |= _stock(recent) | _competitor(raw.get("competitor_prices", []), recent, currency, today, scale)
    return found | _family(evidence, recorded, currency, scale) | _demand(evidence, today, recent)


def _place(evidence: Evidence, days: Sequence[Day]) -> dict[str, Any]:
    if evidence.raw.get("stores"):
        newest = evidence.raw["stores"][0]
        return {"country": newest["country"], "currency": newest["currency"]}
    planned = evidence.store.countries
    currencies = [day.currency for day in days if day.currency]
    found: dict[str, Any] = {"country": planned[0] if len(planned) == 1 else ""}
    return found | ({"currency": min(currencies)} if currencies else {})


def _product(raw: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    product = described(raw.get("products", [])) or {}
    return {name: product.get(name) for name in ("department", "category")}


def _family(evidence: Evidence, recorded: DecisionInputs, currency: str, scale: int) -> dict[str, Any]:
    """Bounds that the order of pack sizes sets, from the prices of every pack that the store lists."""
    own = described(evidence.raw.get("products", []))
    family = family_of(own)
    if family is None or own is None:
        return {"family_low": None, "family_high": None}
    tables = {name: by_sku(rows) for name, rows in evidence.family.items()}
    rows = {recorded.sku: evidence.raw} | {
        sku: {name: found.get(sku, []) for name, found in tables.items()} for sku in tables.get("products", {})
    }
    packs = {}
    for sku, raw in rows.items():
        days = days_of(raw)
        prices = [p for p in prices_of(raw, days, currency) if p.valid_from <= recorded.business_date]
        product = described(raw["products"])
        if product and prices and (sku == recorded.sku or _is_listed(days, product, evidence, recorded.business_date)):
            packs[sku] = Pack(product["pack_size"], _minor(prices[-1].list_price, scale))
    low, high = bounds_of(packs, recorded.sku)
    return {"family_low": low, "family_high": high}


def _is_listed(days: Sequence[Day], product: Row, evidence: Evidence, today: date) -> bool:
    """Whether the store offers a SKU: it was counted, or in a store that counts nothing sold, not long ago."""
    if product["discontinued_on"] is not None and product["discontinued_on"] <= today:
        return False
    if _counts_stock(evidence, today):
        newest = max((day.business_date for day in days if day.on_hand is not None), default=None)
        return newest is not None and newest > today - timedelta(days=COUNT_DAYS)
    newest = max((day.business_date for day in days), default=None)
    return newest is not None and newest > today - timedelta(days=SALE_DAYS)


def _counts_stock(evidence: Evidence, today: date) -> bool:
    last = evidence.store.last_count
    return last is not None and last > today - timedelta(days=RECENT_COUNT_DAYS)


def _minor(amount: Decimal, scale: int) -> int:
    return int((amount * scale).to_integral_value(ROUND_HALF_UP))


def _prices(prices: Sequence[ListPrice], today: date, scale: int) -> dict[str, Any]:
    if not prices:
        return {}
    costs = [(price.unit_cost, price.valid_from) for price in prices if price.unit_cost]
    ends = [*(price.valid_from for price in prices[1:]), today + timedelta(days=1)]
    first = today - timedelta(days=REFERENCE_DAYS - 1)
    spans = [max((end - max(p.valid_from, first)).days, 0) for p, end in zip(prices, ends, strict=True)]
    weighted = sum((p.list_price * days for p, days in zip(prices, spans, strict=True)), Decimal(0))
    week_ago = today - timedelta(days=WEEK_DAYS)
    before = [price for price in prices if price.valid_from <= week_ago]
    return {
        "previous_price": _minor(prices[-1].list_price, scale),
        "previous_price_at": prices[-1].valid_from,
        "week_price": _minor(before[-1].list_price, scale) if before else None,
        "week_price_at": week_ago if before else None,
        "unit_cost": int((costs[-1][0] * scale).to_integral_value(ROUND_CEILING)) if costs else None,
        "unit_cost_at": costs[-1][1] if costs else None,
        "reference_price": _half_up(float(weighted) / sum(spans) * scale) if sum(spans) else None,
        "reference_price_at": today,
    }


def _source(prices: Sequence[ListPrice], days: Sequence[Day], scale: int) -> dict[str, Any]:
    """Where the price in force comes from, and how sure it is where the lines of a till tell it."""
    source = prices[-1].source if prices else None
    told = next((day.observed for day in reversed(days) if day.observed), None) if source == "observed" else None
    return {
        "price_source": source,
        "price_lines": told and told.lines,
        "price_agreement": told and told.agreement,
        "price_low": told and _minor(told.low, scale),
        "price_high": told and _minor(told.high, scale),
        "price_tiers": told and told.tiers,
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
            return {"competitor_price": _minor(price, scale), "competitor_price_at": day.business_date}
    return {"competitor_price": None, "competitor_price_at": None}


def _demand(evidence: Evidence, today: date, days: Sequence[Day]) -> dict[str, Any]:
    if rows := evidence.gold.get("forecasts", []):
        mean, variance = (float(total(r[n] for r in rows)) / len(rows) for n in ("exact_mean", "exact_variance"))
        return {
            "base_demand_source": "forecast",
            "base_demand": _four_places(max(mean, 0.0)),
            "base_demand_at": rows[0]["origin_date"],
            "demand_deviation": _four_places(math.sqrt(variance)),
        }
    in_stock = [day for day in days if not (day.on_hand is not None and day.on_hand <= 0)]
    open_days = len(in_stock) if _counts_stock(evidence, today) else len(evidence.store.store_days)
    units = float(total(day.gross_units for day in in_stock)) / open_days if in_stock and open_days else None
    return {
        "base_demand_source": None if units is None else "recent_mean",
        "base_demand": None if units is None else _four_places(max(units, 0.0)),
        "base_demand_at": today,
        "demand_deviation": None,
    }


def _half_up(number: float) -> int:
    """The nearest whole number of a positive one, halves up."""
    whole = math.floor(number)
    return whole + (number - whole >= 0.5)


def _four_places(number: float) -> float:
    return _half_up(number * 10_000) / 10_000
