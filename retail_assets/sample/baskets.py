"""From units sold to receipts: who stood at the till, and which lines the receipt has."""

from dataclasses import dataclass, fields, replace

import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for, within
from retail_assets.sample.returned import Returns
from retail_assets.sample.shops import CLOSES, OPENS, WEB_CLOSES, WEB_OPENS
from retail_assets.sample.world import World

LINES_PER_BASKET = 2.9
CANDIDATES = 4
CARD_HOLDERS = 0.62
TASTE_STRENGTH = 0.55


@dataclass(frozen=True)
class Slots:
    """Shoppers who may buy today, by shop and time; `token`, `device` and `fraud` are -1 where nothing is unusual."""

    shop: Ints
    second: Ints
    customer: Ints
    appetite: Floats
    token: Ints
    device: Ints
    fraud: Ints

    def taken(self, order: Ints) -> "Slots":
        """The slots of these indices, in this order."""
        return Slots(*(getattr(self, field.name)[order] for field in fields(self)))

    def ordered(self) -> "Slots":
        """The same slots by shop and time."""
        return self.taken(np.lexsort((self.second, self.shop)))


def opening_time(rng: np.random.Generator, web: Bools) -> Ints:
    """Seconds after local midnight of one visit each: stores by day, web shops into the evening."""
    share = rng.beta(2.2, 1.9, web.size)
    first, last = np.where(web, WEB_OPENS, OPENS), np.where(web, WEB_CLOSES, CLOSES)
    return (first + share * (last - first - 1)).astype(np.int64)


def draw_customers(rng: np.random.Generator, world: World, day: int, shop: Ints) -> Ints:
    """One known customer per visit, the frequent ones more often; -1 where a store's shopper shows no card."""
    known = world.people.known_members(day)
    members, starts = world.people.all_members
    rank = (known[shop] * rng.random(shop.size) ** 1.6).astype(np.int64)
    scattered = (rank * 7919) % known[shop]
    customer = members[starts[shop] + scattered]
    shown = world.shops.web[shop] | (rng.random(shop.size) < CARD_HOLDERS)
    return np.where(shown, customer, -1)


def draw_slots(world: World, day: int, sold: Ints) -> Slots:
    """Enough shoppers per shop for the units sold there, in no order of time."""
    rng = rng_for(world.seed, Stream.SHOPPERS, day)
    lines = (sold / world.skus.lot).sum(axis=1)
    count = np.where(sold.sum(axis=1) > 0, np.ceil(lines / LINES_PER_BASKET) + 1, 0).astype(np.int64)
    shop = np.repeat(np.arange(world.shops.count), count)
    nothing = np.full(shop.size, -1)
    return Slots(
        shop=shop,
        second=opening_time(rng, world.shops.web[shop]),
        customer=draw_customers(rng, world, day, shop),
        appetite=np.zeros(shop.size),
        token=nothing,
        device=nothing.copy(),
        fraud=nothing.copy(),
    )


@dataclass(frozen=True)
class Till:
    """The receipts of one day by shop and time, and their lines in order; `receipt` of a line indexes the receipts."""

    shop: Ints
    second: Ints
    customer: Ints
    number: Ints
    slot: Ints
    amount: Ints
    receipt: Ints
    line: Ints
    sku: Ints
    quantity: Ints
    unit_cents: Ints
    list_cents: Ints
    promo: Ints
    origin: Ints

    @property
    def line_shop(self) -> Ints:
        """Shop of each line."""
        return self.shop[self.receipt]


def split_into_lines(rng: np.random.Generator, sold: Ints, lot: Floats) -> tuple[Ints, Ints, Ints]:
    """Splits units (shop, SKU) into lines of about `lot` units: shop, SKU and quantity per line."""
    cell = np.repeat(np.arange(sold.size), sold.ravel())
    fresh = rng.random(cell.size) < 1 / lot[cell % sold.shape[1]]
    if cell.size:
        fresh[np.r_[True, cell[1:] != cell[:-1]]] = True
    first = np.flatnonzero(fresh)
    quantity = np.diff(np.r_[first, cell.size])
    return cell[first] // sold.shape[1], cell[first] % sold.shape[1], quantity


