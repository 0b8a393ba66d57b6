"""What a price or a promotion would change: the planned curve of one store-SKU, and the curve with the change.

    changed = planned * (new price / planned price) ^ elasticity * display of a promotion, where one begins or ends

The elasticity is the one that pricing decides with. What the display of a promotion adds beyond its price is learnt
from the category's promotions of a year. The forecaster's own answer to a planned discount, which has both in one,
shrinks deep discounts: see docs/plan-with-forecasts.md for what each missed on the sample's truth.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_assets.core.errors import RetailError
from retail_assets.planning.read import quantile_columns, require_known, series_forecast
from retail_assets.pricing.response.model import SOURCES, PriceModel
from retail_assets.pricing.response.response import uncensored
from retail_assets.resources.lake import Lake

Floats = NDArray[np.float64]
LOOK_BACK = 364
AROUND = 21  # days before and after a promotion that its sales are compared with
FEWEST_DAYS = 100
ROUNDS = 10

PROMOTED = """
with promos as (select country, sku, starts_on, ends_on, max(discount_pct)::double / 100 as discount
                from {promotions} where discount_pct > 0 and discount_pct < 100 group by all),
     sold as (select f.store_id, f.sku, f.business_date, f.gross_units, f.is_stocked_out, f.on_promotion, s.country,
                     not f.on_promotion and not f.is_stocked_out as regular
              from {sales} f join {stores} s using (store_id) join {products} p on p.sku = f.sku
              where p.category = $category and f.business_date between $until::date - {look_back} and $until),
     weekdays as (select isodow(business_date) as weekday,
                         avg(gross_units) / (select avg(gross_units) from sold where regular) as factor
                  from sold where regular group by all),
     around as (select *, avg(case when regular then gross_units end) over (
                    partition by store_id, sku order by business_date
                    range between interval {around} days preceding and interval {around} days following) as usual
                from sold)
select a.store_id, a.sku, a.gross_units as units, a.is_stocked_out as hidden, a.usual * w.factor as usual, p.discount
from around a join weekdays w on w.weekday = isodow(a.business_date)
join promos p on p.country = a.country and p.sku = a.sku and a.business_date between p.starts_on and p.ends_on
where a.on_promotion and a.usual > 0
"""

PLANNED = """
select d.day, arg_max(h.list_price, h.valid_from)::double as list_price,
       arg_max(h.unit_cost, h.valid_from)::double as unit_cost, any_value(h.currency) as currency,
       coalesce((select max(p.discount_pct)::double / 100 from {promotions} p where p.country = s.country
                 and p.sku = $sku and d.day between p.starts_on and p.ends_on
                 and coalesce(p.announced_on, p.starts_on) <= $origin), 0) as discount
from (select unnest(range($first::date, $last::date + 1, interval 1 day))::date as day) d
join {stores} s on s.store_id = $store
left join {prices} h on h.store_id = $store and h.sku = $sku and h.valid_from <= d.day
     and coalesce(h.valid_to, d.day) >= d.day
