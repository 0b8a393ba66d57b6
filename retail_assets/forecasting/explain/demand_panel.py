"""Gold -> daily demand per store-department and per country-category, with holidays and planned promotions.

Demand is gross units; on a day that ended without stock a SKU counts with its mean of that weekday in the 56 days
before, where that is more than it sold. A day without a file of the store is unknown (NaN) in the store's own series,
and counts with the weekday's mean in the series of its country, as long as another store sent one; on a weekday on
which the store is usually closed it is zero.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_assets.resources.lake import Lake

STORE_DEPARTMENT, COUNTRY_CATEGORY = "store_department", "country_category"
SERIES_KEYS = ("hierarchy", "place", "product_group")
TABLES = ("fct_sales_daily", "dim_product", "dim_store", "dim_calendar", "dim_promotion")
USUAL_DAYS = 56
DIGITS = 6  # a sum over many rows differs in its last bits from run to run

CELLS = f"""
create temp table cells as
with sales as (
    select store_id, sku, business_date, gross_units, coalesce(is_stocked_out, false) as is_stocked_out
    from {{sales}} where business_date <= date '{{until}}'
),
before as (
    select store_id, sku, business_date, unnest(range(7, {USUAL_DAYS} + 1, 7)) as back from sales where is_stocked_out
),
usual as (
    select b.store_id, b.sku, b.business_date, avg(s.gross_units) as usual
    from before b join sales s on s.store_id = b.store_id and s.sku = b.sku
        and s.business_date = b.business_date - b.back::integer and not s.is_stocked_out
    group by all
)
select s.store_id, st.country, p.department, p.category, s.sku, s.business_date as day,
       greatest(s.gross_units, coalesce(u.usual, 0)) as units
from sales s left join usual u using (store_id, sku, business_date)
join {{products}} p on p.sku = s.sku join {{stores}} st on st.store_id = s.store_id
where st.country is not null and p.department is not null and p.category is not null;

create temp table open_days as
with span as (select store_id, country, min(day) as first_day from cells group by all),
days as (
    select store_id, country, unnest(range(first_day, date '{{until}}' + 1, interval 1 day))::date as day from span
),
seen as (select distinct store_id, day from cells),
closed as (
    select d.store_id, isodow(d.day) as weekday from days d left join seen s using (store_id, day)
    group by all having count(s.store_id) < count(*) / 2
)
select d.store_id, d.country, d.day, s.store_id is not null as is_known, c.store_id is not null as is_closed
from days d left join seen s using (store_id, day)
left join closed c on c.store_id = d.store_id and c.weekday = isodow(d.day)
"""

UNITS = """
with own as (
    select {place} as place, store_id, {group} as product_group, day, sum(units) as units from cells group by all
),
groups as (select distinct place, store_id, product_group from own),
grid as (select g.place, g.store_id, g.product_group, o.day, o.is_known, o.is_closed
         from groups g join open_days o on o.store_id = g.store_id),
filled as (
    select g.place, g.product_group, g.day, g.is_known or g.is_closed as is_known,
           case when g.is_known then coalesce(u.units, 0) when g.is_closed then 0 end as units,
           avg(case when g.is_known then coalesce(u.units, 0) end)
               over (partition by g.store_id, g.product_group, isodow(g.day)) as usual
    from grid g left join own u using (store_id, product_group, day)
)
select place, product_group, day,
       case when bool_or(is_known) then sum(coalesce(units, usual, 0)) end as units
