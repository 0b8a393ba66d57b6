"""From gold to gold/demand_components and back: which series are fitted again, and the rows that are published."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from retail_assets.core.accuracy import wape
from retail_assets.core.manifest import installed
from retail_assets.forecasting.contributions import GROUPS
from retail_assets.forecasting.decomposition import PARTS, FitTask, Fitted, decompose
from retail_assets.forecasting.demand_panel import (
    COUNTRY_CATEGORY,
    SERIES_KEYS,
    STORE_DEPARTMENT,
    DemandSeries,
    read_series,
)
from retail_assets.forecasting.reconciliation_view import decimals, millionths, reconciled
from retail_assets.forecasting.views_config import DecompositionConfig
from retail_assets.resources.fanout import Fanout
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


@dataclass(frozen=True)
class Decomposed:
    """Rows of gold/demand_components, and the proof (None where none was asked for).

    `fitted` series were fitted, the others were as before; `seconds` are of the wall, `fit_seconds` of all processes.
    """

    rows: pa.Table
    proof: pa.Table | None
    series: int
    fitted: int
    seconds: float
    fit_seconds: float


def decompose_demand(
    lake: Lake,
    until: date,
    config: DecompositionConfig,
    fanout: Fanout,
    prove: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Decomposed:
    """Decomposes every series that changed; the others keep their parts. `progress` hears how many of all are done."""
    begun = perf_counter()
    series = read_series(lake, until, config.horizon)
    before = _stored(lake)
    content = {one.key: _content(one, config) for one in series}
    held = _held_back(lake, until, config) if prove else {}
    changed = [one for one in series if prove or _differs(before.get(one.key), content[one.key])]
    tasks = [FitTask(one, config, held.get(one.key)) for one in changed]
    enough = -(-len(tasks) // config.series_per_process)
    place = fanout.model_copy(update={"processes": max(min(fanout.processes, enough), 1)})
    heard = None if progress is None else lambda done: progress(done, len(tasks))
    made = {fit.key: fit for fit in place.map(decompose, tasks, heard)}
    sums = bottom_up(lake, until)
    parts = [
        _rows(one, content[one.key], made.get(one.key), before.get(one.key), sums.get(one.key, {}), config)
        for one in series
    ]
    proof = _proof(changed, held, made) if prove else None
    rows = pa.concat_tables(parts) if parts else SCHEMA.empty_table()
    fit_seconds = sum(fit.seconds for fit in made.values())
    return Decomposed(rows, proof, len(series), len(tasks), perf_counter() - begun, fit_seconds)


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


def _differs(before: tuple[str, pd.DataFrame] | None, content: str) -> bool:
    return before is None or before[0] != content


def _content(series: DemandSeries, config: DecompositionConfig) -> str:
    made_with = f"{series.content()} {config.model_dump_json()} {installed('prophet')}"
    return hashlib.sha256(made_with.encode()).hexdigest()[:16]


def _stored(lake: Lake) -> dict[tuple[str, str, str], tuple[str, pd.DataFrame]]:
    """Content and parts per series as they were published last."""
    if not lake.exists("gold", TABLE):
        return {}
    columns = [*SERIES_KEYS, "content", "method", "day", *PARTS]
    table = lake.open("gold", TABLE).to_pyarrow_table(columns=columns).to_pandas()
    groups = table.sort_values("day").groupby(list(SERIES_KEYS), sort=False)
    return {key: (rows["content"].iloc[0], rows) for key, rows in groups}


def _held_back(lake: Lake, until: date, config: DecompositionConfig) -> dict[tuple[str, str, str], DemandSeries]:
    """The series as they were known a horizon ago; those too short to be fitted then prove nothing."""
    series = read_series(lake, until - timedelta(days=config.horizon), config.horizon)
    return {one.key: one for one in series if np.isfinite(one.units).sum() >= config.shortest_history}


def _rows(
    series: DemandSeries,
    content: str,
    fit: Fitted | None,
    before: tuple[str, pd.DataFrame] | None,
    ahead: Mapping[date, float],
    config: DecompositionConfig,
) -> pa.Table:
    known = len(series.units)
    first = max(known - config.history_days, 0)
    if fit is not None:
        method, parts = fit.method, fit.parts.iloc[first:].reset_index(drop=True)
    elif before is not None:
        method, parts = str(before[1]["method"].iloc[0]), before[1][list(PARTS)].reset_index(drop=True)
    else:
        raise ValueError(f"{series.key} was neither fitted nor stored")
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


def _proof(
    changed: Sequence[DemandSeries],
    held: Mapping[tuple[str, str, str], DemandSeries],
    made: Mapping[tuple[str, str, str], Fitted],
) -> pa.Table:
    """What was forecast for the days held back against what was sold, with seasonal naive and the weekday's mean."""
    parts = []
    for series in changed:
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
