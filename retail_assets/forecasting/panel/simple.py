"""Simple forecasts that compete with the trees and are averaged with them: last value, smoothed level, a year ago.

All take the history of series or nodes (n, periods), NaN where unknown, and give (n, horizon), zero or more.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel import seasons
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.reading.frequency import Frequency

Floats = npt.NDArray[np.float64]

ALPHAS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
SHAPES = 8
DAMPING = 0.5
GROWTH = (0.5, 2.0)
OLDER_YEAR = 1 / 3
NAMES = {
    "trees": "trees",
    "level": "smoothed level",
    "last": "last value",
    "year": "a year ago",
    "growth": "a year ago times the growth",
    "seasonal": "smoothed level times the season",
}


def names(periods: int, frequency: Frequency) -> tuple[str, ...]:
    """The simple forecasts that a history of so many periods allows.

    Days have a shorter season, which the trees know well; only a known year adds to them.
    """
    yearly = periods >= frequency.year
    growing = periods >= frequency.year + max(frequency.year // 4, 1)
    if frequency.name == "D":
        return ("year", "growth") if growing else ()
    found = ["level", "year" if yearly else "last"]
    found += ["growth"] if growing else []
    return (*found, "seasonal") if seasons.known(periods, frequency.year) else tuple(found)


def forecasts(
    sales: Floats, horizon: int, season: Level, frequency: Frequency, wanted: tuple[str, ...]
) -> list[Floats]:
    """The forecasts of `wanted` in that order; `season` is the level whose nodes share a season."""
    year = frequency.year

    def seasonal() -> Floats:
        index = seasons.of_series(sales, season, year, own=True)
        return seasons.seasonally(sales, index, horizon, level)

    made: dict[str, Callable[[], Floats]] = {
        "level": lambda: level(sales, horizon),
        "last": lambda: repeated(sales, horizon, 1),
        "year": lambda: repeated(sales, horizon, year),
        "growth": lambda: grown(sales, horizon, season, frequency),
        "seasonal": seasonal,
    }
    return [np.maximum(made[name](), 0.0) for name in wanted]


def seasonal_naive(past: npt.NDArray[np.floating], horizon: int, frequency: Frequency) -> Floats:
    """The last cycle again: a week of days, else a year where there is one, else the last value, (S, horizon)."""
    return repeated(past.astype(float), horizon, naive_cycle(past.shape[1], frequency))


def naive_cycle(periods: int, frequency: Frequency) -> int:
    """Periods after which the seasonal naive repeats itself."""
    if frequency.name == "D":
        return frequency.cycle
    return frequency.year if periods >= frequency.year else 1


def repeated(sales: Floats, horizon: int, cycle: int) -> Floats:
    """The last cycle again; its unknown periods are the mean of the last quarter of a cycle."""
    last = sales[:, -cycle:]
    last = np.where(np.isnan(last), recent_mean(sales, max(cycle // 4, 1))[:, None], last)
    return last[:, np.arange(horizon) % cycle]


def recent_mean(sales: npt.NDArray[np.floating], periods: int) -> Floats:
    """Mean (n,) of those of the last periods that are known; 0 where none is."""
    past = sales[:, -periods:].astype(float)
    known = ~np.isnan(past)
    return np.asarray(np.where(known, past, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def level(sales: Floats, horizon: int) -> Floats:
    """Exponential smoothing, for each series with the constant that had the least absolute error one period ahead."""
    count, periods = sales.shape
    # Series without a history are not forecast.
    start = recent_mean(sales[:, : max(periods // 4, 1)], periods)
    least, best = np.full(count, np.inf), np.zeros(count)
    for alpha in ALPHAS:
        smooth, error = start.copy(), np.zeros(count)
        for at in range(periods):
            step = np.nan_to_num(sales[:, at] - smooth)
            if at >= periods // 3:
                error += np.abs(step)
            smooth += alpha * step
        better = error < least
        least, best = np.where(better, error, least), np.where(better, smooth, best)
    return np.repeat(best[:, None], horizon, axis=1)


def grown(sales: Floats, horizon: int, season: Level, frequency: Frequency) -> Floats:
    """The same periods of the year before, a third of them of the one before that, times the damped growth since.

    Half of the shape is without chance: series of a node (stores of a department) share a few shapes, and a truncated
    singular value decomposition of their history keeps those (the winning entry of Walmart's store sales competition on
    Kaggle, 2014, smoothed in this way).
    """
    year, periods = frequency.year, sales.shape[1]
    known = ~np.isnan(sales)
    filled = np.where(known, sales, recent_mean(sales, periods)[:, None])
    # A node of one series has nothing to share, and days have too many columns to be told apart.
    alone = season.size == len(sales) or frequency.name == "D"
    shape = filled if alone else (filled + _smoothed(filled, season)) / 2
    places = np.arange(horizon) % year
    found = shape[:, periods - year :][:, places]
    if periods >= 2 * year:
        older = shape[:, periods - 2 * year : periods - year][:, places]
        rise = _growth(filled[:, periods - year :], filled[:, periods - 2 * year : periods - year])
        found = (1 - OLDER_YEAR) * found + OLDER_YEAR * older * rise
    quarter = min(max(year // 4, 2), periods - year)
    recent = slice(periods - quarter, periods)
    before = slice(periods - year - quarter, periods - year)
    return found * _growth(filled[:, recent], filled[:, before]) ** DAMPING


def _smoothed(filled: Floats, season: Level) -> Floats:
    """The matrix with each node's rows on its SHAPES strongest shapes."""
    found = filled.copy()
    for node in range(season.size):
        rows = season.node == node
        left, strength, right = np.linalg.svd(filled[rows], full_matrices=False)
        strength[SHAPES:] = 0.0
        found[rows] = (left * strength) @ right
    return found


def _growth(later: Floats, earlier: Floats) -> Floats:
    """Later sum over the earlier one, (n, 1), within GROWTH; 1 where nothing was sold before."""
    before, after = earlier.sum(axis=1), later.sum(axis=1)
    ratio = np.where(before > 0, after / np.where(before > 0, before, 1.0), 1.0)
    return np.clip(ratio, *GROWTH)[:, None]
