"""Gold tables and features -> frames of examples: one row per store-SKU, forecast origin and target day.

Features are those of the origin (what was known when its day was closed); calendar and planned promotions are those
of the target day, as announced by the origin. `units` is demand: gross units, returns not subtracted, and absent (NaN)
where demand cannot be known: the shelf was empty at close (or held only what came back that day), the SKU was not
listed, or the store sent no file. `baseline` and its parts, and `demand` (units, or what a day that sold out is
expected to have asked for), are there once a baseline was learnt.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.baseline.baseline import Baseline
from retail_assets.forecasting.baseline.baseline_days import read_days
from retail_assets.forecasting.baseline.structure import expected_beyond
from retail_assets.forecasting.config import SeriesConfig
from retail_assets.forecasting.context import CALENDAR, CALENDAR_COLUMNS, PROMOTIONS
from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KEYS = ("store_id", "sku")
TABLES = ("fct_sales_daily", "dim_calendar", "dim_promotion", "dim_store", "dim_product")
PRICES = "fct_price_history"

ACTIVE = """
select f.* from features f
join (select store_id, max(business_date) as newest from features where business_date > date '{origin}' - {days}
      and business_date <= date '{origin}' group by all) s on s.store_id = f.store_id and s.newest = f.business_date
left join products p on p.sku = f.sku
where coalesce(f.active_days_56, {minimum}) >= {minimum}
  and coalesce(p.discontinued_on, date '9999-12-31') > date '{origin}'
order by coalesce(f.units_mean_56, f.units_mean_28, 0) desc, f.store_id, f.sku
limit {limit}
"""

STORE_DAYS = """
create temp table store_days as
select store_id, business_date, count(on_hand) > 0 as has_stock from sales group by all;
create temp table closed_weekdays as
with span as (
    select store_id, min(business_date) as first_day, max(business_date) as last_day from store_days group by all
),
days as (select store_id, unnest(range(first_day, last_day + 1, interval 1 day))::date as day from span)
select d.store_id, isodow(d.day) as weekday from days d
left join store_days s on s.store_id = d.store_id and s.business_date = d.day
group by all having count(s.store_id) < count(*) / 2
"""

EXAMPLES = """
with dated as (select r.*, r.business_date + r.horizon::integer as target_date from rows r),
promoted as (
    select d.row, max(p.discount) as discount from dated d
    join stores st on st.store_id = d.store_id
    join promotions p on p.country = st.country and p.sku = d.sku
    where p.starts_on <= d.target_date and p.ends_on >= d.target_date and p.announced_on <= d.business_date
    group by all
)
select d.target_date, pr.category, pr.department, st.country, isodow(d.target_date)::double as target_weekday,
       {calendar_columns}, coalesce(p.discount, 0) as planned_discount,
       case when coalesce(s.is_stocked_out, false) then null
            when s.store_id is not null then s.gross_units
            when sd.store_id is null then case when cw.store_id is not null then 0.0 end
            when sd.has_stock then null else 0.0 end::double as units,
       case when s.is_stocked_out then s.gross_units end::double as sold_out_at,
       coalesce(n.gross_units, 0)::double as seasonal_naive,
       coalesce(s.on_promotion, false) as is_promoted
from dated d
left join products pr on pr.sku = d.sku
left join stores st on st.store_id = d.store_id
left join calendar c on c.country = st.country and c.day = d.target_date
left join promoted p on p.row = d.row
left join sales s on s.store_id = d.store_id and s.sku = d.sku and s.business_date = d.target_date
left join sales n on n.store_id = d.store_id and n.sku = d.sku
     and n.business_date = d.target_date - (7 * ceil(d.horizon / 7.0))::integer
