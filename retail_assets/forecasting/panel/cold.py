"""Series without a history: the same item elsewhere, else its category, times the scale of the place."""

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.levels import Level

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
RUNGS = ("own", "analogue", "category")


def analogues(forecast: Floats, live: Mask, levels: list[Level], keys: list[str]) -> Floats:
    """Forecasts (S, H) made of the mean of live series that share each key.

    Means of the keys are multiplied as shares of the overall mean: what the item sells elsewhere times the scale of the
    store. A key that no live series shares gives the shape of its attributes instead.
    """
    overall = forecast[live].mean(axis=0) if live.any() else np.zeros(forecast.shape[1])
    found = np.tile(overall, (len(live), 1))
    for key in keys:
        share = np.ones_like(found)
        for level in _ladder(key, levels, live):
            count = np.bincount(level.node[live], minlength=level.size)
            total = level.sums(np.where(live[:, None], forecast, 0.0))
            mean = total / np.maximum(count, 1)[:, None] / np.maximum(overall, 1e-9)
            known = (count > 0)[level.node]
            share[known] = mean[level.node[known]]
        found *= share
    return found


def rungs(live: Mask, levels: list[Level], keys: list[str]) -> Floats:
    """The place in RUNGS of what each series' forecast rests on (S,)."""
    rung = np.ones(len(live))
    for key in keys:
        level = next(level for level in levels if level.columns == (key,))
        rung[np.bincount(level.node[live], minlength=level.size)[level.node] == 0] = 2.0
    rung[live] = 0.0
    return rung


def _ladder(key: str, levels: list[Level], live: npt.NDArray[np.bool_]) -> list[Level]:
    """Levels of one column that the key determines, coarse to fine, the key itself last."""
    own = next(level for level in levels if level.columns == (key,))
    return [level for level in levels if len(level.columns) == 1 and level.size <= own.size and _follows(own, level)]


def _follows(own: Level, level: Level) -> bool:
    return np.unique(np.stack([own.node, level.node]), axis=1).shape[1] == own.size


def launch_share(actual: npt.NDArray[np.float32], guess: Floats, without: Mask) -> float:
    """Units that series without a history sold over what `analogues` gave them, 0 to 1; 1 where there were none.

    Most listed series without a sale stay so: what happened to those before is what to expect of those now.
    """
    expected = float(guess[without].sum())
    return float(np.clip(np.nan_to_num(actual[without]).sum() / expected, 0.0, 1.0)) if expected > 0 else 1.0
