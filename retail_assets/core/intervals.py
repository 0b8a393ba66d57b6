"""Forecast intervals by conformal calibration: how far did actual units lie from forecasts that had not seen them?

The quantiles of actual / mean are read per group of rows (say, horizon weeks) and per band of the mean, because slow
sellers scatter relatively more. Vovk et al., Mondrian conformal prediction (2003); finite-sample ranks after Romano
et al. (2019). Between the centres of the bands the ratio is interpolated over the logarithm of the mean.

Where whole units are sold, quantiles are whole units too: a ratio read at 3 sold gives 2.97 for the next mean, which
misses every day that sells 3, and rounding brings it back.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
POOLED = -1
SMALLEST_MEAN = 1e-3


class BandRatios(BaseModel):
    """One group: log means of the band centres (ascending) and, per band, the ratio at every level."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    centres: list[float]
    ratios: list[list[float]]


class QuantileTable(BaseModel):
    """Turns a mean into quantiles, whole numbers if `whole`. Levels ascend; group -1 holds all rows and serves groups
    that had too few."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: list[float]
    groups: dict[int, BandRatios]
    whole: bool = False

    @classmethod
    def fit(
        cls,
        actual: Floats,
        mean: Floats,
        group: Integers,
        levels: Sequence[float],
        *,
        bands: int = 16,
        rows_per_band: int = 150,
        counts: bool = False,
    ) -> "QuantileTable":
        """Calibrates on rows that the model of `mean` was not trained on; fewer rows give fewer bands.

        `counts` makes quantiles whole if every `actual` is. Raises ValueError when there is no row at all.
        """
        if not len(actual):
            raise ValueError("there is no row to calibrate intervals on")
        ascending = sorted(levels)
        log_mean, ratio = _log(mean), actual / np.maximum(mean, SMALLEST_MEAN)
        groups = {POOLED: _bands(log_mean, ratio, ascending, bands, rows_per_band)}
        for code in np.unique(group):
            rows = group == code
            if rows.sum() >= rows_per_band:
                groups[int(code)] = _bands(log_mean[rows], ratio[rows], ascending, bands, rows_per_band)
        return cls(levels=ascending, groups=groups, whole=counts and bool(np.all(actual == np.rint(actual))))

    def quantiles(self, mean: Floats, group: Integers) -> Floats:
        """Rows x levels, never negative, never falling from one level to the next."""
        log_mean = _log(mean)
        ratios = np.empty((len(mean), len(self.levels)))
        for code in np.unique(group):
            rows = group == code
            table = self.groups.get(int(code), self.groups[POOLED])
            ratios[rows] = _interpolate(log_mean[rows], table)
        made = np.maximum.accumulate(ratios * np.maximum(mean, SMALLEST_MEAN)[:, None], axis=1)
        return np.rint(made) if self.whole else made


def _log(mean: Floats) -> Floats:
    return np.log(np.maximum(mean, SMALLEST_MEAN))


def _bands(log_mean: Floats, ratio: Floats, levels: list[float], bands: int, rows_per_band: int) -> BandRatios:
    order = np.argsort(log_mean, kind="stable")
    count = int(np.clip(len(order) // rows_per_band, 1, bands))
    centres: list[float] = []
    ratios: list[list[float]] = []
    for rows in np.array_split(order, count):
        centre = float(np.mean(log_mean[rows]))
        if centres and centre <= centres[-1]:
            continue
        centres.append(centre)
        ratios.append(_conformal(np.sort(ratio[rows]), levels))
    return BandRatios(centres=centres, ratios=ratios)


def _conformal(ascending: Floats, levels: list[float]) -> list[float]:
    rows = len(ascending)
    places = [level * (rows + 1) - 1 for level in levels]
    return [float(np.interp(place, np.arange(rows), ascending)) for place in places]


def _interpolate(log_mean: Floats, table: BandRatios) -> Floats:
    ratios = np.asarray(table.ratios)
    columns = [np.interp(log_mean, table.centres, ratios[:, level]) for level in range(ratios.shape[1])]
    return np.stack(columns, axis=1)
