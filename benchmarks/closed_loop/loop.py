"""Runs pricers through the same days of the same market and counts what they earn."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.closed_loop.market import Day, Market
from benchmarks.closed_loop.pricers import Pricer
from benchmarks.closed_loop.records import Records
from retail_assets.sample.arrays import Floats
from retail_assets.sample.config import Scale


@dataclass(frozen=True)
class Earned:
    """What a pricer earned per day, US dollars: at the till (with stock and chance), expected from true demand, and the
    part of the latter from items that are not on promotion.
    """

    till: Floats
    expected: Floats
    at_list: Floats


@dataclass
class Start:
    """A market after its history, and the records of it: where every pricer starts from."""

    market: Market
    records: Records

    @classmethod
    def after(cls, seed: int, scale: Scale, days: int, constant: bool = False) -> "Start":
        """`days` days at the retailer's own list prices, or at `constant` ones, which only promotions lower."""
        market = Market(seed, scale)
        records = Records(market)
        for day in range(days):
            records.add(market.step(day, market.stores.skus.reference if constant else None))
        return cls(market, records)

    def fork(self) -> "Start":
        """A copy that goes its own way."""
        market = copy.deepcopy(self.market)
        return Start(market, self.records.copy(market))


def run(start: Start, pricer_of: Callable[[Market], Pricer], days: int) -> Earned:
    """Lets one pricer decide `days` days from `start`, which is left as it is."""
    own = start.fork()
    pricer, market, records = pricer_of(own.market), own.market, own.records
    earned = []
    for _ in range(days):
        assert records.last is not None, "a market starts after its history"
        day = market.step(records.last.number + 1, pricer.decide(records))
        records.add(day)
        earned.append(_earned(market, day))
    return Earned(*np.array(earned).T)


def _earned(market: Market, day: Day) -> tuple[float, float, float]:
    margin = (day.paid - market.cost) * market.to_usd
    expected = margin * day.mean
    return float((margin * day.sold).sum()), float(expected.sum()), float(expected[day.promo < 0].sum())
