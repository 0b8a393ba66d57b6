"""The periods of a sales file in a row: which period a date is, and how the file would write any other.

Days and weeks are counted from the first date. Months and quarters are those of the calendar, on whatever day the file
puts them. Fiscal periods of 4 and 5 weeks (4-4-5, 4-5-4, 5-4-4) follow the file's own order of long and short ones, and
the retail calendar with its 53rd week (`core.calendar`) where the dates are its periods.
"""

from dataclasses import dataclass, field
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
Mask = npt.NDArray[np.bool_]
LONG_YEAR = 53
MONTHS, FOUR_WEEKS = 12, 13


@dataclass(frozen=True)
class Timeline:
    """The periods of a sales file; `times` are its own, for their spelling. `notices` are of files that write a period
    in another way.
    """

    frequency: Frequency
    times: Moments
    steps: Steps
    notices: list[str] = field(default_factory=list)

    def label(self, number: int) -> Time:
        """A period as the file writes it."""
        return self.times.write(self.steps.value(number))

    def days(self, numbers: Ints) -> Ints | None:
        """Days since 1970-01-01 of periods; None where the file counts them."""
        return np.array([self.steps.value(int(n)) for n in numbers]) if self.times.dated else None

    def is_week_53(self, number: int) -> bool:
        """Whether the file writes weeks of a year, and the period is the 53rd of one."""
        spelling = self.times.spelling
        if spelling is None or spelling.resolution != "week":
            return False
        return frequency.as_date(self.steps.value(number)).isocalendar().week == LONG_YEAR

    def numbers(self, path: Path, table: pa.Table, name: str) -> Ints:
        """The periods of another file's column; raises PanelError for a time that is none of this timeline's."""
        found = moments(path, table, name, self.frequency.name)
        if found.dated != self.times.dated:
            kinds = ("dates", "whole numbers") if found.dated else ("whole numbers", "dates")
            what = f"{name} holds {kinds[0]}, but {kinds[1]} in the sales"
            raise PanelError(what, where=f"{path}, column {name}", todo="write times in both files in the same way")
        wrong = ~self.steps.fits(found.values)
        if wrong.any():
            self._refuse(path, table, name, found, wrong)
        numbers = self.steps.number(found.values)
        if len(numbers):
            theirs, ours = found.write(int(found.values[0])), self.label(int(numbers[0]))
            if str(theirs) != str(ours):
                self.notices.append(f"{path.name}: {name} {theirs} is taken for {ours} of the sales")
        return numbers

    def _refuse(self, path: Path, table: pa.Table, name: str, found: Moments, wrong: Mask) -> None:
        """Names the first wrong time, weeks with the weekdays of both files and the two weeks that may be meant."""
        what, todo = "is no period of the sales", "write times in both files in the same way"
        if self.times.dated and self.frequency.days % 7 == 0 and self.frequency.days:
            day = int(found.values[int(np.argmax(wrong))])
            before = int(self.steps.number(np.array([day]))[0])
            start = self.steps.value(before)
            if (day - start) % 7:
                weekdays = [f"{frequency.as_date(each):%A}" for each in (day, start)]
                what = f"is a {weekdays[0]}, but the sales name their weeks by a {weekdays[1]}"
                either = f"{self.label(before)} or {self.label(before + 1)}"
                todo = f"name the weeks of both files by the same weekday: this one may be {either}"
            else:
                either = f"{self.label(before)} and {self.label(before + 1)}"
                what = f"lies between two periods of the sales, {either}"
        refuse(path, table, name, wrong, what, todo)

    def asked(self, text: str) -> int | None:
        """The period that `text` names or lies in; None where it is no time."""
        value = asked(text, self.times)
        if value is None:
            return None
        number = int(self.steps.number(np.array([value]))[0])
        if not self.steps.fits(np.array([value])).all():
            self.notices.append(f"{text} is no period of the sales: {self.label(number)} is taken for it")
        return number


def timeline_of(path: Path, table: pa.Table, name: str, times: Moments, freq: str) -> tuple[Timeline, Ints]:
    """The timeline of a sales file and the period of each row; raises PanelError where its times do not fit `freq`."""
    wanted = FREQUENCIES[freq]
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
    texts = [str(number) for number in distinct]
    if spelling_of(texts, [COMPACT_WEEK]):
        _refuse_short_years(path, name, texts)
        raise PanelError(f"the numbers of {name} are weeks of a year: {shown}", where=where, todo="give --freq W")
    jumps = np.flatnonzero(np.diff(distinct) > 2)
    before, after = distinct[jumps], distinct[jumps + 1]
    if len(jumps) and (after % 100 == 1).all() and (after // 100 == before // 100 + 1).all():
        what = f"the numbers of {name} jump from {before[0]} to {after[0]}: years with weeks or months"
        todo = "write years in four digits (202352 with --freq W, 202312 with M), or number the periods 1, 2, 3 ..."
        raise PanelError(what, where=where, todo=todo)
    step = frequency.common_step(distinct)
    if step > 1:
        todo = "number the periods 1, 2, 3 ..., or give dates"
        raise PanelError(f"the numbers of {name} stand {step} apart: {shown}", where=where, todo=todo)


def _refuse_months_as_weeks(path: Path, name: str, times: Moments, distinct: Ints) -> None:
    """Raises PanelError for numbers read as weeks (201612) that never pass the twelfth or thirteenth of a year."""
    if times.spelling is COMPACT_WEEK:
        _refuse_short_years(path, name, [COMPACT_WEEK.write(frequency.as_date(day)) for day in distinct])


def _refuse_short_years(path: Path, name: str, texts: list[str]) -> None:
    """Raises PanelError for numbers of several years (201613) of which each has at most 13."""
    most = max(int(text[4:]) for text in texts)
    if most > FOUR_WEEKS or len({text[:4] for text in texts}) < 2:
        return
    shown, where = ", ".join(texts[:3]), f"{path}, column {name}"
    if most <= MONTHS and spelling_of(texts, [COMPACT_MONTH]):
        raise PanelError(f"the numbers of {name} are months of a year: {shown}", where=where, todo="give --freq M")
    what = f"the numbers of {name} never pass {most} in a year: {shown} are no weeks"
    todo = "number the periods 1, 2, 3 ..., or give the date of their first days and --freq 4W"
    raise PanelError(what, where=where, todo=todo)


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
