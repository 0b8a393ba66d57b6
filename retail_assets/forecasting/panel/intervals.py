"""Quantiles at every level, from errors of forecasts that had not seen what they are compared with.

Levels of many nodes read the quantiles of actual / mean on the last window held back, by band of the mean and part of
the horizon (split conformal). Levels of few nodes have too few of these errors, and those of a window share their
direction. Theirs are the scale of the node's errors times the quantiles of the scaled errors of all such levels. The
scale rests on the reconciled forecasts of the window held back and, to a lesser part, on the nodes' regression at
earlier origins.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.core.intervals import QuantileTable
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.nodes import NodeData, regress

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]

QUANTILES = (0.005, 0.025, 0.05, 0.165, 0.25, 0.5, 0.75, 0.835, 0.9, 0.95, 0.975, 0.995)
SCORED = (0.005, 0.025, 0.165, 0.25, 0.5, 0.75, 0.835, 0.975, 0.995)
FEW_NODES = 500
ORIGINS, APART = 4, 7
NEWEST, OWN_SCALE = 0.7, 0.5
# A scale read from few errors is less sure than the quantiles take it to be.
WIDER = 1.03
LARGEST_ERROR = 1.0
PARTS = 4


def quantile_name(level: float) -> str:
    """The column of a quantile: 0.05 is q05, 0.165 q165, 0.5 q50."""
    return "q" + f"{level:.3f}"[2:].removesuffix("0")


@dataclass(frozen=True)
class Many:
    """Intervals of a level with many nodes."""

    table: QuantileTable

    def quantiles(self, mean: Floats) -> Floats:
        """(nodes, H, quantiles)."""
        found = self.table.quantiles(mean.ravel(), _part(mean.shape))
        return found.reshape(*mean.shape, len(QUANTILES))


@dataclass(frozen=True)
class Few:
    """Intervals of a level with few nodes: scale of log errors per node, quantiles of scaled log errors."""

    scale: Floats
    shape: Floats

    def quantiles(self, mean: Floats) -> Floats:
        """(nodes, H, quantiles)."""
        share = np.exp(self.scale[:, None] * self.shape)
        return mean[:, :, None] * share[:, None, :]


def many(actual: Floats, mean: Floats) -> Many:
    """Learnt from the actual units and forecasts (nodes, H) of a window held back; unknown actuals are NaN."""
    known = ~np.isnan(actual).ravel()
    table = QuantileTable.fit(
        actual.ravel()[known].astype(float), mean.ravel()[known], _part(mean.shape)[known], QUANTILES, bands=24
    )
    return Many(table)


def few(newest: list[Floats], earlier: list[Floats]) -> list[Few]:
    """Learnt from log errors per level: of the reconciled forecasts of the window held back, (nodes, H), and of the
    regression at several origins, (nodes, origins x H); every level has the same quantiles of scaled errors.
    """
    scales = [_scales(new, old) for new, old in zip(newest, earlier, strict=True)]
    scaled, weight = [], []
    for part, errors in ((NEWEST, newest), (1 - NEWEST, earlier)):
        for each, scale in zip(errors, scales, strict=True):
            scaled.append((each / scale[:, None]).ravel())
            weight.append(np.full(each.size, part / each.size))
    shape = WIDER * _symmetric_quantiles(np.concatenate(scaled), np.concatenate(weight))
    return [Few(scale, shape) for scale in scales]


def _scales(newest: Floats, earlier: Floats) -> Floats:
    """Root mean square error of each node (nodes,), half its own and half that of its level."""
    square = NEWEST * (newest**2).mean(axis=1) + (1 - NEWEST) * (earlier**2).mean(axis=1)
    return np.maximum(OWN_SCALE * np.sqrt(square) + (1 - OWN_SCALE) * np.sqrt(square.mean()), 1e-6)


def _symmetric_quantiles(values: Floats, weight: Floats) -> Floats:
    """Weighted quantiles (quantiles,) of `values` and their mirror image.

    Errors of a window share their direction, which says nothing of the next one: both directions are as likely.
    """
    both, weights = np.concatenate([values, -values]), np.concatenate([weight, weight])
    order = np.argsort(both, kind="stable")
    reached = np.cumsum(weights[order]) - weights[order] / 2
    return np.interp(QUANTILES, reached / weights.sum(), both[order])


def rolling_errors(data: NodeData, until: int, horizon: int) -> Floats:
    """Log errors (nodes, origins x horizon) of the regression at origins up to `until` - `horizon`."""
    found = []
    for back in range(ORIGINS):
        origin = until - horizon - back * APART
        if origin < 2 * horizon:
            break
        forecast = regress(data, origin, horizon)
        actual = data.sums[:, origin : origin + horizon]
        found.append(log_errors(actual, forecast))
    return np.concatenate(found, axis=1) if found else np.zeros((len(data.sums), 0))


def log_errors(actual: Floats, forecast: Floats) -> Floats:
    """Logarithm of actual over forecast, within LARGEST_ERROR; 0 where nothing is forecast."""
    ratio = np.where(forecast > 0, np.maximum(actual, 0.0) / np.maximum(forecast, 1e-9), 1.0)
    return np.clip(np.log(np.maximum(ratio, 1e-9)), -LARGEST_ERROR, LARGEST_ERROR)


def central(quantiles: Floats) -> tuple[Floats, Floats]:
    """Ends of the 90 % interval of (..., quantiles).

    Where the 5 % quantile is nothing sold, no less can be: the upper end is then the 90 % quantile.
    """
    low, high, one_sided = (quantiles[..., QUANTILES.index(q)] for q in (0.05, 0.95, 0.9))
    return low, np.where(low > 0, high, one_sided)


def _part(shape: tuple[int, ...]) -> Ints:
    """The quarter of the horizon of each cell of (nodes, H), flattened."""
    return np.tile(np.arange(shape[1]) * PARTS // shape[1], shape[0])


def seasonal_naive_quantiles(past: Floats, naive: Floats, cycle: int) -> Floats:
    """The baseline: last cycle plus the quantiles of each node's own steps over a cycle, (nodes, H, quantiles)."""
    found = np.empty((*naive.shape, len(QUANTILES)))
    horizon = naive.shape[1]
    for begin in range(0, horizon, cycle):
        lag = begin + cycle
        steps = past[:, lag:] - past[:, :-lag] if past.shape[1] > 2 * lag else past[:, cycle:] - past[:, :-cycle]
        shift = np.quantile(steps, QUANTILES, axis=1).T
        found[:, begin : begin + cycle] = naive[:, begin : begin + cycle, None] + shift[:, None, :]
    return np.maximum(found, 0.0)


