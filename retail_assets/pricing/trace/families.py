"""The order of pack sizes in a price family: the bounds within which each pack may be priced alone. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

ROUNDING = 1e-6


@dataclass(frozen=True)
class Pack:
    """A pack of a family: its size in the family's unit, and its price in minor units."""

    size: float
    price: int

    @property
    def per_unit(self) -> float:
        """The price of one unit."""
        return self.price / self.size


def bounds_of(packs: Mapping[str, Pack], sku: str) -> tuple[int | None, int | None]:
    """The lowest and highest price (minor units) at which `sku` stays in order; None where no pack is next to it.

    Half way between the price per unit of neighbouring sizes runs a border that neither crosses: a larger pack must
    not be dearer per unit.
    """
    if sku not in packs:
        return None, None
    own = packs[sku]
    mine = [pack.per_unit for pack in packs.values() if pack.size == own.size]
    smaller = max((pack.size for pack in packs.values() if pack.size < own.size), default=None)
    larger = min((pack.size for pack in packs.values() if pack.size > own.size), default=None)
    low = high = None
    if larger is not None:
        dearest = max(pack.per_unit for pack in packs.values() if pack.size == larger)
        low = math.ceil((min(mine) + dearest) / 2 * own.size - ROUNDING)
    if smaller is not None:
        cheapest = min(pack.per_unit for pack in packs.values() if pack.size == smaller)
        high = math.floor((cheapest + max(mine)) / 2 * own.size + ROUNDING)
    return low, high
