"""Forecasts of a panel: trees on every series, averaged with simple forecasts, one coherent mean, its quantiles.

Everything is tried on the last windows of the history first: how much of each forecast, the way to reconcile with the
levels above, and the intervals come from there. The final model then learns from everything.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel import blend, calibration, cold, guard, nodes, seasons, simple, trees
from retail_assets.forecasting.panel.features import Features
from retail_assets.forecasting.panel.guard import Shares
from retail_assets.forecasting.panel.intervals import Intervals
from retail_assets.forecasting.panel.levels import Level, levels_of, mean_known, season_level, wrmsse
from retail_assets.forecasting.panel.panel import Panel
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.forecasting.panel.reconcile import WAYS, Upper, reconcile, upper_levels
from retail_assets.forecasting.panel.trees import Progress, Settings

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

FEWEST_PERIODS = 8
REGRESSED_NODES = 500
WINDOWS = 2
# Forecasts of less than this share of what is usual are none.
NOTHING = 1e-3


@dataclass(frozen=True)
class Setting:
    """What follows from a panel's keys: its levels, the one that shares a season, the groups of features."""

    levels: list[Level]
    season: Level
    groups: list[Level]
    upper: Upper | None


@dataclass(frozen=True)
class Trial:
    """One forecast after `until` periods: the parts to be averaged per series (S, H), the series that are `live`, and
    the regression per node or None.
    """

    until: int
    parts: list[Floats]
    live: npt.NDArray[np.bool_]
    nodes: Floats | None


@dataclass(frozen=True)
class Recipe:
    """What the windows held back have taught: weights of the parts by name, the way to reconcile, the shares of the
    seasonal naive in the result, and the share of series without a history that begin to sell.
    """

    weights: dict[str, float]
    way: str
    naive: Shares
    launched: float

    @property
    def blend(self) -> dict[str, float]:
        """The share of each forecast in the result."""
        naive = self.naive.series
        shares = {name: (1 - naive) * weight for name, weight in self.weights.items()}
        return shares | ({"naive": naive} if naive else {})


@dataclass(frozen=True)
class Forecast:
    """Means (S, H), the rung of each series, the recipe they were made by, and intervals by the name of a level.

    `ways` has the error of each way on the last window of the history, `held_back` its forecasts, made without it.
    """

    mean: Floats
    rung: Floats
    recipe: Recipe
    ways: dict[str, float]
    intervals: dict[str, Intervals]
    held_back: Floats


def setting_of(panel: Panel) -> Setting:
    """Levels and groups of a panel."""
    levels = levels_of(panel.keys, panel.attributes)
    season = season_level(levels, len(panel.keys))
    own = [level for level in levels if len(level.columns) == 1 and level.columns[0] in panel.keys]
    groups = [season, *(level for level in own if level is not season and level is not levels[-1])]
    dated = panel.freq == "D" and panel.dated
    upper = upper_levels(levels, season) if dated and season.size <= REGRESSED_NODES else None
    return Setting(levels, season, groups, upper)


def windows_of(panel: Panel) -> list[int]:
    """Ends of the histories that windows are held back from, newest first; raises PanelError for a history too short.

    A second window is held back where it costs little (not in days) and leaves the same forecasts to choose from.
    """
    horizon, until = panel.horizon, panel.until
    # The window held back has to be forecast from a history that is as long again.
    least = max(2 * horizon, horizon + FEWEST_PERIODS)
    if until < least:
        raise PanelError(
            f"{until} periods of history are too few for a horizon of {horizon}: at least {least} are needed",
            todo="forecast fewer periods, or give a longer history",
        )
    ends = [until - horizon]
    if panel.freq == "D":
        return ends
    for window in range(2, WINDOWS + 1):
        end = until - window * horizon
        same = simple.names(end, panel.frequency) == simple.names(ends[0], panel.frequency)
        if end >= max(FEWEST_PERIODS, horizon) and same:
            ends.append(end)
    return ends


def steps_of(panel: Panel, settings: Settings) -> int:
    """How often `forecast` tells its progress."""
    return 2 * len(windows_of(panel)) + settings.members + 5


