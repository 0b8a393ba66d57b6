"""Ways to make one coherent set of forecasts of the series' own and those of the levels above; a backtest picks one.

Forecasts of every level are sums of the series' forecasts, so coherence is exact; a way only scales the series of a
node to what the node is forecast to sell.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.levels import Level

Floats = npt.NDArray[np.float64]
WAYS = ("bottom_up", "middle_out", "combined", "mint")


@dataclass(frozen=True)
class Upper:
    """The level whose nodes are forecast, the coarser levels its nodes add up to, and its place among `levels`."""

    middle: Level
    levels: list[Level]

    @property
    def nodes(self) -> list[slice]:
        """Rows of each level in arrays of all nodes."""
        ends = np.cumsum([level.size for level in self.levels])
        return [slice(int(end) - level.size, int(end)) for level, end in zip(self.levels, ends, strict=True)]


def upper_levels(levels: list[Level], middle: Level) -> Upper:
    """Levels that are sums of `middle`, and `middle` itself as the last."""
    coarser = [
        level for level in levels if level.size <= middle.size and level is not middle and _nested(level, middle)
    ]
    return Upper(middle, [*coarser, middle])


def _nested(level: Level, middle: Level) -> bool:
    pairs = np.unique(np.stack([middle.node, level.node]), axis=1)
    return pairs.shape[1] == middle.size


def reconcile(way: str, bottom: Floats, nodes: Floats, upper: Upper) -> Floats:
    """Series forecasts (S, H) that `way` makes of `bottom` (S, H) and the forecasts of all upper nodes."""
    if way == "bottom_up":
        return bottom
    sums = np.concatenate([level.sums(bottom) for level in upper.levels])
    middle = upper.nodes[-1]
    if way == "middle_out":
        return scaled(bottom, sums[middle], nodes[middle], upper.middle)
    mean = (sums + nodes) / 2
    target = mean[middle] if way == "combined" else _least_squares(mean, upper)
    return scaled(bottom, sums[middle], target, upper.middle)


def scaled(bottom: Floats, sums: Floats, target: Floats, middle: Level) -> Floats:
    """Series (S, H) with those of each node scaled from its `sums` to its `target`, (nodes, H)."""
    factor = np.where(sums > 0, target / np.maximum(sums, 1e-12), 1.0)
    return bottom * np.maximum(factor, 0.0)[middle.node]


def _least_squares(nodes: Floats, upper: Upper) -> Floats:
    """Forecasts of the middle nodes whose sums fit all upper nodes best, each weighted by one over what it sums.

    Structural scaling of Wickramasuriya, Athanasopoulos and Hyndman, Optimal forecast reconciliation (2019).
    """
    first = np.unique(upper.middle.node, return_index=True)[1]
    summing = np.concatenate([np.eye(level.size)[level.node[first]].T for level in upper.levels])
    weight = 1.0 / summing.sum(axis=1)
    weighted = summing.T * weight
    return np.maximum(np.linalg.solve(weighted @ summing, weighted @ nodes), 0.0)