def choose_slots(rng: np.random.Generator, world: World, slots: Slots, shop: Ints, sku: Ints) -> Ints:
    """Which slot takes each line: the best of CANDIDATES drawn at random, by taste, appetite for the dear, and luck."""
    count = np.bincount(slots.shop, minlength=world.shops.count)
    start = np.r_[0, np.cumsum(count)[:-1]]
    drawn = start[shop] + (rng.random((CANDIDATES, shop.size)) * count[shop]).astype(np.int64)
    customer = slots.customer[drawn]
    taste = np.einsum("cnt,nt->cn", world.people.taste[customer], world.skus.taste[sku])
    score = np.where(customer >= 0, TASTE_STRENGTH * taste, 0.0)
    score += slots.appetite[drawn] * dearness(world)[sku] + rng.gumbel(size=drawn.shape)
    return np.asarray(np.take_along_axis(drawn, score.argmax(axis=0)[None], axis=0)[0])


def dearness(world: World) -> Floats:
    """Standardised log of the reference price per SKU."""
    price = np.log(world.skus.reference[0])
    return np.asarray((price - price.mean()) / price.std())


def ring_up(
    world: World, day: int, sold: Ints, slots: Slots, prices: tuple[Ints, Ints, Ints], returned: Returns
) -> Till:
    """The day's receipts: sales spread over `slots` (ordered), and one receipt per returned line.

    `prices` are paid cents, list cents and promotion index (-1: none), each (country, SKU).
    """
    rng = rng_for(world.seed, Stream.BASKETS, day)
    shop, sku, quantity = split_into_lines(rng, sold, world.skus.lot)
    place = (world.shops.country[shop], sku)
    unit, listed, promo = (table[place] for table in prices)
    slot = choose_slots(rng, world, slots, shop, sku)
    used, receipt = np.unique(slot, return_inverse=True)
    back = np.arange(returned.count)
    returned_at = opening_time(rng, world.shops.web[returned.shop])
    till = Till(
        shop=np.r_[slots.shop[used], returned.shop],
        second=np.r_[slots.second[used], returned_at],
        customer=np.r_[slots.customer[used], returned.customer],
        number=np.zeros(used.size + back.size, dtype=np.int64),
        slot=np.r_[used, np.full(back.size, -1)],
        amount=np.zeros(used.size + back.size, dtype=np.int64),
        receipt=np.r_[receipt, used.size + back],
        line=np.zeros(slot.size + back.size, dtype=np.int64),
        sku=np.r_[sku, returned.sku],
        quantity=np.r_[quantity, -returned.quantity],
        unit_cents=np.r_[unit, returned.unit_cents],
        list_cents=np.r_[listed, returned.list_cents],
        promo=np.r_[promo, returned.promo],
        origin=np.r_[np.full(slot.size, -1), back],
    )
    return _numbered(till)


def _numbered(till: Till) -> Till:
    """Receipts by shop and time with numbers from 1, lines by receipt with numbers from 1, amounts in cents."""
    order = np.lexsort((till.second, till.shop))
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    lines = np.argsort(rank[till.receipt], kind="stable")
    receipt = rank[till.receipt][lines]
    value = (till.quantity * till.unit_cents)[lines]
    return replace(
        till,
        shop=till.shop[order],
        second=till.second[order],
        customer=till.customer[order],
        slot=till.slot[order],
        number=within(till.shop[order]) + 1,
        amount=np.bincount(receipt, weights=value, minlength=order.size).astype(np.int64),
        receipt=receipt,
        line=within(receipt) + 1,
        **{name: getattr(till, name)[lines] for name in LINE_COLUMNS},
    )


LINE_COLUMNS = ("sku", "quantity", "unit_cents", "list_cents", "promo", "origin")
