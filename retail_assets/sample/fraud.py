"""Fraud that adapts: bursts of stolen cards, then taken-over accounts, then cards compromised at one merchant."""

import numpy as np

from retail_assets.sample.arrays import Floats, Ints, Stream, rng_for
from retail_assets.sample.baskets import Slots
from retail_assets.sample.events import Event, fraud_regime
from retail_assets.sample.world import World

KINDS = ("stolen_card_burst", "account_takeover", "compromised_merchant", "friendly_fraud", "dispute")
BURST, TAKEOVER, MERCHANT, FRIENDLY, DISPUTE = range(5)
SHARE = 0.007
MIX = np.array([[0.75, 0.15, 0.10], [0.12, 0.75, 0.13], [0.08, 0.17, 0.75]])
BURST_SIZE = 5


def compromised_customers(world: World) -> Ints:
    """Customers whose cards leaked at the last store of the first country: a fixed third of its regulars."""
    shop = int(np.flatnonzero(~world.shops.web & (world.shops.country == 0))[-1])
    regulars = world.people.members[shop]
    return regulars[: max(5, regulars.size // 2)][::3]


def infect(world: World, events: list[Event], day: int, slots: Slots) -> Slots:
    """Turns a few of the day's shoppers into fraudsters, in place, and returns the slots by shop and time."""
    rng = rng_for(world.seed, Stream.FRAUD, day)
    mix: Floats = MIX[fraud_regime(events, day)]
    expected = SHARE * slots.shop.size * mix
    online = np.flatnonzero(world.shops.web[slots.shop])
    for _ in range(int(rng.poisson(expected[BURST] / BURST_SIZE))):
        _burst(rng, world, slots, online)
    _takeover(rng, world, slots, online, int(rng.poisson(expected[TAKEOVER])))
    _merchant(rng, world, slots, int(rng.poisson(expected[MERCHANT])))
    return slots.ordered()


def _burner(rng: np.random.Generator, world: World, count: int) -> Ints:
    first = 2 * world.people.count
    return rng.integers(first, len(world.people.devices), count)


def _burst(rng: np.random.Generator, world: World, slots: Slots, online: Ints) -> None:
    """One stolen token, one new device, a throwaway account, several purchases within minutes in one web shop."""
    if not online.size:
        return
    shop = slots.shop[rng.choice(online)]
    there = online[slots.shop[online] == shop]
    chosen = there[: min(there.size, int(rng.integers(3, 8)))]
    start = rng.integers(6 * 3600, 22 * 3600)
    slots.second[chosen] = start + np.cumsum(rng.integers(40, 420, chosen.size))
    slots.customer[chosen] = slots.customer[chosen[-1]]
    slots.token[chosen] = 2 * rng.integers(0, world.people.count)
    slots.device[chosen] = _burner(rng, world, 1)
    slots.fraud[chosen] = BURST


def _takeover(rng: np.random.Generator, world: World, slots: Slots, online: Ints, count: int) -> None:
    """The victim's own account and card from a new device, with an appetite for what is dear."""
    clean = online[slots.fraud[online] < 0]
    chosen = rng.choice(clean, min(count, clean.size), replace=False)
    slots.appetite[chosen] = 4.0
    slots.device[chosen] = _burner(rng, world, chosen.size)
    slots.fraud[chosen] = TAKEOVER


def _merchant(rng: np.random.Generator, world: World, slots: Slots, count: int) -> None:
    """Tokens that leaked at one store, tried out with small amounts in any shop."""
    clean = np.flatnonzero(slots.fraud < 0)
    chosen = rng.choice(clean, min(count, clean.size), replace=False)
    victims = rng.choice(compromised_customers(world), chosen.size)
    online = world.shops.web[slots.shop[chosen]]
    slots.token[chosen] = 2 * victims
    slots.appetite[chosen] = -2.5
    slots.customer[chosen] = np.where(online, slots.customer[chosen], -1)
    slots.device[chosen] = np.where(online, _burner(rng, world, chosen.size), -1)
    slots.fraud[chosen] = MERCHANT
