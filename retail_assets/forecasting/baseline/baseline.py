"""The baseline of a forecast: what the shared structure of demand and each series' level make of a day to come.

The trees of the forecaster learn a factor on it. Levels and the state of each category are followed day by day, so that
an example of the past has the baseline that could have been made on its own day (the shared effects, a few numbers per
SKU and category, are those of the whole history).
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from retail_assets.forecasting.baseline.baseline_days import Days, Floats, Integers, Singles
from retail_assets.forecasting.baseline.demand_facts import Groups, by_block, log_price, sums
from retail_assets.forecasting.baseline.effects import Structure
from retail_assets.forecasting.baseline.structure import LEVEL_PRIOR, calendar, decayed, fit

COLUMNS = ("baseline", "baseline_level", "baseline_price", "baseline_holidays")
LEVEL_HALF_LIFE = 200.0
STATE_HALF_LIFE, STATE_PRIOR = 4.0, 40.0
STATE_PERSISTENCE = 0.98  # a day


@dataclass(frozen=True)
class Baseline:
    """D origins from `first` on: levels (S, D), log states (groups, D) and log prices (S, D) of the day after each.

    A price is that of the list over the usual one, 0 where it is not known; of `days` only keys and calendar are used.
    """

    days: Days
    groups: Groups
    structure: Structure
    first: date
    level: Singles
    state: Floats
    price: Singles

    @classmethod
    def learn(cls, days: Days) -> "Baseline":
        """Learns from all of `days`; each of them can be an origin."""
        groups = Groups.of(days.keys, days.countries)
        structure, facts = fit(days, groups)
        known = facts.units.shape[1]
        shared = np.exp(calendar(structure, days, facts))
        keep = 0.5 ** (1 / STATE_HALF_LIFE)
        cells = (facts.sold_by_cell(), facts.by_cell(structure) * shared)
        sold, foreseen = (decayed(sums(x, facts.cells.state), keep) for x in cells)
        state = np.log((sold + STATE_PRIOR) / (foreseen + STATE_PRIOR))
        shared = (shared * np.exp(state)[facts.cells.state]).astype(np.float32)
        keep = 0.5 ** (1 / LEVEL_HALF_LIFE)
        level, tomorrow = (np.empty((len(groups.sku), known), np.float32) for _ in range(2))

        def follow(rows: slice) -> None:
            weekday = structure.weekday[groups.shelf[rows]].astype(np.float32)[:, facts.weekday]
            at_one = facts.priced(structure, rows, shared) * weekday
            sold, foreseen = (decayed(x.astype(float), keep) for x in (facts.units[rows], at_one))
            level[rows] = (sold + LEVEL_PRIOR) / (foreseen + LEVEL_PRIOR / structure.prior[rows, None])
            price = log_price(days.price[rows, 1 : known + 1]) - structure.usual_price[rows, None]
            tomorrow[rows] = np.nan_to_num(price)

        by_block(follow, len(level))
        none = np.zeros((0, 0), np.float32)
        rest = replace(days, units=none, known=none.astype(bool), censored=none.astype(bool), price=none, discount=none)
        return cls(rest, groups, structure, days.first, level, state, tomorrow)

    def since(self, origin: date) -> "Baseline":
        """The same for origins from `origin` on: what a forecast needs, small enough to be sent to a worker."""
        skip = max((origin - self.first).days, 0)
        return replace(self, first=self.first + timedelta(days=skip), level=self.level[:, skip:],
                       state=self.state[:, skip:], price=self.price[:, skip:])  # fmt: skip

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """COLUMNS for the rows of `frame` (store_id, sku, business_date, horizon, planned_discount), NaN if unknown.

        `baseline` is units a day and `baseline_level` its part that is no effect of the day; `baseline_price` and
        `baseline_holidays` are logs. The list price of the first day ahead is taken to stay.
        """
        found = np.full((len(frame), len(COLUMNS)), np.nan)
        keys = pd.MultiIndex.from_frame(self.days.keys[["store_id", "sku"]])
        series = keys.get_indexer(pd.MultiIndex.from_arrays([frame["store_id"], frame["sku"]]))
        origin = (pd.to_datetime(frame["business_date"]) - pd.Timestamp(self.first)).dt.days.to_numpy()
        ahead = frame["horizon"].to_numpy(int)
        target = origin + (self.first - self.days.first).days + ahead
        rows = np.flatnonzero(
            (series >= 0) & (origin >= 0) & (origin < self.level.shape[1]) & (target < self.days.events.shape[2])
        )
        if len(rows):
            discount = frame["planned_discount"].to_numpy(float)[rows]
            found[rows] = self._of(series[rows], origin[rows], target[rows], ahead[rows], discount)
        return pd.DataFrame(found, columns=list(COLUMNS), index=frame.index)

    def _of(self, series: Integers, origin: Integers, target: Integers, ahead: Integers, discount: Floats) -> Floats:
        structure, groups, days = self.structure, self.groups, self.days
        state = self.state[groups.state[series], origin] * STATE_PERSISTENCE**ahead
        level = self.level[series, origin] * np.exp(state)
        price = self.price[series, origin].astype(float) + np.log1p(-np.clip(discount, 0.0, 0.95))
        price = structure.elasticity[series] * price + structure.lift[series] * (discount > 0)
        events = np.zeros(len(series))
        for number in range(days.events.shape[1]):
            effect = structure.events[groups.country[series], groups.department[series], number]
            events += effect * days.events[groups.country[series], number, target]
        turn = 2 * np.pi * days.day_of_year[target] / 365.25
        wave = structure.season[groups.category[series]]
        season = wave[:, 0] * np.cos(turn) + wave[:, 1] * np.sin(turn)
        weekday = structure.weekday[groups.shelf[series], days.weekday[target]]
        units = level * weekday * np.exp(season + price + events)
        return np.column_stack([units, level, price, events])
