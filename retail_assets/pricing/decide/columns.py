"""The inputs of a batch as arrays, and the cost that each row is priced with. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retail_assets.core.guardrails import BASIS_POINTS, Flags, Ints
from retail_assets.core.money import digits
from retail_assets.pricing.decide.rulebook import UNSET, Kind, Rules

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

COST_SOURCES = ("recorded", "assumed_cost", "unknown")
UNKNOWN = -1


class Columns:
    """Numpy views of the inputs, with nulls replaced."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def ints(self, name: str, null: int = 0) -> Ints:
        column = self.table[name]
        filled = column.fill_null(null) if column.null_count else column
        return filled.to_numpy().astype(np.int64, copy=False)

    def floats(self, name: str) -> Floats:
        return self.table[name].to_numpy().astype(np.float64, copy=False)

    def flags(self, name: str) -> Flags:
        column = self.table[name]
        flags: Flags = (column.fill_null(False) if column.null_count else column).to_numpy().astype(bool)
        return flags

    def codes(self, name: str, values: Sequence[str]) -> Codes:
        """The index of each text in `values`; 0 for null."""
        found, codes = _dictionary(self.table[name])
        return np.array([values.index(value) for value in found], dtype=np.int8)[codes]

    def text(self, name: str) -> npt.NDArray[np.object_]:
        return self.table[name].to_numpy()

    def kinds(self) -> tuple[list[Kind], Ints]:
        """The distinct kinds of items, and the code of each row's kind."""
        names = ("country", "department", "category", "currency", "business_date")
        parts = [_dictionary(self.table[name]) for name in names]
        code = np.zeros(self.table.num_rows, dtype=np.int64)
        for values, codes in parts:
            code = code * (len(values) + 1) + codes
        _, first, kind = np.unique(code, return_index=True, return_inverse=True)
        kinds: list[Any] = [tuple(values[codes[row]] for values, codes in parts) for row in first]
        return kinds, kind

    def digits(self) -> Ints:
        values, codes = _dictionary(self.table["currency"])
        return np.array([digits(currency) for currency in values], dtype=np.int64)[codes]


def _dictionary(column: pa.ChunkedArray) -> tuple[list[Any], Ints]:
    """Distinct values (null: "") and the code of each row; a single price, as a service asks for, needs no encoding."""
    if len(column) == 1:
        value = column[0].as_py()
        return ["" if value is None else value], np.zeros(1, dtype=np.int64)
    encoded = column.combine_chunks().dictionary_encode()
    values = [value if value is not None else "" for value in encoded.dictionary.to_pylist()]
    codes = encoded.indices
    if codes.null_count:
        values, codes = [*values, ""], codes.fill_null(len(values))
    return values, codes.to_numpy(zero_copy_only=False).astype(np.int64)


def costs(data: Columns, rules: Rules, reference: Ints) -> tuple[Ints, Codes]:
    """Cost with tax in minor units, rounded up, and where it comes from.

    A retailer who delivers no costs at all may have a policy that assumes a margin of the category; a single missing
    cost of one who does is a fault in the data, and no price is changed on it.
    """
    recorded = data.ints("unit_cost", UNKNOWN)
    assumed = rules["assumed_margin"]
    guess = -(-reference * (BASIS_POINTS - assumed) // BASIS_POINTS)
    taxed = -(-recorded * (BASIS_POINTS + rules["tax"]) // BASIS_POINTS)
    may_assume = ~data.flags("costs_delivered") & (assumed != UNSET) & (reference > 0)
    source = np.select([recorded > 0, (recorded == UNKNOWN) & may_assume], [0, 1], 2).astype(np.int8)
    return np.select([source == 0, source == 1], [taxed, guess], 0), source
