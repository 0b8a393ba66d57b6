"""What must hold of a forecaster before it may answer, whoever released it: parts agree, numbers are numbers."""

from collections.abc import Sequence

import numpy as np

from retail_assets.core.intervals import POOLED, QuantileTable
from retail_assets.forecasting.encoding import Floats, ForecasterSpec, ForecastModelError
from retail_assets.forecasting.tree_text import TreesText

LONGEST_HORIZON, MOST_LEVELS = 1000, 199
LARGEST_FACTOR = 1e6  # on what a series sells anyway
LARGEST_RATIO = 1e9  # actual to expected: a bulk order of what sells once in years
MOST_UNITS = 1e9  # of one SKU in one store on one day


def refuse_unsound(spec: ForecasterSpec, trees: TreesText) -> None:
    """Raises ForecastModelError where the trees and what belongs to them do not agree, or a bound is none."""
    names = list(trees.features)
    _require(spec.columns == names, f"its trees ask for {len(names)} other columns than spec.json names")
    _require(1 <= spec.horizon <= LONGEST_HORIZON, f"its horizon is {spec.horizon:,} days")
    known = np.isfinite(spec.largest_factor) and 0 < spec.largest_factor <= LARGEST_FACTOR
    _require(bool(known), f"its largest factor is {spec.largest_factor:g}")
    for name, values in spec.categories.items():
        _require(len(set(values)) == len(values), f"{name} has a category twice")
    if spec.intervals is not None:
        _refuse_intervals(spec.intervals)


def refuse_answers(mean: Floats, quantiles: Floats) -> None:
    """Raises ForecastModelError for forecasts that cannot be: `mean` (rows,) and `quantiles` (rows x levels)."""
    _require(bool(np.isfinite(mean).all() and np.isfinite(quantiles).all()), "it forecasts what is no number")
    _require(bool((mean >= 0).all()), f"it forecasts {mean.min():g} units")
    most = float(max(mean.max(), np.abs(quantiles).max()))
    _require(most <= MOST_UNITS, f"it forecasts {most:g} units of one SKU on one day")
    _require(bool((np.diff(quantiles, axis=1) >= 0).all()), "a higher quantile lies below a lower one")


def _refuse_intervals(table: QuantileTable) -> None:
    _require(0 < len(table.levels) <= MOST_LEVELS and _rises([0.0, *table.levels, 1.0]), "its levels do not rise")
    _require(POOLED in table.groups, "its intervals have no group for all rows")
    for code, group in table.groups.items():
        ratios = np.array([len(row) for row in group.ratios])
        fits = len(group.centres) == len(ratios) > 0 and bool((ratios == len(table.levels)).all())
        _require(fits, f"group {code} of its intervals has not a ratio for every band and level")
        _require(_rises(group.centres), f"the bands of group {code} do not rise")
        sound = np.abs(np.array(group.ratios, dtype=float)) <= LARGEST_RATIO  # False for what is no number
        _require(bool(sound.all()), f"group {code} of its intervals has a ratio that is no number, or too large")


def _rises(values: Sequence[float]) -> bool:
    found = np.array(values, dtype=float)
    return bool(np.isfinite(found).all() and (np.diff(found) > 0).all())


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ForecastModelError(f"the forecaster is not sound: {what}", todo="train again, or roll back")
