"""Gold tables -> the rows that demand response is learnt from.

A row is a store-SKU, a week, one paid price and one promotion state: units sold and the days (weighted by how strong
each weekday is in the department and country) on which they could be sold. A day that ended without stock is a row of
its own, `censored`: demand was at least what was sold. (Leaving such days out would leave out the best days of every
low price.) Days without stock from the morning on say nothing and are left out.
The first LAUNCH_DAYS of what is new in a store are left out: demand that is still finding its way up would be taken
for a trend, and the prices of those weeks for its cause.
Days without a sale count as zero units at the price that was in force, whether gold has a row for them or not: on a
promotion that is the list price less the discount that was announced. (Taking the list price there would credit the
price with every promotion's success and with none of its failures: elasticities come out 0.8 too large.) Without a row
it is what the SKU cost that week in the country's stores, else its last price here.
Sums are of decimals, so that the order in which threads finish changes no digit.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.errors import RetailError
from retail_assets.pricing.config import ResponseConfig
from retail_assets.resources.lake import Lake

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEATURES = ("log_price", "promotion", "years", "log_competitor")
RECENT_DAYS = 56
LAUNCH_DAYS = 35

PANEL = """
with offers as (
    select promo_code, country, sku, max(discount_pct) as discount_pct from {promotions} group by all
),
facts as (
    select f.store_id, f.sku, f.business_date as day, f.gross_units::double as units,
           case when f.unit_price is not null then f.unit_price::double
                when not coalesce(f.on_promotion, false) then f.list_price::double
                else f.list_price::double * (1 - o.discount_pct::double / 100) end as price,
           case when f.on_promotion and f.list_price > 0 then f.list_price::decimal(18, 4) end as listed,
           coalesce(f.on_promotion, false) as promo, coalesce(f.is_stocked_out, false) as out_of_stock,
           case when f.competitor_price > 0 then ln(f.competitor_price::double) end as competitor
    from {sales} f
    left join {stores} st on st.store_id = f.store_id
    left join offers o on o.promo_code = f.promo_code and o.country = st.country and o.sku = f.sku
    where f.business_date > date '{until}' - {history} and f.business_date <= date '{until}'
),
sold as (
    select store_id, sku, min(day) as first_day, max(day) as last_day
    from facts group by all having count(*) filter (units > 0) >= {minimum}
),
series as (
    select s.store_id, s.sku, s.last_day,
           case when s.first_day > o.first_day + {launch} then s.first_day + {launch} else s.first_day end as first_day
    from sold s join (select store_id, min(day) as first_day from facts group by all) o on o.store_id = s.store_id
),
open_days as (select distinct store_id, day from facts),
dense as (
    select s.store_id, s.sku, d.day, coalesce(f.units, 0) as units, f.price, f.listed, f.competitor,
           coalesce(f.promo, false) as promo, coalesce(f.out_of_stock, false) as out_of_stock
    from series s
    join open_days d on d.store_id = s.store_id and d.day between s.first_day and s.last_day
    left join facts f on f.store_id = s.store_id and f.sku = s.sku and f.day = d.day
),
placed as (
    select d.*, coalesce(st.country, '') as country, coalesce(st.channel, '') as channel,
           coalesce(p.department, '') as department, coalesce(p.category, '') as category,
           date_trunc('week', day)::date as week
    from dense d
    left join {stores} st on st.store_id = d.store_id
    left join {products} p on p.sku = d.sku
),
elsewhere as (
    select country, sku, week, quantile_disc(price, 0.5) as price from placed where price > 0 group by all
),
priced as (
    select d.* exclude (price),
           coalesce(d.price, e.price, last_value(d.price ignore nulls) over before,
                    first_value(d.price ignore nulls) over after) as price
    from placed d
    left join elsewhere e on e.country = d.country and e.sku = d.sku and e.week = d.week
    window before as (partition by d.store_id, d.sku order by day rows between unbounded preceding and current row),
           after as (partition by d.store_id, d.sku order by day rows between current row and unbounded following)
),
weekdays as (
    select country, department, dayofweek(day) as weekday,
           (sum(units::decimal(18, 3)) + 1)::double / (count(*) + 1) as rate
    from priced where not out_of_stock group by all
),
strength as (
    select * exclude (rate),
           (rate / avg(rate::decimal(18, 6)) over (partition by country, department))::decimal(9, 4) as strength
    from weekdays
)
select store_id, sku, category, department, country, channel, week, price, promo,
       case when out_of_stock then day end as sold_out_on,
       sum(units::decimal(18, 3))::double as units, sum(s.strength)::double as exposure, count(*) as days,
       avg(competitor::decimal(12, 8)) as competitor, avg(listed)::double as listed
