"""Shelves and replenishment: an order-up-to policy with lead times, late suppliers and outages, hence stock-outs."""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Floats, Ints, Stream, rng_for
from retail_assets.sample.demand import DemandDay
from retail_assets.sample.events import Event, active
from retail_assets.sample.world import World

HORIZON = 21
REVIEW_DAYS = 3.5
SMOOTHING = 0.08
SAFETY = 0.7


@dataclass(frozen=True)
class StockDay:
    """Units, (shop, SKU): what was sold, and what lies on the shelf and on order at close."""

    sold: Ints
    on_hand: Ints
    on_order: Ints


class Stock:
    """Steps through the days in order; sales never exceed what is on hand."""

    def __init__(self, world: World, events: list[Event]) -> None:
        self._world = world
        self._events = events
        self._lead = np.array([d.lead_days for d in world.departments])[world.skus.department]
        self._pace = np.exp(np.log(world.skus.base) + world.affinity)
        rng = rng_for(world.seed, Stream.SUPPLY)
        self._review = np.stack([np.arange(world.shops.count) % 3, np.arange(world.shops.count) % 3 + 3], axis=1)
        self._on_hand = np.ceil(self._target() * rng.uniform(0.7, 1.1, self._pace.shape)).astype(np.int64)
        self._arriving = np.zeros((HORIZON, *self._pace.shape), dtype=np.int64)

    def _target(self) -> Floats:
        """Units to have on hand and on order: expected sales until the next delivery plus a safety stock."""
        expected = self._pace * (self._lead + REVIEW_DAYS)
        return np.asarray(np.ceil(expected + SAFETY * np.sqrt(expected * (1 + 0.3 * expected))) + 1)

    def step(self, day: int, demand: DemandDay, returned: Ints) -> StockDay:
        """Receives deliveries, sells, takes back `returned` units (shop, SKU) and orders on review days."""
        rng = rng_for(self._world.seed, Stream.SUPPLY, day)
        slot = day % HORIZON
        self._on_hand += self._arriving[slot]
        self._arriving[slot] = 0
        sold = np.minimum(demand.demand, self._on_hand)
        self._on_hand += returned * self._world.restocked - sold
        open_shops = self._world.open(day)[:, None]
        self._pace = np.where(open_shops, self._pace + SMOOTHING * (sold - self._pace), self._pace)
        on_order = self._arriving.sum(axis=0)
        on_order += self._order(day, rng, on_order)
        return StockDay(sold, self._on_hand.copy(), on_order)

    def _order(self, day: int, rng: np.random.Generator, on_order: Ints) -> Ints:
        """Orders up to the target where it is review day and no outage rules; some deliveries come late."""
        reviewed = (self._review == day % 6).any(axis=1)[:, None]
        wanted = reviewed & self._world.listed(day + HORIZON)
        for event in active(self._events, "supply_outage", day):
            hit = self._world.shops.country[:, None] == event.country
            wanted &= ~(hit & (self._world.skus.department == event.target)[None, :])
        gap = self._target().astype(np.int64) - self._on_hand - on_order
        order = np.where(wanted, np.maximum(gap, 0), 0)
        late = rng.random(order.shape) < 0.04
        due = (day + self._lead[None, :] + np.where(late, 6, 0)) % HORIZON
        shop, sku = np.nonzero(order)
        self._arriving[due[shop, sku], shop, sku] += order[shop, sku]
        return order
