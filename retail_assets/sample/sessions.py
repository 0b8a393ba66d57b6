"""Sessions in the web shops: searches, views and carts that lead to the receipts, and many that lead nowhere."""

from dataclasses import dataclass, fields

import numpy as np

from retail_assets.sample.arrays import Floats, Ints, Stream, rng_for
from retail_assets.sample.baskets import CANDIDATES, TASTE_STRENGTH, Till, draw_customers, opening_time
from retail_assets.sample.world import World

VIEW, SEARCH, CART, PURCHASE = range(4)
TYPES = ("view", "search", "add_to_cart", "purchase")
ANONYMOUS = 0.45
EXTRA_VIEWS = 2.2
IDLE_VIEWS = 3.0
LAST_SECOND = 86_399


@dataclass(frozen=True)
class Clicks:
    """Click events by shop and time; `session` counts from 1 per shop and day, -1 in customer or sku means null."""

    shop: Ints
    second: Ints
    session: Ints
    customer: Ints
    type: Ints
    sku: Ints
    query: Ints

    @classmethod
    def joined(cls, parts: list["Clicks"]) -> "Clicks":
        """All parts, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class _Visits:
    """One entry per session: where, when (the end of a buying one, the start of an idle one), who."""

    shop: Ints
    second: Ints
    session: Ints
    customer: Ints

    def clicks(self, visit: Ints, offset: Ints, kind: int, sku: Ints, query: Ints | None = None) -> Clicks:
        """Events of these visits, `offset` seconds from the visit's time, kept inside the day."""
        return Clicks(
            shop=self.shop[visit],
            second=np.clip(self.second[visit] + offset, 0, LAST_SECOND),
            session=self.session[visit],
            customer=self.customer[visit],
            type=np.full(visit.size, kind),
            sku=sku,
            query=np.full(visit.size, -1) if query is None else query,
        )


def browse(world: World, day: int, till: Till, popularity: Floats) -> Clicks:
    """The clicks of `day`; `popularity` is the mean demand (shop, SKU) that browsing follows."""
    rng = rng_for(world.seed, Stream.SESSIONS, day)
    buying = np.flatnonzero(world.shops.web[till.shop] & (till.slot >= 0))
    sessions_before = np.zeros(world.shops.count, dtype=np.int64)
    buyers = _Visits(till.shop[buying], till.second[buying], till.number[buying], till.customer[buying])
    np.maximum.at(sessions_before, till.shop[buying], till.number[buying])
    idle = _idle_visits(rng, world, day, sessions_before)
    parts = [*_purchases(rng, world, till, buying, buyers)]
    for visits, mean, sign in ((buyers, EXTRA_VIEWS, -1), (idle, IDLE_VIEWS, 1)):
        parts += _looking(rng, world, visits, mean, sign, popularity)
    clicks = Clicks.joined(parts)
    order = np.lexsort((clicks.type, clicks.session, clicks.second, clicks.shop))
    return Clicks(*(getattr(clicks, field.name)[order] for field in fields(clicks)))


def _idle_visits(rng: np.random.Generator, world: World, day: int, sessions_before: Ints) -> _Visits:
    """Sessions that buy nothing; their numbers follow those of the buying ones."""
    web = np.flatnonzero(world.shops.web)
    counts = rng.poisson(world.scale.web_sessions, web.size)
    shop = np.repeat(web, counts)
    second = opening_time(rng, world.shops.web[shop])
    customer = np.where(rng.random(shop.size) < ANONYMOUS, -1, draw_customers(rng, world, day, shop))
    position = np.arange(shop.size) - np.repeat(np.r_[0, np.cumsum(counts)[:-1]], counts)
    return _Visits(shop, second, sessions_before[shop] + position + 1, customer)


def _purchases(rng: np.random.Generator, world: World, till: Till, buying: Ints, buyers: _Visits) -> list[Clicks]:
    """View, cart and purchase of every line bought online, each before the next; half the views follow a search."""
    place = np.full(till.shop.size, -1)
    place[buying] = np.arange(buying.size)
    bought = np.flatnonzero(place[till.receipt] >= 0)
    visit, sku = place[till.receipt[bought]], till.sku[bought]
    cart = -rng.integers(20, 500, bought.size)
    view = cart - rng.integers(5, 240, bought.size)
    found = np.flatnonzero(rng.random(bought.size) < 0.5)
    search = view[found] - rng.integers(3, 60, found.size)
    nothing = np.full(found.size, -1)
    return [
        buyers.clicks(visit, np.zeros(bought.size, dtype=np.int64), PURCHASE, sku),
        buyers.clicks(visit, cart, CART, sku),
        buyers.clicks(visit, view, VIEW, sku),
        buyers.clicks(visit[found], search, SEARCH, nothing, world.skus.category[sku[found]]),
    ]


def _looking(
    rng: np.random.Generator, world: World, visits: _Visits, mean: float, sign: int, popularity: Floats
) -> list[Clicks]:
    """Views by popularity and taste, some after a search, some into a cart that is left behind."""
    visit = np.repeat(np.arange(visits.shop.size), rng.geometric(1 / mean, visits.shop.size))
    sku = _tempting(rng, world, visits.shop[visit], visits.customer[visit], popularity)
    offset = sign * rng.integers(30, 1500, visit.size)
    found = np.flatnonzero(rng.random(visit.size) < 0.22)
    carted = np.flatnonzero(rng.random(visit.size) < 0.07)
    nothing = np.full(found.size, -1)
    query = world.skus.category[sku[found]]
    return [
        visits.clicks(visit, offset, VIEW, sku),
        visits.clicks(visit[found], offset[found] - rng.integers(3, 28, found.size), SEARCH, nothing, query),
        visits.clicks(visit[carted], offset[carted] + rng.integers(3, 29, carted.size), CART, sku[carted]),
    ]


def _tempting(rng: np.random.Generator, world: World, shop: Ints, customer: Ints, popularity: Floats) -> Ints:
    """The SKU each view looks at: the best by taste of CANDIDATES drawn by popularity in that shop."""
    web = np.flatnonzero(world.shops.web)
    share = np.cumsum(popularity[web] / popularity[web].sum(axis=1, keepdims=True), axis=1)
    ladder = (share + np.arange(web.size)[:, None]).ravel()
    step = np.searchsorted(web, shop) + rng.random((CANDIDATES, shop.size)) * (1 - 1e-9)
    drawn = np.searchsorted(ladder, step) % popularity.shape[1]
    taste = np.einsum("cnt,nt->cn", world.skus.taste[drawn], world.people.taste[customer])
    score = np.where(customer >= 0, TASTE_STRENGTH * taste, 0.0) + rng.gumbel(size=drawn.shape)
    return np.asarray(np.take_along_axis(drawn, score.argmax(axis=0)[None], axis=0)[0])
