"""One story from two models: Prophet's parts of a department, which add up to its SKUs' forecasts.

The bottom-up sum of the SKU forecasts is the number that orders and prices use, so it rules. All of Prophet's parts are
multiplied by one factor, so that their sum over the days ahead is the bottom-up sum; what then remains of a day is told
as `other`: it is what the SKU forecasts know and Prophet does not, and over all days it is nothing. Where the two sums
are further apart than a factor of `largest` (a range that was listed yesterday) proportions mean nothing: the parts
stay, and the whole difference is `other`. What Prophet alone would have said stays beside them.

Units are whole millionths in DECIMAL(18, 6), so that the sums are equal and not nearly equal.
"""

from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_assets.forecasting.explain.contributions import GROUPS

PLACES = 6
UNIT = 10**PLACES
OF_PROPHET = {
    "level": ("trend",),
    "season": ("weekly", "yearly"),
    "holidays": ("holidays",),
    "promotion": ("promotions",),
    "other": (),
}
"""The parts of Prophet behind each group of reasons; Prophet knows no stock and no weather."""


def grouped(parts: pd.DataFrame) -> pd.DataFrame:
    """Prophet's parts (columns of decomposition.PARTS, units a day) under the names of GROUPS."""
    return pd.DataFrame({group: parts[list(OF_PROPHET[group])].sum(axis=1) for group in GROUPS}, index=parts.index)


def reconciled(parts: pd.DataFrame, bottom_up: NDArray[np.float64], largest: float) -> pd.DataFrame:
    """Whole millionths of a unit per day and group, which add up to the millionths of `bottom_up` exactly."""
    groups = grouped(parts)
    prophet, total = float(groups.to_numpy().sum()), float(bottom_up.sum())
    ratio = total / prophet if prophet > 0 else 0.0
    factor = ratio if 1 / largest <= ratio <= largest else 1.0
    made = {group: millionths(groups[group].to_numpy(float) * factor) for group in GROUPS}
    made["other"] = millionths(bottom_up) - sum(values for group, values in made.items() if group != "other")
    return pd.DataFrame(made, index=parts.index)


def millionths(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Units rounded to whole millionths."""
    return np.rint(np.asarray(values, float) * UNIT).astype(np.int64)


def decimals(values: NDArray[np.int64]) -> list[Decimal]:
    """Whole millionths as units with six places."""
    return [Decimal(int(value)).scaleb(-PLACES) for value in values]
