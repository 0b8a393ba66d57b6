"""One LightGBM over all series of a panel, the horizon a feature; it learns a factor on a simple forecast of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.features import Features
from retail_assets.forecasting.panel.reading.table import PanelError
from retail_assets.resources.openmp import sleep_while_waiting

if TYPE_CHECKING:
    from lightgbm import Booster

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Loss = Literal["squared", "absolute", "percentage"]
Progress = Callable[[str], None]

PERCENTAGE_QUANTILE = 0.25
LARGEST_FACTOR = 20.0
# Below so many examples a thread waits longer for the others than it works: two then take twice as long as one.
ROWS_PER_THREAD = 25_000
FEWEST_TO_BAG = 20


@dataclass(frozen=True)
class Settings:
    """How trees are grown. `rows` bounds the examples of one member; the forecast is the mean of `members`.

    `threads` is how many may work; few examples are left to fewer. The trees are the same whatever their number.
    """

    loss: Loss = "squared"
    rows: int = 2_500_000
    members: int = 2
    rounds: int = 300
    learning_rate: float = 0.06
    leaves: int = 63
    step: int = 7
    power: float = 1.2
    gap: int = 0
    seed: int = 7
    threads: int = 2

    def threads_for(self, rows: int) -> int:
        """How many threads `rows` examples keep busy."""
        return max(1, min(self.threads, rows // ROWS_PER_THREAD))


@dataclass(frozen=True)
class Forest:
    """Trained members and the names of their features."""

    members: "list[Booster]"
    names: list[str]
    loss: Loss

    def predict(self, features: Features, horizon: int, threads: int) -> Floats:
        """Forecasts (S, horizon) from the end of the panel; a series without history gets its season's level."""
        series = np.arange(len(features.target))
        found = np.empty((len(series), horizon))
        for ahead in range(1, horizon + 1):
            rows, _, base = features.rows(features.panel.until, series, np.full(len(series), ahead))
            total = np.zeros(len(series))
            for booster in self.members:
                total += self._factor(np.asarray(booster.predict(rows, raw_score=True, num_threads=threads)))
            found[:, ahead - 1] = base * total / len(self.members)
        return found

    def _factor(self, raw: Floats) -> Floats:
        # Raw scores leave the starting score out: a factor of one.
        if self.loss == "absolute":
            return np.clip(1.0 + raw, 0.0, LARGEST_FACTOR)
        return np.minimum(np.exp(raw), LARGEST_FACTOR)


def fit(features: Features, horizon: int, settings: Settings, progress: Progress) -> Forest:
    """Learns from `features.panel` up to its end; same panel and settings give the same trees.

    Raises PanelError where the history is too short for a single example, or nothing is ever sold in it.
    """
    members, names = [], list[str]()
    for member in range(settings.members):
        progress(f"learning trees, {member + 1} of {settings.members}")
        rows, names, target, base = _examples(features, horizon, settings, member)
        members.append(_train(rows, names, target, base, features.categorical, settings, member))
    return Forest(members, names, settings.loss)


def _examples(
    features: Features, horizon: int, settings: Settings, member: int
) -> tuple[Singles, list[str], Singles, Singles]:
    """Examples of origins `step` periods apart; each member has its own origins and horizons."""
    origins = list(_origins(features, horizon, settings, member))
    live = [features.live(origin) for origin in origins]
    total = sum(map(len, live))
    each = int(np.clip(settings.rows // max(total, 1), 1, horizon - settings.gap))
    kept = min(1.0, settings.rows / max(total * each, 1))
    rng = np.random.default_rng([settings.seed, member])
    parts, targets, bases, names = [], [], [], list[str]()
    for origin, series in zip(origins, live, strict=True):
        if kept < 1.0:
            series = series[rng.random(len(series)) < kept]
        reach = min(horizon, features.panel.until - origin)
        if reach <= settings.gap or not len(series):
            continue
        ahead = _horizons(rng, len(series), each, settings.gap + 1, reach)
        places = np.repeat(series, ahead.shape[1])
        aheads = ahead.ravel()
        target = features.target[places, origin + aheads - 1]
        known = ~np.isnan(target)
        rows, names, base = features.rows(origin, places[known], aheads[known])
        parts.append(rows)
        targets.append(target[known])
        bases.append(base)
    if not parts:
        raise PanelError("the history is too short to learn from", todo="give a longer one, or forecast fewer periods")
    if not any((target > 0).any() for target in targets):
        todo = "give a history with sales, also before its last window, which is held back"
        raise PanelError("nothing was sold in the history to learn from", todo=todo)
    return np.concatenate(parts), names, np.concatenate(targets), np.concatenate(bases)


def _horizons(rng: np.random.Generator, series: int, each: int, first: int, last: int) -> npt.NDArray[np.int64]:
    """`each` periods ahead per series; all of them where there are no more."""
    if each >= last - first + 1:
        return np.tile(np.arange(first, last + 1), (series, 1))
    return rng.integers(first, last + 1, (series, each))


def _origins(features: Features, horizon: int, settings: Settings, member: int) -> Iterator[int]:
    """Newest first, as many as the rows allow.

    An origin has the longest mean but one behind it; for horizons beyond a quarter, where the season tells more than
    recent sales, a year.
    """
    until, spans = features.panel.until, features.spans
    step = settings.step if spans.cycle > 1 else 1
    seasonal = features.yearly and horizon > spans.year // 4
    shortest = spans.year + 1 if seasonal else min(spans.windows[3] + 1, max(until // 3, 1))
    # Members are a part of a step apart, so that together they see every weekday as an origin.
    first = until - 1 - member * (step // max(settings.members, 1))
    budget, used = settings.rows, 0
    for origin in range(first, shortest - 1, -step):
        used += len(features.live(origin))
        yield origin
        if used > budget:
            return


def _train(
    rows: Singles,
    names: list[str],
    target: Singles,
    base: Singles,
    categorical: list[str],
    settings: Settings,
    member: int,
) -> "Booster":
    sleep_while_waiting()
    import lightgbm

    target = np.maximum(target, 0.0)
    parameters: dict[str, Any] = {
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": int(np.clip(len(rows) // 8000, 20, 200)),
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "max_bin": 127,
        "seed": settings.seed + member,
        "num_threads": settings.threads_for(len(rows)),
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    weight = None
    if settings.loss == "squared":
        parameters |= {"objective": "tweedie", "tweedie_variance_power": settings.power}
        label, start = target, np.log(base)
    elif settings.loss == "absolute":
        parameters["objective"] = "regression_l1"
        label, start, weight = target / base, np.ones(len(target)), base
    else:
        # A share of the target is lost, so low targets count most; none can be a share of nothing sold.
        parameters |= {"objective": "quantile", "alpha": PERCENTAGE_QUANTILE}
        rows, base, target = rows[target > 0], base[target > 0], target[target > 0]
        label, start = np.log(target / base), np.zeros(len(target))
    if len(rows) < FEWEST_TO_BAG:
        # A bag of a handful of examples may be empty.
        parameters["bagging_fraction"] = 1.0
    codes = [name for name in names if name in categorical]
    data = lightgbm.Dataset(
        rows,
        label=label,
        weight=weight,
        init_score=start,
        feature_name=[f"f{i}" for i in range(len(names))],
        categorical_feature=[names.index(name) for name in codes],
        params=parameters,
    )
    return lightgbm.train(parameters, data, num_boost_round=settings.rounds)
