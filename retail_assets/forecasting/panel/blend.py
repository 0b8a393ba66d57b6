"""How much of each forecast: the weights that were best on the last windows of the history, averaged over good ones.

Weights are judged by the errors of the series, which are many; those of the levels above share the fate of a few
periods. The best weights of a window are still partly chance, so the weights are a mean over a grid, each point
weighted by how near its error comes to the best one (exponential weights; Yang, Combining forecasting procedures,
2004).
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.levels import Level, mean_known, scales, weighted_mean

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

PARTS = 4
SHARPNESS = 20.0


@dataclass(frozen=True)
class Tried:
    """Forecasts of one window: past (S, until), truth (S, H), and each part (S, H)."""

    past: Singles
    truth: Singles
    parts: list[Floats]


def weights(windows: list[Tried], series: Level, loss: str) -> Floats:
    """Weights of the parts, summing to one."""
    count = len(windows[0].parts)
    grid = (
        np.array([point for point in itertools.product(range(PARTS + 1), repeat=count) if sum(point) == PARTS]) / PARTS
    )
    if len(grid) == 1:
        return grid[0]
    errors = np.mean([_relative(errors_of(window, [series], grid, loss)) for window in windows], axis=0)
    closeness = np.exp(-SHARPNESS * len(windows) * (errors - errors.min()))
    return np.asarray(closeness @ grid / closeness.sum(), dtype=np.float64)


def at_least_equal(weight: Floats, part: int) -> Floats:
    """The weights with an equal share for one part, or its own if that is larger.

    Trees that will know two years, and learn without their season, cannot be judged by windows on which they did not.
    """
    share = max(weight[part], 1 / len(weight))
    rest = np.delete(weight, part)
    scaled = rest * (1 - share) / rest.sum() if rest.sum() > 0 else rest
    return np.insert(scaled, part, share if rest.sum() > 0 else 1.0)


def errors_of(window: Tried, levels: list[Level], grid: Floats, loss: str) -> Floats:
    """Error of each row of the grid, the mean over the levels; shares of targets are the series' own."""
    known = ~np.isnan(window.truth)
    found = []
    for level in levels[-1:] if loss == "percentage" else levels:
        truth = level.sums(window.truth)
        # As weights sum to one, the error of a mixture is the mixture of the errors.
        errors = np.stack([truth - level.sums(np.where(known, part, 0.0)) for part in window.parts])
        found.append(_mixed_errors(level.sums(window.past), truth, errors, grid, loss))
    return np.array([mean_known(column) for column in np.transpose(found)])


def _mixed_errors(past: Floats, truth: Floats, errors: Floats, grid: Floats, loss: str) -> Floats:
    """Error of each mixture (points,): weighted RMSSE, or absolute error per unit, or as a share of each target."""
    if loss == "squared":
        scale, weight = scales(past)
        products = np.einsum("knh,lnh->nkl", errors, errors) / errors.shape[2]
        squares = np.einsum("pk,nkl,pl->pn", grid, products, grid)
        return np.array([weighted_mean(np.sqrt(np.maximum(row, 0.0) / scale), weight) for row in squares])
    sold = truth > 0
    if not sold.any():
        return np.full(len(grid), np.nan)
    share = np.where(sold, 1.0 / np.where(sold, truth, 1.0), 0.0) if loss == "percentage" else 1.0 / truth.sum()
    return np.array([(np.abs(np.tensordot(point, errors, 1)) * share).sum() for point in grid])


def _relative(errors: Floats) -> Floats:
    least = errors.min()
    return errors / least if least > 0 else np.zeros_like(errors)


def mixed(parts: list[Floats], weight: Floats) -> Floats:
    """The weighted mean of the parts."""
    return np.asarray(sum(share * part for share, part in zip(weight, parts, strict=True)), dtype=np.float64)
