"""Promotions: planned 28 to 41 days ahead for strong seasons, flash promotions three days ahead where demand is hot.

Both follow demand, so that a regression of sales on promotions without the season is biased; truth/ keeps the season.
"""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for
from retail_assets.sample.world import World

PLANNED_AHEAD = 35
FLASH_AHEAD = 3
LONGEST = 14
WEEKLY_SHARE = 0.05
THEMES = {"US": "WEEKEND, 2 FOR 1", "UK": "BUY MORE, SAVE MORE", "DE": "SPAR; WOCHENENDE"}


@dataclass(frozen=True)
class Promotions:
    """A table of promotions, one entry per code: country and SKU indices, days, percent off, code."""

    country: Ints
    sku: Ints
    first: Ints
    last: Ints
    percent: Ints
    announced: Ints
    codes: list[str]

    @classmethod
    def none(cls) -> "Promotions":
        """An empty table."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing, nothing, nothing, nothing, nothing, [])

    def plus(self, other: "Promotions") -> "Promotions":
        """Both tables, one after the other."""
        return Promotions(
            country=np.r_[self.country, other.country],
            sku=np.r_[self.sku, other.sku],
            first=np.r_[self.first, other.first],
            last=np.r_[self.last, other.last],
            percent=np.r_[self.percent, other.percent],
            announced=np.r_[self.announced, other.announced],
            codes=self.codes + other.codes,
        )


def _draw_skus(rng: np.random.Generator, weight: Floats, count: int) -> Ints:
    """`count` different SKUs with a chance proportional to `weight` (fewer when fewer have any)."""
    count = min(count, int((weight > 0).sum()))
    with np.errstate(divide="ignore"):
        keys = np.log(weight) + rng.gumbel(size=weight.size)
    return np.sort(np.argsort(-keys, kind="stable")[:count])


class PromotionPlanner:
    """Keeps the book of promotions; a SKU of a country has at most one at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._busy_until = np.full((len(world.codes), world.skus.count), -1)
        self.book = Promotions.none()

    def step(self, day: int, season_ahead: Floats, heat: Floats) -> Promotions:
        """The promotions announced on `day`; both signals are log demand, (country, SKU)."""
        rng = rng_for(self._world.seed, Stream.PROMOTIONS, day)
        weeks = range(0, PLANNED_AHEAD, 7) if day == 0 else [PLANNED_AHEAD] if day % 7 == 0 else []
        fresh = Promotions.none()
        for country in range(len(self._world.codes)):
            for ahead in weeks:
                fresh = fresh.plus(self._planned(rng, country, day, ahead, season_ahead[country]))
            if rng.random() < 0.18:
                fresh = fresh.plus(self._flash(rng, country, day, heat[country]))
        self.book = self.book.plus(fresh)
        return fresh

    def _planned(self, rng: np.random.Generator, country: int, day: int, ahead: int, season: Floats) -> Promotions:
        first = day + ahead
        free = self._eligible(country, day, first)
        count = max(1, round(WEEKLY_SHARE * self._world.skus.count))
        skus = _draw_skus(rng, np.where(free, np.exp(1.5 * season), 0.0), count)
        days = rng.choice([7, LONGEST], skus.size, p=[0.7, 0.3])
        percent = rng.choice([10, 15, 20, 25, 30, 40], skus.size, p=[0.2, 0.2, 0.25, 0.15, 0.15, 0.05])
        return self._booked(country, skus, first, days, percent, first - PLANNED_AHEAD, "P")

    def _flash(self, rng: np.random.Generator, country: int, day: int, heat: Floats) -> Promotions:
        first = day + FLASH_AHEAD
        free = self._eligible(country, day, first)
        skus = _draw_skus(rng, np.where(free, np.exp(2.0 * heat), 0.0), max(1, self._world.skus.count // 150))
        days = rng.integers(2, 5, skus.size)
        return self._booked(country, skus, first, days, rng.choice([15, 25, 35], skus.size), day, "F")

    def _eligible(self, country: int, day: int, first: int) -> Bools:
        """SKUs that are sold on the day of the announcement and to the end, and have no other promotion then."""
        listed = self._world.skus.listed(day) & self._world.skus.listed(first + LONGEST)
        return np.asarray(listed & (self._busy_until[country] < first))

    def _booked(
        self, country: int, skus: Ints, first: int, days: Ints, percent: Ints, announced: int, kind: str
    ) -> Promotions:
        self._busy_until[country, skus] = first + days - 1
        code = self._world.codes[country]
        date = self._world.date_of(first).strftime("%y%m%d")
        plain = [f"{code}-{kind}{date}-{int(sku) + 1:05d}" for sku in skus]
        return Promotions(
            country=np.full(skus.size, country),
            sku=skus,
            first=np.full(skus.size, first),
            last=first + days - 1,
            percent=percent.astype(np.int64),
            announced=np.full(skus.size, announced),
            codes=[
                f"{THEMES[code]} {text}" if (sku + first) % 9 == 0 else text
                for text, sku in zip(plain, skus, strict=True)
            ],
        )

    def running(self, day: int) -> Ints:
        """Index into the book of the promotion of each (country, SKU) on `day`, -1 where there is none."""
        found = np.full(self._busy_until.shape, -1)
        live: Bools = (self.book.first <= day) & (day <= self.book.last)
        found[self.book.country[live], self.book.sku[live]] = np.flatnonzero(live)
        return found