from priced join strength s using (country, department)
where s.weekday = dayofweek(day) and price > 0 and units >= 0 and (units > 0 or not out_of_stock)
group by all
order by store_id, sku, week, price, promo, sold_out_on nulls first
"""

BASE = """
with recent as (
    select * from {sales} where business_date > date '{until}' - {recent} and business_date <= date '{until}'
),
stores as (
    select store_id, count(distinct business_date) as open_days, count(on_hand) > 0 as counts_stock
    from recent group by store_id
)
select r.store_id, r.sku, sum(gross_units::decimal(18, 3))::double
           / case when any_value(counts_stock) then count(*) else any_value(open_days) end as units_per_day,
       avg(coalesce(unit_price, list_price)) as price, count(*)::bigint as days
from recent r
join stores s on s.store_id = r.store_id
where not coalesce(is_stocked_out, false) and coalesce(unit_price, list_price) > 0
group by all having sum(gross_units) >= 0
order by all
"""


class ResponseDataError(RetailError):
    """Gold holds nothing from which demand response could be learnt."""


@dataclass(frozen=True)
class Seasons:
    """The groups that share a week's demand, arrays of shape (seasons,).

    `group` numbers country and category (department where the category is small), `country` the country, `week` the
    weeks from the first; `category` is -1 where a group holds several categories.
    """

    group: Ints
    country: Ints
    week: Ints
    category: Ints


@dataclass(frozen=True)
class ResponseFrame:
    """Rows of the panel as arrays of shape (rows,), `features` (rows, 4) in the order of FEATURES.

    `log_price` is ln(price / geometric mean price of the series), `log_competitor` the same of the lowest competitor
    price (0 where it is not known). `discount` is ln(price / list price) of a promotion, at most 0, and 0 without one.
    Where `censored`, demand was at least `units`. Codes index series (store and SKU),
    `skus`, `stores` and `categories`; `season` and `store_week` number the groups that share a week's demand. A cluster
    of stores is a country and channel.
    """

    units: Floats
    censored: npt.NDArray[np.bool_]
    exposure: Floats
    features: Floats
    discount: Floats
    week: npt.NDArray[np.datetime64]
    series_code: Ints
    sku_code: Ints
    season_code: Ints
    store_week_code: Ints
    sku_of_series: Ints
    store_of_series: Ints
    category_of_sku: Ints
    cluster_of_store: Ints
    skus: list[str]
    stores: list[str]
    categories: list[str]
    clusters: list[str]
    seasons: Seasons

    def where(self, rows: npt.NDArray[np.bool_]) -> "ResponseFrame":
        """The same frame with the rows of the mask; every code keeps its meaning."""
        codes = ("series_code", "sku_code", "season_code", "store_week_code")
        picked = ("units", "censored", "exposure", "features", "discount", "week", *codes)
        kept = {name: getattr(self, name)[rows] for name in picked}
        return replace(self, **kept)


def read_panel(lake: Lake, until: date, config: ResponseConfig, versions: dict[str, int]) -> pa.Table:
    """The panel (one row per store-SKU, week, paid price and promotion state) up to `until`, sorted."""
    sql = PANEL.format(
        sales=lake.scan("gold", "fct_sales_daily", versions["fct_sales_daily"]),
        stores=lake.scan("gold", "dim_store", versions["dim_store"]),
        products=lake.scan("gold", "dim_product", versions["dim_product"]),
        promotions=lake.scan("gold", "dim_promotion", versions["dim_promotion"]),
        until=until.isoformat(),
        history=config.history_days,
        minimum=config.minimum_sale_days,
        launch=LAUNCH_DAYS,
    )
    return lake.query(sql)


def read_base_demand(lake: Lake, until: date, versions: dict[str, int]) -> pa.Table:
    """Units per day and mean paid price of each store-SKU over the last 56 days with stock, up to `until`.

    In stores that count no stock a day without a sale has no row, so that there the store's open days are counted.
    """
    sales = lake.scan("gold", "fct_sales_daily", versions["fct_sales_daily"])
    return lake.query(BASE.format(sales=sales, until=until.isoformat(), recent=RECENT_DAYS))


FUNNEL = """
with sold as (
    select store_id, sku, count(*) filter (gross_units > 0) as days,
           count(*) filter (gross_units > 0 and coalesce(unit_price, list_price) > 0) as priced
    from {sales} where business_date > date '{until}' - {history} and business_date <= date '{until}'
    group by all having count(*) filter (gross_units > 0) > 0
)
select count(*) as sold, count(*) filter (days >= {minimum}) as often,
       count(*) filter (days >= {minimum} and priced > 0) as priced
