"""The customers with their latent taste, card tokens and devices."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa

from retail_assets.sample.arrays import Floats, Ints, Stream, rng_for
from retail_assets.sample.assortment import TASTES
from retail_assets.sample.config import SampleConfig, Scale
from retail_assets.sample.shops import Shops

ANONYMOUS_TOKENS_PER_SHOP = 1500
BURNER_DEVICES = 4000
LETTERS = np.frombuffer(b"abcdefghijkmnpqrstuvwxyz", dtype=np.uint8)


@dataclass(frozen=True)
class People:
    """Customers in the order they join; `known_from` is the first day on which their record has been delivered.

    Tokens and devices 2c and 2c + 1 belong to customer c; then come anonymous tokens, by shop, and burner devices.
    """

    ids: list[str]
    home: Ints
    joined: Ints
    known_from: Ints
    tier: Ints
    taste: Floats
    disputes: Floats
    members: list[Ints]
    tokens: pa.StringArray
    devices: pa.StringArray

    @property
    def count(self) -> int:
        """Number of customers over all days."""
        return len(self.ids)

    def known_members(self, day: int) -> Ints:
        """Per shop, how many of `members` are customers on `day`; at least 1."""
        counts = [int(np.searchsorted(days, day, side="right")) for days in self._known_days]
        return np.maximum(np.array(counts), 1)

    @cached_property
    def _known_days(self) -> list[Ints]:
        return [self.known_from[group] for group in self.members]

    @cached_property
    def all_members(self) -> tuple[Ints, Ints]:
        """The members of all shops, one shop after the other, and where each shop starts."""
        return np.concatenate(self.members), np.r_[0, np.cumsum([group.size for group in self.members])[:-1]]


def letters(rng: np.random.Generator, count: int, prefix: str, width: int = 14) -> pa.StringArray:
    """`count` ids of a prefix and `width` letters: no digits, so that none can be taken for a card number."""
    text = np.empty((count, len(prefix) + width), dtype=np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    text[:, len(prefix) :] = LETTERS[rng.integers(0, LETTERS.size, (count, width))]
    offsets = np.arange(count + 1, dtype=np.int32) * text.shape[1]
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes()))


def month_starts(first: date, days: int) -> list[int]:
    """Days (counted from `first`) after the first day that open a calendar month."""
    return [day for day in range(1, days) if (first + timedelta(days=day)).day == 1]


def _joined(rng: np.random.Generator, scale: Scale, last_month: int) -> Ints:
    """Joining days, ascending; 85 % joined before the first day, nobody after the last monthly record is delivered."""
    early = -np.sort(rng.integers(1, 1500, int(scale.customers * 0.85)))[::-1]
    late = np.sort(rng.integers(0, last_month, scale.customers - early.size))
    return np.r_[early, late]


def _members(home: Ints, shops: Shops) -> list[Ints]:
    """Customers per shop in order of joining; a web shop serves all customers of its country."""
    everyone = np.arange(home.size)
    return [
        everyone[shops.country[home] == shops.country[shop]] if shops.web[shop] else everyone[home == shop]
        for shop in range(shops.count)
    ]


def invite_people(seed: int, scale: Scale, config: SampleConfig, shops: Shops) -> People:
    """Draws the customers; each lives near one store and leans to one of a few ways of life."""
    rng = rng_for(seed, Stream.CUSTOMERS)
    stores = np.flatnonzero(~shops.web)
    home = stores[rng.choice(stores.size, scale.customers, p=shops.size[stores] / shops.size[stores].sum())]
    home[: stores.size] = stores
    starts = np.array(month_starts(config.first_day, scale.days))
    joined = _joined(rng, scale, int(starts[-1]))
    following = starts[np.searchsorted(starts, joined, side="right")]
    lives = rng.normal(0, 0.9, (8, TASTES))
    tokens = rng_for(seed, Stream.TOKENS)
    return People(
        ids=[f"C-{number + 1:07d}" for number in range(scale.customers)],
        home=home,
        joined=joined,
        known_from=np.where(joined < 0, 0, following + 1),
        tier=rng.choice(4, scale.customers, p=[0.5, 0.3, 0.15, 0.05]),
        taste=lives[rng.integers(0, 8, scale.customers)] + rng.normal(0, 0.5, (scale.customers, TASTES)),
        disputes=np.where(rng.random(scale.customers) < 0.03, 0.06, 0.0006),
        members=_members(home, shops),
        tokens=letters(tokens, 2 * scale.customers + ANONYMOUS_TOKENS_PER_SHOP * shops.count, "tok_"),
        devices=letters(tokens, 2 * scale.customers + BURNER_DEVICES, "dev_", 10),
    )
