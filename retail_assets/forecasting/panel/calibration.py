"""Intervals of every level, from the windows held back and, where nodes are few, from cheap forecasts before them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel import baseline, intervals, nodes, rolling, simple
from retail_assets.forecasting.panel.intervals import MANY_NODES, SMALLEST_MEAN, Few, Intervals, Many, Mixed, Steps
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.panel import Panel
from retail_assets.forecasting.panel.reconcile import Upper
from retail_assets.forecasting.panel.rolling import Pairs
from retail_assets.forecasting.panel.spread import Sample

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

# The share of the windows held back beside cheap forecasts before them, with so many periods in them.
NEWEST, ENOUGH = 0.7, 12


@dataclass(frozen=True)
class Window:
    """What the series sold and were forecast to sell, (S, H), in the periods after `end`."""

    end: int
    mean: Floats
    truth: Singles


def intervals_of(
    panel: Panel,
    levels: list[Level],
    upper: Upper | None,
    windows: list[Window],
    mean: Floats,
    weights: dict[str, float],
    loss: str,
) -> dict[str, Intervals]:
    """Per level by its name; `mean` (S, H) are the forecasts that they are for, `weights` those of its parts."""
    biased = loss != "squared"
    small = [level for level in levels if level.size < MANY_NODES]
    narrow = _few(panel, small, upper, windows, mean, weights, biased=biased)
    found: dict[str, Intervals] = {}
    for level in levels:
        share = intervals.share_of_many(level.size)
        few = narrow.get(level.name)
        many = _many(panel, level, windows, mean, biased=biased) if share or few is None else None
        found[level.name] = _mixed(few, many, share)
    return found


def _mixed(few: Few | None, many: Many | None, share: float) -> Intervals:
    if few is None or many is None:
        only = few or many
        assert only is not None
        return only
    return Mixed(few, many, share)


def with_naive(panel: Panel, levels: list[Level], season: Level, learnt: dict[str, Intervals], share: float) -> None:
    """Gives the levels down to the season's as much of the seasonal naive's own quantiles as of its sums."""
    cycle = simple.naive_cycle(panel.until, panel.frequency)
    naive = simple.seasonal_naive(panel.target[:, : panel.until], panel.horizon, panel.frequency)
    for level in levels if share else ():
        if level.size <= season.size:
            sums = level.sums(naive)
            made = baseline.quantiles(level.sums(panel.target[:, : panel.until]), sums, cycle)
            steps = np.where(sums[:, :, None] > 0, made / np.maximum(sums, SMALLEST_MEAN)[:, :, None], 1.0)
            learnt[level.name] = Mixed(learnt[level.name], Steps(steps), share)


def _few(
    panel: Panel,
    levels: list[Level],
    upper: Upper | None,
    windows: list[Window],
    mean: Floats,
    weights: dict[str, float],
    *,
    biased: bool,
) -> dict[str, Few]:
    rolled = _rolled(panel, levels, upper, weights)
    newest = NEWEST * min(1.0, len(windows) * panel.horizon / ENOUGH)
    share = newest / len(windows)
    held_back = [[_sample(level, window, share) for window in windows] for level in levels]
    factor = rolling.likeness(rolled, [samples[0] for samples in held_back])
    both = [
        [*samples, *rolling.samples(pairs, factor, 1 - newest)]
        for samples, pairs in zip(held_back, rolled, strict=True)
    ]
    made = intervals.few(both, [level.sums(mean).mean(axis=1) for level in levels], biased=biased) if levels else []
    return {level.name: each for level, each in zip(levels, made, strict=True)}


def _rolled(panel: Panel, levels: list[Level], upper: Upper | None, weights: dict[str, float]) -> list[Pairs]:
    """Per level; from the regression where the level has one."""
    past, horizon = panel.target[:, : panel.until], panel.horizon
    regressed: dict[str, Pairs] = {}
    if upper is not None:
        data = nodes.node_data(panel.as_of(panel.until), upper.levels)
        pairs = rolling.of_regression(data, panel.until, horizon)
        for level, rows in zip(upper.levels, upper.nodes, strict=True):
            regressed[level.name] = [(sold[rows], made[rows]) for sold, made in pairs]
    return [
        regressed[level.name]
        if level.name in regressed
        else rolling.of_simple(level.sums(past), horizon, panel.frequency, weights)
        for level in levels
    ]


def _many(panel: Panel, level: Level, windows: list[Window], mean: Floats, *, biased: bool) -> Many:
    pairs = [(_sample(level, window, 1.0), _sums(panel, level, window.end)) for window in windows]
    return intervals.many(pairs, _sums(panel, level, panel.until), level.sums(mean), biased=biased)


def _sums(panel: Panel, level: Level, end: int) -> Floats:
    """Sales of each node before `end`; of a lone series NaN where they are not known."""
    past = panel.target[:, :end]
    return past.astype(float) if level.size == len(past) else level.sums(past)


def _sample(level: Level, window: Window, share: float) -> Sample:
    """Sums over the series whose sales are known; NaN where no series of the node is."""
    known = ~np.isnan(window.truth)
    seen = level.sums(known.astype(float)) > 0
    sold = np.where(seen, level.sums(window.truth), np.nan)
    return Sample(sold, level.sums(np.where(known, window.mean, 0.0)), share)