def wspl(levels: list[Level], past: Singles, actual: Singles, quantiles: dict[str, Floats]) -> dict[str, float]:
    """Weighted scaled pinball loss at each level over the nine quantiles of M5; their mean is the score. Low is good.

    Scaled by the mean absolute step since the first sale, weighted by units of the last 28 periods (Makridakis et al.,
    The M5 uncertainty competition, 2022).
    """
    picked = [QUANTILES.index(q) for q in SCORED]
    found = {}
    for level in levels:
        history, truth = level.sums(past), level.sums(actual)
        steps, live = np.abs(np.diff(history, axis=1)), (np.cumsum(history > 0, axis=1) > 0)[:, :-1]
        scale = (steps * live).sum(axis=1) / np.maximum(live.sum(axis=1), 1)
        weight = np.where(scale > 0, history[:, -28:].sum(axis=1), 0.0)
        loss = np.zeros(level.size)
        for at, q in zip(picked, SCORED, strict=True):
            error = truth - quantiles[level.name][:, :, at]
            loss += np.maximum(q * error, (q - 1) * error).mean(axis=1) / len(SCORED)
        each = loss / np.where(scale > 0, scale, 1.0)
        found[level.name] = float((each * weight).sum() / weight.sum()) if weight.sum() else float("nan")
    return found
