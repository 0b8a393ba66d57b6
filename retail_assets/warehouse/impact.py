"""Which business dates of which model a change of bronze touches.

A Delta version names the files it added or removed, a file lies in one business date: comparing two versions of a
table gives its touched days exactly, whatever caused the change. Most facts of a day come from rows of that day. A
price, a rate, a promotion or a chargeback reaches further; `REACH` says how far. Products, customers and the calendar
reach no fact: what is built from them is built whole.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from retail_assets.resources.lake import Lake
from retail_assets.warehouse.manifest import models, models_in_order

HELD = "held_days"
SAME_DAY = ("pos_lines", "click_events", "payments", "stock_levels", "weather", "competitor_prices", HELD)
ACTIVITY = ("pos_lines", "click_events", "payments", "stock_levels")
DAY = "partition.business_date"

REACH = {
    # until the next price of the SKU in the country
    "price_list": """
        with prices as (select distinct country, sku, effective_on from {price_list}),
        periods as (
            select effective_on as first_day, lead(effective_on) over (
                partition by country, sku order by effective_on) as end_day
            from prices)
        select distinct first_day, end_day from periods where first_day in ({days})""",
    # until the next rate of the currency
    "exchange_rates": """
        with rates as (select distinct currency, rate_date from {exchange_rates}),
        periods as (
            select rate_date as first_day, lead(rate_date) over (
                partition by currency order by rate_date) as end_day
            from rates)
        select distinct first_day, end_day from periods where first_day in ({days})""",
    # the days of the promotion, as it was announced before and as it is now
    "promotions": """
        with changed as (
            select distinct promo_code, country, sku from {promotions} where business_date in ({days}))
        select distinct starts_on as first_day, least(ends_on, date '9999-12-30') + 1 as end_day
        from {promotions} inner join changed using (promo_code, country, sku)""",
    # the day of the payment
    "chargebacks": """
        select distinct p.business_date as first_day, p.business_date + 1 as end_day
        from {payments} as p inner join {chargebacks} as c using (payment_id)
        where c.business_date in ({days})""",
}

# where a price list tells the price, a late line tells none to the days after it; a store that no file names counts as
# one without a list
UNLISTED = """
    with places as (
        select store_id, arg_max(country, (delivered_at, row_id)) as country from {stores} group by store_id),
    lists as (select country, sku, min(effective_on) as listed_from from {price_list} group by country, sku)
    select distinct l.business_date
    from {pos_lines} as l left join places as p using (store_id) left join lists as f using (country, sku)
    where l.business_date in ({days}) and l.quantity > 0 and coalesce(l.business_date < f.listed_from, true)"""

# a store's country, currency and clock decide about all of its days
STORE_FACTS = """
    select store_id, arg_max(country, (delivered_at, row_id)) as country,
        arg_max(currency, (delivered_at, row_id)) as currency, arg_max(time_zone, (delivered_at, row_id)) as time_zone,
        arg_max(day_ends, (delivered_at, row_id)) as day_ends
    from {scan} group by store_id"""


def versions(lake: Lake, tables: Iterable[str]) -> dict[str, int]:
    """The newest Delta version of each bronze table that exists."""
    found = {table: lake.version("bronze", table) for table in sorted(tables)}
    return {table: version for table, version in found.items() if version is not None}


def identity(lake: Lake, tables: Iterable[str]) -> str:
    """12 hex digits for the tables as such: other ones where a table was deleted and created anew, or another lake."""
    ids = "".join(str(lake.open("bronze", table).metadata().id) for table in sorted(tables))
    return hashlib.sha256(ids.encode()).hexdigest()[:12]


def changed_days(lake: Lake, table: str, old: int, new: int) -> set[date]:
    """Business dates of the files that `bronze/table` gained or lost between two Delta versions."""
    if old == new:
        return set()
    before, after = _files(lake, table, old), _files(lake, table, new)
    return {day for file, day in (before.items() ^ after.items()) if day is not None}


def stores_moved(lake: Lake, old: int, new: int) -> bool:
    """Whether a store got another country, currency or clock, or appeared, between two versions of `bronze/stores`."""
    if old == new:
        return False
    before, after = (STORE_FACTS.format(scan=lake.scan("bronze", "stores", version)) for version in (old, new))
    return lake.query(f"({after}) except ({before})").num_rows > 0


def known_days(lake: Lake, bronze: Mapping[str, int]) -> set[date]:
    """Every business date on which something happened in a store, but for those of which all rows are held back."""
    rows: Counter[date] = Counter()
    for table in ACTIVITY:
        actions = pa.table(lake.open("bronze", table, bronze[table]).get_add_actions(flatten=True))
        if DAY in actions.column_names:
            for day, count in zip(actions[DAY].to_pylist(), actions["num_records"].to_pylist(), strict=True):
                rows[day] += count
    if HELD in bronze:
        held = lake.query(f"select business_date, rows from {lake.scan('bronze', HELD, bronze[HELD])}")
        for day, count in zip(held["business_date"].to_pylist(), held["rows"].to_pylist(), strict=True):
            rows[day] -= count
    return {day for day, count in rows.items() if count > 0}


def _files(lake: Lake, table: str, version: int) -> dict[str, date | None]:
    actions = pa.table(lake.open("bronze", table, version).get_add_actions(flatten=True))
    if DAY not in actions.column_names:
        return dict.fromkeys(actions.column("path").to_pylist())
    return dict(zip(actions.column("path").to_pylist(), actions.column(DAY).to_pylist(), strict=True))


def reached_days(lake: Lake, bronze: Mapping[str, int], table: str, days: set[date], known: set[date]) -> set[date]:
    """The business dates among `known` whose facts change when rows of `table` on `days` did."""
    if table in SAME_DAY:
        return days
    if table not in REACH or not days:
        return set()
    scans = {name: lake.scan("bronze", name, version) for name, version in bronze.items()}
    listed = ", ".join(f"date '{day}'" for day in sorted(days))
    periods = lake.query(REACH[table].format(**scans, days=listed)).to_pylist()
    # A promotion or a price may be good until the end of the calendar: only days that are known are gone through.
    first, end = min(known, default=date.min).toordinal(), max(known, default=date.min).toordinal() + 1
    reached = (
        range(max(p["first_day"].toordinal(), first), min(p["end_day"].toordinal() if p["end_day"] else end, end))
        for p in periods
    )
    return {date.fromordinal(day) for days_of_period in reached for day in days_of_period} & known


def unlisted_days(lake: Lake, bronze: Mapping[str, int], days: set[date]) -> set[date]:
    """Those of `days` on which something was sold whose price no price list tells."""
    if not days:
        return set()
    scans = {name: lake.scan("bronze", name, bronze[name]) for name in ("pos_lines", "stores", "price_list")}
    listed = ", ".join(f"date '{day}'" for day in sorted(days))
    return set(lake.query(UNLISTED.format(**scans, days=listed))["business_date"].to_pylist())


def spread(
    manifest: dict[str, Any],
    sources: Mapping[str, set[date]],
    last: date,
    reaching: Mapping[str, set[date]] | None = None,
) -> dict[str, list[date]]:
    """Business dates of every model that change when those of `sources` (bronze tables) did.

    Follows the dependencies of the manifest, of a model whose meta says `days_from` only to the models named there. A
    model whose meta says `days_before` or `days_after` looks at neighbouring days: that many days around a changed one
    change with it, as far as `last`. Where its meta also says `reaching`, only around those of `reaching` by that name.
    """
    nodes = models(manifest)
    days: dict[str, set[date]] = {node["unique_id"]: set() for node in nodes.values()}
    days |= {node["unique_id"]: sources.get(node["name"], set()) for node in manifest["sources"].values()}
    for name in models_in_order(manifest):
        node = nodes[name]
        meta = node["config"]["meta"]
        upstream = [parent for parent in node["depends_on"]["nodes"] if _counts(parent, meta)]
        parents = set().union(*(days.get(parent, set()) for parent in upstream))
        wide = parents & (reaching or {}).get(meta["reaching"], parents) if "reaching" in meta else parents
        days[node["unique_id"]] = parents | _widen(wide, meta.get("days_before", 0), meta.get("days_after", 0), last)
    return {name: sorted(days[node["unique_id"]]) for name, node in nodes.items()}


def _counts(parent: str, meta: Mapping[str, Any]) -> bool:
    return "days_from" not in meta or parent.split(".")[-1] in meta["days_from"]


def _widen(days: set[date], before: int, after: int, last: date) -> set[date]:
    if not before and not after:
        return days
    offsets = [timedelta(days=offset) for offset in range(-before, after + 1)]
    return {day + offset for day in days for offset in offsets if date.min - day <= offset <= max(last, day) - day}
