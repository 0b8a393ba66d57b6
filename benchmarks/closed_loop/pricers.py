"""The pricers that compete: the product, and what it is held against. All of them obey the same guardrails.

Whatever a pricer believes is put to the product's own decision code as elasticities, so that every price in the
benchmark, the clairvoyant's too, has passed the guardrails that ship.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from benchmarks.closed_loop.market import Day, Market
from benchmarks.closed_loop.records import Records
from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.decide.policy import decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import MEASURES, PriceModel
from retail_assets.pricing.response.training import train
from retail_assets.resources.lake import Lake
from retail_assets.sample.arrays import Floats, Ints

ROUNDS = 4
ARMS = np.array([0.75, 0.85, 0.95, 1.0, 1.05, 1.15, 1.25])
PRIOR_DAYS = 3.0
NOTHING_SOLD = pa.schema(
    [("store_id", pa.string()), ("sku", pa.string()), ("units_per_day", pa.float64()), ("price", pa.float64())]
).empty_table()


class Pricer(Protocol):
    """Decides tomorrow's list prices, (store, SKU), from what is recorded."""

    name: str

    def decide(self, records: Records) -> Ints: ...


@dataclass
class Fixed:
    """Keeps the prices of the first day."""

    name: str = "fixed prices"

    def decide(self, records: Records) -> Ints:
        """The list prices of the newest day."""
        return _newest(records).listed


@dataclass
class Engine:
    """The product: demand response learnt from gold, decisions of the policy in `config`, a new model every week.

    `tried` is each day's share of the store-SKUs known to the model that explored.
    """

    config: PricingConfig
    folder: Path
    name: str = "engine"
    refit_days: int = 7
    tried: list[float] = field(default_factory=list)
    _model: PriceModel | None = None
    _until: int = 0

    def __post_init__(self) -> None:
        self._rulebook = Rulebook.of(self.config.policy)

    def decide(self, records: Records) -> Ints:
        """Trains when it is due, then decides every store-SKU."""
        day = _newest(records)
        if self._model is None or day.number - self._until >= self.refit_days:
            lake = Lake.at(self.folder / "lake")
            self._model = train(lake, self.config, records.write_gold(lake), records.until()).model
            self._until = day.number
        inputs, store, sku = records.inputs()
        batch = decide_batch(self._model, self._rulebook, inputs)
        chosen = 0 if batch.trial is None else int(batch.trial.chosen.sum())
        self.tried.append(chosen / self._model.base.num_rows)
        return _put(day.listed, store, sku, batch.price)


@dataclass
class Clairvoyant:
    """Knows every elasticity; with `joint` also what a price does to the rest of its category.

    A price that sends shoppers to neighbours that earn `gain` for each percent has the same best point as one without
    neighbours whose unit costs gain / (units * |elasticity|) more.
    """

    config: PricingConfig
    market: Market
    joint: bool = True
    name: str = "clairvoyant"

    def decide(self, records: Records) -> Ints:
        """The best guarded price of every store-SKU given the others'; a few rounds make them agree."""
        day, skus = _newest(records), self.market.stores.skus
        inputs, store, sku = records.inputs()
        model, rulebook = _beliefs(skus.ids, skus.own), Rulebook.of(self.config.policy)
        prices = day.listed
        for _ in range(ROUNDS if self.joint else 1):
            cost = self.market.cost + (self._rent(day, prices) if self.joint else 0)
            column = pa.array(np.round(cost[store, sku]).astype(np.int64))
            known = inputs.set_column(inputs.column_names.index("unit_cost"), "unit_cost", column)
            prices = _put(day.listed, store, sku, decide_batch(model, rulebook, known).price)
        return prices

    def _rent(self, day: Day, prices: Ints) -> Floats:
        """What a lost unit brings back in the rest of the category, minor units, (store, SKU)."""
        skus, listed = self.market.stores.skus, self.market.ranged(day.number + 1)
        units = np.exp(day.control + skus.own * np.log(prices / skus.reference)) * listed
        margin = (prices - self.market.cost) * units * skus.cross
        totals = np.zeros((len(prices), skus.category.max() + 1))
        np.add.at(totals.T, skus.category, margin.T)
        others = np.maximum(np.bincount(skus.category, weights=skus.listed(day.number + 1))[skus.category] - 1, 1)
        gain = (totals[:, skus.category] - margin) / others
        return np.asarray(np.where(listed, gain / np.maximum(units * -skus.own, 1e-9), 0.0))


