"""How days and the numbers of periods belong together: fixed steps, calendar months, periods of 4 and 5 weeks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from retail_assets.core.calendar import fiscal_year_of, fiscal_year_start, weeks_in_fiscal_year
from retail_assets.forecasting.panel.reading.frequency import FISCAL, as_date, day_in_month, months_of
from retail_assets.forecasting.panel.reading.moments import EPOCH

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
MONTH_WEEKS = (4, 5, 4)
MOST_AHEAD = 1_200


class Steps(Protocol):
    """How values (days since 1970-01-01, or whole numbers) and the numbers of periods belong together."""

    def number(self, values: Ints) -> Ints:
        """The period that each value lies in; between two periods the earlier one."""

    def fits(self, values: Ints) -> Mask:
        """Which of the values name a period."""

    def value(self, number: int) -> int:
        """The value that stands for a period."""


@dataclass(frozen=True)
class Fixed:
    """Periods of `step` days from `first`; whole numbers that count periods have a step of one from zero."""

    first: int
    step: int

    def number(self, values: Ints) -> Ints:
        """The period that each value lies in."""
        return (values - self.first) // self.step

    def fits(self, values: Ints) -> Mask:
        """Those that lie whole steps from the first."""
        return np.asarray((values - self.first) % self.step == 0)

    def value(self, number: int) -> int:
        """The first value of a period."""
        return self.first + number * self.step


@dataclass(frozen=True)
class Monthly:
    """Periods of `months` calendar months; the file's `own` days, else day `place` (0: the last) of month `offset`."""

    months: int
    offset: int
    place: int
    own: Mapping[int, int]

    def number(self, values: Ints) -> Ints:
        """The period that each day lies in."""
        return months_of(values) // self.months

    def fits(self, values: Ints) -> Mask:
        """All of them: every day lies in a month."""
        return np.ones(len(values), dtype=np.bool_)

    def value(self, number: int) -> int:
        """The day that the file has for the period, or would have."""
        return self.own.get(number) or day_in_month(number * self.months + self.offset, self.place)


@dataclass(frozen=True)
class Fiscal:
    """Periods whose days are listed, ascending; the file's first one has number `first`."""

    days: Ints
    first: int

    def number(self, values: Ints) -> Ints:
        """The last period that is not later than each day."""
        return np.asarray(np.searchsorted(self.days, values, side="right") - 1 - self.first)

    def fits(self, values: Ints) -> Mask:
        """Days that are listed."""
        return np.isin(values, self.days)

    def value(self, number: int) -> int:
        """The day of a period."""
        return int(self.days[number + self.first])


def fiscal(distinct: Ints, count: Ints) -> Fiscal:
    """The periods of dates (ascending) that stand `count` periods apart, and those to come."""
    known = _retail_calendar(distinct)
    if known is not None:
        return Fiscal(known, int(np.searchsorted(known, distinct[0])))
    return Fiscal(_continued(distinct, count), 0)


def _retail_calendar(distinct: Ints) -> Ints | None:
    """First or last days of the 4-5-4 calendar's periods, whichever the dates are; None where they are neither."""
    years = [fiscal_year_of(as_date(day)) for day in (distinct[0], distinct[-1])]
    starts = list[int]()
    for year in range(years[0] - 1, years[1] + MOST_AHEAD // 12):
        weeks = list(MONTH_WEEKS * 4)
        weeks[-1] += weeks_in_fiscal_year(year) - 52
        first = (fiscal_year_start(year) - EPOCH).days
        starts.extend(first + 7 * np.concatenate([[0], np.cumsum(weeks)[:-1]]))
    days = np.array(starts, dtype=np.int64)
    return next((listed for listed in (days, days - 1) if np.isin(distinct, listed).all()), None)


def _continued(distinct: Ints, count: Ints) -> Ints:
    """The dates, those missing between them, and those to come, by the order of long and short periods."""
    place = np.concatenate([[0], np.cumsum(count)])
    single = count == 1
    long = np.bincount(place[:-1][single & (np.diff(distinct) == FISCAL[1])] % 3, minlength=3).argmax()
    length = np.where(np.arange(place[-1] + MOST_AHEAD) % 3 == long, FISCAL[1], FISCAL[0])
    days = np.empty(len(length) + 1, dtype=np.int64)
    for at, day in zip(place, distinct, strict=True):
        days[at:] = day + np.concatenate([[0], np.cumsum(length[at:])])
    return days
