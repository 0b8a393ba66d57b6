"""Fast text: whole columns of strings from integers, and rows of a file as one Arrow buffer."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.sample.arrays import Ints

SECONDS_PER_DAY = 86_400


def strings(values: Iterable[str]) -> pa.StringArray:
    """A string array, to `pick` from."""
    return pa.array(list(values), pa.string())


def pick(table: pa.StringArray, index: Ints) -> pa.StringArray:
    """`table` at `index`; -1 picks its last entry, which tables with an empty value keep for that."""
    return table.take(pa.array(index % len(table)))


@cache
def _two_digits() -> pa.StringArray:
    return strings(f"{number:02d}" for number in range(100))


def padded(values: Ints, width: int) -> pa.StringArray:
    """Numbers with leading zeros, at least `width` digits."""
    return pc.utf8_lpad(integers(values), width, "0")


@cache
def _clock(twelve_hours: bool) -> pa.StringArray:
    seconds = range(SECONDS_PER_DAY)
    if not twelve_hours:
        return strings(f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in seconds)
    return strings(
        f"{(s // 3600 + 11) % 12 + 1:02d}:{s // 60 % 60:02d}:{s % 60:02d} {'AM' if s < SECONDS_PER_DAY // 2 else 'PM'}"
        for s in seconds
    )


def clock(second: Ints, *, twelve_hours: bool = False) -> pa.StringArray:
    """Times of day as 23:59:59 or 11:59:59 PM; seconds past midnight start again at zero."""
    return _clock(twelve_hours).take(pa.array(second % SECONDS_PER_DAY))


def integers(values: Ints) -> pa.StringArray:
    """Integers in decimal."""
    return pa.array(values).cast(pa.string())


def money(cents: Ints, mark: str = ".") -> pa.StringArray:
    """Amounts of minor units (not negative) with two decimals after `mark`."""
    return joined(integers(cents // 100), mark, _two_digits().take(pa.array(cents % 100)))


def joined(*parts: pa.StringArray | str) -> pa.StringArray:
    """Element-wise concatenation; a plain string is the same in every element."""
    pieces = [pa.scalar(part) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*pieces, "")


def bodies(rows: pa.StringArray, bounds: Ints) -> list[bytes]:
    """The bytes of rows[bounds[i]:bounds[i + 1]], one after the other, for each i; without any copy per row."""
    offsets = np.frombuffer(rows.buffers()[1], dtype=np.int32)[rows.offset :] if len(rows) else np.zeros(1, np.int32)
    data = memoryview(rows.buffers()[2] or b"")
    ends = offsets[bounds]
    return [bytes(data[first:last]) for first, last in zip(ends[:-1], ends[1:], strict=True)]


def body(rows: pa.StringArray) -> bytes:
    """The bytes of all rows, one after the other."""
    return bodies(rows, np.array([0, len(rows)]))[0]


def csv_quoted(values: Iterable[str]) -> pa.StringArray:
    """Strings as CSV fields that are safe under comma and semicolon."""
    return strings(f'"{v}"' if any(mark in v for mark in ',;"') else v for v in values)
