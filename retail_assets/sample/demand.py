"""The planted demand: what shoppers would buy if the shelf were never empty.

log(mean) = control + own * log(paid / reference), where the control holds everything else: base rate, shop, weekday,
season, holidays, weather, trend, shocks, the category's other prices, competitors and the display of a promotion.
"""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for
from retail_assets.sample.shops import black_friday_strength, christmas_strength
from retail_assets.sample.weather import WeatherDay
from retail_assets.sample.world import World

SHOCK_PERSISTENCE = 0.97
SHOCK_SCATTER = 0.045
RAMP_DAYS = 28
CHRISTMAS = {"grocery": 0.35, "beverages": 0.45, "frozen": 0.25, "garden": 0.0, "apparel": 0.40}
WEB_WEEKDAY = np.array([0.08, 0.02, 0.0, 0.0, -0.05, -0.08, 0.10])


class Shocks:
    """Hidden demand shocks, (country, category): persistent, seen by the price setter, in no landing file."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.level = rng_for(world.seed, Stream.SHOCKS).normal(0, 0.15, (len(world.codes), len(world.categories)))

    def step(self, day: int) -> Floats:
        """The shocks of `day`, by SKU: (country, SKU)."""
        rng = rng_for(self._world.seed, Stream.SHOCKS, day)
        self.level = SHOCK_PERSISTENCE * self.level + rng.normal(0, SHOCK_SCATTER, self.level.shape)
        return self.level[:, self._world.skus.category]


def season(world: World, day: int) -> Floats:
    """Yearly log effect per SKU on `day`."""
    amplitude, peak = (np.array([getattr(c, name) for c in world.categories]) for name in ("season", "peak"))
    year_day = world.date_of(day).timetuple().tm_yday
    return np.asarray((amplitude * np.cos(2 * np.pi * (year_day - peak) / 365.25))[world.skus.category])


def calendar_effect(world: World, day: int) -> Floats:
    """Log effect of weekday, holidays, Black Friday and Christmas, (shop, SKU)."""
    date = world.date_of(day)
    departments = world.departments
    weekday, holiday, friday = (
        np.array(values)
        for values in zip(*((d.weekday[date.weekday()], d.holiday, d.black_friday) for d in departments), strict=True)
    )
    christmas = np.array([CHRISTMAS[name] for name in world.config.departments]) * christmas_strength(date)
    country = world.shops.country
    eves = np.array([calendar.holiday_eve(date) for calendar in world.calendars])[country]
    strength = np.array([c.black_friday for c in world.config.countries.values()])[country]
    sale = strength * black_friday_strength(date) * np.where(world.shops.web, 1.3, 1.0)
    week = np.where(world.shops.web[:, None], WEB_WEEKDAY[date.weekday()], weekday[None, :])
    effect = week + eves[:, None] * holiday + sale[:, None] * friday + christmas
    return np.asarray(effect[:, world.skus.department])


def _ramp(world: World, day: int) -> Floats:
    """Log effect per SKU of being new: from a fifth of the base rate to all of it in RAMP_DAYS."""
    age = np.clip(day - world.skus.launched, 0, RAMP_DAYS) / RAMP_DAYS
    return np.log(0.2 + 0.8 * age)


@dataclass(frozen=True)
class DemandDay:
    """Arrays (shop, SKU): `mean` and `demand` in units, `log_price` = log(paid / reference), `control` = the rest."""

    listed: Bools
    mean: Floats
    demand: Ints
    log_price: Floats
    control: Floats


def others_in_category(world: World, log_price: Floats, listed: Bools) -> Floats:
    """Mean log price ratio of the other listed SKUs of the category, (country, SKU); 0 where there is none."""
    category = world.skus.category
    sums = np.zeros((log_price.shape[0], len(world.categories)))
    np.add.at(sums.T, category, (log_price * listed).T)
    counts = np.bincount(category, weights=listed, minlength=len(world.categories))
    others = np.maximum(counts[category] - listed, 1)
    return np.asarray((sums[:, category] - log_price * listed) / others)


def demand_on(
    world: World, day: int, heat: Floats, weather: WeatherDay, paid: Ints, rivals: Floats, on_promotion: Bools
) -> DemandDay:
    """The demand of `day`; `heat` (season aside), `paid` cents, `rivals` and `on_promotion` are (country, SKU)."""
    skus, country = world.skus, world.shops.country
    listed = world.listed(day)
    log_price = np.log(paid / skus.reference)
    national = (
        heat
        + skus.cross * others_in_category(world, log_price, skus.listed(day))
        + skus.rival * rivals
        + skus.promo * on_promotion
    )
    per_sku = np.log(skus.base) + season(world, day) + skus.trend * day / 365 + _ramp(world, day)
    control = per_sku + national[country] + world.affinity + calendar_effect(world, day)
    control += skus.degree * weather.anomaly[:, None]
    mean = np.exp(control + skus.own * log_price[country]) * (listed & world.open(day)[:, None])
    rng = rng_for(world.seed, Stream.DEMAND, day)
    wobble = rng.standard_gamma(np.broadcast_to(1 / skus.noise, mean.shape)) * skus.noise
    return DemandDay(listed, mean, rng.poisson(mean * wobble), log_price[country], control)
