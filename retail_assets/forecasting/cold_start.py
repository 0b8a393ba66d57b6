"""Forecasts of SKUs that have not sold yet: from analogues, else from their category elsewhere, else from the store.

    forecast = weighted mean of the analogues' forecasts on that day * how far a launch has come by then

The forecasts of analogues (same store and category; weighted by nearness of price and brand where that helps) already
hold weekday, season and store. Their spread is what is not known of the new SKU's level, so that its quantiles are
those of the mixture of theirs. How launches come up is learnt from the launches before.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_assets.forecasting.config import quantile_name
from retail_assets.resources.lake import Lake

Floats = NDArray[np.float64]

OWN, ANALOGUES, CATEGORY, STORE = "own history", "analogues", "category in other stores", "store average"
RUNGS = (OWN, ANALOGUES, CATEGORY, STORE)
FEWEST_ANALOGUES = 3
FEWEST_LAUNCHES = 3
RAMP_WEEKS = 4
SETTLED = (28, 56)  # ages in days at which a launch has come up
PRICE_BAND = 0.35  # log price: at this distance a SKU counts 61 % of one with the same price
MUCH_BETTER = 0.05
NOWHERE: NDArray[np.intp] = np.empty(0, dtype=np.intp)
SAME_BRAND = 3.0  # how much more a SKU of the same brand counts
WEIGHTINGS = {"": (False, False), " of like price": (True, False), " of the brand": (False, True),
              " of like price and brand": (True, True)}  # fmt: skip

LISTED = """
with days as (select date '{origin}' as origin, date '{origin}' + {horizon} as last),
     open_stores as (select distinct store_id from {sales}, days
                     where business_date > origin - {origin_days} and business_date <= origin),
     prices as (select store_id, sku, min(valid_from) as priced_from, arg_max(list_price, valid_from)::double as price
                from {prices}, days where valid_from <= last and coalesce(valid_to, last) > origin group by all)
select r.store_id, r.sku, greatest(coalesce(p.launched_on, r.priced_from), r.priced_from) as first_day
from prices r join open_stores using (store_id) join {products} p on p.sku = r.sku, days
where greatest(coalesce(p.launched_on, r.priced_from), r.priced_from) <= last
  and coalesce(p.discontinued_on, date '9999-12-31') > origin
  and not exists (select 1 from {sales} f where f.store_id = r.store_id and f.sku = r.sku and f.business_date <= origin)
order by 1, 2
"""

LAUNCHES = """
with sold as (select store_id, sku, business_date, gross_units from {sales}
              where business_date <= date '{origin}' and not is_stocked_out),
     kinds as (select sku, category, launched_on from {products} where category is not null),
     others as (select store_id, category, business_date, avg(gross_units) as usual
                from sold join kinds using (sku) where launched_on is null or business_date - launched_on >= {settled}
                group by all),
     launched as (select s.*, k.category, s.business_date - k.launched_on as age from sold s join kinds k using (sku)
                  where k.launched_on > (select min(business_date) from sold) + 7
                  and s.business_date - k.launched_on between 0 and {last} - 1)
