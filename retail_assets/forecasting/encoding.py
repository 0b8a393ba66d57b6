"""Example frames -> the matrix the trees see, and the simple forecast that they correct."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from retail_assets.core.errors import RetailError
from retail_assets.core.intervals import QuantileTable
from retail_assets.forecasting.context import CALENDAR_COLUMNS

CATEGORIES = ("store_id", "category", "department")  # no SKU: its level is in the features, the rest was memory
WEEKDAY_MEANS = tuple(f"units_{day}_mean_8" for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
KNOWN_AHEAD = ("horizon", "target_weekday", "planned_discount", *CALENDAR_COLUMNS)
DERIVED = ("units_target_weekday_mean_8", "expected_units", "recent_to_level")
ON_BASELINE = ("history_to_baseline",)
LEVEL_WEIGHTS = {"units_mean_7": 0.2, "units_mean_28": 0.5, "units_mean_56": 0.3}
WEEKDAY_PRIOR_UNITS = 8.0
SMALLEST_EXPECTED = 0.02
SMALLEST_BASELINE = 0.002  # a shelf that is always closed on a day has learnt it

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class ForecastModelError(RetailError):
    """Frames that do not fit the model, or a model folder that is not one."""


class ForecasterSpec(BaseModel):
    """Everything about a forecaster besides its trees: columns in order, codes of categories, intervals.

    `largest_factor` bounds what the trees may make of the expected units. With `on_baseline` those are the baseline's
    where the frame has it, else the recent level's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: int
    features: list[str]
    categories: dict[str, list[str]]
    largest_factor: float
    on_baseline: bool = False
    intervals: QuantileTable | None = None

    @property
    def columns(self) -> list[str]:
        """Columns of the matrix, in order."""
        more = ON_BASELINE if self.on_baseline else ()
        return [*self.features, *DERIVED, *more, *KNOWN_AHEAD, *self.categories]


class Encoder:
    """Encodes frames by one spec; a category value the model never saw is missing to the trees."""

    def __init__(self, spec: ForecasterSpec) -> None:
        self.spec = spec
        self._codes = {name: pd.Index(values) for name, values in spec.categories.items()}
        self._needed = {*spec.features, *KNOWN_AHEAD, *WEEKDAY_MEANS, *LEVEL_WEIGHTS, *spec.categories}

    def matrix(self, frame: pd.DataFrame) -> tuple[NDArray[np.float32], Floats]:
        """The matrix (rows x spec.columns) and the expected units per row; ForecastModelError for a missing column."""
        missing = sorted(self._needed - set(frame.columns))
        if missing:
            raise ForecastModelError(f"the frame has no column {', '.join(missing)}")
        derived = _derived(frame)
        if self.spec.on_baseline:
            derived |= _on_baseline(frame, derived["expected_units"])
        matrix = np.empty((len(frame), len(self.spec.columns)), dtype=np.float32)
        for place, name in enumerate(self.spec.columns):
            if name in derived:
                matrix[:, place] = derived[name]
            elif name in self.spec.categories:
                matrix[:, place] = self._code(frame, name)
            else:
                matrix[:, place] = _numbers(frame, name)
        return matrix, derived["expected_units"]

    def _code(self, frame: pd.DataFrame, name: str) -> Floats:
        codes = self._codes[name].get_indexer(pd.Index(frame[name], dtype=object)).astype(float)
        return np.where(codes < 0, np.nan, codes)


def categories_of(frame: pd.DataFrame, limit: int) -> dict[str, list[str]]:
    """The values of each category column, sorted; columns with one value, or more than `limit`, are left out."""
    found = {name: sorted(str(value) for value in frame[name].dropna().unique()) for name in CATEGORIES}
    return {name: values for name, values in found.items() if 1 < len(values) <= limit}


def interval_group(frame: pd.DataFrame) -> Integers:
    """Groups of like uncertainty: horizon week (0 to 3, later ones too), plus 4 where a promotion is planned."""
    week = np.minimum((frame["horizon"].to_numpy(int) - 1) // 7, 3)
    return (week + 4 * (frame["planned_discount"].to_numpy(float) > 0)).astype(np.int64)


def _derived(frame: pd.DataFrame) -> dict[str, Floats]:
    """The mean of the target's weekday, the simple forecast, and how the last week compares with the level.

    The strength of a weekday is shrunk towards 1 with a weight of WEEKDAY_PRIOR_UNITS: eight days of a slow seller say
    little about its weekdays.
    """
    level = recent_level(frame)
    weekdays = np.column_stack([_numbers(frame, name) for name in WEEKDAY_MEANS])
    own = weekdays[np.arange(len(frame)), frame["target_weekday"].to_numpy(int) - 1]
    seen = ~np.isnan(weekdays)
    average = np.where(seen, weekdays, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    strength = (np.where(np.isnan(own), average, own) + WEEKDAY_PRIOR_UNITS) / (average + WEEKDAY_PRIOR_UNITS)
    recent = np.nan_to_num(_numbers(frame, "units_mean_7"), nan=0.0)
    return {
        "units_target_weekday_mean_8": own,
        "expected_units": np.maximum(level * strength, SMALLEST_EXPECTED),
        "recent_to_level": (recent + 0.1) / (level + 0.1),
    }


def _on_baseline(frame: pd.DataFrame, recent: Floats) -> dict[str, Floats]:
    """The baseline as the simple forecast, and how `recent`, the one of the recent level, compares with it."""
    if "baseline" in frame:
        baseline = _numbers(frame, "baseline")
        expected = np.where(np.isnan(baseline), recent, np.maximum(baseline, SMALLEST_BASELINE))
    else:
        expected = recent
    return {"expected_units": expected, "history_to_baseline": (recent + 0.1) / (expected + 0.1)}


def recent_level(frame: pd.DataFrame) -> Floats:
    """Units a day lately: the mean of the last 7, 28 and 56 days, weighted; 0 for a series without history."""
    means = np.column_stack([_numbers(frame, name) for name in LEVEL_WEIGHTS])
    weights = np.where(np.isnan(means), 0.0, np.array(list(LEVEL_WEIGHTS.values())))
    total = weights.sum(axis=1)
    return (weights * np.nan_to_num(means)).sum(axis=1) / np.where(total > 0, total, 1.0)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    """Single precision first: a frame from the batch and one from a request give the same bits."""
    return frame[name].to_numpy(np.float32, na_value=np.nan).astype(np.float64)
