"""Times as people write them in tables: days, weeks, months and quarters, read and written back in the same way."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Resolution = Literal["day", "week", "month", "quarter"]
EXAMPLES = "2016-03-27, months as 2016-03, quarters as 2016Q1, weeks as 2016-W12"


@dataclass(frozen=True)
class Spelling:
    """One way to write times. `read` gives the first day of what is written, and raises ValueError where there is none
    (30 February); `write` is its inverse.
    """

    name: str
    resolution: Resolution
    pattern: "re.Pattern[str]"
    read: Callable[[Sequence[str]], date]
    write: Callable[[date], str]

    def parse(self, text: str) -> date | None:
        """The day that `text` names; None where it is not written like this, or is no day."""
        match = self.pattern.fullmatch(text.strip())
        if match is None:
            return None
        try:
            return self.read(match.groups())
        except ValueError:
            return None

    def matches(self, text: str) -> bool:
        """Whether `text` is written like this, be it a real day or not."""
        return self.pattern.fullmatch(text.strip()) is not None


def _day(name: str, pattern: str, order: str, form: str) -> Spelling:
    places = [order.index(part) for part in "ymd"]
    return Spelling(
        name,
        "day",
        re.compile(pattern),
        lambda parts: date(*(int(parts[place]) for place in places)),
        lambda day: day.strftime(form),
    )


def _month(name: str, pattern: str, form: str) -> Spelling:
    return Spelling(
        name,
        "month",
        re.compile(pattern),
        lambda parts: date(int(parts[0]), int(parts[1]), 1),
        lambda day: form.format(day.year, day.month),
    )


def _quarter(name: str, pattern: str, form: str) -> Spelling:
    return Spelling(
        name,
        "quarter",
        re.compile(pattern),
        lambda parts: date(int(parts[0]), 3 * int(parts[1]) - 2, 1),
        lambda day: form.format(day.year, (day.month + 2) // 3),
    )


def _week(name: str, pattern: str, form: str) -> Spelling:
    def write(day: date) -> str:
        year, week, _ = day.isocalendar()
        return form.format(year, week)

    return Spelling(
        name,
        "week",
        re.compile(pattern),
        lambda parts: date.fromisocalendar(int(parts[0]), int(parts[1]), 1),
        write,
    )


ISO = _day("2016-03-27", r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?", "ymd", "%Y-%m-%d")
TEXTS = (
    ISO,
    _day("2016/03/27", r"(\d{4})/(\d{2})/(\d{2})", "ymd", "%Y/%m/%d"),
    _day("2016.03.27", r"(\d{4})\.(\d{2})\.(\d{2})", "ymd", "%Y.%m.%d"),
    _day("27.03.2016", r"(\d{2})\.(\d{2})\.(\d{4})", "dmy", "%d.%m.%Y"),
    _day("27/03/2016 (day first)", r"(\d{2})/(\d{2})/(\d{4})", "dmy", "%d/%m/%Y"),
    _day("03/27/2016 (month first)", r"(\d{2})/(\d{2})/(\d{4})", "mdy", "%m/%d/%Y"),
    _month("2016-03", r"(\d{4})-(\d{2})", "{:04d}-{:02d}"),
    _month("2016/03", r"(\d{4})/(\d{2})", "{:04d}/{:02d}"),
    _month("2016M03", r"(\d{4})M(\d{2})", "{:04d}M{:02d}"),
    _month("2016-M03", r"(\d{4})-M(\d{2})", "{:04d}-M{:02d}"),
    _quarter("2016Q1", r"(\d{4})Q([1-4])", "{:04d}Q{:d}"),
    _quarter("2016-Q1", r"(\d{4})-Q([1-4])", "{:04d}-Q{:d}"),
    _quarter("2016 Q1", r"(\d{4}) Q([1-4])", "{:04d} Q{:d}"),
    _week("2016-W12", r"(\d{4})-W(\d{2})", "{:04d}-W{:02d}"),
    _week("2016W12", r"(\d{4})W(\d{2})", "{:04d}W{:02d}"),
)
# Whole numbers that are dates: 20160327 counts no days.
COMPACT_DAY = _day("20160327", r"((?:19|20)\d{2})(\d{2})(\d{2})", "ymd", "%Y%m%d")
COMPACT_MONTH = _month("201603", r"((?:19|20)\d{2})(\d{2})", "{:04d}{:02d}")
COMPACT_WEEK = _week("201612", r"((?:19|20)\d{2})(\d{2})", "{:04d}{:02d}")


def spelling_of(texts: Iterable[str], among: Sequence[Spelling] = TEXTS) -> list[Spelling]:
    """The spellings in which every one of `texts` is a real time; several where they cannot be told apart."""
    values = list(texts)
    return [spelling for spelling in among if all(spelling.parse(text) is not None for text in values)]


def likeliest(texts: Iterable[str]) -> Spelling:
    """The spelling that fits most of `texts`, so that the others can be named; the first of TEXTS at a tie."""
    values = list(texts)
    return max(TEXTS, key=lambda spelling: sum(spelling.parse(text) is not None for text in values))


def end_of_month(day: date) -> date:
    """The last day of its month."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
