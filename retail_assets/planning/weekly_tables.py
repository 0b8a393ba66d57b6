"""From gold to gold/forecasts_weekly: 52 weeks of each store-SKU, the first four of them the sums of its days."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from retail_assets.core import accuracy
from retail_assets.core.intervals import QuantileTable
from retail_assets.forecasting.cold_start import OWN
from retail_assets.forecasting.config import quantile_name
from retail_assets.planning.config import WeeklyConfig
from retail_assets.planning.weekly import YEAR, Floats, WeeklyHistory, fit, forecast, seasonal_naive
from retail_assets.resources.lake import Lake

TABLE = "forecasts_weekly"
REPORT = "forecasts_weekly"
SERIES = ["store_id", "sku"]
DAILY_WEEKS = 4
BANDS = (4, 13, 26, 52)  # last week ahead of each band
DAILY, WEEKLY = "sum of days", "level and season"
FEWEST_WEEKS = 8  # of history before a held-back stretch

HISTORY = """
with sales as (select store_id, sku, business_date, gross_units, on_hand, is_stocked_out,
                      ((date '{origin}' - business_date) // 7)::int as back
               from {sales} where business_date <= date '{origin}' and business_date > date '{origin}' - 7 * {weeks}),
     days as (select store_id, business_date, back, count(on_hand) > 0 as has_stock from sales group by all),
     stores as (select store_id, back, count(*) as days, bool_or(has_stock) as has_stock from days group by all),
     usual as (select store_id, greatest(median(days), 1) as usual_days from stores group by all),
     series as (select store_id, sku, max(back) as first from sales group by all),
     sold as (select store_id, sku, back, sum(gross_units) filter (not is_stocked_out) as units,
                     count(*) filter (not is_stocked_out) as known, count(*) filter (is_stocked_out) as hidden
              from sales group by all)
select r.store_id, r.sku, t.back, coalesce(s.units, 0)::double as units,
       case when t.has_stock then coalesce(s.known, 0) else t.days - coalesce(s.hidden, 0) end
       / u.usual_days as exposure
from series r join stores t on t.store_id = r.store_id and t.back <= r.first
join usual u on u.store_id = r.store_id
left join sold s on s.store_id = r.store_id and s.sku = r.sku and s.back = t.back
"""


def schema(levels: list[float]) -> pa.Schema:
    """The Arrow schema of gold/forecasts_weekly."""
    return pa.schema(
        [
            ("store_id", pa.string()),
            ("sku", pa.string()),
            ("week", pa.int32()),
            ("first_date", pa.date32()),
            ("last_date", pa.date32()),
            ("mean", pa.float64()),
            *((quantile_name(level), pa.float64()) for level in levels),
            ("method", pa.string()),
            ("rung", pa.string()),
            ("origin_date", pa.date32()),
            ("model_version", pa.string()),
            ("business_date", pa.date32()),
        ]
    )


def read_history(lake: Lake, series: pd.DataFrame, origin: date, config: WeeklyConfig) -> WeeklyHistory:
    """The weeks of each row of `series` (SERIES, country, category) that end with `origin`, in its order.

    A day is known where its store reported and the SKU was in stock; a SKU without a row in a store that counts its
    stock was not listed.
    """
    sql = HISTORY.format(sales=lake.scan("gold", "fct_sales_daily"), origin=origin, weeks=config.history_weeks)
    rows = lake.query(sql).to_pandas()
    place = pd.MultiIndex.from_frame(series[SERIES]).get_indexer(pd.MultiIndex.from_frame(rows[SERIES]))
    rows, place = rows[place >= 0], place[place >= 0]
    weeks = int(rows["back"].max()) + 1 if len(rows) else 1
    units, exposure = np.zeros((len(series), weeks)), np.zeros((len(series), weeks))
    column = weeks - 1 - rows["back"].to_numpy(int)
    units[place, column] = rows["units"]
    exposure[place, column] = rows["exposure"].clip(upper=7.0 / 5.0)
    category, _ = pd.factorize(series["category"].fillna("unknown"), sort=True)
    names = series["category"].fillna("unknown") + "/" + series["country"].fillna("unknown")
    group, _ = pd.factorize(names, sort=True)
    return WeeklyHistory(units, exposure, group, category, _events(lake, origin))


def _events(lake: Lake, origin: date) -> NDArray[np.bool_]:
    """Which of the 52 weeks that end with `origin` hold Black Friday week or the weeks of Christmas, in any country."""
    days = lake.query(
        f"""select distinct ((date '{origin}' - calendar_date) // 7)::int as back
            from {lake.scan("gold", "dim_calendar")}
            where calendar_date <= date '{origin}' and calendar_date > date '{origin}' - 7 * {YEAR}
            and (is_black_friday_week or (month(calendar_date) = 12 and day(calendar_date) >= 8))"""
    )["back"].to_pylist()
    found = np.zeros(YEAR, dtype=bool)
    found[[YEAR - 1 - back for back in days]] = True
    return found


def held_back(history: WeeklyHistory, config: WeeklyConfig) -> pd.DataFrame:
    """Forecasts of weeks that the fit had not seen: week (ahead), units, exposure, mean, naive.

    Where the season of enough weeks was seen before, only those weeks count: a year of history is the usual case.
    """
    parts, weeks = [], history.units.shape[1]
    for back in config.held_back:
        if weeks - back < FEWEST_WEEKS:
            continue
        past = history.until(back)
        seen = np.array([_seen(past, ahead) for ahead in range(back)])
        made, naive = forecast(fit(past, config.settings), back), seasonal_naive(past, back)
        exposure = history.exposure[:, -back:]
        known = (exposure > 0) & (past.exposure.sum(axis=1) > 0)[:, None]
        row, column = np.nonzero(known)
        parts.append(
            pd.DataFrame(
                {
                    "week": column + 1,
                    "seen": seen[column],
                    "units": history.units[:, -back:][row, column],
                    "mean": made[row, column] * exposure[row, column],
                    "naive": naive[row, column] * exposure[row, column],
                }
            )
        )
    if not parts:
        return pd.DataFrame(columns=["week", "seen", "units", "mean", "naive"])
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["seen"]] if rows["seen"].any() else rows


def _seen(past: WeeklyHistory, ahead: int) -> bool:
    """Whether the week `ahead` + 1 after a history has a week of the same place in the year in it."""
    column = past.units.shape[1] - YEAR + ahead % YEAR
    return column >= 0 and bool(past.exposure[:, column].any())


def band(week: NDArray[np.int64]) -> NDArray[np.int64]:
    """The band of weeks ahead, 0 to 3."""
    return np.searchsorted(np.array(BANDS[:-1]), week, side="left").astype(np.int64)


def intervals(rows: pd.DataFrame, levels: list[float], config: WeeklyConfig) -> QuantileTable:
    """Conformal intervals by band of weeks ahead; a band that history cannot prove has those of the last proven one."""
    made = QuantileTable.fit(
        rows["units"].to_numpy(float),
        rows["mean"].to_numpy(float),
        band(rows["week"].to_numpy(np.int64)),
        levels,
        bands=config.bands,
        rows_per_band=config.rows_per_band,
    )
    proven = [code for code in made.groups if code >= 0]
    groups = dict(made.groups)
    for code in range(len(BANDS)):
        before = [known for known in proven if known <= code]
        groups[code] = made.groups[before[-1] if before else (proven[0] if proven else -1)]
    return QuantileTable(levels=made.levels, groups=groups)


def weekly_scores(rows: pd.DataFrame, levels: list[float], config: WeeklyConfig) -> pd.DataFrame:
    """One row per band of `held_back`: errors beside seasonal naive, and what intervals of every other row covered."""
    number = band(rows["week"].to_numpy(np.int64))
    half = np.arange(len(rows)) % 2 == 0
    found: list[dict[str, Any]] = []
    table = intervals(rows[half], levels, config) if half.any() else None
    for code, last in enumerate(BANDS):
        part, held = rows[number == code], rows[(number == code) & ~half]
        if len(held) == 0 or table is None:
            continue
        made = table.quantiles(held["mean"].to_numpy(float), np.full(len(held), code, dtype=np.int64))
        units = part["units"].to_numpy(float)
        found.append(
            {
                "weeks": f"{BANDS[code - 1] + 1 if code else 1} to {last}",
                "rows": len(part),
                "wape": accuracy.wape(units, part["mean"].to_numpy(float)),
                "wape_seasonal_naive": accuracy.wape(units, part["naive"].to_numpy(float)),
                "bias": accuracy.bias(units, part["mean"].to_numpy(float)),
                "coverage_90": accuracy.coverage(held["units"].to_numpy(float), made[:, 0], made[:, -1]),
            }
        )
    columns = ["weeks", "rows", "wape", "wape_seasonal_naive", "bias", "coverage_90"]
    return pd.DataFrame(found, columns=columns)


def weekly_forecasts(
    daily: pd.DataFrame,
    history: WeeklyHistory,
    promotions: Floats,
    table: QuantileTable,
    origin: date,
    config: WeeklyConfig,
) -> pa.Table:
    """Rows of gold/forecasts_weekly from `level_tables.forecasts_with_dimensions` and the history of its series.

    `promotions` are the factors of weeks with announced promotions, (series, weeks).

    A SKU that has not sold yet has the level of its category in the store, or of the store, from the fifth week on.
    """
    series = daily.drop_duplicates(SERIES).reset_index(drop=True)
    seasons = fit(history, config.settings)
    mean = forecast(seasons, config.weeks)
    new = (series["rung"] != OWN).to_numpy(bool)
    mean[new] = _of_others(series, mean, new)
    mean *= promotions
    mean[:, :DAILY_WEEKS] = _sums_of_days(daily, len(series))
    week = np.tile(np.arange(1, config.weeks + 1), len(series))
    quantiles = table.quantiles(mean.ravel(), band(week))
    rows = series.loc[series.index.repeat(config.weeks), [*SERIES, "rung", "model_version"]].reset_index(drop=True)
    first = np.datetime64(origin, "D") + 1 + 7 * (week - 1)
    rows = rows.assign(week=week, first_date=first.astype(object), last_date=(first + 6).astype(object))
    rows["mean"] = mean.ravel()
    rows[[quantile_name(level) for level in table.levels]] = quantiles
    rows["method"] = np.where(week <= DAILY_WEEKS, DAILY, WEEKLY)
    rows = rows.assign(origin_date=origin, business_date=origin)
    return pa.Table.from_pandas(rows, schema=schema(table.levels), preserve_index=False)


def _sums_of_days(daily: pd.DataFrame, series: int) -> Floats:
    """(series, DAILY_WEEKS) sums of the days, in the order of the series in `daily`."""
    inside = daily[daily["horizon"] <= 7 * DAILY_WEEKS]
    number = inside.groupby(SERIES, sort=False).ngroup().to_numpy()
    week = (inside["horizon"].to_numpy(int) - 1) // 7
    sums = np.bincount(number * DAILY_WEEKS + week, inside["mean"].to_numpy(float), series * DAILY_WEEKS)
    return np.asarray(sums.reshape(series, DAILY_WEEKS))


def _of_others(series: pd.DataFrame, mean: Floats, new: NDArray[np.bool_]) -> Floats:
    """For each new series the mean curve of the others of its store and category, else of its store."""
    store, category = series["store_id"].to_numpy(object), series["category"].to_numpy(object)
    made = np.zeros((int(new.sum()), mean.shape[1]))
    for place, row in enumerate(np.flatnonzero(new)):
        in_store = (store == store[row]) & ~new
        alike = in_store & (category == category[row])
        chosen = alike if alike.any() else in_store
        made[place] = mean[chosen].mean(axis=0) if chosen.any() else 0.0
    return made
