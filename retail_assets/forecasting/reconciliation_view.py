"""One story from two models: Prophet's parts of a department, scaled so that they add up to its SKUs' forecasts.

The bottom-up sum of the SKU forecasts is the number that orders and prices use, so it rules. Each of Prophet's parts is
multiplied by bottom-up / Prophet of the day, which keeps their proportions; what Prophet alone would have said, and the
difference, stay visible. Where the two are further apart than a factor of `largest` (a closed day, a range that was
listed yesterday) proportions mean nothing: the parts stay, and the difference is told as level.

Units are whole millionths in DECIMAL(18, 6), so that the sums are equal and not nearly equal.
"""

from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_assets.forecasting.contributions import GROUPS

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
    prophet = groups.sum(axis=1).to_numpy(float)
    ratio = np.divide(bottom_up, prophet, out=np.zeros(len(prophet)), where=prophet > 0)
    ratio = np.where((ratio >= 1 / largest) & (ratio <= largest), ratio, 1.0)
    made = {group: millionths(groups[group].to_numpy(float) * ratio) for group in GROUPS}
    others = np.sum([values for group, values in made.items() if group != "level"], axis=0)
    made["level"] = millionths(bottom_up) - others
    return pd.DataFrame(made, index=parts.index)


def millionths(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Units rounded to whole millionths."""
    return np.rint(np.asarray(values, float) * UNIT).astype(np.int64)


def decimals(values: NDArray[np.int64]) -> list[Decimal]:
    """Whole millionths as units with six places."""
    return [Decimal(int(value)).scaleb(-PLACES) for value in values]
