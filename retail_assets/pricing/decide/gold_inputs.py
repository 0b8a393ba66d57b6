"""Gold tables -> the inputs of a batch: one row per store-SKU that is listed and has a price.

Listed: counted in stock within the last seven days, or, in stores that count no stock, sold within the last 28 days;
and not discontinued. The price in force comes from the price history in the store's own currency; where that was read
off the lines of a till, with how sure it is. In a price family a
border per unit is drawn half way between neighbouring pack sizes, so that packs decided one by one stay in order; where
they are out of it, half way between the cheapest of all that are smaller and the dearest of all that are larger, so
that every pack has a price to come back to.
"""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.core.money import digits
from retail_assets.pricing.decide.inputs import INPUTS
from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    import duckdb

SALES = "fct_sales_daily"
READS = (SALES, "fct_price_history", "dim_store", "dim_product", "dim_promotion")
FORECASTS = "forecasts"
INTERVAL_90 = 3.289707  # standard deviations between the 5th and the 95th percentile of a normal distribution

LISTED = """
create temp table recent as
    select * from {sales}
    where business_date > date '{today}' - 56 and business_date <= date '{today}';
create temp table listed as
    with counting as (
        select store_id, max(business_date) filter (on_hand is not null) > date '{today}' - 28 as counts,
               count(distinct business_date) as open_days
        from recent group by store_id
    )
    select r.store_id, r.sku, arg_max(r.on_hand, r.business_date) filter (r.on_hand is not null) as on_hand,
           max(r.business_date) filter (r.on_hand is not null) as on_hand_at,
           arg_max(r.competitor_price, r.business_date) filter (
               r.competitor_price > 0 and r.business_date > date '{today}' - 14) as competitor_price,
           max(r.business_date) filter (
               r.competitor_price > 0 and r.business_date > date '{today}' - 14) as competitor_price_at,
           arg_max(r.currency, r.business_date) filter (r.currency is not null) as sold_currency,
           arg_max({{'lines': r.list_price_lines, 'agreement': r.list_price_agreement, 'low': r.list_price_low,
                     'high': r.list_price_high, 'tiers': r.price_tiers}}, r.business_date) filter (
               r.list_price_lines is not null) as observed,
           sum(r.gross_units::decimal(18, 3)) filter (not coalesce(r.is_stocked_out, false))::double
               / nullif(case when any_value(coalesce(c.counts, false))
                             then count(*) filter (not coalesce(r.is_stocked_out, false))
                             else any_value(c.open_days) end, 0) as recent_demand
    from recent r
    join counting c on c.store_id = r.store_id
    left join {products} p on p.sku = r.sku
    where p.discontinued_on is null or p.discontinued_on > date '{today}'
    group by all
    having case when any_value(coalesce(c.counts, false))
                then max(r.business_date) filter (r.on_hand is not null) > date '{today}' - 7
                else max(r.business_date) > date '{today}' - 28 end
"""

PRICED = """
create temp table shops as
    select l.*, coalesce(s.country, '') as country, coalesce(s.currency, l.sold_currency) as currency,
           case when coalesce(s.currency, l.sold_currency) in ({zero_digits}) then 1 else 100 end as scale
    from listed l left join {stores} s on s.store_id = l.store_id;
create temp table history as
    select h.store_id, h.sku, h.valid_from, h.list_price, h.unit_cost, h.source,
           lead(h.valid_from, 1, date '{today}' + 1) over (
               partition by h.store_id, h.sku order by h.valid_from) as until
    from {history} h
    join shops s on s.store_id = h.store_id and s.sku = h.sku and s.currency = h.currency
    where h.valid_from <= date '{today}' and h.list_price > 0;
create temp table prices as
    select store_id, sku, arg_max(list_price, valid_from) as list_price, max(valid_from) as list_price_at,
           arg_max(source, valid_from) as source,
           arg_max(unit_cost, valid_from) filter (unit_cost > 0) as unit_cost,
           max(valid_from) filter (unit_cost > 0) as unit_cost_at,
           arg_max(list_price, valid_from) filter (valid_from <= date '{today}' - 6) as week_price,
           sum(list_price * days) / nullif(sum(days), 0) as reference_price
    from (select *, greatest(until - greatest(valid_from, date '{today}' - 179), 0) as days from history)
    group by all
"""

FAMILIES = """
create temp table families as
    with packs as (
        select s.store_id, s.sku, p.price_family, coalesce(p.unit, '') as unit, p.pack_size,
               round(q.list_price * s.scale) / p.pack_size as per_unit
        from shops s
        join prices q on q.store_id = s.store_id and q.sku = s.sku
        join {products} p on p.sku = s.sku
        where p.price_family is not null and p.pack_size > 0
    ),
    sizes as (
        select store_id, price_family, unit, pack_size, min(per_unit) as cheapest, max(per_unit) as dearest
        from packs group by all
    ),
    borders as (
        select *, (min(cheapest) over smaller + greatest(dearest, max(dearest) over larger)) / 2 as most,
               (least(cheapest, min(cheapest) over smaller) + max(dearest) over larger) / 2 as least
        from sizes
        window smaller as (partition by store_id, price_family, unit order by pack_size
                           rows between unbounded preceding and 1 preceding),
               larger as (partition by store_id, price_family, unit order by pack_size
                          rows between 1 following and unbounded following)
    )
    select store_id, sku, ceil(least * pack_size - 0.000001)::bigint as low,
           floor(most * pack_size + 0.000001)::bigint as high
    from packs join borders using (store_id, price_family, unit, pack_size)
"""

AHEAD = """
create temp table forecast as {forecast};
create temp table promoted as
    select distinct country, sku from {promotions}
    where date '{today}' + 1 between starts_on and ends_on
"""

