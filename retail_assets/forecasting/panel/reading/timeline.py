"""The periods of a sales file in a row: which period a date is, and how the file would write any other.

Days and weeks are counted from the first date. Months and quarters are those of the calendar, on whatever day the file
puts them. Fiscal periods of 4 and 5 weeks (4-4-5, 4-5-4, 5-4-4) follow the file's own order of long and short ones, and
the retail calendar with its 53rd week (`core.calendar`) where the dates are its periods.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.core.written_times import COMPACT_MONTH, COMPACT_WEEK, spelling_of
from retail_assets.forecasting.panel.reading import frequency
from retail_assets.forecasting.panel.reading.frequency import FISCAL, FISCAL_DAYS, FREQUENCIES, Frequency
from retail_assets.forecasting.panel.reading.moments import Moments, Time, asked, moments
from retail_assets.forecasting.panel.reading.steps import Fiscal, Fixed, Monthly, Steps, fiscal
from retail_assets.forecasting.panel.reading.table import PanelError, refuse

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    """The periods of a sales file; `times` are its own, for their spelling."""

    frequency: Frequency
    times: Moments
    steps: Steps

    def label(self, number: int) -> Time:
        """A period as the file writes it."""
        return self.times.write(self.steps.value(number))

    def days(self, numbers: Ints) -> Ints | None:
        """Days since 1970-01-01 of periods; None where the file counts them."""
        return np.array([self.steps.value(int(n)) for n in numbers]) if self.times.dated else None

    def numbers(self, path: Path, table: pa.Table, name: str) -> Ints:
        """The periods of another file's column; raises PanelError for a time that is none of this timeline's."""
        found = moments(path, table, name, self.frequency.name)
        if found.dated != self.times.dated:
            kinds = ("dates", "whole numbers") if found.dated else ("whole numbers", "dates")
            what = f"{name} holds {kinds[0]}, but {kinds[1]} in the sales"
            raise PanelError(what, where=f"{path}, column {name}", todo="write times in both files in the same way")
        wrong = ~self.steps.fits(found.values)
        refuse(path, table, name, wrong, "is no period of the sales", "write times in both files in the same way")
        return self.steps.number(found.values)

    def asked(self, text: str) -> int | None:
        """The period that `text` names or lies in; None where it is no time."""
        value = asked(text, self.times)
        return None if value is None else int(self.steps.number(np.array([value]))[0])


def timeline_of(path: Path, table: pa.Table, name: str, freq: str) -> tuple[Timeline, Ints]:
    """The timeline of a sales file and the period of each row; raises PanelError where its times do not fit `freq`."""
    times, wanted = moments(path, table, name, freq), FREQUENCIES[freq]
    distinct = np.unique(times.values)
    if not times.dated:
        _refuse_wide_numbers(path, name, distinct)
        return Timeline(wanted, times, Fixed(0, 1)), times.values
    _refuse_months_as_weeks(path, name, times, distinct)
    if wanted.days:
        steps: Steps = _fixed(path, table, name, times, wanted, distinct)
    elif wanted.months:
        steps = _monthly(path, table, name, times, wanted, distinct)
    else:
        steps = _fiscal(path, table, name, times, distinct)
    _refuse_wide(path, name, distinct, wanted)
    return Timeline(wanted, times, steps), steps.number(times.values)


def _refuse_wide_numbers(path: Path, name: str, distinct: Ints) -> None:
    """Raises PanelError for numbers that stand wider than one apart, or are the weeks of several years."""
    if len(distinct) < frequency.FEWEST_DATES:
        return
    shown, where = ", ".join(str(number) for number in distinct[:3]), f"{path}, column {name}"
    if spelling_of([str(number) for number in distinct], [COMPACT_WEEK]):
        raise PanelError(f"the numbers of {name} are weeks of a year: {shown}", where=where, todo="give --freq W")
    step = frequency.common_step(distinct)
    if step > 1:
        todo = "number the periods 1, 2, 3 ..., or give dates"
        raise PanelError(f"the numbers of {name} stand {step} apart: {shown}", where=where, todo=todo)


def _refuse_months_as_weeks(path: Path, name: str, times: Moments, distinct: Ints) -> None:
    """Raises PanelError for numbers read as weeks (201612) that never pass the twelfth: they are months."""
    if times.spelling is COMPACT_WEEK and len(distinct) > 12:
        texts = [COMPACT_WEEK.write(frequency.as_date(day)) for day in distinct]
        if spelling_of(texts, [COMPACT_MONTH]):
            what = f"the numbers of {name} are months of a year: {', '.join(texts[:3])}"
            raise PanelError(what, where=f"{path}, column {name}", todo="give --freq M")


def _fixed(path: Path, table: pa.Table, name: str, times: Moments, wanted: Frequency, distinct: Ints) -> Fixed:
    """Raises PanelError for days that are no whole number of steps from the others."""
    phases = np.bincount(distinct % wanted.days, minlength=wanted.days)
    # The first row's, unless it stands alone: then that row is the one to name.
    own = int(times.values[0]) % wanted.days
    phase = own if phases[own] == phases.max() else int(phases.argmax())
    off = times.values % wanted.days != phase
    first = int(np.argmin(off))
    if off.any():
        what = f"is no whole number of {wanted.units} from {table[name][first].as_py()}"
        refuse(path, table, name, off, what, frequency.advice(distinct))
    return Fixed(int(times.values[first]), wanted.days)


def _refuse_wide(path: Path, name: str, distinct: Ints, wanted: Frequency) -> None:
    """Raises PanelError for dates that all stand wider apart than the frequency: what lies between is no gap."""
    if len(distinct) < frequency.FEWEST_DATES:
        return
    if wanted.months:
        wide = int(np.gcd.reduce(np.diff(frequency.months_of(distinct)))) > wanted.months
    else:
        found = frequency.detected(distinct) or frequency.mostly(distinct)[0]
        wide = found not in (None, wanted.name) or 0 < wanted.days < frequency.common_step(distinct)
    if wide:
        shown = ", ".join(str(frequency.as_date(day)) for day in distinct[:3])
        what = f"{name} has no dates {wanted.unit} apart: {shown}"
        raise PanelError(what, where=f"{path}, column {name}", todo=frequency.advice(distinct))


def _monthly(path: Path, table: pa.Table, name: str, times: Moments, wanted: Frequency, distinct: Ints) -> Monthly:
    """Raises PanelError for two dates in one month or quarter."""
    number = frequency.months_of(distinct) // wanted.months
    twice = np.flatnonzero(np.diff(number) == 0)
    if len(twice):
        rows = sorted(int(np.argmax(times.values == day)) for day in distinct[twice[0] : twice[0] + 2])
        shown = " and ".join(str(table[name][row].as_py()) for row in rows)
        raise PanelError(
            f"{name} has two dates in {wanted.unit.replace('a ', 'one ')}: {shown}",
            where=f"{path}, rows {rows[0] + 1} and {rows[1] + 1} ({len(twice):,} such pairs)",
            todo=frequency.advice(distinct),
        )
    offset = int(np.bincount(frequency.months_of(distinct) % wanted.months).argmax())
    own = {int(period): int(day) for period, day in zip(number, distinct, strict=True)}
    return Monthly(wanted.months, offset, frequency.usual_place(distinct), own)


def _fiscal(path: Path, table: pa.Table, name: str, times: Moments, distinct: Ints) -> Fiscal:
    """Raises PanelError for dates that are no whole periods of 4 or 5 weeks apart."""
    apart = np.diff(distinct)
    count = np.maximum(np.rint(apart / FISCAL_DAYS), 1).astype(np.int64)
    off = (apart % 7 != 0) | (apart < FISCAL[0] * count) | (apart > FISCAL[1] * count + 7)
    if off.any():
        wrong = times.values == distinct[1:][off][0]
        what = f"lies no periods of 4 or 5 weeks after {frequency.as_date(distinct[:-1][off][0])}"
        refuse(path, table, name, wrong, what, frequency.advice(distinct))
    return fiscal(distinct, count)
