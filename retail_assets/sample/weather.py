"""Weather per shop: a yearly wave and a persistent deviation, warmer in heat waves and colder in cold snaps."""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Floats, Stream, rng_for
from retail_assets.sample.events import Event, active
from retail_assets.sample.world import World

PERSISTENCE = 0.75
WARMEST_DAY = 202


@dataclass(frozen=True)
class WeatherDay:
    """Celsius and millimetres per shop; `anomaly` is the deviation from the normal of the day."""

    anomaly: Floats
    temp_max: Floats
    temp_min: Floats
    rain: Floats


class Weather:
    """Steps through the days in order."""

    def __init__(self, world: World, events: list[Event]) -> None:
        self._world = world
        self._events = events
        self._national = np.zeros(len(world.codes))
        self._local = np.zeros(world.shops.count)

    def step(self, day: int) -> WeatherDay:
        """The weather of `day`, which must follow the day of the last call."""
        rng = rng_for(self._world.seed, Stream.WEATHER, day)
        country = self._world.shops.country
        self._national = PERSISTENCE * self._national + rng.normal(0, 2.2, self._national.size)
        self._local = PERSISTENCE * self._local + rng.normal(0, 1.2, self._local.size)
        anomaly = self._national[country] + self._local
        for kind in ("heat_wave", "cold_snap"):
            for event in active(self._events, kind, day):
                anomaly[country == event.country] += event.effect
        mean, amplitude = (np.array([city[i] for city in self._world.shops.cities], dtype=float) for i in (3, 4))
        season = np.cos(2 * np.pi * (self._world.date_of(day).timetuple().tm_yday - WARMEST_DAY) / 365.25)
        warmest = mean + amplitude * season + anomaly
        wet = rng.random(country.size) < 0.32
        rain: Floats = rng.gamma(1.2, 4.0, country.size) * wet
        return WeatherDay(
            anomaly=anomaly,
            temp_max=np.round(warmest, 1),
            temp_min=np.round(warmest - rng.uniform(5, 11, country.size), 1),
            rain=np.round(rain, 1),
        )
