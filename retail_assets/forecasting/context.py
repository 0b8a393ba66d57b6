"""What is known in advance about the days to come: calendar and planned promotions, per store and SKU.

The batch joins the same rows in SQL (frames.py); a service keeps a ForecastContext in memory and builds the frame of
one request from it. A test holds the two against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from retail_assets.core.errors import RetailError
from retail_assets.resources.lake import Lake

CALENDAR_COLUMNS = ("is_holiday", "days_to_holiday", "days_since_holiday", "is_black_friday_week", "is_holiday_season")
TABLES = ("dim_calendar", "dim_promotion", "dim_store", "dim_product")
FAR = 60

CALENDAR = f"""
with marked as (
    select country, calendar_date as day, is_holiday, is_black_friday_week, is_holiday_season,
           first_value(case when is_holiday then calendar_date end ignore nulls) over ahead as next_holiday,
           last_value(case when is_holiday then calendar_date end ignore nulls) over behind as last_holiday
    from {{calendar}}
    window ahead as (partition by country order by calendar_date rows between current row and unbounded following),
           behind as (partition by country order by calendar_date rows between unbounded preceding and current row)
)
select country, day, is_holiday::double as is_holiday,
       coalesce(least(next_holiday - day, {FAR}), {FAR})::double as days_to_holiday,
       coalesce(least(day - last_holiday, {FAR}), {FAR})::double as days_since_holiday,
       is_black_friday_week::double as is_black_friday_week, is_holiday_season::double as is_holiday_season
from marked
"""

PROMOTIONS = """
select country, sku, starts_on, ends_on, coalesce(announced_on, starts_on) as announced_on,
       max(discount_pct)::double / 100 as discount
from {promotions} where country is not null and sku is not null and starts_on <= ends_on group by all
"""


class ForecastContextError(RetailError):
    """A store, a SKU or a day that the context does not know."""


@dataclass(frozen=True)
class Store:
    """What a forecast needs of a store; `country` is None for a store that no store file ever named."""

    country: str | None
    time_zone: str
    day_ends: str | None = None


@dataclass(frozen=True)
class Product:
    """What a forecast needs of a SKU."""

    category: str | None
    department: str | None


@dataclass(frozen=True)
class Promotion:
    """A planned discount (share of the price) from `starts_on` to `ends_on`, both included."""

    starts_on: date
    ends_on: date
    announced_on: date
    discount: float


@dataclass(frozen=True)
class ForecastContext:
    """Calendar (country to first day and days x columns), planned promotions by country and SKU, stores, products."""

    calendar: dict[str, tuple[date, np.ndarray]]
    promotions: dict[tuple[str, str], list[Promotion]]
    stores: dict[str, Store]
    products: dict[str, Product]

    @classmethod
    def read(
        cls,
        lake: Lake,
        since: date | None = None,
        versions: Mapping[str, int] | None = None,
        sku: str | None = None,
    ) -> "ForecastContext":
        """Reads gold; promotions that ended before `since` are left out. A lake without promotions has none.

        `versions` pins gold tables to Delta versions, `sku` reads only what concerns one SKU.
        """
        pinned = versions or {}
        scan = {name: lake.scan("gold", name, pinned.get(name)) for name in TABLES}
        ended = f" and ends_on >= date '{since}'" if since else ""
        of_sku, value = ("", []) if sku is None else (" and sku = ?", [sku])
        with lake.connect() as db:
            calendar = db.sql(CALENDAR.format(calendar=scan["dim_calendar"]) + " order by all").df()
            source = f"(select * from {scan['dim_promotion']} where true{ended}{of_sku})"
            promotions = db.execute(PROMOTIONS.format(promotions=source), value).fetchall()
            stores = db.sql(f"from {scan['dim_store']}").to_arrow_table().to_pylist()
            asked = f"select sku, category, department from {scan['dim_product']} where true{of_sku}"
            products = db.execute(asked, value).fetchall()
        return cls(
            calendar=_by_country(calendar),
            promotions=_by_sku(promotions),
            # an older version of the table has no column for the end of the day
            stores={s["store_id"]: Store(s["country"], s["time_zone"] or "UTC", s.get("day_ends")) for s in stores},
            products={sku: Product(category, department) for sku, category, department in products},
        )

    def store(self, store_id: str) -> Store:
        """The store; raises ForecastContextError for one that gold does not know."""
        if store_id not in self.stores:
            raise ForecastContextError(f"store {store_id!r} is not in gold/dim_store")
        return self.stores[store_id]

    def product(self, sku: str) -> Product:
        """The product; raises ForecastContextError for one that gold does not know."""
        if sku not in self.products:
            raise ForecastContextError(f"SKU {sku!r} is not in gold/dim_product")
        return self.products[sku]

    def origin_of(self, store_id: str, closed_at: datetime) -> date:
        """The business day of `store_id` that ended at the instant `closed_at` (an event timestamp of its features)."""
        store = self.store(store_id)
        local = (closed_at - timedelta(seconds=1)).astimezone(ZoneInfo(store.time_zone)).replace(tzinfo=None)
        ends = time.fromisoformat(store.day_ends or "00:00")
        return (local - timedelta(hours=ends.hour, minutes=ends.minute)).date()

    def calendar_rows(self, country: str | None, first: date, days: int) -> np.ndarray:
        """`days` x CALENDAR_COLUMNS from `first` on; NaN for a country or days outside the calendar."""
        rows = np.full((days, len(CALENDAR_COLUMNS)), np.nan)
        if country is None or country not in self.calendar:
            return rows
        start, known = self.calendar[country]
        places = (first - start).days + np.arange(days)
        inside = (places >= 0) & (places < len(known))
        rows[inside] = known[places[inside]]
        return rows

    def planned_discount(self, country: str | None, sku: str, origin: date, targets: list[date]) -> np.ndarray:
        """The deepest discount per target day that was announced by `origin`, 0 where none was."""
        known = [p for p in self.promotions.get((country or "", sku), []) if p.announced_on <= origin]
        return np.array(
            [max((p.discount for p in known if p.starts_on <= d <= p.ends_on), default=0.0) for d in targets]
        )


def _by_country(calendar: pd.DataFrame) -> dict[str, tuple[date, np.ndarray]]:
    groups = calendar.groupby("country", sort=True)
    return {
        str(country): (rows["day"].iloc[0].date(), rows[list(CALENDAR_COLUMNS)].to_numpy(float))
        for country, rows in groups
    }


def _by_sku(rows: list[tuple]) -> dict[tuple[str, str], list[Promotion]]:
    found: dict[tuple[str, str], list[Promotion]] = {}
    for country, sku, starts_on, ends_on, announced_on, discount in rows:
        found.setdefault((country, sku), []).append(Promotion(starts_on, ends_on, announced_on, discount))
    return found
