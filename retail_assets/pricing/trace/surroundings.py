"""Rows beside the item's own that its inputs rest on: its price family, its store, its country."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.trace.catalogue import by_sku, described, family_of
from retail_assets.provenance.snapshots import Row, Snapshots

SALES_DAYS = 56  # what the inputs look back on sales and stock
COUNT_DAYS, SALE_DAYS = 7, 28  # how long a SKU is listed after a count, or after a sale where nobody counts


@dataclass(frozen=True)
class Family:
    """The SKUs of a price family without the item itself, and the first day of an observed price in force of one."""

    skus: list[str] = field(default_factory=list)
    prices_since: date | None = None


@dataclass(frozen=True)
class StoreFacts:
    """What the store and its country did, as far as an input rests on it; see Evidence."""

    store_days: list[date] = field(default_factory=list)
    last_count: date | None = None
    costs_elsewhere: bool | None = None
    countries: tuple[str, ...] = ()


def read_family(
    reader: Snapshots, inputs: DecisionInputs, gold: Mapping[str, int], bronze: Mapping[str, int]
) -> Family:
    """The other packs of the item's price family, by the catalogue as it was."""
    if "products" not in bronze:
        return Family()
    version, newest = bronze["products"], "country, delivered_at desc, row_id desc"
    own = family_of(described(reader.rows("bronze", "products", version, f"sku = ? order by {newest}", [inputs.sku])))
    if own is None:
        return Family()
    named = reader.rows("bronze", "products", version, "price_family = ?", [own[0]], select="distinct sku")
    skus = sorted(row["sku"] for row in named)
    rows = reader.rows("bronze", "products", version, f"{is_one_of('sku', skus)} order by sku, {newest}", skus)
    found = [sku for sku, told in by_sku(rows).items() if family_of(described(told)) == own and sku != inputs.sku]
    return Family(found, _first_observed(reader, inputs, gold, found))


def _first_observed(
    reader: Snapshots, inputs: DecisionInputs, gold: Mapping[str, int], skus: Sequence[str]
) -> date | None:
    if not skus or "fct_price_history" not in gold:
        return None
    rows = reader.rows(
        "gold", "fct_price_history", gold["fct_price_history"],
        f"store_id = ? and {is_one_of('sku', skus)} and valid_from <= ? group by sku",
        [inputs.store_id, *skus, inputs.business_date],
        select="max(valid_from) as newest, arg_max(source, valid_from) as source",
    )  # fmt: skip
    return min((row["newest"] for row in rows if row["source"] == "observed"), default=None)


def read_store_facts(
    reader: Snapshots,
    inputs: DecisionInputs,
    versions: Mapping[str, int],
    raw: Mapping[str, Sequence[Row]],
    has_forecast: bool,
) -> StoreFacts:
    """Reads only what an input of this decision rests on; `raw` are the item's own rows."""
    if not versions:
        return StoreFacts()
    today = inputs.business_date
    counted = max((row["business_date"] for row in raw.get("stock_levels", [])), default=None)
    last_count = counted or newest_count(reader, inputs, versions)
    priced = [row for row in raw.get("price_list", []) if row["currency"] == inputs.currency]
    return StoreFacts(
        store_days=[] if has_forecast else open_days(reader, inputs.store_id, today, versions),
        last_count=last_count,
        costs_elsewhere=None if any(row["unit_cost"] for row in priced) else has_costs(reader, inputs, versions),
        countries=() if raw.get("stores") else planned_countries(reader, versions),
    )


def newest_count(reader: Snapshots, inputs: DecisionInputs, versions: Mapping[str, int]) -> date | None:
    """The newest day on which the store counted anything, of the last SALES_DAYS."""
    days = (inputs.business_date - timedelta(days=SALES_DAYS - 1), inputs.business_date)
    rows = _rows(
        reader, "stock_levels", versions, "store_id = ? and business_date between ? and ?",
        [inputs.store_id, *days], days, "max(business_date) as newest",
    )  # fmt: skip
    return rows[0]["newest"] if rows else None


def open_days(reader: Snapshots, store_id: str, today: date, versions: Mapping[str, int]) -> list[date]:
    """The days of the last SALES_DAYS on which the store sold or counted anything."""
    days = (today - timedelta(days=SALES_DAYS - 1), today)
    asked = ("store_id = ? and business_date between ? and ?", [store_id, *days], days, "distinct business_date")
    rows = [row for name in ("pos_lines", "stock_levels") for row in _rows(reader, name, versions, *asked)]
    return sorted({row["business_date"] for row in rows})


def has_costs(reader: Snapshots, inputs: DecisionInputs, versions: Mapping[str, int]) -> bool:
    """Whether the retailer delivers costs in this country: of anything that one of its stores lists."""
    today = inputs.business_date
    costed = _rows(
        reader, "price_list", versions, "country = ? and unit_cost > 0 and effective_on <= ?",
        [inputs.country, today], (None, today), "distinct sku",
    )  # fmt: skip
    stores = _rows(reader, "stores", versions, "country = ?", [inputs.country], select="distinct store_id")
    skus, shops = [row["sku"] for row in costed], [row["store_id"] for row in stores] or [inputs.store_id]
    if not skus:
        return False
    for name, days in (("stock_levels", COUNT_DAYS), ("pos_lines", SALE_DAYS)):
        seen = (today - timedelta(days=days - 1), today)
        where = f"{is_one_of('store_id', shops)} and {is_one_of('sku', skus)} and business_date between ? and ? limit 1"
        if _rows(reader, name, versions, where, [*shops, *skus, *seen], seen, "sku"):
            return True
    return False


def planned_countries(reader: Snapshots, versions: Mapping[str, int]) -> tuple[str, ...]:
    """The countries that the price list and the promotions are for."""
    rows = [
        row
        for name in ("price_list", "promotions")
        for row in _rows(reader, name, versions, "true", select="distinct country")
    ]
    return tuple(sorted({row["country"] for row in rows}))


def is_one_of(column: str, values: Sequence[Any]) -> str:
    """`column in (?, ?)`, which Parquet statistics can answer, with a place for each value."""
    return f"{column} in ({', '.join('?' * len(values))})"


def _rows(
    reader: Snapshots,
    name: str,
    versions: Mapping[str, int],
    where: str,
    parameters: Sequence[Any] = (),
    days: tuple[date | None, date | None] = (None, None),
    select: str | None = None,
) -> list[Row]:
    if name not in versions:
        return []
    return reader.rows("bronze", name, versions[name], where, parameters, {"business_date": days}, select=select)
