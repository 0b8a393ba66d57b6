"""Planted moments: viral items, heat waves and cold snaps, outages of supply, regimes of fraud."""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Floats, Stream, rng_for
from retail_assets.sample.world import World

FRAUD_REGIMES = ("stolen_card_bursts", "account_takeover", "compromised_merchant")


@dataclass(frozen=True)
class Event:
    """One moment in days counted from the first, both ends included; `effect` is a log effect, degrees or 0."""

    kind: str
    country: int
    target: int
    first: int
    last: int
    effect: float


def _moments(
    rng: np.random.Generator, world: World, kind: str, count: int, targets: int, effect: float, length: tuple[int, int]
) -> list[Event]:
    firsts = rng.integers(int(world.scale.days * 0.12), int(world.scale.days * 0.9), count)
    lengths = rng.integers(*length, count)
    countries = rng.integers(0, len(world.codes), count)
    chosen = rng.integers(0, targets, count)
    scatter = effect * rng.uniform(0.8, 1.2, count)
    rows = zip(countries, chosen, firsts, firsts + lengths - 1, scatter, strict=True)
    return [Event(kind, int(c), int(t), int(a), int(b), float(e)) for c, t, a, b, e in rows]


def plan_events(world: World) -> list[Event]:
    """All planted moments of the nominal length of the scale; the same for any number of simulated days."""
    rng = rng_for(world.seed, Stream.EVENTS)
    days = world.scale.days
    count = max(2, days // 40)
    third = days // 3
    regimes = [
        Event(kind, -1, i, i * third, (i + 1) * third - 1 if i < 2 else days - 1, 0.0)
        for i, kind in enumerate(FRAUD_REGIMES)
    ]
    return [
        *_moments(rng, world, "viral_item", count, world.skus.count, 1.3, (4, 9)),
        *_moments(rng, world, "supply_outage", max(1, days // 100), len(world.departments), 0.0, (4, 8)),
        *_moments(rng, world, "heat_wave", max(1, days // 80), 1, 8.0, (4, 10)),
        *_moments(rng, world, "cold_snap", max(1, days // 80), 1, -8.0, (4, 10)),
        *regimes,
    ]


def active(events: list[Event], kind: str, day: int) -> list[Event]:
    """The events of one kind that cover `day`."""
    return [e for e in events if e.kind == kind and e.first <= day <= e.last]


def viral_effect(world: World, events: list[Event], day: int) -> Floats:
    """Log effect of viral items, (country, SKU)."""
    effect = np.zeros((len(world.codes), world.skus.count))
    for event in active(events, "viral_item", day):
        effect[event.country, event.target] += event.effect
    return effect


def fraud_regime(events: list[Event], day: int) -> int:
    """Which of FRAUD_REGIMES rules on `day`; the last one goes on for ever."""
    regimes = [e for e in events if e.kind in FRAUD_REGIMES and e.first <= day]
    return max(e.target for e in regimes)