def forecast(panel: Panel, settings: Settings, progress: Progress) -> Forecast:
    """Forecasts the `horizon` periods after `until`; what comes later in `panel` is not looked at.

    Raises PanelError for a history that is too short, and for forecasts that are nothing.
    """
    horizon, until = panel.horizon, panel.until
    ends, setting = windows_of(panel), setting_of(panel)
    names = simple.names(ends[-1], panel.frequency)
    progress("forecasting the last windows of the history")
    one = replace(settings, members=1)
    trials = [_trial(panel.as_of(end), setting, names, one, progress) for end in ends]
    truths = [panel.target[:, end : end + horizon] for end in ends]
    progress("choosing how to average and to reconcile")
    tried = [
        blend.Tried(panel.target[:, : trial.until], truth, trial.parts)
        for trial, truth in zip(trials, truths, strict=True)
    ]
    weights = blend.weights(tried, setting.levels[-1], settings.loss)
    recipe, ways = _recipe(panel, setting, trials[0], truths[0], dict(zip(("trees", *names), weights, strict=True)))
    bottoms = [_bottom(panel, setting, trial, recipe) for trial in trials]
    coherent = [_coherent(setting, trial, bottom, recipe.way) for trial, bottom in zip(trials, bottoms, strict=True)]
    beside = [
        blend.Tried(panel.target[:, :end], truth, [mean, _naive(panel, end)])
        for end, truth, mean in zip(ends, truths, coherent, strict=True)
    ]
    recipe = replace(recipe, naive=guard.shares_of(beside, setting.levels, setting.season, settings.loss))
    held_back = [guard.guarded(window.parts[0], window.parts[1], recipe.naive, setting.season) for window in beside]
    progress("learning from the whole history")
    final = _trial(panel.as_of(until), setting, names, settings, progress)
    if seasons.known(until, panel.frequency.year) and not seasons.known(ends[-1], panel.frequency.year):
        weights = blend.at_least_equal(weights, 0)
        recipe = replace(recipe, weights=dict(zip(recipe.weights, weights, strict=True)))
    bottom = _bottom(panel, setting, final, recipe)
    mean = _coherent(setting, final, bottom, recipe.way)
    mean = guard.guarded(mean, _naive(panel, until), recipe.naive, setting.season)
    _refuse_nothing(panel, mean)
    progress("calibrating intervals")
    windows = [calibration.Window(end, made, truth) for end, made, truth in zip(ends, held_back, truths, strict=True)]
    learnt = calibration.intervals_of(
        panel, setting.levels, setting.upper, windows, mean, recipe.weights, settings.loss
    )
    calibration.with_naive(panel, setting.levels, setting.season, learnt, recipe.naive.sums)
    rung = cold.rungs(final.live, setting.levels, [str(key) for key in panel.keys])
    return Forecast(mean, rung, recipe, ways, learnt, held_back[0])


def _trial(panel: Panel, setting: Setting, names: tuple[str, ...], settings: Settings, progress: Progress) -> Trial:
    """Trees learn what is left when the season is taken out; simple forecasts are made of the sales themselves."""
    horizon, until = panel.horizon, panel.until
    calm, season_of = seasons.without(panel, setting.season)
    features = Features(calm, setting.season, setting.groups, geometric=settings.loss == "percentage")
    forest = trees.fit(features, horizon, settings, progress)
    progress("predicting")
    grown = forest.predict(features, horizon, settings.threads) * season_of[:, until : until + horizon]
    history = panel.target[:, :until].astype(float)
    parts = [grown, *simple.forecasts(history, horizon, setting.season, panel.frequency, names)]
    live = np.zeros(len(history), dtype=np.bool_)
    live[features.live(until)] = True
    above = None
    if setting.upper is not None:
        above = nodes.regress(nodes.node_data(panel, setting.upper.levels), until, horizon)
    return Trial(until, parts, live, above)


def _recipe(
    panel: Panel, setting: Setting, trial: Trial, truth: Singles, weights: dict[str, float]
) -> tuple[Recipe, dict[str, float]]:
    """The recipe without a share of the naive, and the mean over the levels of the weighted RMSSE of each way."""
    recipe = Recipe(weights, WAYS[0], Shares(), 1.0)
    guess = _bottom(panel, setting, trial, recipe)
    launched = cold.launch_share(truth, guess, ~trial.live)
    recipe = replace(recipe, launched=launched)
    bottom = _bottom(panel, setting, trial, recipe)
    past = panel.target[:, : trial.until]
    ways = {
        way: mean_known(wrmsse(setting.levels, past, truth, _coherent(setting, trial, bottom, way)).values())
        for way in (WAYS if trial.nodes is not None else WAYS[:1])
    }
    # Where every series is constant no way has an error, and the first one is as good as any.
    return replace(recipe, way=min(ways, key=lambda way: np.nan_to_num(ways[way]))), ways


def _bottom(panel: Panel, setting: Setting, trial: Trial, recipe: Recipe) -> Floats:
    """The parts of each series averaged; series without a history have what their likes sell, as far as they begin."""
    mean = blend.mixed(trial.parts, np.array(list(recipe.weights.values())))
    if trial.live.all():
        return mean
    guess = cold.analogues(mean, trial.live, setting.levels, [str(key) for key in panel.keys])
    return np.where(trial.live[:, None], mean, guess * recipe.launched)


def _coherent(setting: Setting, trial: Trial, bottom: Floats, way: str) -> Floats:
    if trial.nodes is None or setting.upper is None:
        return bottom
    return reconcile(way, bottom, trial.nodes, setting.upper)


def _naive(panel: Panel, end: int) -> Floats:
    return simple.seasonal_naive(panel.target[:, :end], panel.horizon, panel.frequency)


def _refuse_nothing(panel: Panel, mean: Floats) -> None:
    """Raises PanelError for forecasts that are no numbers, or all but zero where sales are not."""
    wrong = np.flatnonzero(~np.isfinite(mean).all(axis=1))
    if len(wrong):
        series = ", ".join(f"{name} {value}" for name, value in panel.keys.iloc[wrong[0]].items())
        raise PanelError(f"the forecast of {series} is no number ({len(wrong):,} such series)")
    past = np.nan_to_num(panel.target[:, : panel.until])
    usual = float(past.sum()) / panel.until * panel.horizon
    if float(mean.sum()) < NOTHING * usual:
        since = panel.until - 1 - int(np.flatnonzero(past.sum(axis=0))[-1])
        raise PanelError(
            f"the forecasts of all {len(mean):,} series are zero: the last {since:,} periods sold nothing",
            todo="end the history with its sales (--train-until), or correct the dates of its last rows",
        )
