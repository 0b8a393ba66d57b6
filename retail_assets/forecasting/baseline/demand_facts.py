"""All series and days of a history as the structure of demand reads them: in sums, made of some series at a time.

What is as large as series x days is kept in single precision and in flags, 10 bytes a day; effects and their sums are
double. A cell is a category of a department in a country: its series share season, events and state.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from retail_assets.forecasting.baseline.baseline_days import Days, Flags, Floats, Integers, Singles
from retail_assets.forecasting.baseline.effects import Structure

AT_ONCE = 1024  # series: their days fit into the caches of a processor
WORKERS = 2  # threads: numpy works outside of Python's lock; results are put together in the order of the series
Made = TypeVar("Made")


@dataclass(frozen=True)
class Groups:
    """Numbers of what each series belongs to, (S,) each."""

    category: Integers
    sku: Integers
    store: Integers
    department: Integers
    country: Integers
    shelf: Integers
    state: Integers

    @classmethod
    def of(cls, keys: pd.DataFrame, countries: list[str]) -> "Groups":
        """Of the keys of Days; `shelf` is the department in its store, `state` the category in its country."""

        def code(*names: str) -> Integers:
            return keys.groupby(list(names), sort=True).ngroup().to_numpy(np.int64)

        country = keys["country"].map({name: number for number, name in enumerate(countries)}).to_numpy(np.int64)
        return cls(code("category"), code("sku"), code("store_id"), code("department"), country,
                   code("store_id", "department"), code("category", "country"))  # fmt: skip


@dataclass(frozen=True)
class Cells:
    """Numbers of what each cell belongs to, (cells,) each, and the cell of each series, (S,)."""

    category: Integers
    department: Integers
    country: Integers
    state: Integers
    of: Integers

    @classmethod
    def among(cls, groups: Groups) -> "Cells":
        """The cells of all series."""
        _, first, of = np.unique(
            np.stack([groups.state, groups.department]), axis=1, return_index=True, return_inverse=True
        )
        return cls(groups.category[first], groups.department[first], groups.country[first], groups.state[first], of)


@dataclass(frozen=True)
class Priced:
    """Sums over the days of each series (S,) for Newton steps: of the squared slope and of the misses times it."""

    price_weight: Floats
    price_pull: Floats
    lift_weight: Floats
    lift_pull: Floats


@dataclass(frozen=True)
class Facts:
    """S series over T days. `units` (S, T) are 0 where not `known`; `price` is the log of what was paid over the usual.

    `promoted` and `known` are flags (S, T); `weekday` (T,) begins with Monday. `sold_out` are the places in the
    flattened `units` where the shelf was empty, `sold_out_at` (N,) the units that were sold then.
    """

    groups: Groups
    cells: Cells
    units: Singles
    known: Flags
    price: Singles
    promoted: Flags
    weekday: Integers
    usual_price: Floats
    sold_out: Integers
    sold_out_at: Floats

    @classmethod
    def of(cls, days: Days, groups: Groups) -> "Facts":
        """The facts of the days that are over."""
        size = days.units.shape
        usual, price, promoted = np.zeros(size[0]), np.empty(size, np.float32), np.empty(size, bool)

        def fill(rows: slice) -> None:
            logs = log_price(days.price[rows, : size[1]])
            usual[rows] = np.nansum(logs, axis=1) / np.maximum((~np.isnan(logs)).sum(axis=1), 1)
            discount = days.discount[rows, : size[1]]
            price[rows] = np.nan_to_num(logs - usual[rows, None]) + np.log1p(-discount)
            promoted[rows] = discount > 0

        by_block(fill, size[0])
        units = np.where(days.known, days.units, 0.0).astype(np.float32)
        sold_out = np.flatnonzero(days.censored & days.known)
        return cls(groups, Cells.among(groups), units, days.known, price, promoted, days.weekday[: size[1]], usual,
                   sold_out, units.ravel()[sold_out].astype(float))  # fmt: skip

    def uncensor(self, demand: Floats) -> None:
        """Sets the days on which the shelf was empty to the demand (N,) that is expected of them."""
        self.units.ravel()[self.sold_out] = demand

    def priced(self, of: Structure, rows: slice, shared: Singles | None = None) -> Singles:
        """Factor of prices and promotions for some series, (R, T), 0 where demand is not known.

        `shared` (cells, T) is a further factor, that of their cells.
        """
        slope, lift = of.elasticity[rows, None].astype(np.float32), of.lift[rows, None].astype(np.float32)
        made = slope * self.price[rows]
        np.add(made, lift, out=made, where=self.promoted[rows])
        np.exp(made, out=made)
        if shared is not None:
            made *= shared[self.cells.of[rows]]
        made *= self.known[rows]
        return made

    def expected(self, of: Structure, rows: slice, shared: Singles | None = None) -> Singles:
        """The same in units a day."""
        usual = of.weekday[self.groups.shelf[rows]] * of.level[rows, None]
        made = self.priced(of, rows, shared)
        made *= usual.astype(np.float32)[:, self.weekday]
        return made

    def by_price(self, of: Structure, shared: Floats) -> Priced:
        """What the answers to prices and promotions are learnt from."""
        found, factor = np.zeros((4, len(self.units))), shared.astype(np.float32)

        def add(rows: slice) -> None:
            expected, price, promoted = self.expected(of, rows, factor), self.price[rows], self.promoted[rows]
            miss = self.units[rows] - expected
            found[0, rows] = np.einsum("rt,rt,rt->r", expected, price, price)
            found[1, rows] = np.einsum("rt,rt->r", miss, price)
            found[2, rows] = np.sum(expected, axis=1, where=promoted)
            found[3, rows] = np.sum(miss, axis=1, where=promoted)

        by_block(add, len(self.units))
        return Priced(*found)

    def sold_by_cell(self) -> Floats:
        """Units of each cell and day, (cells, T)."""
        return self._by_cell(lambda rows: self.units[rows])

    def by_cell(self, of: Structure) -> Floats:
        """Expected units of each cell and day but for what its series share, (cells, T)."""
        return self._by_cell(lambda rows: self.expected(of, rows))

    def by_weekday(self, of: Structure, shared: Floats) -> tuple[Floats, Floats]:
        """Units, and those expected at a level of 1 on a usual weekday, of each series and weekday, (S, 7) each."""
        day, factor = np.eye(7, dtype=np.float32)[self.weekday], shared.astype(np.float32)
        sold, foreseen = np.empty((len(self.units), 7)), np.empty((len(self.units), 7))

        def add(rows: slice) -> None:
            sold[rows] = self.units[rows] @ day
            foreseen[rows] = self.priced(of, rows, factor) @ day

        by_block(add, len(self.units))
        return sold, foreseen

    def beyond_chance(self, of: Structure, shared: Floats) -> tuple[float, float, Floats]:
        """Over the days that are known whole: the sum of (miss^2 - expected) and of expected^2.

        Then what is expected (N,) of the days on which the shelf was empty.
        """
        hidden, factor = np.empty(len(self.sold_out)), shared.astype(np.float32)
        days = self.units.shape[1]

        def add(rows: slice) -> tuple[float, float]:
            expected = self.expected(of, rows, factor)
            first, last = np.searchsorted(self.sold_out, (rows.start * days, rows.stop * days))
            here = self.sold_out[first:last] - rows.start * days
            hidden[first:last] = expected.ravel()[here]
            miss = (self.units[rows] - expected) ** 2 - expected
            miss *= self.known[rows]
            miss.ravel()[here] = 0.0
            expected.ravel()[here] = 0.0
            return float(miss.sum(dtype=float)), float(np.square(expected).sum(dtype=float))

        parts = by_block(add, len(self.units))
        return sum(beyond for beyond, _ in parts), sum(squares for _, squares in parts), hidden

    def _by_cell(self, of: Callable[[slice], Singles]) -> Floats:
        found = np.zeros((len(self.cells.state), self.units.shape[1]))

        def add(rows: slice) -> tuple[Integers, Singles]:
            cell = self.cells.of[rows]
            order = np.argsort(cell, kind="stable")
            present, starts = np.unique(cell[order], return_index=True)
            return present, np.add.reduceat(of(rows)[order], starts, axis=0)

        for present, units in by_block(add, len(self.units)):
            found[present] += units
        return found


def by_block(work: Callable[[slice], Made], size: int) -> list[Made]:
    """What `work` makes of each block of series, in their order; some blocks are worked on at the same time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, blocks(size)))


def blocks(size: int) -> Iterator[slice]:
    """Some series at a time."""
    for first in range(0, size, AT_ONCE):
        yield slice(first, min(first + AT_ONCE, size))


def log_price(price: Floats | Singles) -> Floats:
    """NaN where there is no price."""
    return np.log(np.where(price > 0, price, np.nan), dtype=float)


def sums(values: Floats, code: Integers) -> Floats:
    """Sums of rows with the same code, (codes, ...)."""
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))