from sold
"""


def why_nothing(lake: Lake, until: date, config: ResponseConfig, versions: dict[str, int]) -> ResponseDataError:
    """Which condition left no row to learn demand response from, counted at each step."""
    days, history = config.minimum_sale_days, config.history_days
    sales = lake.scan("gold", "fct_sales_daily", versions["fct_sales_daily"])
    sql = FUNNEL.format(sales=sales, until=until.isoformat(), history=history, minimum=days)
    sold, often, priced = (column[0].as_py() for column in lake.query(sql).columns)
    steps = [f"{sold:,} store-SKUs were sold in the {history} days up to {until}", f"{often:,} of them on {days} days"]
    steps += [f"{priced:,} of those at a price above 0"] if often else []
    if not often:
        todo = "load more history, or lower response.minimum_sale_days in configs/pricing.yaml"
    elif not priced:
        todo = "map unit_price (docs/bring-your-own-data.md); forecasts need no price"
    else:
        steps.append(f"0 with a day in stock after the first {LAUNCH_DAYS} days in the store")
        todo = f"load more than {LAUNCH_DAYS} days of history"
    return ResponseDataError(f"demand response cannot be learnt: {', '.join(steps)}", todo=todo)


def frame_of(panel: pa.Table, config: ResponseConfig) -> ResponseFrame:
    """Codes and features of a panel that has rows."""
    columns = {name: panel[name].combine_chunks() for name in panel.column_names}
    store, stores = _encode(columns["store_id"])
    sku, skus = _encode(columns["sku"])
    series, first = _pairs(store, sku)
    week = columns["week"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    week_code = np.unique(week, return_inverse=True)[1]
    _, at = np.unique(sku, return_index=True)
    category, categories = _encode(columns["category"])
    cluster, clusters = _encode(pc.binary_join_element_wise(columns["country"], columns["channel"], " "))
    store_at = np.unique(store, return_index=True)[1]
    group, mixed = _season_groups(columns, sku, category, at, config.season_group_skus)
    season, cell = _pairs(group, week_code)
    seasons = Seasons(
        group=group[cell],
        country=_encode(columns["country"])[0][cell],
        week=(week[cell] - week.min()).astype(np.int64) // 7,
        category=np.where(mixed, -1, category)[cell],
    )
    price = np.log(columns["price"].to_numpy())
    exposure = columns["exposure"].to_numpy()
    promotion = columns["promo"].to_numpy(zero_copy_only=False).astype(float)
    years = (week - week.max()).astype(float) / 365.25
    rival = columns["competitor"].to_numpy(zero_copy_only=False).astype(float)
    seen = ~np.isnan(rival)
    rival = np.where(seen, rival - _mean_by(np.where(seen, rival, 0.0), exposure * seen, series), 0.0)
    log_price = price - _mean_by(price, exposure, series)
    features = np.column_stack([log_price, promotion, years - years.mean(), rival])
    listed = columns["listed"].to_numpy(zero_copy_only=False).astype(float)
    return ResponseFrame(
        units=columns["units"].to_numpy(),
        censored=columns["sold_out_on"].is_valid().to_numpy(zero_copy_only=False),
        exposure=exposure,
        features=features,
        discount=np.where(np.isnan(listed), 0.0, np.minimum(price - np.log(listed), 0.0)),
        week=week,
        series_code=series,
        sku_code=sku,
        season_code=season,
        store_week_code=_pairs(store, week_code)[0],
        sku_of_series=sku[first],
        store_of_series=store[first],
        category_of_sku=category[at],
        cluster_of_store=cluster[store_at],
        skus=skus,
        stores=stores,
        categories=categories,
        clusters=clusters,
        seasons=seasons,
    )


def _season_groups(
    columns: dict[str, pa.Array], sku: Ints, category: Ints, at: Ints, minimum: int
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """A code per row of country and category, or of country and department where (mask) the category is small."""
    country, _ = _encode(columns["country"])
    department, _ = _encode(columns["department"])
    size = np.bincount(category[at], minlength=category.max() + 1)
    small = size[category] < minimum
    group = np.where(small, department, category + department.max() + 1)
    return _pairs(country, group)[0], small


def _encode(column: pa.Array) -> tuple[Ints, list[str]]:
    """Codes in the sorted order of the values, and the values."""
    values, codes = np.unique(np.asarray(column.to_pylist(), dtype=str), return_inverse=True)
    return codes.astype(np.int64), values.tolist()


def _pairs(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """A code per distinct pair, and the row where each pair occurs first."""
    _, first, codes = np.unique(left * (right.max() + 1) + right, return_index=True, return_inverse=True)
    return codes.astype(np.int64), first


def _mean_by(values: Floats, weights: Floats, codes: Ints) -> Floats:
    total = np.bincount(codes, weights)
    mean: Floats = (np.bincount(codes, values * weights) / np.maximum(total, 1e-12))[codes]
    return mean
