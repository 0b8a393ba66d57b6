"""The rows of gold/demand_components, and the proof of Prophet on days held back, as Arrow tables."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from retail_assets.core.accuracy import wape
from retail_assets.forecasting.explain.contributions import GROUPS
from retail_assets.forecasting.explain.decomposition import PARTS, Fitted
from retail_assets.forecasting.explain.demand_panel import COUNTRY_CATEGORY, SERIES_KEYS, STORE_DEPARTMENT, DemandSeries
from retail_assets.forecasting.explain.reconciliation_view import decimals, millionths, reconciled
from retail_assets.forecasting.views_config import DecompositionConfig
from retail_assets.resources.lake import Lake

TABLE = "demand_components"
UNITS = pa.decimal128(18, 6)
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in (*SERIES_KEYS, "method", "content")),
        ("day", pa.date32()),
        ("is_forecast", pa.bool_()),
        ("units", pa.float64()),
        *((name, pa.float64()) for name in (*PARTS, "prophet")),
        ("bottom_up", UNITS),
        *((f"{group}_units", UNITS) for group in GROUPS),
    ]
)
PROOF_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in SERIES_KEYS),
        ("day", pa.date32()),
        *((name, pa.float64()) for name in ("units", "prophet", "seasonal_naive", "weekday_mean")),
    ]
)
WEEKS = 8


def bottom_up(lake: Lake, origin: date) -> dict[tuple[str, str, str], dict[date, float]]:
    """Sums of the SKU forecasts of `origin` per series and target day; empty where there is no such forecast."""
    if not lake.exists("gold", "forecasts"):
        return {}
    found: dict[tuple[str, str, str], dict[date, float]] = {}
    for hierarchy, place, group in (
        (STORE_DEPARTMENT, "f.store_id", "p.department"),
        (COUNTRY_CATEGORY, "s.country", "p.category"),
    ):
        rows = lake.query(
            f"""select {place} as place, {group} as product_group, f.target_date, sum(f.mean order by f.store_id, f.sku)
                from {lake.scan("gold", "forecasts")} f join {lake.scan("gold", "dim_product")} p on p.sku = f.sku
                join {lake.scan("gold", "dim_store")} s on s.store_id = f.store_id
                where f.business_date = date '{origin}' and {place} is not null and {group} is not null
                group by 1, 2, 3"""
        )
        for where, what, day, units in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            found.setdefault((hierarchy, where, what), {})[day] = units
    return found


def scores(proof: pd.DataFrame) -> dict[str, float]:
    """WAPE of Prophet and of both baselines per hierarchy, on the days that were held back."""
    known = proof[proof["units"].notna()]
    return {
        f"wape_{name}/{hierarchy}": wape(rows["units"].to_numpy(float), rows[name].to_numpy(float))
        for hierarchy, rows in known.groupby("hierarchy", sort=True)
        for name in ("prophet", "seasonal_naive", "weekday_mean")
    }


def first_shown(series: DemandSeries, config: DecompositionConfig) -> int:
    """The place in `series.days` of the first day that is published."""
    return max(len(series.units) - config.history_days, 0)


def component_rows(
    series: DemandSeries,
    content: str,
    method: str,
    parts: pd.DataFrame,
    ahead: Mapping[date, float],
    config: DecompositionConfig,
) -> pa.Table:
    """Rows in SCHEMA of one series; `parts` (columns PARTS) are of its last days, `ahead` the sums to scale them to."""
    known, first = len(series.units), first_shown(series, config)
    days = series.days[first:].astype(object).tolist()
    units = np.concatenate([series.units[first:], np.full(len(series.days) - known, np.nan)])
    sums = np.array([ahead.get(day, np.nan) for day in days])
    told = np.isfinite(sums)
    made = reconciled(parts[told], sums[told], config.largest_rescaling)
    keys = {name: pa.array([value] * len(days)) for name, value in zip(SERIES_KEYS, series.key, strict=True)}
    columns = keys | {
        "method": pa.array([method] * len(days)),
        "content": pa.array([content] * len(days)),
        "day": pa.array(days, pa.date32()),
        "is_forecast": pa.array(np.arange(first, len(series.days)) >= known),
        "units": pa.array(units, from_pandas=True),
        **{name: pa.array(parts[name].to_numpy(float)) for name in PARTS},
        "prophet": pa.array(parts[list(PARTS)].sum(axis=1).to_numpy(float)),
        "bottom_up": _spread(told, millionths(sums[told])),
        **{f"{group}_units": _spread(told, made[group].to_numpy()) for group in GROUPS},
    }
    return pa.table(columns, schema=SCHEMA)


def _spread(told: NDArray[np.bool_], values: NDArray[np.int64]) -> pa.Array:
    """Millionths as decimals on the days that are told, null on the others."""
    found: list[object] = [None] * len(told)
    for place, value in zip(np.flatnonzero(told), decimals(values), strict=True):
        found[place] = value
    return pa.array(found, UNITS)


def proof_rows(
    fitted: Sequence[DemandSeries],
    held: Mapping[tuple[str, str, str], DemandSeries],
    made: Mapping[tuple[str, str, str], Fitted],
) -> pa.Table:
    """What was forecast for the days held back against what was sold, with seasonal naive and the weekday's mean."""
    parts = []
    for series in fitted:
        past, forecast = held.get(series.key), made[series.key].proof
        if past is None or forecast is None:
            continue
        known, ahead = len(past.units), len(past.days) - len(past.units)
        weeks = past.units[-7 * min(WEEKS, known // 7) :].reshape(-1, 7)
        cycles = -(-ahead // 7)
        columns = {
            "day": pa.array(past.days[known:].astype(object).tolist(), pa.date32()),
            "units": pa.array(series.units[known : known + ahead], from_pandas=True),
            "prophet": pa.array(forecast),
            "seasonal_naive": pa.array(np.tile(_filled(weeks[-1], weeks), cycles)[:ahead]),
            "weekday_mean": pa.array(np.tile(_filled(np.full(7, np.nan), weeks), cycles)[:ahead]),
        }
        keys = {name: pa.array([value] * ahead) for name, value in zip(SERIES_KEYS, series.key, strict=True)}
        parts.append(pa.table(keys | columns, schema=PROOF_SCHEMA))
    return pa.concat_tables(parts) if parts else PROOF_SCHEMA.empty_table()


def _filled(own: NDArray[np.float64], weeks: NDArray[np.float64]) -> NDArray[np.float64]:
    """`own` per weekday, its mean over `weeks` where it is not known, 0 where that is not either."""
    known = np.isfinite(weeks)
    mean = np.where(known, weeks, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(np.isfinite(own), own, mean)
