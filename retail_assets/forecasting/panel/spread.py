"""How far sales scatter: errors of earlier forecasts, a node's own scatter, and quantiles of weighted values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST = 4.0
SMALLEST = 1e-3
SMOOTHING, KEPT = 0.2, 0.97
PER_BIN, BINS = 50, 20


@dataclass(frozen=True)
class Sample:
    """What the nodes of a level sold and were forecast to sell, (nodes, H); NaN where it is not known.

    `share` is how much the sample counts among those of the level.
    """

    actual: Floats
    forecast: Floats
    share: float

    @property
    def relative(self) -> Floats:
        """Mean squared error of each node as a share of its mean squared forecast, at most LARGEST."""
        known = ~np.isnan(self.actual)
        error = np.where(known, self.actual - self.forecast, 0.0)
        size = np.where(known, self.forecast, 0.0)
        ratio = (error**2).sum(axis=1) / np.maximum((size**2).sum(axis=1), 1e-12)
        return np.minimum(ratio, LARGEST)


def scatter(sales: Floats) -> Floats:
    """Root mean square step from the smoothed level, as a share of the level, of each node (nodes,); recent ones count
    more. NaN are left out.
    """
    periods = sales.shape[1]
    known = ~np.isnan(sales)
    filled = np.where(known, sales, 0.0)
    start = slice(0, max(periods // 4, 1))
    smooth = filled[:, start].sum(axis=1) / np.maximum(known[:, start].sum(axis=1), 1)
    square, size, weight = (np.zeros(len(sales)) for _ in range(3))
    for at in range(periods):
        step = np.where(known[:, at], filled[:, at] - smooth, 0.0)
        if at >= periods // 3:
            fresh = KEPT ** (periods - 1 - at) * known[:, at]
            square += fresh * step**2
            size += fresh * np.abs(filled[:, at])
            weight += fresh
        smooth = smooth + SMOOTHING * step
    weight = np.maximum(weight, 1e-12)
    return np.minimum(np.sqrt(square / weight) / np.maximum(size / weight, 1e-9), LARGEST)


def usual_for_size(values: Floats, size: Floats) -> Floats:
    """The median of `values` among nodes of a similar `size`, (nodes,), interpolated over the logarithm of the size."""
    place = np.log(np.maximum(size, SMALLEST))
    order = np.argsort(place, kind="stable")
    bins = np.array_split(order, int(np.clip(len(order) // PER_BIN, 1, BINS)))
    centres = np.array([place[rows].mean() for rows in bins])
    return np.asarray(np.interp(place, centres, [np.median(values[rows]) for rows in bins]), dtype=np.float64)


def falling_with_size(values: Floats, size: Floats) -> Floats:
    """What nodes of each size have of `values` (nodes,), a power law that does not rise; the mean by size is kept."""
    usual = np.full(len(values), np.average(values, weights=size))
    if len(values) < 8:
        return usual
    weight, place, logs = np.sqrt(size), np.log(size), np.log(np.maximum(values, 1e-6))
    place = place - np.average(place, weights=weight)
    slope = float((weight * place * logs).sum() / max((weight * place**2).sum(), 1e-9))
    law = np.exp(np.clip(slope, -1.0, 0.0) * place)
    return np.asarray(law * usual[0] / np.average(law, weights=size), dtype=np.float64)


def weighted_quantiles(values: Floats, weight: Floats, levels: Sequence[float]) -> Floats:
    """Quantiles (levels,) of values that count by their weight; zeros where there are none."""
    if not len(values):
        return np.zeros(len(levels))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) - weight[order] / 2
    return np.asarray(np.interp(levels, reached / weight.sum(), values[order]), dtype=np.float64)
