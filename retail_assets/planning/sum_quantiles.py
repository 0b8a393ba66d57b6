"""Quantiles of the units sold in several days together.

The quantile of a sum is not the sum of quantiles: days vary against each other, and share part of their error. It is
learnt as such: how far were sums of the same number of days from their forecast, on days held back?
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from retail_assets.core.intervals import QuantileTable
from retail_assets.planning.ordering import CalibrationConfig, OrderingConfig
from retail_assets.pricing.response.response import uncensored

SERIES = ["store_id", "sku"]


def complete_days(proof: pd.DataFrame, sales: pd.DataFrame) -> pd.DataFrame:
    """`proof` (SERIES, target_date, horizon, units, mean) with a row for each series and day; days without known demand
    are filled in.

    Such a day sold out or was not reported. Demand that met an empty shelf is what is expected of a day that sold at
    least what `sales` (SERIES, target_date, gross_units) says; leaving those days out would teach too little demand.
    """
    days = proof[["target_date", "horizon"]].drop_duplicates()
    grid = proof[SERIES].drop_duplicates().merge(days, how="cross")
    rows = grid.merge(proof[[*SERIES, "target_date", "units", "mean"]], how="left", on=[*SERIES, "target_date"])
    rows = rows.merge(sales[[*SERIES, "target_date", "gross_units"]], how="left", on=[*SERIES, "target_date"])
    usual = rows.groupby(SERIES)["mean"].transform("mean")
    mean = rows["mean"].fillna(usual).to_numpy(float)
    sold = rows["gross_units"].fillna(0.0).to_numpy(float)
    hidden = np.where(sold >= 1, uncensored(np.maximum(sold, 1.0), np.maximum(mean, 1e-6)), mean)
    return rows.assign(mean=mean, units=rows["units"].fillna(pd.Series(hidden, index=rows.index)))


def period_sums(days: pd.DataFrame, lengths: Iterable[int]) -> pd.DataFrame:
    """Units and mean of each series in periods of each length, one after the other from the first day ahead.

    `days` are those of `complete_days`. Columns SERIES, length, period (0, 1 ...), units, mean; a period that the last
    day cuts off is left out.
    """
    last, parts = int(days["horizon"].max()), []
    for length in sorted(set(lengths)):
        period = (days["horizon"] - 1) // length
        whole = days[period < last // length].assign(period=period, length=length)
        sums = whole.groupby([*SERIES, "length", "period"], as_index=False)[["units", "mean"]].sum()
        parts.append(sums)
    return pd.concat(parts, ignore_index=True)


def learnt(sums: pd.DataFrame, service_levels: Sequence[float], config: CalibrationConfig) -> QuantileTable:
    """The quantiles of sums by number of days (the group of the table) and size, from `period_sums`."""
    return QuantileTable.fit(
        sums["units"].to_numpy(float),
        sums["mean"].to_numpy(float),
        sums["length"].to_numpy(np.int64),
        service_levels,
        bands=config.bands,
        rows_per_band=config.rows_per_band,
    )


def needed(table: QuantileTable, mean: np.ndarray, length: np.ndarray, service_level: np.ndarray) -> np.ndarray:
    """Whole units that cover the demand of `length` days with chance `service_level`, one of the levels learnt."""
    quantiles = table.quantiles(np.asarray(mean, float), np.asarray(length, np.int64))
    place = np.abs(np.array(table.levels)[None, :] - np.asarray(service_level)[:, None]).argmin(axis=1)
    return np.asarray(np.ceil(np.round(quantiles[np.arange(len(place)), place], 6)))


def covered(sums: pd.DataFrame, service_level: float, config: OrderingConfig) -> float:
    """Share of periods whose units stayed within `needed`, each learnt from the series of the other half.

    Series are halved by their order, not periods: a series has one level error for all its periods.
    """
    half = sums.groupby(SERIES, sort=True).ngroup().to_numpy() % 2
    inside = np.zeros(len(sums), dtype=bool)
    for number in (0, 1):
        held = half == number
        table = learnt(sums[~held], config.service_levels(), config.calibration)
        part = sums[held]
        units = needed(table, part["mean"].to_numpy(), part["length"].to_numpy(), np.full(len(part), service_level))
        inside[held] = part["units"].to_numpy(float) <= units + 1e-9
    return float(inside.mean())
