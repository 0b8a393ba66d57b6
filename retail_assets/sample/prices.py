"""List prices, competitors' prices and exchange rates."""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for
from retail_assets.sample.assortment import price_ending
from retail_assets.sample.world import World

CHANGE_DECIDED_ON = 4
EFFECTIVE_AFTER = 3
CHANGE_SHARE = 0.18
FOLLOWS_DEMAND = 0.55
RIVALS_CHECKED_ON = 2
NEW_ITEM_NOTICE = 10


@dataclass(frozen=True)
class PriceChange:
    """New list prices decided on one day: which (country, SKU) change, to what, from which day on."""

    effective: int
    changed: Bools
    cents: Ints


class PriceList:
    """The price list of each country; prices are raised where demand is hot, which biases a naive regression."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.cents = world.skus.reference.copy()
        self._pending: list[PriceChange] = []

    def step(self, day: int, heat: Floats) -> PriceChange | None:
        """Puts due changes into force and returns the change decided on `day`, if any; `heat` is (country, SKU)."""
        for change in [c for c in self._pending if c.effective == day]:
            self.cents = np.where(change.changed, change.cents, self.cents)
        self._pending = [c for c in self._pending if c.effective > day]
        if self._world.date_of(day).weekday() != CHANGE_DECIDED_ON:
            return None
        rng = rng_for(self._world.seed, Stream.PRICES, day)
        changed = rng.random(self.cents.shape) < CHANGE_SHARE
        level = FOLLOWS_DEMAND * heat + rng.normal(0, 0.09, self.cents.shape)
        factor: Floats = np.exp(np.clip(level, -0.2, 0.25))
        cents = price_ending(np.multiply(self._world.skus.reference, factor, dtype=np.float64))
        on_sale = self._world.skus.listed(day + EFFECTIVE_AFTER)[None, :]
        change = PriceChange(day + EFFECTIVE_AFTER, changed & (cents != self.cents) & on_sale, cents)
        self._pending.append(change)
        return change

    def introduced(self, day: int) -> PriceChange | None:
        """First prices: of everything listed on the first day, later of items launched in NEW_ITEM_NOTICE days."""
        launched = self._world.skus.launched
        due = launched <= NEW_ITEM_NOTICE if day == 0 else launched == day + NEW_ITEM_NOTICE
        if not due.any():
            return None
        changed = np.broadcast_to(due, self.cents.shape)
        return PriceChange(max(day, int(launched[due].max())), changed, self.cents)


class Rivals:
    """Competitors' prices, (country, competitor, SKU), NaN where they do not sell it; they follow our prices weekly."""

    def __init__(self, world: World) -> None:
        self._world = world
        rng = rng_for(world.seed, Stream.RIVALS)
        shape = (len(world.codes), 2, world.skus.count)
        usual: Floats = np.exp(rng.normal(0, 0.06, shape))
        self.base: Floats = np.multiply(world.skus.reference[:, None, :], usual, dtype=np.float64)
        self.base[rng.random(shape) < 0.35] = np.nan
        self.prices: Floats = np.round(self.base)

    def step(self, day: int, cents: Ints) -> bool:
        """Moves the competitors on their weekly day and says whether this is one; `cents` is our price list."""
        if day != 0 and self._world.date_of(day).weekday() != RIVALS_CHECKED_ON:
            return False
        rng = rng_for(self._world.seed, Stream.RIVALS, day)
        gap = np.log(cents[:, None, :] / self._world.skus.reference[:, None, :])
        followed: Floats = np.exp(0.6 * gap + rng.normal(0, 0.05, self.base.shape))
        moves = rng.random(self.base.shape) < 0.4
        self.prices[moves] = np.round(self.base * followed)[moves]
        return True

    def ratio(self) -> Floats:
        """Log of the lowest competitor price over its normal level, (country, SKU); 0 where nobody sells it."""
        lowest, normal = (np.nanmin(np.where(np.isnan(p), np.inf, p), axis=1) for p in (self.prices, self.base))
        known = np.isfinite(lowest)
        return np.log(np.where(known, lowest, 1.0) / np.where(known, normal, 1.0))


class Rates:
    """Exchange rates to US dollars, a daily random walk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.to_usd = np.array([country.rate_to_usd for country in world.config.countries.values()])

    def step(self, day: int) -> Floats:
        """The rates of `day`, rounded to six decimals; the dollar stays 1."""
        rng = rng_for(self._world.seed, Stream.RATES, day)
        self.to_usd = self.to_usd * np.exp(rng.normal(0, 0.004, self.to_usd.size))
        self.to_usd[0] = 1.0
        return np.round(self.to_usd, 6)
