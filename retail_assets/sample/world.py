"""Everything about the sample retailer that does not change from day to day."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for
from retail_assets.sample.assortment import Assortment, stock_assortment
from retail_assets.sample.config import Category, Department, SampleConfig, Scale, load_config
from retail_assets.sample.people import People, invite_people
from retail_assets.sample.shops import Calendar, Shops, open_shops


@dataclass(frozen=True)
class World:
    """Shops, SKUs, customers and calendars of one (seed, scale); arrays are (shop, SKU) unless said otherwise."""

    seed: int
    scale: Scale
    config: SampleConfig
    shops: Shops
    skus: Assortment
    people: People
    calendars: list[Calendar]
    ranged: Bools
    affinity: Floats

    @property
    def codes(self) -> list[str]:
        """Country codes in the order of every per-country array."""
        return list(self.config.countries)

    @property
    def categories(self) -> list[Category]:
        """Categories in the order of `skus.category`."""
        return list(self.config.categories.values())

    @property
    def departments(self) -> list[Department]:
        """Departments in the order of `skus.department`."""
        return list(self.config.departments.values())

    @property
    def restocked(self) -> Bools:
        """Per SKU, whether returned goods go back on the shelf."""
        return np.array([d.restock_returns for d in self.departments])[self.skus.department]

    def date_of(self, day: int) -> date:
        """The calendar date of a day counted from the first."""
        return self.config.first_day + timedelta(days=day)

    def listed(self, day: int) -> Bools:
        """Which SKU is on the list of which shop on `day`."""
        return self.ranged & self.skus.listed(day)[None, :]

    def open(self, day: int) -> Bools:
        """Per shop, whether it sells on `day`."""
        shut = np.array([calendar.closed(self.date_of(day)) for calendar in self.calendars])
        return self.shops.web | ~shut[self.shops.country]


def _web_factor(scale: Scale) -> float:
    return scale.web_lines / scale.store_lines


def _ranged(rng: np.random.Generator, shops: Shops, skus: Ints) -> Bools:
    """Small stores leave out up to a tenth of the SKUs; web shops and the first store of a country list all."""
    share = np.clip(0.90 + 0.1 * shops.size, 0.90, 1.0)
    share[shops.web] = 1.0
    share[[shops.of_country(c).start for c in range(int(shops.country.max()) + 1)]] = 1.0
    return np.asarray(rng.random((shops.count, skus.size)) < share[:, None])


def build_world(seed: int, scale: Scale) -> World:
    """Draws the world of (seed, scale); nothing in it depends on how many days are simulated."""
    config = load_config()
    shops = open_shops(seed, scale, config)
    skus = stock_assortment(seed, scale, config)
    rng = rng_for(seed, Stream.STORES, day=0)
    liking = rng.normal(0, 0.15, (shops.count, len(config.categories)))
    size = np.where(shops.web, _web_factor(scale), shops.size / shops.size[~shops.web].mean())
    return World(
        seed=seed,
        scale=scale,
        config=config,
        shops=shops,
        skus=skus,
        people=invite_people(seed, scale, config, shops),
        calendars=[Calendar.of(country, config.first_day) for country in config.countries.values()],
        ranged=_ranged(rng, shops, skus.category),
        affinity=np.log(size)[:, None] + liking[:, skus.category],
    )
