"""Series of one file that keep different times: weeks by Sundays here and by Mondays there, months and weeks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.forecasting.panel.reading.frequency import FREQUENCIES, as_date, common_step, detected
from retail_assets.forecasting.panel.reading.moments import Moments
from retail_assets.forecasting.panel.reading.table import PanelError

Ints = npt.NDArray[np.int64]

# A series with fewer dates has a rhythm by chance; a notice about some of many series asks for more.
FEWEST_DATES, FEWEST_STEPS, PLENTY = 5, 10, 11
MOST_SERIES = 500
# Days between two rows of a series that is sold by the day: some are nearer.
CLOSEST = 5
COARSENESS = {name: place for place, name in enumerate(("D", "W", "2W", "4W", "4-4-5", "M", "Q"))}


@dataclass(frozen=True)
class _Own:
    """The distinct times of one series, ascending, and their step: the name of a frequency, for numbers a number."""

    series: int
    values: Ints
    step: str | int | None


def refuse_rhythms(path: Path, name: str, keys: pd.DataFrame, series: Ints, times: Moments, freq: str) -> list[str]:
    """Raises PanelError where each series has a rhythm of its own that is not the file's: joined, their times would
    leave periods between in which nothing seems to be sold. Returns what is particular.
    """
    own = _rhythms(series, times)
    if sum(len(each.values) - 1 for each in own) < FEWEST_STEPS:
        return []
    whole = _step(np.unique(times.values), times.dated)
    if all(_wider(each.step, freq) for each in own) and len({each.step for each in own}) > 1:
        _refuse(path, name, keys, times, own[0], next(each for each in own if each.step != own[0].step))
    if own[0].step != whole and all(each.step == own[0].step and _is_rhythm(each.step) for each in own):
        other = next((each for each in own[1:] if not _together(own[0], each, times.dated)), None)
        if other is not None:
            _refuse(path, name, keys, times, own[0], other)
    if freq == "D" and times.dated:
        _refuse_no_days(path, name, keys, times, own)
    return _odd(path, name, keys, own) if freq == "D" and times.dated else []


def _rhythms(series: Ints, times: Moments) -> list[_Own]:
    """Those of series that are spread evenly over all that have enough rows."""
    enough = np.flatnonzero(np.bincount(series) >= FEWEST_DATES)
    picked = enough[np.unique(np.linspace(0, len(enough) - 1, min(MOST_SERIES, len(enough))).astype(np.int64))]
    rows = np.flatnonzero(np.isin(series, picked))
    found = []
    for code, own in pd.Series(times.values[rows]).groupby(series[rows]):
        values = np.unique(own.to_numpy())
        if len(values) >= FEWEST_DATES:
            found.append(_Own(int(str(code)), values, _step(values, times.dated)))
    return found


def _step(values: Ints, dated: bool) -> str | int | None:
    return detected(values) if dated else common_step(values)


def _is_rhythm(step: str | int | None) -> bool:
    return step not in (None, "D", 0, 1)


def _wider(step: str | int | None, freq: str) -> bool:
    return isinstance(step, str) and COARSENESS[step] > COARSENESS[freq]


def _together(one: _Own, other: _Own, dated: bool) -> bool:
    return _step(np.union1d(one.values, other.values), dated) == one.step


def _refuse(path: Path, name: str, keys: pd.DataFrame, times: Moments, one: _Own, other: _Own) -> None:
    """Names two series and the first times of both."""
    shown = [f"{_named(keys, each.series)} has {_times(times, each)}" for each in (one, other)]
    same = one.step == other.step
    apart = f" {FREQUENCIES[one.step].unit} apart" if isinstance(one.step, str) and same else ""
    raise PanelError(
        f"the series have different {'dates' if times.dated else 'numbers'}{apart}: {'; '.join(shown)}",
        where=f"{path}, column {name}",
        todo="write the same time for the same period in all series (weeks by one weekday, months by one day)",
    )


def _refuse_no_days(path: Path, name: str, keys: pd.DataFrame, times: Moments, own: list[_Own]) -> None:
    """Raises PanelError where dates wobble about a week or a month: the last working day, the day of the delivery."""
    nearest = min(int(np.diff(each.values).min()) for each in own)
    if nearest < CLOSEST or detected(np.unique(times.values)) not in (None, "D"):
        return
    shown = ", ".join(str(times.write(int(value))) for value in own[0].values[:3])
    raise PanelError(
        f"no series has two dates less than {nearest} days apart: {_named(keys, own[0].series)} has {shown}",
        where=f"{path}, column {name}",
        todo="name weeks by one weekday and give --freq W, or give --freq M for months",
    )


def _times(times: Moments, own: _Own) -> str:
    """Two times as the file writes them, weeks with their weekday."""
    weekly = times.dated and own.step in ("W", "2W", "4W")
    days = [f" ({as_date(day):%A})" if weekly else "" for day in own.values[:2]]
    return ", ".join(f"{times.write(int(value))}{day}" for value, day in zip(own.values, days, strict=False))


def _odd(path: Path, name: str, keys: pd.DataFrame, own: list[_Own]) -> list[str]:
    """A notice about series whose dates stand weeks or months apart, among others of days."""
    wide = [each for each in own if _wider(each.step, "D") and len(each.values) >= PLENTY]
    if not wide:
        return []
    first = f"those of {_named(keys, wide[0].series)} stand {FREQUENCIES[str(wide[0].step)].unit} apart"
    said = f"{path.name}: the dates ({name}) of {len(wide):,} of {len(own):,} series are no days"
    return [f"{said}: {first}, and the days between are read as days without a row"]


def _named(keys: pd.DataFrame, series: int) -> str:
    return ", ".join(f"{key} {value}" for key, value in keys.iloc[series].items())
