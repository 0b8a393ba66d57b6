"""Everything a decision rests on, read at the versions it names: gold rows, and the bronze rows behind them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from retail_assets.pricing.decide.decisions import Decision
from retail_assets.pricing.decide.gold_inputs import INTERVAL_90
from retail_assets.pricing.trace.observed import WINDOW_DAYS
from retail_assets.pricing.trace.surroundings import (
    SALES_DAYS,
    StoreFacts,
    is_one_of,
    read_family,
    read_store_facts,
)
from retail_assets.provenance.errors import TraceError
from retail_assets.provenance.snapshots import Bounds, Row, Snapshots
from retail_assets.sources.state import MOVES

COMPETITOR_DAYS = 28  # a price is believed for 14 days, and looked for on the last 14 days
REFERENCE_DAYS = 180
FORECAST_DAYS = 28
SHOWN = {
    "fct_sales_daily": (
        "store_id", "sku", "business_date", "currency", "gross_units", "returned_units", "gross_amount",
        "returned_amount", "discount_amount", "list_price", "unit_cost", "on_promotion", "promo_code", "receipts",
        "on_hand", "is_stocked_out", "competitor_price", "source_rows", "paid_price", "list_price_source",
        "list_price_lines", "list_price_agreement", "list_price_low", "list_price_high", "price_tiers",
    )
}  # fmt: skip
"""What is read of a wide mart: the columns that inputs come from and that sums are compared with."""


@dataclass(frozen=True)
class Versions:
    """Delta versions by table name, as the decision row records them."""

    gold: dict[str, int]
    bronze: dict[str, int]
    code: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Versions":
        """Raises TraceError for a decision from before versions were recorded."""
        if not row.get("gold_versions"):
            raise TraceError(
                f"decision {row['decision_id']} does not say what it was made from: it is older than that record",
                todo="its inputs, trail and words are in its row of decisions/pricing; younger decisions can be traced",
            )
        bronze = json.loads(row.get("bronze_versions") or "{}")
        return cls(json.loads(row["gold_versions"]), bronze, row.get("warehouse_code"))


@dataclass(frozen=True)
class Evidence:
    """Rows by table: `gold` as used, `raw` from bronze, `quarantined` what names the same key and was left out.

    `family` holds the rows of the other SKUs of the price family in this store, `store` what else of the store and its
    country an input rests on: the days on which it sold or counted anything (only where there is no forecast), the last
    day it counted stock, whether another SKU of the country has a cost (None: not asked, as this one has), the
    countries that are planned for (only where no file says where the store is). `prices_since` is the first day whose
    observed price the raw rows can tell.
    """

    gold: dict[str, list[Row]]
    raw: dict[str, list[Row]]
    quarantined: dict[str, list[Row]]
    family: dict[str, list[Row]] = field(default_factory=dict)
    store: StoreFacts = StoreFacts()
    prices_since: date | None = None


def read_evidence(reader: Snapshots, decision: Decision, versions: Versions, decided_at: Any) -> Evidence:
    """Reads what `decision` rests on. Raises VersionGone when a version cannot be opened any more."""
    inputs = decision.inputs
    gold = _gold(reader, decision, versions.gold)
    prices_since = _prices_since(gold.get("fct_price_history", []), inputs.business_date)
    usual = inputs.business_date - timedelta(days=SALES_DAYS - 1)
    first_sale = usual if prices_since is None else _tells_prices_from(min(usual, prices_since))
    family = read_family(reader, inputs, versions.gold, versions.bronze)
    first_of_family = first_sale if family.prices_since is None else _tells_prices_from(family.prices_since)
    found = _raw(reader, decision, versions.bronze, min(first_sale, first_of_family), family.skus)
    raw, of_family = _split(found, inputs.sku)
    facts = read_store_facts(reader, inputs, versions.bronze, raw, bool(gold.get("forecasts")))
    left_out = _quarantined(reader, decision, first_sale, decided_at)
    return Evidence(gold, raw, left_out, of_family, facts, prices_since)


def _split(found: Mapping[str, list[Row]], sku: str) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Rows of the SKU (and of the store), and those of the rest of its price family."""
    own = {name: [row for row in rows if row.get("sku", sku) == sku] for name, rows in found.items()}
    rest = {name: [row for row in rows if row.get("sku", sku) != sku] for name, rows in found.items()}
    return own, {name: rows for name, rows in rest.items() if rows}


def _prices_since(history: Sequence[Row], today: date) -> date | None:
    """The first day of an observed price that the inputs look at; None where a price list tells all of them.

    `history` are the prices in force by `today`, oldest first: the reference price looks at the newest one from before
    its days, and at all later ones.
    """
    before = [row["valid_from"] for row in history if row["valid_from"] <= today - timedelta(days=REFERENCE_DAYS - 1)]
    first = max(before, default=date.min)
    seen = [row["valid_from"] for row in history if row.get("source") == "observed" and row["valid_from"] >= first]
    return min(seen, default=None)


def _tells_prices_from(day: date) -> date:
    """The first day of the lines that the observed price of `day` rests on."""
    return day - timedelta(days=WINDOW_DAYS - 1)


