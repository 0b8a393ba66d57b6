"""Weekly forecasts far ahead: the same weeks of earlier years without their noise, times how the series has grown.

Series of one node of the season's level (stores of a department) share a few shapes: a truncated singular value
decomposition of their weeks keeps those and drops what is one series' chance (the winning entry of Walmart's store
sales competition on Kaggle, 2014, smoothed in this way).
"""

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.panel import Panel

Floats = npt.NDArray[np.float64]

YEAR, QUARTER = 52, 13
SHAPES = 8
DAMPING = 0.5
GROWTH = (0.5, 2.0)
OLDER_YEAR = 1 / 3


def applies(panel: Panel) -> bool:
    """Whether the horizon is beyond a quarter, where the season tells more than the recent, and a year is known."""
    return panel.freq == "W" and QUARTER < panel.horizon <= YEAR and panel.until >= YEAR + QUARTER


def forecast(panel: Panel, season: Level) -> Floats:
    """Forecasts (S, horizon), zero or more; the year before last counts for a third where it is known."""
    smooth = _smoothed(panel.target[:, : panel.until].astype(float), season)
    until = panel.until
    weeks = slice(until - YEAR, until - YEAR + panel.horizon)
    shape = smooth[:, weeks]
    if until >= 2 * YEAR:
        older = smooth[:, until - 2 * YEAR : until - 2 * YEAR + panel.horizon]
        grown = _growth(smooth[:, until - YEAR :], smooth[:, until - 2 * YEAR : until - YEAR])
        shape = (1 - OLDER_YEAR) * shape + OLDER_YEAR * older * grown
    recent, before = slice(until - QUARTER, until), slice(until - YEAR - QUARTER, until - YEAR)
    return np.maximum(shape * _growth(smooth[:, recent], smooth[:, before]) ** DAMPING, 0.0)


def _smoothed(target: Floats, season: Level) -> Floats:
    """The matrix with each node's rows on its SHAPES strongest shapes; unknown weeks are the series' mean."""
    known = ~np.isnan(target)
    mean = np.where(known, target, 0.0).sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
    filled = np.where(known, target, mean)
    for node in range(season.size):
        rows = season.node == node
        left, strength, right = np.linalg.svd(filled[rows], full_matrices=False)
        strength[SHAPES:] = 0.0
        filled[rows] = (left * strength) @ right
    return filled


def _growth(later: Floats, earlier: Floats) -> Floats:
    """Later sum over the earlier one, (S, 1), within GROWTH; 1 where nothing was sold before."""
    before, after = earlier.sum(axis=1), later.sum(axis=1)
    ratio = np.where(before > 0, after / np.maximum(before, 1e-9), 1.0)
    return np.clip(ratio, *GROWTH)[:, None]
