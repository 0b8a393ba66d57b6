"""Forecasts at the twelve levels of the hierarchy: sums that are exact, with intervals of their own.

Means are summed on a grid of 2^-20 units. Sums of such numbers up to 2^33 have no rounding error in double precision,
so that every path through the hierarchy gives the same number to the last bit. Intervals do not add up: days and
stores share part of their error, the rest averages away. Per level the variance of the error is a * mean + b * mean^2
(counts, and what all share); the quantiles are those of errors on days held back, standardised by what the other weeks
say of the variance (cross-conformal: Barber et al., Predictive inference with the jackknife+, 2021).
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
UPPER = tuple(level for level in LEVELS if level != LOWEST)
DAYS = ("target_date", "horizon")
GRID = 2.0**-20
UNKNOWN = "unknown"
SMALLEST_MEAN = 1e-3
WEEK = 7
PRIOR_ERRORS = 8.0  # independent errors (weeks x groups) that weigh as much as the assumption that signs are chance


def on_grid(mean: Floats) -> Floats:
    """The nearest multiples of GRID, which can be summed in any order without an error."""
    return np.asarray(np.round(mean / GRID) * GRID)


def at_levels(
    rows: pd.DataFrame,
    sums: Sequence[str],
    keys: Sequence[str] = ("target_date", "horizon"),
    levels: Sequence[str] = tuple(LEVELS),
) -> pd.DataFrame:
    """`rows` (DIMENSIONS, `keys` and the columns `sums`, one per store-SKU and `keys`) summed at each of `levels`.

    Dimensions that a level does not have are None. An unknown country, department or category is a group of its own.
    """
    named = {name: rows[name].astype(object).fillna(UNKNOWN) for name in DIMENSIONS}
    rows = rows[[*keys, *sums]].assign(**{name: values.astype("category") for name, values in named.items()})
    parts = []
    for level in levels:
        columns = LEVELS[level]
        part = rows.groupby([*columns, *keys], as_index=False, sort=True, observed=True)[list(sums)].sum()
        part = part.astype(dict.fromkeys(columns, object))
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
        """Learns from `sums` of unseen days (level, units, mean, horizon, and target_date where origins are several).

        The days of a week share their error, and a level of few groups has few weeks x groups. The fewer they are, the
        less their signs say about the next weeks: the quantiles of such a level are drawn to those of errors that may
        as well have the other sign.
        """
        variance, standardised = {}, {}
        weeks, days = week_of(sums), sums[[name for name in ("origin_date", *DAYS) if name in sums]]
        for level, rows in sums.groupby("level", sort=False):
            units, mean = rows["units"].to_numpy(float), rows["mean"].to_numpy(float)
            week = np.unique(weeks[sums.index.get_indexer(rows.index)], return_inverse=True)[1]
            moments = _moments(units, mean, week)
            variance[str(level)] = _variance(moments.sum(axis=0))
            errors = np.empty(len(rows))
            for number in range(len(moments)):
                here, others = week == number, moments.sum(axis=0) - moments[number]
                known = _variance(others) if len(moments) > 1 else variance[str(level)]
                errors[here] = (units[here] - mean[here]) / _deviation(mean[here], known)
            groups = len(rows) / len(days.loc[rows.index].drop_duplicates())
            independent = groups * len(moments)
            own = independent / (independent + PRIOR_ERRORS)
            both = own * _conformal(errors, quantile_levels) + (1.0 - own) * _symmetric(errors, quantile_levels)
            standardised[str(level)] = tuple(both.tolist())
        return cls(tuple(quantile_levels), variance, standardised)

    def quantiles(self, level: str, mean: Floats) -> Floats:
        """Rows x quantile levels, zero or more and never falling. Raises KeyError for a level that was not learnt."""
        spread = _deviation(mean, self.variance[level])
        made = mean[:, None] + np.array(self.standardised[level])[None, :] * spread[:, None]
        return np.asarray(np.maximum.accumulate(np.maximum(made, 0.0), axis=1))


def week_of(sums: pd.DataFrame) -> NDArray[np.int64]:
    """The week of each row: of its day where it has one, else of its horizon."""
    if "target_date" in sums:
        days = pd.to_datetime(sums["target_date"]).to_numpy().astype("datetime64[D]").astype(np.int64)
        return np.asarray((days - days.min()) // WEEK, dtype=np.int64)
    return np.asarray((sums["horizon"] - 1) // WEEK, dtype=np.int64)


def _moments(units: Floats, mean: Floats, week: NDArray[np.int64]) -> Floats:
    """What least squares of error^2 / mean on (1, mean), rows weighted by 1 / (1 + mean), need: a row per week."""
    known = np.maximum(mean, SMALLEST_MEAN)
    weight, target = 1.0 / (1.0 + known), (units - mean) ** 2 / known
    columns = (weight, weight * known, weight * known**2, weight * target, weight * known * target)
    return np.stack([np.bincount(week, column) for column in columns], axis=1)


def _variance(moments: Floats) -> tuple[float, float]:
    """Non-negative (a, b) of the variance a * mean + b * mean^2 from the sums of `_moments`."""
    one, first, second, target, crossed = (float(value) for value in moments)
    determinant = one * second - first**2
    if determinant > 1e-12 * one * second:
        a, b = (target * second - crossed * first) / determinant, (crossed * one - target * first) / determinant
        if a >= 0 and b >= 0 and a + b > 0:
            return a, b
    alone, shared = target / max(one, 1e-12), crossed / max(second, 1e-12)
    if max(alone, shared) <= 0:
        return 1.0, 0.0
    return (alone, 0.0) if target * alone >= crossed * shared else (0.0, shared)


def _conformal(errors: Floats, shares: Sequence[float]) -> Floats:
    """The quantiles of `errors` at `shares`, with the finite-sample rank of split conformal prediction."""
    places = [share * (len(errors) + 1) - 1 for share in shares]
    return np.interp(places, np.arange(len(errors)), np.sort(errors))


def _symmetric(errors: Floats, shares: Sequence[float]) -> Floats:
    """The same of errors whose sign is chance."""
    centred = 2.0 * np.asarray(shares) - 1.0
    return np.asarray(np.sign(centred) * _conformal(np.abs(errors), np.abs(centred).tolist()))


def _deviation(mean: Floats, variance: tuple[float, float]) -> Floats:
    known = np.maximum(mean, SMALLEST_MEAN)
    return np.asarray(np.sqrt(variance[0] * known + variance[1] * known**2))


def week_by_week(sums: pd.DataFrame, quantile_levels: Sequence[float]) -> Floats:
    """Quantiles of each row of `sums` from intervals that were learnt without its week (leave one week out).

    The index of `sums` must be unique. Rows x quantile levels; NaN where there is one week only.
    """
    week, levels = week_of(sums), sums["level"].to_numpy()
    made = np.full((len(sums), len(quantile_levels)), np.nan)
    for number in np.unique(week):
        held = week == number
        if held.all():
            break
        intervals = LevelIntervals.fit(sums[~held], quantile_levels)
        for level in intervals.variance:
            rows = held & (levels == level)
            made[rows] = intervals.quantiles(level, sums["mean"].to_numpy(float)[rows])
    return made