from filled group by all order by all
"""

PROMOTED = """
with own as (
    select {place} as place, country, {group} as product_group, sku, sum(units) as units from cells group by all
),
shares as (select *, units / nullif(sum(units) over (partition by place, product_group), 0) as share from own),
deals as (
    select country, sku, max(discount_pct)::double / 100 as discount,
           unnest(range(starts_on, ends_on + 1, interval 1 day))::date as day
    from {promotions}
    where starts_on <= date '{last}' and starts_on <= ends_on and coalesce(announced_on, starts_on) <= date '{until}'
      and country is not null and sku is not null
    group by country, sku, starts_on, ends_on
),
deepest as (select country, sku, day, max(discount) as discount from deals group by all)
select s.place, s.product_group, d.day, sum(s.share * d.discount) as depth
from shares s join deepest d using (country, sku) where s.share > 0 group by all order by all
"""


EVENTS = """
with events as (
    select country, coalesce(holiday_name, 'holiday') as name, calendar_date as day from {calendar} where is_holiday
    union all
    select country, 'Black Friday week', calendar_date from {calendar} where is_black_friday_week
    union all
    select country, 'holiday season', calendar_date from {calendar} where is_holiday_season
)
select country, name, day from events order by all
"""


@dataclass(frozen=True)
class DemandSeries:
    """One series with everything a decomposition needs. `days` has the history and the days ahead, without a gap.

    `units` (as long as the history) is NaN where demand is unknown; `promotion` (as long as `days`) is the mean planned
    discount of what the series sells, 0 to 1; `holidays` are (name, day) of the country.
    """

    hierarchy: str
    place: str
    product_group: str
    days: NDArray[np.datetime64]
    units: NDArray[np.float64]
    promotion: NDArray[np.float64]
    holidays: tuple[tuple[str, date], ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """Hierarchy, place and product group."""
        return self.hierarchy, self.place, self.product_group

    def content(self) -> str:
        """16 hex characters that change with any value."""
        seen = hashlib.sha256(repr((self.key, self.holidays)).encode())
        for values in (self.days.astype("int64"), self.units, self.promotion):
            seen.update(np.ascontiguousarray(values).tobytes())
        return seen.hexdigest()[:16]


def read_series(lake: Lake, until: date, horizon: int, versions: Mapping[str, int] | None = None) -> list[DemandSeries]:
    """Every series of both levels as it was known at the end of `until`, sorted by key; `versions` pins gold tables."""
    pinned = versions or {}
    scan = {name: lake.scan("gold", name, pinned.get(name)) for name in TABLES}
    last = until + timedelta(days=horizon)
    found: list[DemandSeries] = []
    with lake.connect() as db:
        db.execute(
            CELLS.format(
                sales=scan["fct_sales_daily"], products=scan["dim_product"], stores=scan["dim_store"], until=until
            )
        )
        countries = dict(db.execute("select distinct store_id, country from cells").fetchall())
        holidays = db.execute(EVENTS.format(calendar=scan["dim_calendar"])).fetchall()
        for hierarchy, place, group in (
            (COUNTRY_CATEGORY, "country", "category"),
            (STORE_DEPARTMENT, "store_id", "department"),
        ):
            units = db.execute(UNITS.format(place=place, group=group)).df()
            promoted = db.execute(
                PROMOTED.format(place=place, group=group, promotions=scan["dim_promotion"], last=last, until=until)
            ).df()
            deals = dict(list(promoted.groupby(["place", "product_group"])))
            for (where, what), rows in units.groupby(["place", "product_group"], sort=True):
                country = where if hierarchy == COUNTRY_CATEGORY else countries[where]
                named = tuple((name, day) for land, name, day in holidays if land == country)
                found.append(_series((hierarchy, str(where), str(what)), rows, deals.get((where, what)), named, last))
    return found


def _series(
    key: tuple[str, str, str],
    rows: pd.DataFrame,
    deals: pd.DataFrame | None,
    holidays: tuple[tuple[str, date], ...],
    last: date,
) -> DemandSeries:
    history = rows["day"].to_numpy().astype("datetime64[D]")
    days = np.arange(history[0], np.datetime64(last) + 1)
    promotion = np.zeros(len(days))
    if deals is not None:
        at = (deals["day"].to_numpy().astype("datetime64[D]") - days[0]).astype(int)
        inside = (at >= 0) & (at < len(days))
        promotion[at[inside]] = deals["depth"].to_numpy(float)[inside].round(DIGITS)
    first, end = pd.Timestamp(days[0]).date(), last
    named = tuple((name, day) for name, day in holidays if first <= day <= end)
    units = rows["units"].to_numpy(float).round(DIGITS)
    return DemandSeries(*key, days=days, units=units, promotion=promotion, holidays=named)
