"""Returns: some lines come back days later as negative lines of a receipt of their own."""

from __future__ import annotations

import numpy as np

from retail_assets.sample.arrays import Stream, rng_for
from retail_assets.sample.baskets import Till
from retail_assets.sample.returned import Returns
from retail_assets.sample.world import World

LONGEST = 30
WEB_FACTOR = 1.7


class ReturnDesk:
    """Remembers what will come back; a shop that is closed on the day takes it on its next open day."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting = Returns.none()

    def due(self, day: int) -> Returns:
        """The lines that come back on `day`."""
        ready = (self._waiting.due <= day) & self._world.open(day)[self._waiting.shop]
        out = self._waiting.where(ready)
        self._waiting = self._waiting.where(~ready)
        return out

    def remember(self, day: int, till: Till) -> None:
        """Draws which of the day's sold lines will come back, when and how many of their units."""
        rng = rng_for(self._world.seed, Stream.RETURNS, day)
        shop = till.line_shop
        chance = self._world.skus.returned[till.sku] * np.where(self._world.shops.web[shop], WEB_FACTOR, 1.0)
        back = np.flatnonzero((rng.random(shop.size) < chance) & (till.quantity > 0))
        receipt = till.receipt[back]
        delay = 1 + np.minimum(rng.gamma(2.0, 4.0, back.size), LONGEST - 1).astype(np.int64)
        fresh = Returns(
            due=day + delay,
            shop=shop[back],
            customer=till.customer[receipt],
            sku=till.sku[back],
            quantity=1 + (rng.random(back.size) * till.quantity[back]).astype(np.int64),
            unit_cents=till.unit_cents[back],
            list_cents=till.list_cents[back],
            promo=till.promo[back],
            sold_day=np.full(back.size, day),
            sold_number=till.number[receipt],
            sold_line=till.line[back],
        )
        self._waiting = self._waiting.plus(fresh)
