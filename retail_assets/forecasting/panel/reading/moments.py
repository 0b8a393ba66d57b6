"""The time column of a file: dates, text or whole numbers, read strictly and written back as they came."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.written_times import (
    COMPACT_DAY,
    COMPACT_MONTH,
    COMPACT_WEEK,
    EXAMPLES,
    Spelling,
    likeliest,
    spelling_of,
)
from retail_assets.forecasting.panel.reading.frequency import FEWEST_DATES, MOST, as_date
from retail_assets.forecasting.panel.reading.table import PanelError, refuse

Ints = npt.NDArray[np.int64]
Time = date | int | str
EPOCH = date(1970, 1, 1)
UNREAL = {"day": "is no date", "month": "is no month", "week": "is no week of its year (ISO 8601)"}
CORRECT = "correct it; where the years of the file have other weeks or periods, write dates, or number them 1, 2, 3 ..."


@dataclass(frozen=True)
class Moments:
    """Times (rows,): days since 1970-01-01 where `dated`, else whole numbers that count periods.

    `spelling` is how text or numbers name days, None for dates; `write` gives a time as the file has it.
    """

    values: Ints
    dated: bool
    spelling: Spelling | None
    write: Callable[[int], Time]


def moments(path: Path, table: pa.Table, name: str, freq: str) -> Moments:
    """Reads a column; raises PanelError for the first value that is no time."""
    column = table[name].combine_chunks()
    refuse(path, table, name, column.is_null().to_numpy(zero_copy_only=False), "is empty", "every row needs a time")
    if pa.types.is_integer(column.type):
        return _numbers(path, table, name, column.to_numpy().astype(np.int64), freq, int)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _texts(path, table, name, column, freq)
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        todo = "give a column of dates, of text like 2016-03, or of whole numbers"
        raise PanelError(f"{name} holds {column.type}, no times", where=f"{path}, column {name}", todo=todo)
    return Moments(_days(path, name, column), True, None, as_date)


def _days(path: Path, name: str, column: pa.Array) -> Ints:
    """Dates and instants as days, these in their own zone."""
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    try:
        days = column.cast(pa.date32(), safe=False)
    except pa.ArrowInvalid as error:
        raise PanelError(f"{name} has a value that is no date: {error}", where=f"{path}, column {name}") from error
    return np.asarray(days.cast(pa.int32()).to_numpy(), dtype=np.int64)


def _numbers(
    path: Path, table: pa.Table, name: str, values: Ints, freq: str, written: Callable[[int], Time]
) -> Moments:
    """Whole numbers count periods, but for those that are written dates: 20160327, months 201603, weeks 201612."""
    distinct, place = np.unique(values, return_inverse=True)
    texts = [str(value) for value in distinct]
    longer = COMPACT_WEEK if freq in ("W", "2W", "4W") else COMPACT_MONTH
    found = spelling_of(texts, (COMPACT_DAY, longer))
    if found:
        return _spelt(values.astype(str), found[0], lambda day: written(int(found[0].write(as_date(day)))))
    if len(texts) >= FEWEST_DATES:
        for spelling in (COMPACT_DAY, longer, COMPACT_WEEK):
            wrong = np.array([spelling.parse(text) is None for text in texts])
            if 0 < wrong.mean() <= 1 - MOST:
                refuse(path, table, name, wrong[place], UNREAL[spelling.resolution], CORRECT)
    return Moments(values, False, None, written)


def _texts(path: Path, table: pa.Table, name: str, column: pa.Array, freq: str) -> Moments:
    encoded = column.dictionary_encode()
    texts = [text.strip() for text in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy()
    if all(text.lstrip("-").isdecimal() for text in texts):
        written = int if path.suffix.lower() == ".csv" else str
        return _numbers(
            path, table, name, np.array([int(text) for text in texts], dtype=np.int64)[codes], freq, written
        )
    found = spelling_of(texts)
    if not found:
        spelling = likeliest(texts)
        wrong = np.array([spelling.parse(text) is None for text in texts])[codes]
        _refuse_unreal(path, table, name, spelling, [texts[code] for code in codes[wrong][:1]], wrong)
        refuse(path, table, name, wrong, "is not a date", f"write dates as {EXAMPLES}")
    if len(found) > 1:
        both = " and ".join(str(spelling.parse(texts[0])) for spelling in found)
        first = np.arange(len(codes)) == 0
        refuse(path, table, name, first, f"may be {both}", f"write dates as {EXAMPLES}")
    spelling = found[0]
    return _spelt(np.array(texts)[codes], spelling, lambda day: _written(spelling, day))


def _refuse_unreal(
    path: Path, table: pa.Table, name: str, spelling: Spelling, first: list[str], wrong: npt.NDArray[np.bool_]
) -> None:
    """Raises PanelError where the first wrong time is written like a week, and its year has none of that number."""
    if spelling.resolution == "week" and any(spelling.matches(text) for text in first):
        refuse(path, table, name, wrong, UNREAL["week"], CORRECT)


def _written(spelling: Spelling, day: int) -> Time:
    """ISO dates come out as dates, every other spelling as text."""
    return as_date(day) if spelling.name == "2016-03-27" else spelling.write(as_date(day))


def _spelt(texts: "npt.NDArray[np.str_]", spelling: Spelling, write: Callable[[int], Time]) -> Moments:
    distinct, place = np.unique(texts, return_inverse=True)
    days = [spelling.parse(str(text)) for text in distinct]
    return Moments(np.array([(day - EPOCH).days for day in days if day])[place], True, spelling, write)


def asked(text: str, like: Moments) -> int | None:
    """The day or number that `text` (of an option) means beside these times; None where it means none."""
    if not like.dated:
        return int(text) if text.strip().lstrip("-").isdecimal() else None
    compact = (COMPACT_DAY, COMPACT_MONTH) if like.spelling is not COMPACT_WEEK else (COMPACT_DAY, COMPACT_WEEK)
    own = like.spelling.parse(text) if like.spelling is not None else None
    found = [day for day in (own, *(s.parse(text) for s in (*spelling_of([text]), *compact))) if day is not None]
    return (found[0] - EPOCH).days if found else None
