"""Forecasts of a panel: trees on every series, a regression on the nodes above, one coherent mean, its quantiles.

Far ahead in weekly data the trees are averaged with the smoothed season.
Everything is tried on the last `horizon` periods of the history first: the way to reconcile and the intervals come from
there. The final model then learns from everything.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel import cold, intervals, nodes, seasonal, trees
from retail_assets.forecasting.panel.features import Features
from retail_assets.forecasting.panel.intervals import Few, Many
from retail_assets.forecasting.panel.levels import Level, levels_of, season_level, wrmsse
from retail_assets.forecasting.panel.panel import Panel
from retail_assets.forecasting.panel.reconcile import WAYS, Upper, reconcile, upper_levels
from retail_assets.forecasting.panel.table import PanelError
from retail_assets.forecasting.panel.trees import Progress, Settings

Floats = npt.NDArray[np.float64]
FEWEST_PERIODS = 8


@dataclass(frozen=True)
class Setting:
    """What follows from a panel's keys: its levels, the one that shares a season, the groups of features."""

    levels: list[Level]
    season: Level
    groups: list[Level]
    upper: Upper | None


@dataclass(frozen=True)
class Trial:
    """One forecast: trees per series (S, H), regression per node or None, and the rung of each series' forecast."""

    bottom: Floats
    nodes: Floats | None
    rung: Floats


@dataclass(frozen=True)
class Forecast:
    """Means (S, H), the rung of each series, the way they were reconciled, and intervals by the name of a level.

    `ways` has the error of each way on the last window of the history, `held_back` its forecasts, made without it.
    """

    mean: Floats
    rung: Floats
    way: str
    ways: dict[str, float]
    intervals: dict[str, Few | Many]
    held_back: Floats


def setting_of(panel: Panel) -> Setting:
    """Levels and groups of a panel."""
    levels = levels_of(panel.keys, panel.attributes)
    season = season_level(levels, len(panel.keys))
    own = [level for level in levels if len(level.columns) == 1 and level.columns[0] in panel.keys]
    groups = [season, *(level for level in own if level is not season and level is not levels[-1])]
    dated = panel.freq == "D" and panel.dated
    upper = upper_levels(levels, season) if dated and season.size <= intervals.FEW_NODES else None
    return Setting(levels, season, groups, upper)


def forecast(panel: Panel, settings: Settings, progress: Progress) -> Forecast:
    """Forecasts the `horizon` periods after `until`; what comes later in `panel` is not looked at.

    Raises PanelError for a history that is too short.
    """
    horizon, until = panel.horizon, panel.until
    # The window held back has to be forecast from a history that is as long again.
    least = max(2 * horizon, horizon + FEWEST_PERIODS)
    if until <= least:
        raise PanelError(
            f"{until} periods of history are too few for a horizon of {horizon}: more than {least} are needed",
            todo="forecast fewer periods, or give a longer history",
        )
    setting = setting_of(panel)
    progress("forecasting the last window of the history")
    before = panel.as_of(until - horizon)
    trial = _trial(before, setting, replace(settings, members=1), progress)
    truth = panel.target[:, until - horizon : until]
    silent = trial.rung > 0
    launched = cold.launch_share(truth, trial.bottom, silent)
    early = _launched(trial, launched)
    progress("choosing how to reconcile")
    ways = _tried(early, setting, before, truth)
    way = min(ways, key=lambda name: ways[name])
    held_back = _means(early, way, setting)
    progress("calibrating intervals")
    learnt = _intervals(panel, setting, held_back, truth)
    progress("learning from the whole history")
    final = _launched(_trial(panel.as_of(until), setting, settings, progress), launched)
    return Forecast(_means(final, way, setting), final.rung, way, ways, learnt, held_back)


def _trial(panel: Panel, setting: Setting, settings: Settings, progress: Progress) -> Trial:
    features = Features(panel, setting.season, setting.groups, geometric=settings.loss == "percentage")
    forest = trees.fit(features, panel.horizon, settings, progress)
    progress("predicting")
    bottom = forest.predict(features, panel.horizon, settings.threads)
    if seasonal.applies(panel):
        bottom = (bottom + seasonal.forecast(panel, setting.season)) / 2
    live = np.zeros(len(bottom), dtype=bool)
    live[features.live(panel.until)] = True
    guess, rung = cold.analogues(bottom, live, setting.levels, [str(key) for key in panel.keys])
    bottom = np.where(live[:, None], bottom, guess)
    above = None
    if setting.upper is not None:
        above = nodes.regress(nodes.node_data(panel, setting.upper.levels), panel.until, panel.horizon)
    return Trial(bottom, above, rung)


def _launched(trial: Trial, share: float) -> Trial:
    """The same with forecasts of series without a history scaled by the share of them that begin to sell."""
    return replace(trial, bottom=np.where(trial.rung[:, None] > 0, trial.bottom * share, trial.bottom))


def _tried(trial: Trial, setting: Setting, panel: Panel, truth: npt.NDArray[np.float32]) -> dict[str, float]:
    """Mean over the levels of the weighted RMSSE of each way."""
    ways = WAYS if trial.nodes is not None else WAYS[:1]
    past = panel.target[:, : panel.until]
    return {
        way: float(np.nanmean(list(wrmsse(setting.levels, past, truth, _means(trial, way, setting)).values())))
        for way in ways
    }


def _means(trial: Trial, way: str, setting: Setting) -> Floats:
    if trial.nodes is None or setting.upper is None:
        return trial.bottom
    return reconcile(way, trial.bottom, trial.nodes, setting.upper)


def _intervals(
    panel: Panel, setting: Setting, held_back: Floats, truth: npt.NDArray[np.float32]
) -> dict[str, Few | Many]:
    """Per level; `truth` (S, H) is what the last window sold."""
    known = ~np.isnan(truth)
    sums = {level.name: level.sums(np.where(known, held_back, 0.0)) for level in setting.levels}
    found: dict[str, Few | Many] = {}
    upper = setting.upper
    if upper is not None:
        data = nodes.node_data(panel.as_of(panel.until), upper.levels)
        rolled = intervals.rolling_errors(data, panel.until, panel.horizon)
        if rolled.size:
            newest = [intervals.log_errors(level.sums(truth), sums[level.name]) for level in upper.levels]
            made = intervals.few(newest, [rolled[rows] for rows in upper.nodes])
            found |= {level.name: each for level, each in zip(upper.levels, made, strict=True)}
    for level in setting.levels:
        if level.name not in found:
            actual = truth.astype(float) if level is setting.levels[-1] else level.sums(truth)
            found[level.name] = intervals.many(actual, sums[level.name])
    return found