def _gold(reader: Snapshots, decision: Decision, versions: Mapping[str, int]) -> dict[str, list[Row]]:
    inputs, today = decision.inputs, decision.inputs.business_date
    item = [inputs.store_id, inputs.sku]
    days = (today - timedelta(days=SALES_DAYS - 1), today)
    asked: dict[str, tuple[str, list[Any], Bounds]] = {
        "fct_sales_daily": (
            "store_id = ? and sku = ? and business_date between ? and ? order by business_date",
            [*item, *days],
            {"business_date": days},
        ),
        "fct_price_history": ("store_id = ? and sku = ? and valid_from <= ? order by valid_from", [*item, today], {}),
        "dim_store": ("store_id = ?", item[:1], {}),
        "dim_product": ("sku = ?", item[1:], {}),
        "dim_promotion": (
            "country = ? and sku = ? and ? between starts_on and ends_on order by promo_code",
            [inputs.country, inputs.sku, today + timedelta(days=1)],
            {},
        ),
    }
    found = {
        name: reader.rows("gold", name, versions[name], *asked[name], columns=SHOWN.get(name, ()))
        for name in asked
        if name in versions
    }
    origin = reader.newest_day("gold", "forecasts", versions["forecasts"], today) if "forecasts" in versions else None
    if origin is not None:
        ahead = (today + timedelta(days=1), today + timedelta(days=FORECAST_DAYS))
        found["forecasts"] = reader.rows(
            "gold", "forecasts", versions["forecasts"],
            "store_id = ? and sku = ? and origin_date = ? and target_date between ? and ? order by target_date",
            [*item, origin, *ahead], {"business_date": (origin, origin)},
            select=f"*, mean::decimal(18, 6) as exact_mean, "
            f"(power((q95 - q05) / {INTERVAL_90}, 2))::decimal(18, 6) as exact_variance",
        )  # fmt: skip
    return found


def _raw(
    reader: Snapshots, decision: Decision, versions: Mapping[str, int], first_sale: date, family: Sequence[str]
) -> dict[str, list[Row]]:
    """Rows of the item and, where its family's prices rest on them, of `family`."""
    inputs, today = decision.inputs, decision.inputs.business_date
    skus = [inputs.sku, *family]
    these, offer = is_one_of("sku", skus), [inputs.country, inputs.sku]
    stock = (today - timedelta(days=SALES_DAYS - 1), today)
    seen = (today - timedelta(days=COMPETITOR_DAYS - 1), today)
    of_days = "business_date between ? and ? order by business_date, file, line"
    asked: dict[str, tuple[str, list[Any], Bounds]] = {
        "pos_lines": (
            f"store_id = ? and {these} and {of_days}", [inputs.store_id, *skus, first_sale, today],
            {"business_date": (first_sale, today)},
        ),
        "stock_levels": (
            f"store_id = ? and {these} and {of_days}", [inputs.store_id, *skus, *stock], {"business_date": stock},
        ),
        "price_list": (
            f"country = ? and {these} and effective_on <= ? order by sku, effective_on, file, line",
            [inputs.country, *skus, today],
            {"business_date": (None, today)},
        ),
        "competitor_prices": (
            "country = ? and sku = ? and observed_on between ? and ? order by observed_on, competitor, file, line",
            [*offer, *seen], {"business_date": seen},
        ),
        "promotions": (
            "country = ? and sku = ? and ? between starts_on and ends_on order by promo_code, file, line",
            [*offer, today + timedelta(days=1)], {"ends_on": (today, None)},
        ),
        "stores": ("store_id = ? order by delivered_at desc, row_id desc", [inputs.store_id], {}),
        "products": (f"{these} order by sku, country, delivered_at desc, row_id desc", skus, {}),
    }  # fmt: skip
    return {name: reader.rows("bronze", name, versions[name], *asked[name]) for name in asked if name in versions}


def _quarantined(reader: Snapshots, decision: Decision, first_sale: date, decided_at: Any) -> dict[str, list[Row]]:
    """Rejected rows whose text names this key, of the days the inputs look at, known when the price was decided."""
    inputs, today = decision.inputs, decision.inputs.business_date
    seen = today - timedelta(days=COMPETITOR_DAYS - 1)
    first_days = {
        "pos_lines": first_sale,
        "stock_levels": today - timedelta(days=SALES_DAYS - 1),
        "competitor_prices": seen,
        "price_list": None,
        "promotions": None,
    }
    found = {}
    moved = _moved_since(reader, decided_at)
    for name, first in first_days.items():
        version = reader.newest("quarantine", name, decided_at if name in moved else None)
        if version is None:
            continue
        place = inputs.store_id if name in ("pos_lines", "stock_levels") else inputs.country
        rows = reader.rows(
            "quarantine", name, version,
            "regexp_matches(raw, ?) and (contains(raw, ?) or contains(file, ?)) and loaded_at <= ? "
            "and business_date between ? and ? order by business_date, file, line",
            [_word(inputs.sku), place, place, decided_at, first or date(1900, 1, 1), today],
            {"business_date": (first, today)},
        )  # fmt: skip
        if rows:
            found[name] = rows
    return found


def _moved_since(reader: Snapshots, decided_at: Any) -> set[str]:
    """Sources of which rows were moved between quarantine and bronze after the decision."""
    version = reader.newest("ops", "loads")
    if version is None:
        return set()
    rows = reader.rows(
        "ops", "loads", version, f"status in {MOVES} and loaded_at > ?", [decided_at],
        {"loaded_at": (decided_at, None)}, select="distinct source",
    )  # fmt: skip
    return {row["source"] for row in rows}


def _word(text: str) -> str:
    """A regular expression that finds `text` where it is not part of a longer name."""
    escaped = "".join(f"\\{c}" if not c.isalnum() and c.isascii() else c for c in text)
    return f"(^|[^A-Za-z0-9-]){escaped}($|[^A-Za-z0-9-])"