@dataclass
class Bandit:
    """Thompson sampling without structure: every store-SKU has arms of its own and learns from its own sales alone.

    Units per day at an arm are Poisson with a Gamma prior around the sales of the past month, worth PRIOR_DAYS days.
    """

    config: PricingConfig
    market: Market
    seed: int
    name: str = "Thompson bandit"
    _arms: Ints | None = None
    _sales: Floats = field(default_factory=lambda: np.empty(0))
    _days: Floats = field(default_factory=lambda: np.empty(0))

    def decide(self, records: Records) -> Ints:
        """Draws the sales of every arm and takes the arm that would earn the most."""
        day, rng = _newest(records), np.random.default_rng((self.seed, _newest(records).number))
        if self._arms is None:
            self._arms = np.round(day.listed[..., None] * ARMS).astype(np.int64)
            self._sales = np.broadcast_to(PRIOR_DAYS * records.recent_units()[..., None], self._arms.shape) + 0.05
            self._days = np.full(self._arms.shape, PRIOR_DAYS)
        else:
            self._learn(day)
        draw = rng.standard_gamma(self._sales) / self._days
        profit = (self._arms - self.market.cost[..., None]) * draw
        best = np.take_along_axis(self._arms, profit.argmax(axis=2)[..., None], axis=2)[..., 0]
        return self._guarded(records, day, best)

    def _learn(self, day: Day) -> None:
        """Books a day without a promotion and with stock on the arm nearest to its price."""
        assert self._arms is not None, "decide comes first"
        arm = np.abs(self._arms - day.listed[..., None]).argmin(axis=2)[..., None]
        seen = day.sellable & (day.promo < 0) & ((day.on_hand > 0) | (day.sold > 0))
        for total, amount in ((self._sales, day.sold * seen), (self._days, seen)):
            np.put_along_axis(total, arm, np.take_along_axis(total, arm, axis=2) + amount[..., None], axis=2)

    def _guarded(self, records: Records, day: Day, wanted: Ints) -> Ints:
        """`wanted` after the guardrails: the elasticity at which a price is the best one is -price / (price - cost)."""
        inputs, store, sku = records.inputs()
        price, cost = wanted[store, sku], self.market.cost[store, sku]
        keys = [f"{a} {b}" for a, b in zip(store.tolist(), sku.tolist(), strict=True)]
        model = _beliefs(keys, -price / np.maximum(price - cost, 1))
        named = inputs.set_column(inputs.column_names.index("sku"), "sku", pa.array(keys))
        policy = self.config.policy
        free = policy.model_copy(update={"defaults": policy.defaults.model_copy(update={"minimum_gain": 0.0})})
        return _put(day.listed, store, sku, decide_batch(model, Rulebook.of(free), named).price)


def _beliefs(keys: list[str], elasticity: Floats) -> PriceModel:
    """A model that is sure of these elasticities."""
    sure = np.append(elasticity, -2.0)
    columns = {"standard_error": np.full_like(sure, 1e-6), "weight": np.ones_like(sure)}
    table = np.column_stack([columns.get(name, sure) for name in MEASURES])
    return PriceModel("beliefs", "", tuple(keys), (), table, NOTHING_SOLD)


def _newest(records: Records) -> Day:
    assert records.last is not None, "no day has been recorded yet"
    return records.last


def _put(prices: Ints, store: Ints, sku: Ints, decided: Ints) -> Ints:
    """`prices` with the decided ones in their places."""
    changed = prices.copy()
    changed[store, sku] = decided
    return changed