group by d.day, s.country order by d.day
"""


class WhatIfError(RetailError):
    """A change that cannot be answered: unknown days, an impossible price or discount, or no price to compare with."""


@dataclass(frozen=True)
class Change:
    """A list price, or a promotion as a share of it, from `first` to `last`, both included."""

    first: date
    last: date
    price: float | None = None
    discount: float | None = None

    def __post_init__(self) -> None:
        """Raises WhatIfError."""
        if (self.price is None) == (self.discount is None):
            raise WhatIfError("give either a price or a promotion")
        if self.price is not None and not 0 < self.price < float("inf"):
            raise WhatIfError(f"a price of {self.price} is no price", todo="give one above 0")
        if self.discount is not None and not 0 <= self.discount < 0.95:
            raise WhatIfError(
                f"a promotion of {100 * self.discount:g} % is none that can be answered", todo="give 0 to 94 %"
            )
        if self.last < self.first:
            raise WhatIfError(f"the change ends on {self.last}, before it begins on {self.first}")


@dataclass(frozen=True)
class Answer:
    """`days`: target_date, planned, changed, low, high (95 % of the effect), prices paid and the changed quantiles.

    `display` is the factor that the display of a promotion has beyond its price.
    """

    store_id: str
    sku: str
    days: pd.DataFrame
    elasticity: tuple[float, float, float]
    source: str
    display: float
    currency: str
    forecast_version: str
    pricing_version: str
    notes: tuple[str, ...]


def what_if(lake: Lake, model: PriceModel, store_id: str, sku: str, change: Change) -> Answer:
    """Answers `change` for one store-SKU; raises WhatIfError or UnknownForecast."""
    require_known(lake, store_id, sku)
    rows = series_forecast(lake, store_id, sku)
    first, last, origin = rows["target_date"].min(), rows["target_date"].max(), rows["origin_date"].iloc[0]
    if change.first < first or change.last > last:
        raise WhatIfError(
            f"{change.first} to {change.last} is not forecast",
            todo=f"stay within {first} to {last}",
            where="gold/forecasts",
        )
    plan, category = planned_prices(lake, store_id, sku, first, last, origin), _category(lake, sku)
    if plan["list_price"].isna().any():
        raise WhatIfError(
            f"{sku} has no list price in {store_id} from {first} to {last}", where="gold/fct_price_history"
        )
    response = model.response([store_id], [sku], [category])
    beliefs = [float(getattr(response, name)[0]) for name in ("elasticity", "lo", "hi")]
    inside = ((rows["target_date"] >= change.first) & (rows["target_date"] <= change.last)).to_numpy(bool)
    was, has = plan["list_price"].to_numpy(float), plan["discount"].to_numpy(float)
    price = np.where(inside, change.price, was) if change.price is not None else was
    discount = np.where(inside, change.discount, has) if change.discount is not None else has
    planned_paid, paid = was * (1 - has), price * (1 - discount)
    starts = (discount > 0).astype(float) - (has > 0)
    display = promotion_display(lake, model, category, origin) if starts.any() else 1.0
    curves = [_factor(paid / planned_paid, belief, starts, display) for belief in beliefs]
    days = pd.DataFrame({"target_date": rows["target_date"], "planned": rows["mean"]})
    days["changed"] = rows["mean"] * curves[0]
    days["low"], days["high"] = (rows["mean"] * edge(curves[1:], axis=0) for edge in (np.min, np.max))
    days["planned_price"], days["changed_price"], days["unit_cost"] = planned_paid, paid, plan["unit_cost"]
    days[quantile_columns(list(rows.columns))] = rows[quantile_columns(list(rows.columns))].mul(curves[0], axis=0)
    return Answer(
        store_id=store_id,
        sku=sku,
        days=days,
        elasticity=(beliefs[0], beliefs[1], beliefs[2]),
        source=SOURCES[int(response.source[0])],
        display=display,
        currency=str(plan["currency"].iloc[0]),
        forecast_version=str(rows["model_version"].iloc[0]),
        pricing_version=model.version,
        notes=_notes(lake, store_id, sku, origin, paid[inside]),
    )


def _factor(price_ratio: Floats, elasticity: float, starts: Floats, display: float) -> Floats:
    return np.asarray(np.exp(elasticity * np.log(price_ratio)) * display**starts)


def planned_prices(lake: Lake, store_id: str, sku: str, first: date, last: date, origin: date) -> pd.DataFrame:
    """Per day: list_price, unit_cost, currency and planned discount (a share) as announced by `origin`."""
    tables = {"promotions": "dim_promotion", "stores": "dim_store", "prices": "fct_price_history"}
    sql = PLANNED.format(**{name: lake.scan("gold", table) for name, table in tables.items()})
    asked = {"store": store_id, "sku": sku, "first": first, "last": last, "origin": origin}
    with lake.connect() as db:
        return db.execute(sql, asked).df()


def promotion_display(lake: Lake, model: PriceModel, category: str | None, until: date) -> float:
    """The factor by which promotions of `category` sell more than their price explains, in a year up to `until`.

    Sales of promoted days over what regular days around them sold, the weekday and the price effect taken out. Demand
    that met an empty shelf is filled in by its expectation. 1 where fewer than FEWEST_DAYS days tell.
    """
    tables = {
        "promotions": "dim_promotion",
        "sales": "fct_sales_daily",
        "stores": "dim_store",
        "products": "dim_product",
    }
    scans = {name: lake.scan("gold", table) for name, table in tables.items()}
    with lake.connect() as db:
        sql = PROMOTED.format(look_back=LOOK_BACK, around=AROUND, **scans)
        rows = db.execute(sql, {"category": category, "until": until}).df()
    if len(rows) < FEWEST_DAYS:
        return 1.0
    skus, stores = rows["sku"].to_numpy(object), rows["store_id"].to_numpy(object)
    elasticity = model.response(stores, skus, np.full(len(rows), category, dtype=object)).elasticity
    expected = rows["usual"].to_numpy(float) * np.exp(elasticity * np.log(1.0 - rows["discount"].to_numpy(float)))
    units, hidden = rows["units"].to_numpy(float), rows["hidden"].to_numpy(bool)
    told, display = ~(hidden & (units < 1)), 1.0
    hidden &= told
    for _ in range(ROUNDS):
        filled = units.copy()
        filled[hidden] = uncensored(units[hidden], expected[hidden] * display)
        display = float(filled[told].sum() / expected[told].sum())
    return max(display, 1.0)


def _category(lake: Lake, sku: str) -> str | None:
    rows = lake.read("gold", "dim_product", ["sku", "category"]).to_pylist()
    return next((row["category"] for row in rows if row["sku"] == sku), None)


def _notes(lake: Lake, store_id: str, sku: str, origin: date, paid: Floats) -> tuple[str, ...]:
    """Says when a price lies outside of those that the SKU was sold for."""
    with lake.connect() as db:
        sql = f"""select min(unit_price)::double, max(unit_price)::double from {lake.scan("gold", "fct_sales_daily")}
                  where store_id = $store and sku = $sku and business_date > $origin::date - {LOOK_BACK}"""
        low, high = db.execute(sql, {"store": store_id, "sku": sku, "origin": origin}).fetchall()[0]
    if low is None:
        return ("the SKU has not sold here in a year: its answer to prices is that of its category",)
    if (paid < 0.99 * low).any() or (paid > 1.01 * high).any():
        return (f"no such price was paid here in a year ({low:.2f} to {high:.2f}): the answer is an extrapolation",)
    return ()