select l.sku, l.age, sum(l.gross_units) as units, sum(o.usual) as usual
from launched l join others o using (store_id, category, business_date) group by all
"""


def listed_without_history(lake: Lake, origin: date, horizon: int, origin_days: int) -> pd.DataFrame:
    """Store-SKUs with a price within `horizon` days that have no sales or counts yet: store_id, sku, first_day.

    Only stores that sent something in the last `origin_days` days. Without gold/fct_price_history there are none.
    """
    if not lake.exists("gold", "fct_price_history"):
        return pd.DataFrame(columns=["store_id", "sku", "first_day"])
    sql = LISTED.format(
        origin=origin,
        horizon=horizon,
        origin_days=origin_days,
        sales=lake.scan("gold", "fct_sales_daily"),
        prices=lake.scan("gold", "fct_price_history"),
        products=lake.scan("gold", "dim_product"),
    )
    rows: pd.DataFrame = lake.query(sql).to_pandas()
    return rows


def item_attributes(lake: Lake) -> pd.DataFrame:
    """What makes SKUs alike: sku, category, department, brand, price (median list price of its newest prices)."""
    rows: pd.DataFrame = lake.query(
        f"""with newest as (select store_id, sku, arg_max(list_price, valid_from)::double as price
                            from {lake.scan("gold", "fct_price_history")} group by all)
            select p.sku, p.category, p.department, p.brand, median(n.price) as price
            from {lake.scan("gold", "dim_product")} p left join newest n on n.sku = p.sku group by all order by 1"""
    ).to_pandas()
    return rows


def with_rungs(
    lake: Lake, made: pd.DataFrame, origin: date, horizon: int, origin_days: int, levels: Sequence[float]
) -> pd.DataFrame:
    """`made` (rows of gold/forecasts from `origin`) with their `rung` and forecasts of what has not sold yet."""
    new = listed_without_history(lake, origin, horizon, origin_days)
    if new.empty or made.empty:
        return made.assign(rung=OWN)
    return with_new_items(made, new, item_attributes(lake), launch_ramp(lake, origin), levels)


def launch_ramp(lake: Lake, origin: date) -> Floats:
    """The share of its settled demand that a launch reaches in its week 1 to RAMP_WEEKS, within 0.05 and 1.

    Read from SKUs that were launched and had settled by `origin`; all 1 where there are fewer than FEWEST_LAUNCHES.
    """
    settled, last = SETTLED
    sql = LAUNCHES.format(
        origin=origin,
        settled=settled,
        last=last,
        sales=lake.scan("gold", "fct_sales_daily"),
        products=lake.scan("gold", "dim_product"),
    )
    rows = lake.query(sql).to_pandas()
    late = rows[rows["age"] >= settled].groupby("sku")[["units", "usual"]].sum()
    late = late[(late["units"] > 0) & (late["usual"] > 0)]
    early = rows[(rows["age"] < 7 * RAMP_WEEKS) & rows["sku"].isin(late.index)]
    if len(late) < FEWEST_LAUNCHES or early.empty:
        return np.ones(RAMP_WEEKS)
    expected = early["usual"] * early["sku"].map(late["units"] / late["usual"])
    weeks = early.assign(expected=expected).groupby(early["age"] // 7)[["units", "expected"]].sum()
    share = (weeks["units"] / weeks["expected"]).reindex(range(RAMP_WEEKS)).fillna(1.0)
    return np.asarray(share.clip(0.05, 1.0).to_numpy(float))


def with_new_items(
    made: pd.DataFrame, new: pd.DataFrame, products: pd.DataFrame, ramp: Floats, levels: Sequence[float]
) -> pd.DataFrame:
    """`made` (rows of gold/forecasts) with its `rung`, followed by forecasts of `new` (store_id, sku, first_day).

    `products` has sku, category, department, brand, price. A new SKU gets every target day of its store; before its
    first day it expects nothing. Its model version is that of the store's forecasts. A store that forecasts nothing
    gets nothing.
    """
    made = made.assign(rung=OWN)
    if new.empty or made.empty:
        return made
    known = Known.of(made.merge(products, on="sku", how="left"))
    weighting = best_weighting(known.rows)
    parts = [made]
    for item in new.merge(products, on="sku", how="left").to_dict("records"):
        found, rung = _analogues(known, item, weighting)
        if not found.empty:
            version = known.of_store(item["store_id"])["model_version"].iloc[0]
            parts.append(_forecast(found, item, ramp, levels).assign(rung=rung, model_version=version))
    return pd.concat(parts, ignore_index=True)[made.columns]


@dataclass(frozen=True)
class Known:
    """Forecast rows with the attributes of their SKUs, and the places of each store, category, and both."""

    rows: pd.DataFrame
    stores: Mapping[Any, Any]
    categories: Mapping[Any, Any]
    shelves: Mapping[Any, Any]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "Known":
        """From rows with store_id and category (NaN is in no category)."""
        places = (rows.groupby(keys, sort=False).indices for keys in ("store_id", "category", ["store_id", "category"]))
        return cls(rows, *places)

    def of_store(self, store: str) -> pd.DataFrame:
        """The rows of a store, in their order."""
        return self.rows.iloc[self.stores.get(store, NOWHERE)]

    def of_shelf(self, store: str, category: Any) -> pd.DataFrame:
        """The rows of a category in a store."""
        return self.rows.iloc[self.shelves.get((store, category), NOWHERE)]

    def elsewhere(self, store: str, category: Any) -> pd.DataFrame:
        """The rows of a category in the other stores."""
        others = np.setdiff1d(self.categories.get(category, NOWHERE), self.shelves.get((store, category), NOWHERE))
        return self.rows.iloc[others]


def best_weighting(known: pd.DataFrame) -> str:
    """The key of WEIGHTINGS that forecasts the level of established SKUs best, each left out in turn.

    The simplest one where none is better by MUCH_BETTER of the error: few SKUs tell.
    """
    sku = known.groupby("sku").agg(
        level=("mean", "mean"), category=("category", "first"), brand=("brand", "first"), price=("price", "first")
    )
    errors = dict.fromkeys(WEIGHTINGS, 0.0)
    for _, rows in sku.dropna(subset=["category"]).groupby("category"):
        if len(rows) <= FEWEST_ANALOGUES:
            continue
        level = rows["level"].to_numpy(float)
        for name in WEIGHTINGS:
            weight = _weights(rows, rows, name)
            np.fill_diagonal(weight, 0.0)
            errors[name] += float(np.abs(weight @ level / weight.sum(axis=1) - level).sum())
    best = ""
    for name, error in errors.items():
        best = name if error < (1.0 - MUCH_BETTER) * errors[best] else best
    return best


def _weights(targets: pd.DataFrame, analogues: pd.DataFrame, weighting: str) -> Floats:
    """Targets x analogues; an unknown price or brand is like none and counts least."""
    by_price, by_brand = WEIGHTINGS[weighting]
    weight = np.ones((len(targets), len(analogues)))
    if by_price:
        ours, theirs = (np.log(rows["price"].to_numpy(float)) for rows in (targets, analogues))
        far = np.abs(ours[:, None] - theirs[None, :])
        weight *= np.maximum(np.exp(-0.5 * (np.nan_to_num(far, nan=9.0) / PRICE_BAND) ** 2), 1e-3)
    if by_brand:
        same = targets["brand"].to_numpy(object)[:, None] == analogues["brand"].to_numpy(object)[None, :]
        weight *= np.where(same, SAME_BRAND, 1.0)
    return weight


def _analogues(known: Known, item: Mapping[Hashable, Any], weighting: str) -> tuple[pd.DataFrame, str]:
    """Forecast rows with a `weight` and a `scale`, of the first rung of the ladder that has enough of them."""
    store, category = item["store_id"], item["category"]
    here = known.of_shelf(store, category)
    if here["sku"].nunique() >= FEWEST_ANALOGUES:
        unique = here.drop_duplicates("sku")
        weight = dict(zip(unique["sku"], _weights(pd.DataFrame([item]), unique, weighting)[0], strict=True))
        return here.assign(weight=here["sku"].map(weight), scale=1.0), ANALOGUES
    elsewhere = known.elsewhere(store, category)
    if elsewhere["sku"].nunique() >= FEWEST_ANALOGUES and store in known.stores:
        return elsewhere.assign(weight=1.0, scale=_store_scale(known, store)), CATEGORY
    return known.of_store(store).assign(weight=1.0, scale=1.0), STORE


def _store_scale(known: Known, store: str) -> float:
    """How much the store sells of a SKU next to the other stores that sell it."""
    in_store = known.rows["store_id"] == store
    ours, theirs = (known.rows[rows].groupby("sku")["mean"].mean() for rows in (in_store, ~in_store))
    both = ours.index.intersection(theirs.index)
    whole = float(theirs[both].sum())
    return float(ours[both].sum()) / whole if whole > 0 else 1.0


def _forecast(found: pd.DataFrame, item: Mapping[Hashable, Any], ramp: Floats, levels: Sequence[float]) -> pd.DataFrame:
    names = [quantile_name(level) for level in levels]
    mass, rows = _masses(levels), []
    template = found.drop_duplicates("target_date").sort_values("target_date")
    first = pd.Timestamp(str(item["first_day"]))
    for day, part in found.groupby("target_date", sort=True):
        weight = part["weight"].to_numpy(float)
        age = (pd.Timestamp(str(day)) - first).days
        factor = float(part["scale"].iloc[0]) * _come_up(age, ramp)
        values = part[names].to_numpy(float)
        quantiles = _mixture(values.ravel(), (weight[:, None] * mass[None, :]).ravel(), levels)
        mean = float(weight @ part["mean"].to_numpy(float) / weight.sum())
        rows.append([mean * factor, *(quantiles * factor)])
    made = template.assign(store_id=item["store_id"], sku=item["sku"])
    made[["mean", *names]] = np.array(rows)
    return made


def _come_up(age: int, ramp: Floats) -> float:
    """The share of settled demand `age` days after the first day: 0 before it, 1 once the ramp is over."""
    if age < 0:
        return 0.0
    return float(ramp[age // 7]) if age < 7 * len(ramp) else 1.0


def _masses(levels: Sequence[float]) -> Floats:
    """How much of a distribution each of its quantiles stands for: up to the middle between it and the next."""
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(levels)), 1.0]
    return np.diff(np.array(edges))


def _mixture(values: Floats, mass: Floats, levels: Sequence[float]) -> Floats:
    """Quantiles of weighted values, never falling."""
    order = np.argsort(values, kind="stable")
    reached = (np.cumsum(mass[order]) - mass[order] / 2) / mass.sum()
    return np.asarray(np.interp(levels, reached, values[order]))