left join store_days sd on sd.store_id = d.store_id and sd.business_date = d.target_date
left join closed_weekdays cw on cw.store_id = d.store_id and cw.weekday = isodow(d.target_date)
order by d.row
"""


NO_PRICES = """
create temp table prices (store_id text, sku text, valid_from date, valid_to date, list_price double)
"""


class Gold:
    """Gold opened once for one training or forecast: sales up to `until`, dimensions, calendar, promotions."""

    def __init__(
        self,
        lake: Lake,
        until: date,
        versions: Mapping[str, int] | None = None,
        stores: Sequence[str] | None = None,
        since: date = date.min,
    ) -> None:
        """`versions` pins gold tables to Delta versions; a table it does not name is read at its newest.

        With `stores` only their sales are read, with `since` only those from that day on: enough to forecast with, not
        to learn from.
        """
        pinned = versions or {}
        scan = {name: lake.scan("gold", name, pinned.get(name)) for name in TABLES}
        self.until = until
        self.db: DuckDBPyConnection = lake.connect()
        sales = f"""select store_id, sku, business_date, gross_units, on_hand, on_promotion,
                           is_stocked_out or coalesce(returned_units >= on_hand, false) as is_stocked_out
                    from {scan["fct_sales_daily"]} where business_date between date '{since}' and date '{until}'"""
        if stores is None:
            self.db.execute(f"create temp table sales as {sales}")
        else:
            self.db.execute(f"create temp table sales as {sales} and store_id in (select unnest($1))", [list(stores)])
        self.db.execute(f"create temp table calendar as {CALENDAR.format(calendar=scan['dim_calendar'])}")
        self.db.execute(f"create temp table promotions as {PROMOTIONS.format(promotions=scan['dim_promotion'])}")
        self.db.execute(f"create temp table stores as select store_id, country from {scan['dim_store']}")
        products = f"select sku, category, department, discontinued_on from {scan['dim_product']}"
        self.db.execute(f"create temp table products as {products}")
        prices = "select store_id, sku, valid_from, valid_to, list_price::double as list_price from "
        if lake.exists("gold", PRICES):
            self.db.execute(f"create temp table prices as {prices}{lake.scan('gold', PRICES, pinned.get(PRICES))}")
        else:
            self.db.execute(NO_PRICES)
        self.db.execute(STORE_DAYS)
        self.baseline: Baseline | None = None
        self._learnt: tuple[date, int] | None = None

    def learn_baseline(self, until: date, horizon: int) -> Baseline:
        """Learns the baseline from the days up to `until`; `examples` has it from now on.

        It reaches `horizon` days beyond. Stores that are left out would be missed: learn from all of them. Asked for
        the same again, it is the same.
        """
        if self.baseline is None or self._learnt != (until, horizon):
            self.baseline = Baseline.learn(read_days(self.db, until, horizon))
            self._learnt = (until, horizon)
        return self.baseline

    def close(self) -> None:
        """Frees the connection and everything read into it."""
        self.db.close()

    def at_origin(self, features: pa.Table, origin: date, config: SeriesConfig) -> pa.Table:
        """The feature rows to forecast from at `origin`, one per active series, sorted by store and SKU.

        A series is active when it has a row on the newest day of its store within `config.origin_days` and is not
        discontinued; the strongest `config.max_series` are kept. `features` must hold those days.
        """
        self.db.register("features", features)
        sql = ACTIVE.format(
            origin=origin, days=config.origin_days, minimum=config.min_active_days, limit=config.max_series
        )
        found = self.db.sql(f"select * from ({sql}) order by store_id, sku").to_arrow_table()
        self.db.unregister("features")
        return found

    def examples(self, rows: pa.Table) -> pd.DataFrame:
        """One example per row of `rows` (features, business_date = origin, horizon), in the same order.

        Only keys go through the joins: the features, which are most of the memory, are put beside the result.
        """
        keys = rows.select([*KEYS, "business_date", "horizon"]).append_column("row", pa.array(np.arange(len(rows))))
        self.db.register("rows", keys)
        columns = ", ".join(f"c.{name}" for name in CALENDAR_COLUMNS)
        found = self.db.sql(EXAMPLES.format(calendar_columns=columns)).to_arrow_table()
        self.db.unregister("rows")
        for name in found.column_names:
            rows = rows.append_column(name, found[name])
        frame: pd.DataFrame = rows.to_pandas(date_as_object=False, split_blocks=True)
        hidden = frame.pop("sold_out_at").to_numpy(float)
        if self.baseline is None:
            return frame
        frame = pd.concat([frame, self.baseline.of(frame)], axis=1)
        return frame.assign(demand=_demand(frame, hidden, self.baseline.structure.dispersion))


def _demand(frame: pd.DataFrame, hidden: np.ndarray, dispersion: float) -> np.ndarray:
    """`units`, and what a day that sold out at `hidden` units is expected to have asked for, by the baseline."""
    demand, mean = frame["units"].to_numpy(float).copy(), frame["baseline"].to_numpy(float)
    censored = ~np.isnan(hidden) & ~np.isnan(mean)
    demand[censored] = expected_beyond(mean[censored], hidden[censored].clip(min=0.0), dispersion)
    return demand


def sampled(features: pa.Table, horizon: int, last_target: date, budget: int, seed: int) -> pa.Table:
    """At most `budget` rows of origin x horizon with targets up to `last_target`, spread evenly over all of them."""
    origins = features["business_date"].to_numpy().astype("datetime64[D]")
    reach = np.minimum((np.datetime64(last_target, "D") - origins).astype(int), horizon).clip(min=0)
    whole = int(reach.sum())
    chance = np.random.default_rng(seed)
    chosen = np.arange(whole)
    if budget < whole:  # every n-th pair from a random start in its stretch: even, and no weekday is favoured
        edges = np.arange(budget + 1) * whole // budget
        chosen = edges[:-1] + (chance.random(budget) * np.diff(edges)).astype(int)
    ends = np.cumsum(reach)
    places = np.searchsorted(ends, chosen, side="right")
    return _with_horizon(features, places, chosen - (ends - reach)[places] + 1)


def crossed(features: pa.Table, horizon: int, origin: date) -> pa.Table:
    """Every row of `features` with every target day from `origin` + 1 to `origin` + `horizon`.

    A row older than `origin` (its store sent no newer file) keeps its own day as the origin of its features.
    """
    age = (np.datetime64(origin, "D") - features["business_date"].to_numpy().astype("datetime64[D]")).astype(int)
    places = np.repeat(np.arange(len(features)), horizon)
    return _with_horizon(features, places, np.tile(np.arange(1, horizon + 1), len(features)) + age[places])


def _with_horizon(features: pa.Table, places: np.ndarray, horizons: np.ndarray) -> pa.Table:
    return features.take(pa.array(places)).append_column("horizon", pa.array(horizons, pa.int64()))
