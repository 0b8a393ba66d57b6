"""The shops of the sample retailer and the calendar of each country."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for
from retail_assets.sample.config import Country, SampleConfig, Scale

OPENS, CLOSES = 8 * 3600, 21 * 3600
WEB_OPENS, WEB_CLOSES = 5 * 3600, 24 * 3600 - 60


@dataclass(frozen=True)
class Shops:
    """One entry per shop; shops of a country are neighbours and its web shop comes last."""

    ids: list[str]
    names: list[str]
    cities: list[tuple[str, str, str, float, float]]
    opened_on: list[date]
    country: Ints
    web: Bools
    size: Floats
    sqm: Ints

    @property
    def count(self) -> int:
        """Number of shops, web shops included."""
        return len(self.ids)

    def of_country(self, country: int) -> slice:
        """The shops of one country as a slice of every per-shop array."""
        members = np.flatnonzero(self.country == country)
        return slice(int(members[0]), int(members[-1]) + 1)


def open_shops(seed: int, scale: Scale, config: SampleConfig) -> Shops:
    """Draws the shops; sizes are multipliers of demand with a geometric mean near 1."""
    rng = rng_for(seed, Stream.STORES)
    ids, names, cities, country, web = [], [], [], [], []
    for index, (code, nation) in enumerate(config.countries.items()):
        for number in range(scale.stores[code] + 1):
            online = number == scale.stores[code]
            city = nation.cities[0 if online else number % len(nation.cities)]
            ids.append(f"{code}-WEB" if online else f"{code}-{number + 1:03d}")
            names.append(f"{code} web shop" if online else f"{city[0]} {number // len(nation.cities) + 1}")
            cities.append(city)
            country.append(index)
            web.append(online)
    size = np.where(web, 1.0, np.exp(rng.normal(0, 0.22, len(ids))))
    age = rng.integers(400, 4000, len(ids))
    return Shops(
        ids=ids,
        names=names,
        cities=cities,
        opened_on=[config.first_day - timedelta(days=int(days)) for days in age],
        country=np.array(country),
        web=np.array(web),
        size=size,
        sqm=np.where(web, 0, np.round(900 * size, -1)).astype(np.int64),
    )


@dataclass(frozen=True)
class Calendar:
    """The days of one country."""

    country: Country
    holidays: dict[date, str]

    @classmethod
    def of(cls, country: Country, first: date, years: int = 4) -> "Calendar":
        """The calendar from one year before `first` for `years` years, with English holiday names."""
        found = holidays.country_holidays(
            country.holidays, years=range(first.year - 1, first.year + years), language="en_US"
        )
        return cls(country, dict(found))

    def closed(self, day: date) -> bool:
        """Whether the stores (never the web shop) stay shut on `day`."""
        if day.weekday() in self.country.closed_weekdays:
            return True
        name = self.holidays.get(day)
        return name is not None and (self.country.closed_holidays == "all" or name in self.country.closed_holidays)

    def holiday_eve(self, day: date) -> float:
        """How strongly shoppers stock up on `day`: 1 on the eve of a holiday, less before, 0 otherwise."""
        return max(
            w for k, w in ((1, 1.0), (2, 0.6), (3, 0.3), (99, 0.0)) if k == 99 or day + timedelta(k) in self.holidays
        )


def black_friday(year: int) -> date:
    """The Friday after the fourth Thursday of November."""
    first = date(year, 11, 1)
    return first + timedelta(days=(3 - first.weekday()) % 7 + 22)


def black_friday_strength(day: date) -> float:
    """1 on Black Friday, 0.35 to 0.7 from the Monday before to Cyber Monday, 0 on other days."""
    offset = (day - black_friday(day.year)).days
    return {-4: 0.35, -3: 0.35, -2: 0.4, -1: 0.5, 0: 1.0, 1: 0.7, 2: 0.6, 3: 0.7}.get(offset, 0.0)


def christmas_strength(day: date) -> float:
    """Rises from 0 on 1 December to 1 on 23 December, then 0."""
    return (day.day - 1) / 22 if day.month == 12 and day.day <= 23 else 0.0


def utc_offset(zone: str, day: date) -> int:
    """Seconds to add to UTC for local time at noon of `day` in `zone`."""
    offset = datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def delivered_after(zone: str, day: date, seconds: int) -> datetime:
    """The instant (UTC) `seconds` after the local midnight that ends `day`."""
    midnight = datetime.combine(day + timedelta(days=1), time(0), UTC)
    return midnight + timedelta(seconds=seconds - utc_offset(zone, day))
