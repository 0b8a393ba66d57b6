"""Forecasts at the twelve levels of the hierarchy: sums that are exact, with intervals of their own.

Means are summed on a grid of 2^-20 units. Sums of such numbers up to 2^33 have no rounding error in double precision,
so that every path through the hierarchy gives the same number to the last bit. Intervals do not add up: days and
stores share part of their error, the rest averages away. Per level the variance of the error is a * mean + b * mean^2
(counts, and what all share); the quantiles are those of the standardised errors on days held back (conformal).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DIMENSIONS = ("country", "store_id", "department", "category", "sku")
LEVELS: dict[str, tuple[str, ...]] = {
    "total": (),
    "country": ("country",),
    "store": ("country", "store_id"),
    "department": ("department",),
    "category": ("department", "category"),
    "country_department": ("country", "department"),
    "country_category": ("country", "department", "category"),
    "store_department": ("country", "store_id", "department"),
    "store_category": ("country", "store_id", "department", "category"),
    "sku": ("department", "category", "sku"),
    "sku_country": ("country", "department", "category", "sku"),
    "sku_store": DIMENSIONS,
}
LOWEST = "sku_store"
DAYS = ("target_date", "horizon")
GRID = 2.0**-20
UNKNOWN = "unknown"
SMALLEST_MEAN = 1e-3
WEEK = 7


def on_grid(mean: Floats) -> Floats:
    """The nearest multiples of GRID, which can be summed in any order without an error."""
    return np.asarray(np.round(mean / GRID) * GRID)


def at_levels(
    rows: pd.DataFrame, sums: Sequence[str], keys: Sequence[str] = ("target_date", "horizon")
) -> pd.DataFrame:
    """`rows` (DIMENSIONS, `keys` and the columns `sums`, one per store-SKU and `keys`) summed at every level.

    Dimensions that a level does not have are None. An unknown country, department or category is a group of its own.
    """
    rows = rows.assign(**{name: rows[name].astype(object).fillna(UNKNOWN) for name in DIMENSIONS})
    parts = []
    for level, columns in LEVELS.items():
        part = rows.groupby([*columns, *keys], as_index=False, sort=True)[list(sums)].sum()
        parts.append(part.assign(level=level, **{name: None for name in DIMENSIONS if name not in columns}))
    return pd.concat(parts, ignore_index=True)[["level", *DIMENSIONS, *keys, *sums]]


@dataclass(frozen=True)
class LevelIntervals:
    """Per level the variance of the error, (a, b), and the quantiles of the standardised error at `levels`."""

    quantile_levels: tuple[float, ...]
    variance: dict[str, tuple[float, float]]
    standardised: dict[str, tuple[float, ...]]

    @classmethod
    def fit(cls, sums: pd.DataFrame, quantile_levels: Sequence[float]) -> "LevelIntervals":
        """Learns from `sums` (level, units, mean) of days that the forecaster had not seen."""
        variance, standardised = {}, {}
        for level, rows in sums.groupby("level", sort=False):
            units, mean = rows["units"].to_numpy(float), rows["mean"].to_numpy(float)
            variance[str(level)] = found = _variance(units, mean)
            errors = np.sort((units - mean) / _deviation(mean, found))
            places = [share * (len(errors) + 1) - 1 for share in quantile_levels]
            standardised[str(level)] = tuple(float(np.interp(p, np.arange(len(errors)), errors)) for p in places)
        return cls(tuple(quantile_levels), variance, standardised)

    def quantiles(self, level: str, mean: Floats) -> Floats:
        """Rows x quantile levels, zero or more and never falling. Raises KeyError for a level that was not learnt."""
        spread = _deviation(mean, self.variance[level])
        made = mean[:, None] + np.array(self.standardised[level])[None, :] * spread[:, None]
        return np.asarray(np.maximum.accumulate(np.maximum(made, 0.0), axis=1))


def _variance(units: Floats, mean: Floats) -> tuple[float, float]:
    """Non-negative least squares of error^2 / mean on 1 and mean, rows weighted by 1 / (1 + mean)."""
    from scipy.optimize import nnls

    known = np.maximum(mean, SMALLEST_MEAN)
    weight = 1.0 / np.sqrt(1.0 + known)
    design = np.column_stack([np.ones_like(known), known]) * weight[:, None]
    (a, b), _ = nnls(design, (units - mean) ** 2 / known * weight)
    return (float(a), float(b)) if a + b > 0 else (1.0, 0.0)


def _deviation(mean: Floats, variance: tuple[float, float]) -> Floats:
    known = np.maximum(mean, SMALLEST_MEAN)
    return np.asarray(np.sqrt(variance[0] * known + variance[1] * known**2))


def week_by_week(sums: pd.DataFrame, quantile_levels: Sequence[float]) -> Floats:
    """Quantiles of each row of `sums` from intervals that were learnt without its week (leave one week out).

    The index of `sums` must be unique. Rows x quantile levels; NaN where there is one week only.
    """
    week = ((sums["horizon"] - 1) // WEEK).to_numpy(int)
    made = np.full((len(sums), len(quantile_levels)), np.nan)
    for number in np.unique(week):
        held = week == number
        if held.all():
            break
        intervals = LevelIntervals.fit(sums[~held], quantile_levels)
        for level in LEVELS:
            rows = held & (sums["level"] == level).to_numpy(bool)
            if level in intervals.variance:
                made[rows] = intervals.quantiles(level, sums.loc[rows, "mean"].to_numpy(float))
    return made
