"""Which prices of a history moved enough to tell what they do: a cent of rounding is no price, one week no proof.

A unit price that was computed from a total in cents moves without having been changed: by up to 1 % where a unit costs
half a euro. And what else happened in a single period is part of whatever its price seems to have done.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.pricing.backtest.history import History

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LEAST_MOVE = 0.01  # between the low price and the high one
FEWEST_PERIODS = 3  # at each of the two
NEEDED = f"by more than {100 * LEAST_MOVE:.0f} % with at least {FEWEST_PERIODS} periods at either price"


def moved_series(history: History) -> Mask:
    """Series with at least FEWEST_PERIODS periods at a low price and as many at one that is higher by more than
    LEAST_MOVE, (series,).
    """
    return _moved(history, history.series, len(history.keys))


def moved_items(history: History) -> Mask:
    """The same of items, (items,): their series may share the periods, each price beside its series' median."""
    return _moved(history, history.item, len(history.items))


def _moved(history: History, group: Ints, groups: int) -> Mask:
    price = pd.Series(history.features[:, 0])
    beside = price - price.groupby(history.series).transform("median")
    periods = beside.groupby([group, history.period]).agg(["min", "max"])
    low, high = (_ranked(periods[name], groups, largest=name == "max") for name in ("min", "max"))
    return np.asarray(high - low > np.log1p(LEAST_MOVE))


def _ranked(values: "pd.Series[float]", groups: int, *, largest: bool) -> npt.NDArray[np.float64]:
    """The value at place FEWEST_PERIODS of each group from one end; NaN where it has fewer."""
    ranked = values.sort_values(ascending=not largest).groupby(level=0).nth(FEWEST_PERIODS - 1)
    return ranked.droplevel(1).reindex(range(groups)).to_numpy()
