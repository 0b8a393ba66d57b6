"""The price on the shelf as the lines of a till tell it, where no price list does: plain Python over raw rows. Pure.

Written from the definition of dbt's `int_observed_prices` and not from its SQL, so that a fault in either shows.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Row = Mapping[str, Any]
WINDOW_DAYS = 42
HALF_LIFE_DAYS = 14
LEAST_CHANCE = 0.05
FEWEST_LINES = 2
NEAR = Decimal("0.02")
PAID_EXACTLY = Decimal("0.1")  # amounts below it are kept with every digit
CENT = Decimal("0.01")
WEIGHTS = [math.floor(2**20 * 0.5 ** (age / HALF_LIFE_DAYS) + 0.5) for age in range(WINDOW_DAYS)]


@dataclass(frozen=True)
class Observed:
    """What most lines ask on a day, what one and nine in ten of them ask at most, and how sure that is."""

    price: Decimal
    low: Decimal
    high: Decimal
    lines: int
    agreement: float
    tiers: str | None


@dataclass
class _Price:
    """One price within the window of a day: its lines, units and weight, and the lines that came after it."""

    price: Decimal
    lines: int = 0
    units: Decimal = Decimal(0)
    weight: int = 0
    lines_since: int = 0


def observed_days(lines: Sequence[Row], listed_from: date | None = None) -> dict[date, Observed]:
    """The observed price of each day with a sale, until a price list begins; no day of which no line tells it."""
    sold = [line for line in lines if line["quantity"] > 0]
    sold = [line for line in sold if listed_from is None or line["business_date"] < listed_from]
    by_day: dict[date, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for line in sold:
        if (price := _shelf_price(line)) is not None:
            by_day[line["business_date"]].append((price, line["quantity"]))
    seen = {day: _still_asked(_window(by_day, day)) for day in sorted({line["business_date"] for line in sold})}
    return {day: _told(prices) for day, prices in seen.items() if prices}


def _shelf_price(line: Row) -> Decimal | None:
    """The price before promotions that a sale tells, None where it tells none."""
    price: Decimal | None = line["list_price"]
    if price is None and line["promo_code"] is None:
        price = line["unit_price"]
    if price is None or price <= 0:
        return None
    return price.quantize(CENT, ROUND_HALF_UP) if price >= PAID_EXACTLY else price


def _window(by_day: Mapping[date, Sequence[tuple[Decimal, Decimal]]], day: date) -> list[_Price]:
    found: dict[Decimal, _Price] = {}
    newer = 0
    for age in range(WINDOW_DAYS):
        sold = by_day.get(day - timedelta(days=age), ())
        for price, count in Counter(price for price, _ in sold).items():
            each = found.setdefault(price, _Price(price, lines_since=newer))
            each.lines += count
            each.weight += count * WEIGHTS[age]
            each.units += sum((units for paid, units in sold if paid == price), Decimal(0))
        newer += len(sold)
    return sorted(found.values(), key=lambda each: each.price)


def _still_asked(prices: Sequence[_Price]) -> list[_Price]:
    """Without those whose absence from the newest lines is too unlikely by their share of the lines before."""
    total = sum(each.lines for each in prices)

    def chance(each: _Price) -> float:
        before = total - each.lines_since + 1
        return float((1 - (each.lines + 0.5) / before) ** each.lines_since)

    return [each for each in prices if each.lines_since < FEWEST_LINES or chance(each) >= LEAST_CHANCE]


def _told(prices: Sequence[_Price]) -> Observed:
    total = sum(each.weight for each in prices)
    asked = _at(prices, total, 5)
    near = [each for each in prices if abs(each.price - asked) <= NEAR * asked]
    others = [each for each in prices if each not in near and 10 * each.weight >= total]
    usual_units = _per_line(near)
    cheaper = [_per_line([each]) for each in others if each.price < asked]
    tiers = "quantity_breaks" if max(cheaper, default=0.0) >= 2 * usual_units else "several_prices" if others else None
    agreement = sum(each.weight for each in near) / total
    return Observed(
        price=asked,
        low=_at(prices, total, 1),
        high=_at(prices, total, 9),
        lines=sum(each.lines for each in prices),
        agreement=math.floor(agreement * 10_000 + 0.5) / 10_000,
        tiers=tiers,
    )


def _at(prices: Sequence[_Price], total: int, tenths: int) -> Decimal:
    """The lowest price that so many tenths of the weight do not pass."""
    reached = 0
    for each in prices:
        reached += each.weight
        if 10 * reached >= tenths * total:
            return each.price
    raise ValueError("no price")


def _per_line(prices: Sequence[_Price]) -> float:
    return float(sum((each.units for each in prices), Decimal(0))) / sum(each.lines for each in prices)
