"""Gold as arrays of series x days: what the baseline of demand is learnt from."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.integer]
Flags = NDArray[np.bool_]

HISTORY_DAYS = 420
EVENTS = ("holiday", "eve", "second eve", "black friday week", "holiday season")
LOOK_AHEAD = 90  # days, to see where a season ends
SEASON_PEAK, SEASON_RISE = 7, 14.0  # days that a season is at its height before it ends, and by which it rises to that

SERIES = """
select s.store_id, s.sku, min(s.business_date) as first_day, any_value(st.country) as country,
       any_value(p.category) as category, any_value(p.department) as department
from sales s left join stores st on st.store_id = s.store_id left join products p on p.sku = s.sku
where s.business_date between $first and $until group by all order by s.store_id, s.sku
"""

SALES = """
select n.series, (s.business_date - $first)::integer as day, greatest(coalesce(s.gross_units, 0), 0)::float as units,
       coalesce(s.is_stocked_out, false) as hidden
from sales s join numbered n using (store_id, sku) where s.business_date between $first and $until
"""

PRICES = """
select n.series, p.valid_from, p.valid_to, p.list_price from prices p join numbered n using (store_id, sku)
order by p.valid_from
"""

DISCOUNTS = """
select n.series, p.starts_on, p.ends_on, p.discount
from promotions p join stores st using (country) join numbered n on n.store_id = st.store_id and n.sku = p.sku
where p.starts_on <= $until and p.ends_on >= $first
"""


@dataclass(frozen=True)
class Days:
    """S series over T days from `first`; the days after the history only have prices and a calendar.

    `units` (S, T) is 0 where demand is not known; it is `known` where it was counted or is `censored`: the shelf was
    empty, so that demand was at least `units`. `price` (S, T) is the list price, NaN where there is none; `discount` a
    share of it. `events` (countries, EVENTS, T) are 0 to 1. `keys` has store_id, sku, country, category,
    department; `unknown` where gold does not know one.
    """

    first: date
    keys: pd.DataFrame
    units: Singles
    known: Flags
    censored: Flags
    price: Singles
    discount: Singles
    events: Floats
    countries: list[str]

    @property
    def weekday(self) -> Integers:
        """Monday is 0, (T,)."""
        return (self.first.weekday() + np.arange(self.events.shape[2])) % 7

    @property
    def day_of_year(self) -> Integers:
        """Of each day, (T,)."""
        days = pd.date_range(self.first, periods=self.events.shape[2])
        return days.dayofyear.to_numpy(np.int64)


def read_days(db: "DuckDBPyConnection", until: date, ahead: int) -> Days:
    """Reads the temporary tables of frames.Gold: HISTORY_DAYS up to `until`, and what is known of `ahead` days more."""
    first = until - timedelta(days=HISTORY_DAYS - 1)
    oldest = db.execute("select min(business_date) from sales").fetchone()
    if oldest and oldest[0]:
        first = max(first, oldest[0])
    span = {"first": first, "until": until}
    keys = db.execute(SERIES, span).df()
    size = ((until - first).days + 1, (until - first).days + 1 + ahead)
    begins = (pd.to_datetime(keys.pop("first_day")) - pd.Timestamp(first)).dt.days.to_numpy()
    db.register("numbered", keys[["store_id", "sku"]].assign(series=np.arange(len(keys), dtype=np.int32)))
    try:
        units, known, censored = _demand(db, span, keys, size[0], begins)
        price = np.full((len(keys), size[1]), np.nan, np.float32)
        for series, begin, end, value in _spans(db.execute(PRICES).df(), first, size[1]):
            price[series, begin:end] = value
        discount = np.zeros((len(keys), size[1]), np.float32)
        promoted = db.execute(DISCOUNTS, span | {"until": until + timedelta(days=ahead)}).df()
        for series, begin, end, value in _spans(promoted, first, size[1]):
            discount[series, begin:end] = np.maximum(discount[series, begin:end], value)
    finally:
        db.unregister("numbered")
    keys = keys.fillna("unknown").astype(str)
    countries = sorted(keys["country"].unique())
    np.clip(discount, 0.0, 0.95, out=discount)
    return Days(first, keys, units, known, censored, price, discount, _events(db, countries, first, size[1]), countries)


def _demand(
    db: "DuckDBPyConnection", span: dict[str, date], keys: pd.DataFrame, days: int, begins: Integers
) -> tuple[Singles, Flags, Flags]:
    """A day that a store sold but not this SKU is a zero where no stock is counted, or where it is always closed."""
    first = pd.Timestamp(span["first"])
    units = np.zeros((len(keys), days), np.float32)
    known, censored = np.zeros((len(keys), days), dtype=bool), np.zeros((len(keys), days), dtype=bool)
    sold = db.execute(SALES, span).fetchnumpy()
    row, at = sold["series"], sold["day"]
    units[row, at], known[row, at], censored[row, at] = sold["units"], True, sold["hidden"]
    stores = sorted(keys["store_id"].unique())
    zero = np.zeros((len(stores), days), dtype=bool)
    of_store = {store: number for number, store in enumerate(stores)}
    opened = db.execute("select store_id, business_date, has_stock from store_days where business_date >= $first "
                        "and business_date <= $until", span).df()  # fmt: skip
    opened = opened[opened["store_id"].isin(stores)]
    shop = opened["store_id"].map(of_store).to_numpy(np.int64)
    day = (pd.to_datetime(opened["business_date"]) - first).dt.days.to_numpy()
    zero[shop, day] = ~opened["has_stock"].to_numpy(bool)
    seen = np.zeros_like(zero)
    seen[shop, day] = True
    weekday = (span["first"].weekday() + np.arange(days)) % 7
    for store, closed in db.execute("select store_id, weekday - 1 from closed_weekdays").fetchall():
        if store in of_store:
            zero[of_store[store], (weekday == closed) & ~seen[of_store[store]]] = True
    known |= zero[keys["store_id"].map(of_store).to_numpy(np.int64)] & (np.arange(days) >= begins[:, None])
    return units, known, censored


def _spans(rows: pd.DataFrame, first: date, days: int) -> Iterator[tuple[int, int, int, float]]:
    """Series, first day, day after the last one and value of each row; an end that is not known is open.

    The columns of `rows` are series, first day, last day and value.
    """
    series, starts, ends, value = (rows[name] for name in rows.columns)
    begin, end = ((pd.to_datetime(x) - pd.Timestamp(first)).dt.days for x in (starts, ends))
    begins, after = begin.clip(lower=0).to_numpy(np.int64), (end + 1).fillna(days).clip(lower=0).to_numpy(np.int64)
    yield from zip(series.tolist(), begins.tolist(), after.tolist(), value.tolist(), strict=True)


def _events(db: "DuckDBPyConnection", countries: list[str], first: date, days: int) -> Floats:
    found = np.zeros((len(countries), len(EVENTS), days + LOOK_AHEAD))
    rows = db.execute(
        """select country, day, is_holiday, is_black_friday_week, is_holiday_season from calendar
           where day >= $first and day < $last""",
        {"first": first, "last": first + timedelta(days=days + LOOK_AHEAD)},
    ).df()
    rows = rows[rows["country"].isin(countries)].fillna(0.0)
    country = rows["country"].map({name: number for number, name in enumerate(countries)}).to_numpy(np.int64)
    day = (pd.to_datetime(rows["day"]) - pd.Timestamp(first)).dt.days.to_numpy()
    for event, name in ((0, "is_holiday"), (3, "is_black_friday_week"), (4, "is_holiday_season")):
        found[country, event, day] = rows[name].to_numpy(float)
    holiday = found[:, 0]
    eve = np.zeros_like(holiday)
    eve[:, :-1] = holiday[:, 1:] * (1 - holiday[:, :-1])
    found[:, 1] = eve
    found[:, 2, :-1] = eve[:, 1:] * (1 - holiday[:, :-1]) * (1 - eve[:, :-1])
    found[:, 4] = _rising(found[:, 4])
    return found[:, :, :days]


def _rising(season: Floats) -> Floats:
    """A season's flag (countries, T) as its strength: it rises to the days before its end (trade before Christmas)."""
    left = np.zeros_like(season)
    for day in range(season.shape[1] - 2, -1, -1):
        left[:, day] = np.where(season[:, day] > 0, left[:, day + 1] + 1, 0)
    return np.asarray(season * np.exp(-np.maximum(left - SEASON_PEAK, 0) / SEASON_RISE))
