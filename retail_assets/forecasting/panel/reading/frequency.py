"""Steps of time that a panel may have, and which of them the dates of a file stand in."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Freq = Literal["D", "W", "2W", "4W", "M", "Q", "4-4-5"]

FEWEST_DATES = 3
# Lengths of fiscal periods in days; the longest has a 53rd week.
FISCAL = (28, 35, 42)
FISCAL_DAYS = 364 / 12
# Dates on fewer of the days between the first and the last one are not daily.
DAILY, MOST = 0.25, 0.8


@dataclass(frozen=True)
class Frequency:
    """A step of time: `days` or `months` long (neither: fiscal periods of 4 and 5 weeks), `year` steps a year.

    `cycle` is the shorter season, 1 for none, `breaks` the longest stretch without a row that is taken as meant, `new`
    for how many periods a series is called new, `recent` over how many sales count as recent.
    """

    name: Freq
    unit: str
    year: int
    days: int = 0
    months: int = 0
    cycle: int = 1
    breaks: int = 0
    new: int = 1
    recent: int = 1

    @property
    def units(self) -> str:
        """What several of them are: days, periods of four weeks."""
        plain = {"D": "days", "W": "weeks", "M": "months", "Q": "quarters"}
        return plain.get(self.name, f"periods of {self.unit}")


FREQUENCIES: dict[str, Frequency] = {
    each.name: each
    for each in (
        Frequency("D", "a day", 364, days=1, cycle=7, breaks=366, new=56, recent=28),
        Frequency("W", "a week", 52, days=7, breaks=53, new=13, recent=8),
        Frequency("2W", "two weeks", 26, days=14, breaks=27, new=7, recent=4),
        Frequency("4W", "four weeks", 13, days=28, breaks=14, new=4, recent=3),
        Frequency("M", "a month", 12, months=1, breaks=13, new=4, recent=3),
        Frequency("Q", "a quarter", 4, months=3, breaks=5, new=2, recent=2),
        Frequency("4-4-5", "four or five weeks", 12, breaks=13, new=4, recent=3),
    )
}


def advice(days: Ints) -> str:
    """What to do about dates (ascending, distinct, days since 1970-01-01) that do not fit the frequency asked for."""
    found = detected(days)
    if found is not None:
        return f"the dates stand {FREQUENCIES[found].unit} apart: give --freq {found}"
    usual, odd = mostly(days)
    if usual is not None:
        several = f" (and {len(odd) - 1:,} more)" if len(odd) > 1 else ""
        unit = FREQUENCIES[usual].unit
        return (
            f"most dates stand {unit} apart, {as_date(odd[0])}{several} does not: correct it, and give --freq {usual}"
        )
    step = common_step(days)
    if step > 1:
        return f"the dates stand {step} days apart, which no --freq is: sum the rows to weeks, months or quarters"
    return "correct the dates that stand out, or sum the rows to days, weeks, months or quarters"


def detected(days: Ints) -> Freq | None:
    """The frequency of dates (ascending, distinct); None where there are too few, or they fit none."""
    if len(days) < FEWEST_DATES:
        return None
    months = months_of(days)
    if len(np.unique(months)) == len(months) and place_in_month(days) is not None:
        step = int(np.gcd.reduce(np.diff(months)))
        return "Q" if step == 3 else "M" if step == 1 else None
    if _fiscal(np.diff(days)):
        return "4-4-5"
    step = common_step(days)
    if step == 1:
        return "D" if len(days) >= DAILY * (days[-1] - days[0] + 1) else None
    return {28: "4W", 14: "2W", 7: "W"}.get(step)  # type: ignore[return-value]


def mostly(days: Ints) -> tuple[Freq | None, Ints]:
    """The frequency that most dates have, and the dates that do not; None where they have none, or all have it."""
    for name in ("4W", "2W", "W"):
        step = FREQUENCIES[name].days
        usual = int(np.bincount(days % step).argmax())
        fits = days % step == usual
        if MOST <= fits.mean() < 1 and detected(days[fits]) == name:
            return FREQUENCIES[name].name, days[~fits]
    place = np.bincount(_day_of_month(days)).argmax()
    fits = _day_of_month(days) == place
    if MOST <= fits.mean() < 1 and detected(days[fits]) == "M":
        return "M", days[~fits]
    return None, days[:0]


def common_step(days: Ints) -> int:
    """The largest step in which all of the dates lie; 0 for a single one."""
    return int(np.gcd.reduce(np.diff(days))) if len(days) > 1 else 0


def _fiscal(apart: Ints) -> bool:
    """Whether steps of 28 and 35 days take turns, a few periods missing."""
    usual = np.isin(apart, FISCAL[:2])
    return bool((apart % 7 == 0).all() and (apart == FISCAL[1]).any() and usual.mean() >= MOST)


def months_of(days: Ints) -> Ints:
    """Months since January of year 0."""
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.asarray(month + 1970 * 12, dtype=np.int64)


def place_in_month(days: Ints) -> int | None:
    """The day of the month that all `days` are, 0 for the last one; None where they differ.

    30 January, 28 February and 30 March are all the 30th.
    """
    own, months = _day_of_month(days), days.astype("datetime64[D]").astype("datetime64[M]")
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    if (own == length).all():
        return 0
    place = int(own.max())
    return place if (own == np.minimum(place, length)).all() else None


def usual_place(days: Ints) -> int:
    """`place_in_month`, or where they differ the day of the month that most of them are."""
    place = place_in_month(days)
    return int(np.bincount(_day_of_month(days)).argmax()) if place is None else place


def day_in_month(month: int, place: int) -> int:
    """The day `place` (0: the last) of a month counted from January of year 0, in days since 1970-01-01."""
    first = date(month // 12, month % 12 + 1, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    day = last if place == 0 else min(first + timedelta(days=place - 1), last)
    return (day - date(1970, 1, 1)).days


def as_date(day: int | np.int64) -> date:
    """The date of a day since 1970-01-01."""
    return date(1970, 1, 1) + timedelta(days=int(day))


def _day_of_month(days: Ints) -> Ints:
    stamps = days.astype("datetime64[D]")
    first = stamps.astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray((stamps - first).astype(np.int64) + 1, dtype=np.int64)
