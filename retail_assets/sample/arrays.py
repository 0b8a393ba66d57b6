"""Array types and the seeded random streams of the simulator."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Stream(IntEnum):
    """One independent random stream per concern, so that a change in one leaves the others' draws alone."""

    STORES = 1
    SKUS = 2
    CUSTOMERS = 3
    TOKENS = 4
    FAULTS = 5
    EVENTS = 6
    SHOCKS = 10
    WEATHER = 11
    PRICES = 12
    PROMOTIONS = 13
    RIVALS = 14
    RATES = 15
    DEMAND = 16
    SUPPLY = 17
    BASKETS = 18
    SESSIONS = 19
    FRAUD = 20
    PAYMENTS = 21
    RETURNS = 22
    DELIVERY = 23
    SHOPPERS = 24


def rng_for(seed: int, stream: Stream, day: int = -1) -> np.random.Generator:
    """The generator of one stream on one day (-1: before the first day); equal arguments give equal draws."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, day + 1, int(stream)))))


def within(groups: Ints) -> Ints:
    """Position of each element inside its run of equal values, from 0; `groups` must be sorted. Shape kept."""
    if not groups.size:
        return groups.copy()
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    lengths = np.diff(np.r_[starts, groups.size])
    return np.arange(groups.size) - np.repeat(starts, lengths)
