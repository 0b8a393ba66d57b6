"""Forecast accuracy: free functions on equally long arrays of actual units and forecasts.

All of them return NaN when there is nothing to measure, so that a gate on them fails.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_CLUSTERS = 10


def wape(actual: Floats, forecast: Floats) -> float:
    """Weighted absolute percentage error: sum |error| / sum |actual|. Range 0 to infinity, lower is better."""
    return _ratio(np.abs(forecast - actual).sum(), np.abs(actual).sum())


def bias(actual: Floats, forecast: Floats) -> float:
    """Relative bias: sum (forecast - actual) / sum |actual|. 0 is best, positive forecasts too much."""
    return _ratio((forecast - actual).sum(), np.abs(actual).sum())


def rmse(actual: Floats, forecast: Floats) -> float:
    """Root mean squared error in units. Range 0 to infinity, lower is better."""
    return float(np.sqrt(np.mean((forecast - actual) ** 2))) if len(actual) else float("nan")


def scaled_rmse(actual: Floats, forecast: Floats, naive: Floats) -> float:
    """RMSE as a share of the RMSE of `naive` on the same rows (RMSSE scaled out of sample). Lower is better."""
    return _ratio(rmse(actual, forecast), rmse(actual, naive))


def pinball(actual: Floats, quantiles: Floats, levels: Floats) -> float:
    """Mean quantile loss over rows and levels, in units; `quantiles` is rows x levels. Lower is better.

    Koenker and Bassett (1978).
    """
    if not len(actual):
        return float("nan")
    error = actual[:, None] - quantiles
    return float(np.mean(np.maximum(levels * error, (levels - 1.0) * error)))


def coverage(actual: Floats, low: Floats, high: Floats) -> float:
    """The share of rows inside [low, high], ends included. Range 0 to 1."""
    return float(np.mean((actual >= low) & (actual <= high))) if len(actual) else float("nan")


def coverage_of_counts(
    actual: Floats, low: Floats, high: Floats, mean: Floats, nominal: float, bands: int = 16
) -> float:
    """Coverage of [low, high] with its ends counted in part, as far as that brings a tail to (1 - nominal) / 2.

    An interval of counts cannot leave out exactly 5 % at an end that is itself a likely count: where most days sell
    nothing, the true 5 % quantile is 0 and [low, high] covers that tail whole. So as many of the days on an end count
    as outside as the tail lacks (a randomised end), in each of `bands` bands of `mean` by itself: a fault of fast
    sellers is not made good by ties of slow ones. Range 0 to 1; `nominal` where the ties allow it.
    """
    if not len(actual):
        return float("nan")
    tail, inside = (1.0 - nominal) / 2.0, 0.0
    for rows in np.array_split(np.argsort(mean, kind="stable"), min(bands, len(actual))):
        units, first, last = actual[rows], low[rows], high[rows]
        below = np.clip(tail, np.mean(units < first), np.mean(units <= first))
        above = np.clip(tail, np.mean(units > last), np.mean(units >= last))
        inside += len(rows) * (1.0 - below - above)
    return float(inside / len(actual))


def calibration_gap(actual: Floats, quantiles: Floats, levels: Floats) -> float:
    """The largest distance over levels of the level from [P(actual < q), P(actual <= q)]. Range 0 to 1, 0 is best.

    Counts have ties: a true 5 % quantile of a slow seller is 0 and covers far more than 5 % of the days, so a level is
    met when it lies between the share strictly below and the share at or below its quantile.
    """
    if not len(actual):
        return float("nan")
    return float(np.max(_gaps(actual, quantiles, levels), initial=0.0))


def calibration_gap_error(actual: Floats, quantiles: Floats, levels: Floats, unit: Ints) -> float:
    """Standard error of the share of rows below the quantile that `calibration_gap` finds furthest from its level.

    Rows of one `unit` count as one observation. NaN with fewer than two units.
    """
    if not len(actual):
        return float("nan")
    furthest = int(np.argmax(_gaps(actual, quantiles, levels)))
    return ratio_error((actual < quantiles[:, furthest]).astype(float), np.ones(len(actual)), unit)


def _gaps(actual: Floats, quantiles: Floats, levels: Floats) -> Floats:
    below = np.mean(actual[:, None] < quantiles, axis=0)
    at_or_below = np.mean(actual[:, None] <= quantiles, axis=0)
    return np.asarray(np.maximum(below - levels, levels - at_or_below), dtype=np.float64)


def clusters(series: Ints, week: Ints) -> Ints:
    """A code per row of what counts as one observation: its series, or where there are few a week of its series.

    Days of one series are not independent, but the scatter of two or three series is not known from their sums.
    """
    if len(np.unique(series)) >= FEWEST_CLUSTERS:
        return series
    return np.unique(series * (int(week.max(initial=0)) + 1) + week, return_inverse=True)[1].astype(np.int64)


def share_error(share: float, count: int) -> float:
    """Standard error of a share of `count` things, not 0 where all or none are (Agresti and Coull, 1998)."""
    drawn = (share * count + 2.0) / (count + 4.0)
    return float(np.sqrt(drawn * (1.0 - drawn) / (count + 4.0)))


def harm(actual: Floats, forecast: Floats, other: Floats, unit: Ints) -> float:
    """How surely `forecast` has larger squared errors than `other`: a z-score, above about 3 beyond chance.

    Errors are summed within each `unit` (a series, a code of 0 or more) first: days of one series are not independent,
    and a single bulk order must not decide. Below 0 the forecast is the better one. NaN without rows, and infinite
    where a lone unit is worse.
    """
    if not len(actual):
        return float("nan")
    difference = (forecast - actual) ** 2 - (other - actual) ** 2
    sums = np.bincount(unit, difference)[np.unique(unit)]
    spread = float(np.std(sums, ddof=1)) if len(sums) > 1 else 0.0
    total = float(sums.sum())
    if spread == 0.0:
        return 0.0 if total <= 0.0 else float("inf")
    return total / (spread * float(np.sqrt(len(sums))))


def ratio_error(loss: Floats, other: Floats, unit: Ints) -> float:
    """Standard error of sum(loss) / sum(other), both measured on the same rows; at least 0.

    Rows of one `unit` (a series, a code of 0 or more) count as one observation, as their errors are not independent:
    the linearised variance of a ratio estimator under cluster sampling (Cochran, Sampling Techniques, 1977, 6.4).
    NaN with fewer than two units or nothing to divide by.
    """
    units, place = np.unique(unit, return_inverse=True)
    whole = float(other.sum())
    if len(units) < 2 or not whole > 0:
        return float("nan")
    residual = np.bincount(place, loss) - float(loss.sum()) / whole * np.bincount(place, other)
    return float(np.sqrt(len(units) * np.var(residual, ddof=1))) / whole


def rmse_ratio_error(actual: Floats, forecast: Floats, other: Floats, unit: Ints) -> float:
    """Standard error of rmse(forecast) / rmse(other) by `ratio_error` of the squares, on the scale of the root."""
    squares, others = (forecast - actual) ** 2, (other - actual) ** 2
    total = float(others.sum())
    ratio = float(np.sqrt(squares.sum() / total)) if total > 0 else float("nan")
    return _ratio(ratio_error(squares, others, unit), 2.0 * ratio)


def wape_ratio_error(actual: Floats, forecast: Floats, other: Floats, unit: Ints) -> float:
    """Standard error of wape(forecast) / wape(other) by `ratio_error` of the absolute errors."""
    return ratio_error(np.abs(forecast - actual), np.abs(other - actual), unit)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
