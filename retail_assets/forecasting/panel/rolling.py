"""Errors of cheap forecasts from many earlier origins: how much calm and restless months differ.

The windows held back are few. A level of few nodes needs more of them, and its sums are cheap to forecast: by the
calendar regression in days, by the simple part of the blend else.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.forecasting.panel import nodes, seasons, simple
from retail_assets.forecasting.panel.blend import mixed
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.nodes import NodeData
from retail_assets.forecasting.panel.reading.frequency import Frequency
from retail_assets.forecasting.panel.spread import Sample

Floats = npt.NDArray[np.float64]
Pairs = list[tuple[Floats, Floats]]

FEWEST_DAYS, DAYS_APART, DAY_ORIGINS = 28, 7, 4
ORIGINS, FEWEST = 8, 8
LEAST_WEIGHT = 0.02
# Errors of the forecast that is meant, as a share of those of the cheap one.
ALIKE = (0.3, 1.5)


def of_regression(data: NodeData, until: int, horizon: int) -> Pairs:
    """Actual sums and the regression's (nodes, horizon) at origins up to `until` - `horizon`."""
    origins = [until - horizon - back * DAYS_APART for back in range(DAY_ORIGINS)]
    return [
        (data.sums[:, origin : origin + horizon], nodes.regress(data, origin, horizon))
        for origin in origins
        if origin >= max(FEWEST_DAYS, horizon)
    ]


def of_simple(sums: Floats, horizon: int, frequency: Frequency, weights: dict[str, float]) -> Pairs:
    """Actual sums and the simple part of a blend (of its `weights`) at origins that know what it needs.

    Where it is next to nothing, simple forecasts count alike; in days the last week stands for them.
    """
    until = sums.shape[1]
    kept = {name: weight for name, weight in weights.items() if name != "trees" and weight > LEAST_WEIGHT}
    parts = kept or dict.fromkeys(simple.names(until - horizon, frequency), 1.0)
    daily = frequency.name == "D"
    least = max(FEWEST, until // 3, *(_needed(name, frequency) for name in parts))
    apart, most = (DAYS_APART, DAY_ORIGINS) if daily else (max(1, horizon // 4), ORIGINS)
    found = []
    for origin in list(range(until - horizon, least - 1, -apart))[:most]:
        past = sums[:, :origin]
        mean = simple.seasonal_naive(past, horizon, frequency) if daily else _mixture(past, horizon, frequency, parts)
        found.append((sums[:, origin : origin + horizon], mean))
    return found


def _mixture(past: Floats, horizon: int, frequency: Frequency, weights: dict[str, float]) -> Floats:
    # Every node has a season of its own.
    each = Level((), np.arange(len(past)), pd.DataFrame(index=range(len(past))))
    made = simple.forecasts(past, horizon, each, frequency, tuple(weights))
    return mixed(made, np.array(list(weights.values())) / sum(weights.values()))


def _needed(name: str, frequency: Frequency) -> int:
    """Periods that a simple forecast has to know."""
    year = frequency.year
    return {"year": year, "growth": year + max(year // 4, 2), "seasonal": seasons.YEARS * year}.get(name, 1)


def likeness(rolled: list[Pairs], windows: list[Sample]) -> float:
    """How large the errors held back are beside the rolled ones of the same periods, over all levels."""
    logs = [
        np.log(_error(window) / _error(Sample(*pairs[0], 1.0)))
        for pairs, window in zip(rolled, windows, strict=True)
        if pairs and _error(window) > 0 and _error(Sample(*pairs[0], 1.0)) > 0
    ]
    return float(np.clip(np.exp(np.mean(logs)), *ALIKE)) if logs else 1.0


def _error(sample: Sample) -> float:
    size = np.maximum(sample.forecast.mean(axis=1), 1e-9)
    return float(np.sqrt(np.average(sample.relative, weights=size)))


def samples(rolled: Pairs, factor: float, share: float) -> list[Sample]:
    """The rolled forecasts with `factor` times their errors; all together count as `share`."""
    return [Sample(made + factor * (sold - made), made, share / len(rolled)) for sold, made in rolled]
