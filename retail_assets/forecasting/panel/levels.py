"""Levels of a panel's hierarchy, from the total to the series, their sums, and the accuracy at each of them.

A key and the attributes that follow from it (item, department, category) form one dimension; a level picks one or none
of each dimension. Two keys of M5 (item: dept, cat; store: state) give its 12 levels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

TOTAL = "total"
MOST_LEVELS = 24
FEWEST_PER_NODE = 20


@dataclass(frozen=True)
class Level:
    """One level: the columns it groups by, the node of each series (S,), and a row of those columns per node."""

    columns: tuple[str, ...]
    node: Ints
    nodes: pd.DataFrame

    @property
    def name(self) -> str:
        """Its columns, or total; no two levels have the same, whatever the columns are called."""
        return " x ".join(_shown(column) for column in self.columns) or TOTAL

    @property
    def size(self) -> int:
        """How many nodes it has."""
        return len(self.nodes)

    def sums(self, values: npt.NDArray[np.floating]) -> Floats:
        """Sums rows of `values` (S, N) by node, (nodes, N); NaN counts as nothing."""
        total = np.zeros((self.size, values.shape[1]))
        for at in range(values.shape[1]):
            total[:, at] = np.bincount(self.node, np.nan_to_num(values[:, at]), self.size)
        return total


def _shown(column: str) -> str:
    """A column's name, in quotes where it could be taken for another level."""
    return f'"{column}"' if column == TOTAL or " x " in column or column.startswith('"') else column


def levels_of(keys: pd.DataFrame, attributes: pd.DataFrame) -> list[Level]:
    """Every level, coarse to fine; the last is the series themselves."""
    options = [[(), *((name,) for name in _chain(keys[key], attributes)), (str(key),)] for key in keys]
    # A value that is the same for all groups nothing.
    picked = [sum(parts, ()) for parts in product(*options)]
    frame = pd.concat([keys, attributes], axis=1)
    found = [_level(columns, frame) for columns in picked]
    # Levels of one size stay in the order of the keys: what they are called decides nothing.
    found.sort(key=lambda level: (level.size, len(level.columns)))
    if len(found) > MOST_LEVELS:
        found = [*found[: MOST_LEVELS - 1], found[-1]]
    return found


def season_level(levels: list[Level], series: int) -> Level:
    """The finest level with enough series per node to share a season; the total where none has."""
    shared = [level for level in levels if series >= FEWEST_PER_NODE * level.size]
    return shared[-1] if shared else levels[0]


def _chain(key: "pd.Series[str]", attributes: pd.DataFrame) -> list[str]:
    """Attributes of text that follow from the key and are coarser than it."""
    size, found = key.nunique(), []
    for name in attributes:
        values = attributes[name]
        if values.dtype != object or not 1 < values.nunique() < size or values.isna().any():
            continue
        if (values.groupby(key).nunique() < 2).all():
            found.append(str(name))
    return found


def _level(columns: tuple[str, ...], frame: pd.DataFrame) -> Level:
    if not columns:
        return Level((), np.zeros((len(frame),), dtype=np.int64), pd.DataFrame(index=range(1)))
    grouped = frame.groupby(list(columns), sort=True)
    node = grouped.ngroup().to_numpy().astype(np.int64)
    first = np.unique(node, return_index=True)[1].astype(np.int64)
    return Level(columns, node, frame.iloc[first][list(columns)].reset_index(drop=True))


def scales(past: Floats) -> tuple[Floats, Floats]:
    """Mean squared step of each node (nodes,) since its first sale, and its weight: units of the last 28 periods.

    A node that never changes has nothing that scales its errors: its scale is 1, its weight 0 (Makridakis et al., The
    M5 accuracy competition, 2022, with units as weights, as prices may not be known).
    """
    steps = np.diff(past, axis=1) ** 2
    live = (np.cumsum(past > 0, axis=1) > 0)[:, :-1]
    scale = (steps * live).sum(axis=1) / np.maximum(live.sum(axis=1), 1)
    return np.where(scale > 0, scale, 1.0), np.where(scale > 0, past[:, -28:].sum(axis=1), 0.0)


def scaled_errors(past: Floats, error: Floats) -> tuple[Floats, Floats]:
    """RMSSE of each node and its weight; `past` (nodes, T) and `error` (nodes, H)."""
    scale, weight = scales(past)
    return np.sqrt((error**2).mean(axis=1) / scale), weight


def weighted_mean(values: Floats, weight: Floats) -> float:
    """The mean of `values`; NaN where nothing has a weight."""
    total = float(weight.sum())
    return float((values * weight).sum() / total) if total > 0 else float("nan")


def mean_known(values: Iterable[float]) -> float:
    """The mean of those that are known; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else float("nan")


def wrmsse(levels: list[Level], past: Singles, actual: Singles, forecast: npt.NDArray[np.floating]) -> dict[str, float]:
    """Weighted RMSSE at each level; the score of M5 is their mean. Range 0 to infinity, lower is better."""
    found, error = {}, np.nan_to_num(actual) - np.where(np.isnan(actual), 0.0, forecast)
    for level in levels:
        found[level.name] = weighted_mean(*scaled_errors(level.sums(past), level.sums(error)))
    return found
