"""Quantiles at every level, from errors of forecasts that had not seen what they are compared with.

The quantile of a node is its mean times 1 + scale x shape. Levels of few nodes: the scale is the root mean square of
the node's relative errors, drawn to what nodes of its size have; the shape is that of all such levels, both directions
alike, because errors of a window share their direction, which says nothing of the next one. Levels of many nodes: the
scale is how much the node scattered before the window, drawn to nodes of its size, and the shape is read by bands of
the mean (split conformal prediction), less what the whole window was off. In between, both are mixed.

Every error counts by the size of its node, and no scale and no error is taken beyond a bound: what a tiny node does
says nothing of the others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.levels import scales, weighted_mean
from retail_assets.forecasting.panel.spread import (
    LARGEST,
    SMALLEST,
    Sample,
    falling_with_size,
    scatter,
    usual_for_size,
    weighted_quantiles,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

QUANTILES = (0.005, 0.025, 0.05, 0.165, 0.25, 0.5, 0.75, 0.835, 0.9, 0.95, 0.975, 0.995)
SCORED = (0.005, 0.025, 0.165, 0.25, 0.5, 0.75, 0.835, 0.975, 0.995)
FEW_NODES, MANY_NODES, HALF_MANY = 100, 1_000, 100
# Errors beyond so many scales are taken for that many.
MOST = 6.0
SMALLEST_MEAN = 1e-6
# A sample is worth two errors, nodes of the same size eight: errors of one window are hardly independent.
PER_SAMPLE, PRIOR = 2.0, 8.0
# A scale read from few errors is less sure than the quantiles take it to be.
WIDER = 1.03
ROWS_PER_BAND, BANDS = 150, 12
# A band's own mean error is half chance, half a bias of forecasts of that size.
CENTRED = 0.5
# A median that saves less than this share of the absolute error is no better than the mean, one that saves more is.
NEARER = (0.01, 0.03)
# A median that is moved takes the quantiles beside it along, the tails hardly.
NEAR_MEDIAN = np.array([4 * q * (1 - q) for q in QUANTILES])
BIAS = (0.5, 2.0)
OUTWARDS = 0.15


def quantile_name(level: float) -> str:
    """The column of a quantile: 0.05 is q05, 0.165 q165, 0.5 q50."""
    return "q" + f"{level:.3f}"[2:].removesuffix("0")


@dataclass(frozen=True)
class Few:
    """Scale of each node, one shape for all (quantiles,), and the share of the mean that is sold (1: no bias)."""

    scale: Floats
    shape: Floats
    bias: float = 1.0

    def quantiles(self, mean: Floats) -> Floats:
        """(nodes, H, quantiles)."""
        made = self.bias * mean[:, :, None] * (1.0 + self.scale[:, None, None] * self.shape)
        return np.maximum(made, 0.0)


@dataclass(frozen=True)
class Many:
    """Scale of each node, log means of the bands, ascending, and the shape in each, (bands, quantiles)."""

    scale: Floats
    centres: Floats
    shapes: Floats

    def quantiles(self, mean: Floats) -> Floats:
        """(nodes, H, quantiles)."""
        place = np.log(np.maximum(mean, SMALLEST_MEAN))
        shape = np.stack([np.interp(place, self.centres, each) for each in self.shapes.T], axis=2)
        made = mean[:, :, None] * (1.0 + self.scale[:, None, None] * shape)
        return np.maximum(np.maximum.accumulate(made, axis=2), 0.0)


@dataclass(frozen=True)
class Steps:
    """Each quantile as a share of the mean, (nodes, H, quantiles): those of a naive forecast with its own steps."""

    shares: Floats

    def quantiles(self, mean: Floats) -> Floats:
        """(nodes, H, quantiles)."""
        return mean[:, :, None] * self.shares


@dataclass(frozen=True)
class Mixed:
    """Quantiles between those of both, `share` that of the second."""

    first: "Intervals"
    second: "Intervals"
    share: float

    def quantiles(self, mean: Floats) -> Floats:
        """(nodes, H, quantiles)."""
        return (1 - self.share) * self.first.quantiles(mean) + self.share * self.second.quantiles(mean)


Intervals = Few | Many | Steps | Mixed


def few(levels: list[list[Sample]], sizes: list[Floats], *, biased: bool = False) -> list[Few]:
    """Learnt from samples per level, with the mean forecast of each node; every level has the same shape.

    `biased` forecasts (medians) are moved to what is sold of them on the whole.
    """
    found, errors, weights = [], [], []
    for samples, size in zip(levels, sizes, strict=True):
        size = np.maximum(size, SMALLEST_MEAN)
        scale, bias = _scales(samples, size), _bias(samples) if biased else 1.0
        found.append((scale, bias))
        for sample in samples:
            mean = bias * sample.forecast
            known = ~np.isnan(sample.actual) & (mean > SMALLEST_MEAN)
            error = (sample.actual - mean) / np.maximum(mean * scale[:, None], SMALLEST_MEAN)
            weight = np.broadcast_to((sample.share * size / size.sum())[:, None], mean.shape)
            errors.append(np.clip(error[known], -MOST, MOST))
            weights.append(weight[known])
    both = np.concatenate([*errors, *(-error for error in errors)])
    shape = WIDER * weighted_quantiles(both, np.concatenate([*weights, *weights]), QUANTILES)
    return [Few(scale, shape, bias) for scale, bias in found]


def _scales(samples: list[Sample], size: Floats) -> Floats:
    """Root mean square relative error of each node, drawn to that of nodes of its size."""
    total = sum(sample.share for sample in samples)
    own = np.asarray(sum(sample.share * sample.relative for sample in samples)) / total
    count = PER_SAMPLE * len(samples)
    drawn = (count * own + PRIOR * falling_with_size(own, size)) / (count + PRIOR)
    # Customers who come one by one scatter by the root of their number, however near the errors of one window were.
    least = np.minimum(1 / size, LARGEST) if any(_counted(sample.actual) for sample in samples) else 0.0
    return np.maximum(np.sqrt(np.maximum(drawn, least)), SMALLEST)


def _counted(sales: Floats) -> bool:
    """Whether sales are whole units."""
    known = sales[~np.isnan(sales)]
    return bool((known == np.round(known)).all())


def _bias(samples: list[Sample]) -> float:
    sold = sum(float(np.nansum(sample.actual)) * sample.share for sample in samples)
    made = sum(float(sample.forecast[~np.isnan(sample.actual)].sum()) * sample.share for sample in samples)
    return float(np.clip(sold / made, *BIAS)) if made > 0 else 1.0


def many(windows: list[tuple[Sample, Floats]], past: Floats, mean: Floats, *, biased: bool = False) -> Many:
    """Learnt from windows held back, each with the sales before it (nodes, T), for forecasts `mean` (nodes, H) made
    after `past`. `biased` forecasts are medians: what a window was off is then no chance.
    """
    errors, places, weights = [], [], []
    units = list[Ints]()
    for sample, before in windows:
        known = ~np.isnan(sample.actual) & (sample.forecast > SMALLEST_MEAN)
        centre = sample.forecast * (1.0 if biased else _off(sample, known))
        scale = _scatter_for_size(before, centre)
        error = (sample.actual - centre) / np.maximum(centre * scale[:, None], SMALLEST_MEAN)
        errors.append(np.clip(error[known], -MOST, MOST))
        places.append(np.log(centre[known]))
        weights.append(centre[known])
        half = np.arange(known.shape[1]) * 2 // known.shape[1]
        units.append(2 * len(units) + np.broadcast_to(half, known.shape)[known])
    bands = _bands(*map(np.concatenate, (errors, places, weights, units)), centred=0.0 if biased else CENTRED)
    return Many(_scatter_for_size(past, mean), *bands)


def _off(sample: Sample, known: Mask) -> float:
    """Units sold over units forecast in a window: what it was off says nothing of the next one."""
    sold, made = float(sample.actual[known].sum()), float(sample.forecast[known].sum())
    return sold / made if sold and made else 1.0


def _scatter_for_size(past: Floats, mean: Floats) -> Floats:
    """The scatter of each node, drawn half way (of its logarithm) to what nodes of its size have."""
    own = np.maximum(scatter(past), SMALLEST)
    return np.asarray(np.sqrt(own * usual_for_size(own, mean.mean(axis=1))), dtype=np.float64).clip(SMALLEST, LARGEST)


def _bands(error: Floats, place: Floats, weight: Floats, unit: Ints, *, centred: float) -> tuple[Floats, Floats]:
    """Centres of bands of the mean and weighted quantiles of the errors in each; a lone one where there are none.

    `unit` numbers the half windows that the errors are from.
    """
    if not len(error):
        return np.zeros(1), np.zeros((1, len(QUANTILES)))
    centres, shapes = list[float](), []
    order = np.argsort(place, kind="stable")
    for rows in np.array_split(order, int(np.clip(len(order) // ROWS_PER_BAND, 1, BANDS))):
        centre = float(place[rows].mean())
        if centres and centre <= centres[-1]:
            continue
        centres.append(centre)
        shapes.append(_shape(error[rows], weight[rows], unit[rows], centred))
    return np.array(centres), np.array(shapes)


def _shape(error: Floats, weight: Floats, unit: Ints, centred: float) -> Floats:
    """Weighted quantiles of a band's errors, less its mean error and as much of its median as is chance.

    A median beside the mean is a skew where half windows agree on it, and where it is much nearer to what was sold.
    """
    centre = float(np.average(error, weights=weight))
    shape = weighted_quantiles(error - centred * centre, weight, QUANTILES)
    median = shape[QUANTILES.index(0.5)]
    skews = np.array([_skew(error[unit == each], weight[unit == each]) for each in np.unique(unit)])
    nearer = 1 - np.average(np.abs(error - centre - _skew(error, weight)), weights=weight) / max(
        float(np.average(np.abs(error - centre), weights=weight)), 1e-9
    )
    sure = _agreement(skews) * np.clip((nearer - NEARER[0]) / (NEARER[1] - NEARER[0]), 0.0, 1.0)
    return np.asarray(np.maximum.accumulate(shape - (1 - sure) * median * NEAR_MEDIAN))


def _agreement(values: Floats) -> float:
    """The mean product of two of the values as a share of their mean square, from 0 to 1; 1 of a single one."""
    count, square = len(values), float((values**2).mean())
    if count < 2 or not square:
        return 1.0
    pairs = (values.sum() ** 2 - (values**2).sum()) / (count * (count - 1))
    return float(np.clip(pairs / square, 0.0, 1.0))


def _skew(error: Floats, weight: Floats) -> float:
    """Median less mean."""
    return float(weighted_quantiles(error, weight, (0.5,))[0] - np.average(error, weights=weight))


def share_of_many(nodes: int) -> float:
    """How much of the quantiles of a level with so many nodes comes from `many`."""
    if nodes < FEW_NODES:
        return 0.0
    return 1.0 if nodes >= MANY_NODES else nodes / (nodes + HALF_MANY)


def central(quantiles: Floats, *, whole: bool = False) -> tuple[Floats, Floats]:
    """Ends of the 90 % interval of (..., quantiles).

    Where the 5 % quantile is nothing sold, no less can be: the upper end is then the 90 % quantile. Ends of `whole`
    units cover all who sell just as many, more than a tail asks for, so that they are rounded outwards late.
    """
    low, high, one_sided = (quantiles[..., QUANTILES.index(q)] for q in (0.05, 0.95, 0.9))
    if whole:
        low, high, one_sided = np.ceil(low - OUTWARDS), np.floor(high + OUTWARDS), np.floor(one_sided + OUTWARDS)
    return low, np.where(low > 0, high, one_sided)


def wspl(past: Floats, truth: Floats, quantiles: Floats) -> float:
    """Weighted scaled pinball loss of a level over the nine quantiles of M5; low is good.

    `past` (nodes, T), `truth` (nodes, H), `quantiles` (nodes, H, QUANTILES). Scaled by the mean absolute step since the
    first sale, weighted by units of the last 28 periods (Makridakis et al., The M5 uncertainty competition, 2022).
    """
    picked, asked = [QUANTILES.index(q) for q in SCORED], np.array(SCORED)
    steps, live = np.abs(np.diff(past, axis=1)), (np.cumsum(past > 0, axis=1) > 0)[:, :-1]
    scale = (steps * live).sum(axis=1) / np.maximum(live.sum(axis=1), 1)
    error = truth[:, :, None] - quantiles[:, :, picked]
    loss = np.maximum(asked * error, (asked - 1) * error).mean(axis=(1, 2))
    return weighted_mean(loss / np.where(scale > 0, scale, 1.0), scales(past)[1])
