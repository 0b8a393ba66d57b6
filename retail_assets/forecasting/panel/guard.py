"""As much of the seasonal naive as keeps forecasts from losing to it on the windows held back: of the series, then of
the sums of the level that shares a season.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.blend import Tried, errors_of
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.reconcile import scaled

Floats = npt.NDArray[np.float64]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
ONE = np.ones((1, 1))
ROUNDING = 1e-9


@dataclass(frozen=True)
class Shares:
    """The naive's share in the forecasts of the series, and in the sums of the season's level."""

    series: float = 0.0
    sums: float = 0.0


def shares_of(windows: list[Tried], levels: list[Level], season: Level, loss: str) -> Shares:
    """The least shares with which forecasts are no worse than the naive; the parts of a window are both, in that order.

    Shares of targets are an error of the series alone.
    """
    series = _least(windows, levels[-1:], season, loss, [Shares(share) for share in SHARES])
    if len(levels) == 1 or loss == "percentage":
        return series
    return _least(windows, levels[:-1], season, loss, [Shares(series.series, share) for share in SHARES])


def guarded(mean: Floats, naive: Floats, shares: Shares, season: Level) -> Floats:
    """Forecasts (S, H) with these shares of the naive."""
    if not (shares.series or shares.sums):
        return mean
    mixed = (1 - shares.series) * mean + shares.series * naive
    own = season.sums(mixed)
    return scaled(mixed, own, (1 - shares.sums) * own + shares.sums * season.sums(naive), season)


def _least(windows: list[Tried], levels: list[Level], season: Level, loss: str, tried: list[Shares]) -> Shares:
    """The first of `tried` that is no worse than the naive at the levels; the best of all where none is."""
    naive = np.mean([_error(window, window.parts[1], levels, loss) for window in windows])
    errors = []
    for shares in tried:
        made = [guarded(window.parts[0], window.parts[1], shares, season) for window in windows]
        errors.append(np.mean([_error(*both, levels, loss) for both in zip(windows, made, strict=True)]))
        if errors[-1] <= naive * (1 + ROUNDING):
            break
    return tried[int(np.argmin(errors))] if errors[-1] > naive * (1 + ROUNDING) else tried[len(errors) - 1]


def _error(window: Tried, mean: Floats, levels: list[Level], loss: str) -> float:
    return float(errors_of(Tried(window.past, window.truth, [mean]), levels, ONE, loss)[0])
