"""Promotions that are announced for the weeks beyond the daily forecasts.

The level of a store-SKU holds promotions at the rate at which they were. A week that is known to be promoted gets

    (1 + share * (lift - 1)) / (1 + usual share * (lift - 1))

with the share of its days that are promoted and the lift of its category; a week of which nothing is announced yet is
left alone, as promotions are announced some weeks ahead only.
"""

from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_assets.resources.lake import Lake

Floats = NDArray[np.float64]
LOOK_BACK, BLOCK = 364, 91
FEWEST_REGULAR, FEWEST_PROMOTED = 14, 100

# Units are summed in thousandths and blocks in their order: the last digit of a lift depends on no thread.
LIFTS = """
with days as (
    select f.store_id, f.sku, p.category, (date '{origin}' - f.business_date) // {block} as block,
           f.on_promotion, round(f.gross_units * 1000)::bigint as units
    from {sales} f join {products} p on p.sku = f.sku
    where f.business_date <= date '{origin}' and f.business_date > date '{origin}' - {look_back}
          and not f.is_stocked_out
),
blocks as (
    select store_id, sku, category, block,
           sum(units) filter (on_promotion) as units, count(*) filter (on_promotion) as days,
           (sum(units) filter (not on_promotion))::double / count(*) filter (not on_promotion) as usual,
           count(*) filter (not on_promotion) as regular
    from days group by all
)
select category,
       sum(units)::double / nullif(sum(usual * days order by store_id, sku, block), 0) as lift from blocks
where days > 0 and regular >= {fewest_regular} group by category having sum(days) >= {fewest_promoted}
"""

USUAL = """
select store_id, sku, avg(on_promotion::int) as share from {sales}
where business_date <= date '{origin}' and business_date > date '{origin}' - {look_back} group by all
"""

ANNOUNCED = """
with days as (select unnest(range(date '{origin}' + 1, date '{origin}' + 7 * {weeks} + 1, interval 1 day))::date as day)
select s.store_id, p.sku, ((d.day - date '{origin}' - 1) // 7)::int as week, count(distinct d.day) / 7.0 as share
from days d join {promotions} p on d.day between p.starts_on and p.ends_on and p.discount_pct > 0
     and coalesce(p.announced_on, p.starts_on) <= date '{origin}'
join {stores} s on s.country = p.country
group by all
"""


def promotion_factors(lake: Lake, series: pd.DataFrame, origin: date, weeks: int) -> Floats:
    """Per row of `series` (store_id, sku, category) and week ahead, (series, weeks); 1 where nothing is announced."""
    made = np.ones((len(series), weeks))
    if not lake.exists("gold", "dim_promotion"):
        return made
    lifts = _query(lake, LIFTS, origin, weeks).set_index("category")["lift"]
    lift = series["category"].map(lifts).astype(float).fillna(1.0).clip(lower=1.0).to_numpy(float)
    keys = pd.MultiIndex.from_frame(series[["store_id", "sku"]])
    usual = _query(lake, USUAL, origin, weeks).set_index(["store_id", "sku"])["share"].reindex(keys).fillna(0.0)
    rows = _query(lake, ANNOUNCED, origin, weeks)
    place = keys.get_indexer(pd.MultiIndex.from_frame(rows[["store_id", "sku"]]))
    rows, place = rows[place >= 0], place[place >= 0]
    share = rows["share"].to_numpy(float)
    extra = lift[place] - 1.0
    made[place, rows["week"].to_numpy(int)] = (1 + share * extra) / (1 + usual.to_numpy(float)[place] * extra)
    return made


def _query(lake: Lake, sql: str, origin: date, weeks: int) -> pd.DataFrame:
    tables = {
        "sales": "fct_sales_daily",
        "products": "dim_product",
        "promotions": "dim_promotion",
        "stores": "dim_store",
    }
    filled = sql.format(
        origin=origin,
        weeks=weeks,
        look_back=LOOK_BACK,
        block=BLOCK,
        fewest_regular=FEWEST_REGULAR,
        fewest_promoted=FEWEST_PROMOTED,
        **{name: lake.scan("gold", table) for name, table in tables.items()},
    )
    rows: pd.DataFrame = lake.query(filled).to_pandas()
    return rows