NO_FORECAST = """
    select null::varchar as store_id, null::varchar as sku, null::date as origin, null::double as mean,
           null::double as deviation where false
"""

NEWEST_FORECAST = """
    select store_id, sku, max(origin_date) as origin, avg(mean::decimal(18, 6))::double as mean,
           sqrt(avg((power((q95 - q05) / {interval}, 2))::decimal(18, 6))::double) as deviation
    from {forecasts}
    where origin_date = (select max(origin_date) from {forecasts} where origin_date <= date '{today}')
      and target_date > date '{today}' and target_date <= date '{today}' + 28
    group by all
"""

INPUT_ROWS = """
select s.store_id, s.sku, s.country, s.currency, p.department, p.category, date '{today}' as business_date,
       bool_or(q.unit_cost is not null) over (partition by s.country) as costs_delivered,
       m.sku is not null as on_promotion, g.low as family_low, g.high as family_high,
       case when f.mean is not null then 'forecast' when s.recent_demand is not null then 'recent_mean' end
           as base_demand_source,
       round(f.deviation, 4) as demand_deviation, null::double as cost_weight,
       round(q.list_price * s.scale)::bigint as previous_price, q.list_price_at as previous_price_at,
       round(q.week_price * s.scale)::bigint as week_price,
       case when q.week_price is not null then date '{today}' - 6 end as week_price_at,
       ceil(q.unit_cost * s.scale)::bigint as unit_cost, q.unit_cost_at,
       round(s.competitor_price * s.scale)::bigint as competitor_price, s.competitor_price_at,
       round(q.reference_price * s.scale)::bigint as reference_price, date '{today}' as reference_price_at,
       round(greatest(coalesce(f.mean, s.recent_demand), 0), 4) as base_demand,
       coalesce(f.origin, date '{today}') as base_demand_at,
       s.on_hand::bigint as on_hand, s.on_hand_at, q.source as price_source,
       case when q.source = 'observed' then s.observed.lines end as price_lines,
       case when q.source = 'observed' then s.observed.agreement end as price_agreement,
       case when q.source = 'observed' then round(s.observed.low * s.scale) end as price_low,
       case when q.source = 'observed' then round(s.observed.high * s.scale) end as price_high,
       case when q.source = 'observed' then s.observed.tiers end as price_tiers,
       null as asked_price, null as asked_by, null as asked_why, null as insisted
from shops s
join prices q on q.store_id = s.store_id and q.sku = s.sku
left join {products} p on p.sku = s.sku
left join families g on g.store_id = s.store_id and g.sku = s.sku
left join forecast f on f.store_id = s.store_id and f.sku = s.sku
left join promoted m on m.country = s.country and m.sku = s.sku
where round(q.list_price * s.scale) > 0
order by s.store_id, s.sku
"""


class NothingToPrice(RetailError):
    """Gold has no sales: there is nothing to decide a price for."""


@dataclass(frozen=True)
class BatchInputs:
    """Inputs of one business date (schema INPUTS, sorted by store and SKU), and who was left out.

    `listed` counts store-SKUs that should have a price; `without_price` lists those for which none is known in their
    store's currency. `versions` are the Delta versions of the gold tables read.
    """

    business_date: date
    rows: pa.Table
    listed: int
    without_price: pa.Table
    versions: dict[str, int]


def gold_versions(lake: Lake) -> dict[str, int]:
    """The newest Delta version of every gold table that prices are decided from; forecasts only where they exist."""
    versions = {name: lake.open("gold", name).version() for name in READS}
    forecasts = lake.version("gold", FORECASTS)
    return versions | ({} if forecasts is None else {FORECASTS: forecasts})


def read_inputs(lake: Lake, versions: dict[str, int], today: date | None = None) -> BatchInputs:
    """Inputs of the batch of `today` (default: the newest business date) from gold at `versions`.

    Raises NothingToPrice where gold has no sales yet.
    """
    scans = {name: lake.scan("gold", name, version) for name, version in versions.items()}
    with lake.connect() as connection:
        day = today or _newest_day(connection, scans[SALES])
        names = {
            "sales": scans[SALES],
            "history": scans["fct_price_history"],
            "stores": scans["dim_store"],
            "products": scans["dim_product"],
            "promotions": scans["dim_promotion"],
            "today": day.isoformat(),
        }
        forecast = NEWEST_FORECAST if FORECASTS in scans else NO_FORECAST
        names["forecast"] = forecast.format(forecasts=scans.get(FORECASTS), today=names["today"], interval=INTERVAL_90)
        currencies = connection.execute(f"select distinct currency from {scans['dim_store']}").fetchall()
        zero = [f"'{c}'" for (c,) in currencies if c and digits(c) == 0]
        names["zero_digits"] = ", ".join(zero) or "''"
        connection.execute(LISTED.format(**names))
        for sql in (PRICED, FAMILIES, AHEAD):
            connection.execute(sql.format(**names))
        rows = connection.execute(INPUT_ROWS.format(**names)).to_arrow_table().cast(INPUTS)
        listed = connection.execute("select count(*) from shops").fetchone()
        missing = connection.execute(
            "select store_id, sku from shops anti join prices using (store_id, sku) order by all"
        ).to_arrow_table()
    return BatchInputs(day, rows, listed[0] if listed else 0, missing, versions)


def _newest_day(connection: "duckdb.DuckDBPyConnection", sales: str) -> date:
    row = connection.execute(f"select max(business_date) from {sales}").fetchone()
    if row is None or row[0] is None:
        raise NothingToPrice(
            "gold/fct_sales_daily is empty: there is nothing to price", todo="load sales: `retail run`"
        )
    newest: date = row[0]
    return newest
