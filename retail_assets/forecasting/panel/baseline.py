"""What forecasts are held against: the seasonal naive with its own residuals, and the recent mean."""

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel import simple
from retail_assets.forecasting.panel.intervals import QUANTILES
from retail_assets.forecasting.panel.panel import Panel

Floats = npt.NDArray[np.float64]

CYCLES, WEEK = 4, 7
FEWEST_STEPS = 8


def seasonal_naive(panel: Panel) -> Floats:
    """The last cycle again (a week of days, else a year where there is one, else the last value), (S, horizon)."""
    return simple.seasonal_naive(panel.target[:, : panel.until], panel.horizon, panel.frequency)


def recent_mean(panel: Panel) -> Floats:
    """The mean of the last four of the same weekday, of longer periods that of the last few, (S, horizon)."""
    past = panel.target[:, : panel.until]
    if panel.freq != "D" or panel.until < CYCLES * WEEK:
        return np.repeat(simple.recent_mean(past, panel.frequency.recent)[:, None], panel.horizon, axis=1)
    weeks = np.nan_to_num(past[:, -CYCLES * WEEK :]).reshape(len(past), CYCLES, WEEK).mean(axis=1)
    return weeks[:, np.arange(panel.horizon) % WEEK]


def quantiles(past: Floats, naive: Floats, cycle: int) -> Floats:
    """The last cycle plus the quantiles of each node's own steps over as many cycles, (nodes, H, quantiles).

    `past` (nodes, T) and `naive` (nodes, H); where too few steps of that length are known, those of one cycle or one
    period stand for them.
    """
    periods, horizon = past.shape[1], naive.shape[1]
    found = np.empty((*naive.shape, len(QUANTILES)))
    for begin in range(0, horizon, cycle):
        enough = [lag for lag in (begin + cycle, cycle, 1) if periods >= lag + FEWEST_STEPS]
        lag = enough[0] if enough else 1
        shift = np.quantile(past[:, lag:] - past[:, :-lag], QUANTILES, axis=1).T
        found[:, begin : begin + cycle] = naive[:, begin : begin + cycle, None] + shift[:, None, :]
    return np.maximum(found, 0.0)
