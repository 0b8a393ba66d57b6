"""Do the traced raw rows add up to the gold values used? Each sum side by side, and the first difference. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.trace.days import Day, days_of, prices_of
from retail_assets.pricing.trace.evidence import Evidence
from retail_assets.pricing.trace.recompute import BELIEVED_DAYS, lowest_competitor
from retail_assets.pricing.trace.surroundings import SALES_DAYS

Row = Mapping[str, Any]


class Sum(BaseModel):
    """One thing that raw rows and gold both say. `difference` names the first place where they differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    gold_table: str
    raw_rows: int
    raw: str
    gold: str
    agrees: bool
    difference: str | None = None


@dataclass(frozen=True)
class _Column:
    """One column of fct_sales_daily, and how a recomputed day says it. A level is not added up over days."""

    what: str
    column: str
    of: Callable[[Day], Any]
    is_level: bool = False


DAILY = (
    _Column("units sold", "gross_units", lambda day: day.gross_units),
    _Column("units returned", "returned_units", lambda day: day.returned_units),
    _Column("sales amount", "gross_amount", lambda day: day.gross_amount),
    _Column("returns amount", "returned_amount", lambda day: day.returned_amount),
    _Column("discounts", "discount_amount", lambda day: day.discount_amount),
    _Column("receipts", "receipts", lambda day: Decimal(day.receipts)),
    _Column(
        "stock counted at close",
        "on_hand",
        lambda day: None if day.on_hand is None else Decimal(day.on_hand),
        is_level=True,
    ),  # fmt: skip
    _Column("raw rows", "source_rows", lambda day: Decimal(day.source_rows)),
)


def agreement(evidence: Evidence, inputs: DecisionInputs) -> list[Sum]:
    """Every sum that both sides have the columns for: DAILY, list prices, costs, competitors, promotions."""
    if not evidence.raw:
        return []
    days = days_of(evidence.raw)
    recent = [day for day in days if (inputs.business_date - day.business_date).days < SALES_DAYS]
    gold = {row["business_date"]: row for row in evidence.gold.get("fct_sales_daily", [])}
    return [
        *(_daily(column, recent, gold) for column in DAILY if all(column.column in row for row in gold.values())),
        *_list_prices(evidence, days, inputs),
        _competitors(evidence, recent, gold, inputs),
        _promotions(evidence),
    ]


def first_difference(sums: Sequence[Sum]) -> str | None:
    """The first difference in words, None where everything agrees."""
    return next((f"gold/{s.gold_table}, {s.what}: {s.difference}" for s in sums if not s.agrees), None)


def _daily(column: _Column, days: Sequence[Day], gold: Mapping[date, Row]) -> Sum:
    raw = {day.business_date: column.of(day) for day in days}
    said = {day: _decimal(row[column.column]) for day, row in gold.items()}
    rows = sum(day.source_rows for day in days)
    return _compared(column.what, "fct_sales_daily", rows, raw, said, is_level=column.is_level)


def _compared(
    what: str, table: str, rows: int, raw: Mapping[date, Any], gold: Mapping[date, Any], *, is_level: bool = True
) -> Sum:
    differing = [day for day in sorted({*raw, *gold}) if raw.get(day) != gold.get(day)]
    difference = None
    if differing:
        day = differing[0]
        difference = f"on {day} raw rows give {_say(raw.get(day))}, gold has {_say(gold.get(day))}"
    return Sum(
        what=what,
        gold_table=table,
        raw_rows=rows,
        raw=_newest(raw) if is_level else _total(raw.values()),
        gold=_newest(gold) if is_level else _total(gold.values()),
        agrees=not differing,
        difference=difference,
    )


def _list_prices(evidence: Evidence, days: Sequence[Day], inputs: DecisionInputs) -> list[Sum]:
    listed = evidence.raw.get("price_list", [])
    prices = prices_of(evidence.raw, days, inputs.currency, evidence.prices_since)
    first = min((price.valid_from for price in prices), default=inputs.business_date)
    rows = [
        row
        for row in evidence.gold.get("fct_price_history", [])
        if row["currency"] == inputs.currency and row["valid_from"] >= first
    ]
    return [
        _compared(
            what, "fct_price_history", len(listed) or len(days),
            {price.valid_from: getattr(price, column) for price in prices},
            {row["valid_from"]: row[column] for row in rows},
        )
        for what, column in (("list price", "list_price"), ("unit cost", "unit_cost"))
    ]  # fmt: skip


def _competitors(evidence: Evidence, days: Sequence[Day], gold: Mapping[date, Row], inputs: DecisionInputs) -> Sum:
    seen = evidence.raw.get("competitor_prices", [])
    looked_at = [day for day in days if (inputs.business_date - day.business_date).days < BELIEVED_DAYS]
    raw = {d.business_date: lowest_competitor(seen, d.currency or inputs.currency, d.business_date) for d in looked_at}
    said = {day: _decimal(gold[day]["competitor_price"]) for day in raw if day in gold}
    return _compared("lowest competitor price", "fct_sales_daily", len(seen), raw, said)


def _promotions(evidence: Evidence) -> Sum:
    raw = {row["promo_code"] for row in evidence.raw.get("promotions", [])}
    gold = {row["promo_code"] for row in evidence.gold.get("dim_promotion", [])}
    return Sum(
        what="promotions planned for the next day",
        gold_table="dim_promotion",
        raw_rows=len(evidence.raw.get("promotions", [])),
        raw=", ".join(sorted(raw)) or "none",
        gold=", ".join(sorted(gold)) or "none",
        agrees=raw == gold,
        difference=None if raw == gold else f"only one of both has {', '.join(sorted(raw ^ gold))}",
    )


def _decimal(value: Any) -> Decimal | None:
    """Gold keeps units as doubles; three decimals are all that a till records."""
    if value is None:
        return None
    return round(Decimal(value), 3) if isinstance(value, float) else Decimal(value)


def _newest(values: Mapping[date, Any]) -> str:
    known = {day: value for day, value in values.items() if value is not None}
    return f"{_say(known[max(known)])} on {max(known)}, one of {len(known)}" if known else "none"


def _total(values: Iterable[Any]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known, Decimal(0)).normalize():f} on {len(known)} days" if known else "none"


def _say(value: Decimal | None) -> str:
    return "nothing" if value is None else f"{value.normalize():f}"
