"""The season of the year in weeks, months and quarters: an index per period of the year, as far as the years agree.

A node's index is the mean over the years of ln(sales / their yearly moving mean). What the years do not share is
chance: the index is shrunk by its reliability, the correlation of the years stepped up by the Spearman-Brown formula
(Brown, Some experimental results in the correlation of mental abilities, 1910). A series has its season's node's index,
moved to its own as far as its own years agree.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.panel import Panel

Floats = npt.NDArray[np.float64]

YEARS = 2
LARGEST = 3.0
FASTEST, DAMPING = math.log(2), 0.5


def known(periods: int, year: int) -> bool:
    """Whether a history is long enough for its years to be compared."""
    return periods >= YEARS * year


def of_nodes(sales: Floats, year: int) -> tuple[Floats, Floats]:
    """Index of each node (nodes, year) by period modulo `year`, mean 1, and its reliability (nodes,) from 0 to 1.

    `sales` is (nodes, periods), at least two years of them.
    """
    trend = _yearly_mean(sales, year)
    sold = (sales > 0) & (trend > 0)
    shares = np.log(np.where(sold, sales, 1.0) / np.where(sold, trend, 1.0)).clip(-LARGEST, LARGEST)
    periods = sales.shape[1]
    count = periods // year
    years = np.stack([shares[:, periods - (k + 1) * year : periods - k * year] for k in range(count)])
    years -= years.mean(axis=2, keepdims=True)
    reliability = _reliability(years)
    index = np.exp(years.mean(axis=0) * reliability[:, None])
    index /= index.mean(axis=1, keepdims=True)
    # The first column is the period `periods` - `year`, which has the same place in the year as `periods`.
    return np.roll(index, periods % year, axis=1), reliability


def of_series(sales: Floats, season: Level, year: int, *, own: bool) -> Floats:
    """Index of each series (S, year): its season's node's, with `own` moved to its own by the reliability of that."""
    shared, _ = of_nodes(season.sums(sales), year)
    if not own:
        return shared[season.node]
    index, reliability = of_nodes(np.nan_to_num(sales), year)
    logs = reliability[:, None] * np.log(index) + (1 - reliability[:, None]) * np.log(shared)[season.node]
    return np.asarray(np.exp(logs), dtype=np.float64)


def without(panel: Panel, season: Level) -> tuple[Panel, Floats]:
    """The panel divided by its seasons, and what it was divided by (S, N); itself where there is no year to compare."""
    size = panel.target.shape[1]
    if panel.freq == "D" or not known(panel.until, panel.frequency.year):
        return panel, np.ones((1, size))
    index = of_series(panel.target[:, : panel.until].astype(float), season, panel.frequency.year, own=False)
    season_of = index[:, np.arange(size) % panel.frequency.year]
    return replace(panel, target=(panel.target / season_of).astype(np.float32)), season_of


def seasonally(sales: Floats, index: Floats, horizon: int, forecast: Callable[[Floats, int], Floats]) -> Floats:
    """Forecasts (S, horizon) that `forecast` makes of `sales` without their season, times the season to come."""
    periods, year = sales.shape[1], index.shape[1]
    season_of = index[:, np.arange(periods + horizon) % year]
    return forecast(sales / season_of[:, :periods], horizon) * season_of[:, periods:]


def _yearly_mean(sales: Floats, year: int) -> Floats:
    """Centred moving mean over a year, (nodes, periods); its ends go on with half the growth between."""
    window = np.full(year, 1.0) if year % 2 else np.concatenate([[0.5], np.ones(year - 1), [0.5]])
    reach = len(window) // 2
    inside = np.lib.stride_tricks.sliding_window_view(sales, len(window), axis=1) @ (window / year)
    ends = inside[:, [0, -1]]
    sold = (ends > 0).all(axis=1, keepdims=True)
    logs = np.log(np.where(sold, ends, 1.0))
    growth = (logs[:, 1:] - logs[:, :1]) / max(inside.shape[1] - 1, 1)
    growth = np.clip(growth, -FASTEST / year, FASTEST / year) * DAMPING
    ahead = np.arange(1, reach + 1)
    parts = (ends[:, :1] * np.exp(-growth * ahead[::-1]), inside, ends[:, 1:] * np.exp(growth * ahead))
    return np.concatenate(parts, axis=1)[:, : sales.shape[1]]


def _reliability(years: Floats) -> Floats:
    """Of the mean of `years` (years, nodes, year), from their mean correlation."""
    scale = np.sqrt((years**2).sum(axis=2, keepdims=True))
    unit = years / np.where(scale > 0, scale, 1.0)
    count = len(years)
    # The sum over all pairs is the square of the sum, less the squares.
    pairs = (unit.sum(axis=0) ** 2).sum(axis=1) - (unit**2).sum(axis=(0, 2))
    correlation = np.clip(pairs / (count * (count - 1)), 0.0, 1.0)
    return np.asarray(count * correlation / (1 + (count - 1) * correlation), dtype=np.float64)
