"""The sample retailer's true market, stepped day by day at prices that somebody else decides.

Everything but the list price is the simulator's own: demand with its own-price, cross-price and competitor
elasticities, seasons, weekdays, holidays, weather, trends, hidden shocks, promotions, replenishment and stock-outs,
noise. Three things differ from the files it writes: a price holds in one store and not in a whole country; there are no
web shops; and competitors follow the retailer's own weekly price list, which goes on unheeded, so that every pricer
meets the same.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints
from retail_assets.sample.config import Scale
from retail_assets.sample.demand import Shocks, demand_on, season
from retail_assets.sample.events import plan_events, viral_effect
from retail_assets.sample.prices import PriceList, Rivals
from retail_assets.sample.promotions import PLANNED_AHEAD, PromotionPlanner, Promotions
from retail_assets.sample.stock import Stock
from retail_assets.sample.weather import Weather
from retail_assets.sample.world import World, build_world


@dataclass(frozen=True)
class Day:
    """One day, arrays (store, SKU); prices in minor units of the store's currency, `rival` NaN where nobody sells it.

    `mean` are expected units before stock, `control` log(mean) - own elasticity * log(paid / reference). `promo` is an
    index into the book of promotions, -1 where none runs.
    """

    number: int
    sellable: Bools
    listed: Ints
    paid: Ints
    promo: Ints
    rival: Floats
    mean: Floats
    control: Floats
    sold: Ints
    on_hand: Ints


class Market:
    """Holds the state that passes from day to day; `step` must be called for days 0, 1, 2, ..."""

    def __init__(self, seed: int, scale: Scale) -> None:
        self.world = world = _without_web(build_world(seed, scale))
        self.country: Ints = world.shops.country
        self.stores = _store_world(world)
        self._events = plan_events(world)
        self._weather, self._shocks = Weather(world, self._events), Shocks(world)
        self._prices, self._rivals = PriceList(world), Rivals(world)
        self._promotions = PromotionPlanner(world)
        self._stock = Stock(world, self._events)

    @property
    def cost(self) -> Ints:
        """Unit costs, (store, SKU), in minor units."""
        return self.stores.skus.cost

    @property
    def to_usd(self) -> Floats:
        """What a minor unit of each store's currency is worth in US dollars, (store, 1)."""
        rates = np.array([c.rate_to_usd for c in self.world.config.countries.values()])
        return np.asarray(rates[self.country][:, None] / 100)

    @property
    def book(self) -> Promotions:
        """Every promotion announced so far; one country each."""
        return self._promotions.book

    def date_of(self, day: int) -> date:
        """The calendar date of a day counted from the first."""
        return self.world.date_of(day)

    def promoted(self, day: int) -> Bools:
        """Where a promotion that is announced by now runs on `day`, (store, SKU)."""
        return np.asarray(self._promotions.running(day)[self.country] >= 0)

    def ranged(self, day: int) -> Bools:
        """What is on the list of which store on `day`, (store, SKU)."""
        return self.world.listed(day)

    def step(self, day: int, listed: Ints | None = None) -> Day:
        """Sells one day at list prices `listed` (store, SKU), or at those of the retailer's own price list."""
        world, country = self.world, self.country
        weather, heat = self._weather.step(day), self._shocks.step(day)
        self._prices.step(day, heat + 0.25 * season(world, day))
        ahead = np.tile(season(world, day + PLANNED_AHEAD), (len(world.codes), 1))
        self._promotions.step(day, ahead, heat)
        self._rivals.step(day, self._prices.cents)
        promo = self._promotions.running(day)[country]
        percent = np.where(promo >= 0, np.append(self.book.percent, 0)[promo], 0)
        prices = self._prices.cents[country] if listed is None else listed
        paid = np.round(prices * (100 - percent) / 100).astype(np.int64)
        viral = heat + viral_effect(world, self._events, day)
        rivals = self._rivals.ratio()[country]
        demand = demand_on(self.stores, day, viral[country], weather, paid, rivals, promo >= 0)
        stock = self._stock.step(day, demand, np.zeros_like(paid))
        lowest = np.min(np.where(np.isnan(self._rivals.prices), np.inf, self._rivals.prices), axis=1)[country]
        return Day(
            number=day,
            sellable=demand.listed & world.open(day)[:, None],
            listed=prices,
            paid=paid,
            promo=promo,
            rival=np.where(np.isfinite(lowest), lowest, np.nan),
            mean=demand.mean,
            control=demand.control,
            sold=stock.sold,
            on_hand=stock.on_hand,
        )


def _without_web(world: World) -> World:
    """The same world with nothing on the lists of the web shops."""
    return replace(world, ranged=world.ranged & ~world.shops.web[:, None])


def _store_world(world: World) -> World:
    """The same world with every store a price zone of its own: what was (country, SKU) becomes (store, SKU)."""
    country, shops = world.shops.country, world.shops
    nations = list(world.config.countries.values())
    zones = {store: nations[at] for store, at in zip(shops.ids, country.tolist(), strict=True)}
    return replace(
        world,
        config=world.config.model_copy(update={"countries": zones}),
        shops=replace(shops, country=np.arange(shops.count)),
        skus=replace(world.skus, reference=world.skus.reference[country], cost=world.skus.cost[country]),
        calendars=[world.calendars[at] for at in country.tolist()],
    )
