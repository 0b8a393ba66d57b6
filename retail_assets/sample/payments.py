"""Payments of the day's receipts, and the chargebacks that follow 3 to 40 days later."""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Bools, Ints, Stream, rng_for
from retail_assets.sample.baskets import Slots, Till
from retail_assets.sample.fraud import BURST, DISPUTE, FRIENDLY, TAKEOVER
from retail_assets.sample.people import ANONYMOUS_TOKENS_PER_SHOP
from retail_assets.sample.world import World

CARD, WALLET, INVOICE, CASH = range(4)
METHODS = ("card", "wallet", "invoice", "cash")
FOREIGN = ("BR", "CA", "FR", "NL", "SG")
REPORTED = 0.92
DISPUTED = 0.0006
REASONS = ("unauthorised", "card_reported_stolen", "goods_not_received", "processing_error")


@dataclass(frozen=True)
class Payments:
    """One entry per paid receipt: its index, codes into METHODS, tokens, devices and countries (-1: none)."""

    receipt: Ints
    method: Ints
    token: Ints
    device: Ints
    ip: Ints
    kind: Ints
    chargeback_day: Ints
    reason: Ints


def _methods(rng: np.random.Generator, web: Bools, german: Bools, fraud: Bools) -> Ints:
    """A method per receipt; cash in stores only, invoices online only, fraud never by either."""
    drawn = rng.random(web.size)
    store = np.select([drawn < 0.22, drawn < 0.80], [CASH, CARD], WALLET)
    invoice_share = np.where(german, 0.35, 0.06)
    online = np.select([drawn < invoice_share, drawn < 0.75], [INVOICE, CARD], WALLET)
    method = np.where(web, online, store)
    return np.where(fraud & ((method == CASH) | (method == INVOICE)), CARD, method)


def take_payments(world: World, day: int, till: Till, slots: Slots) -> Payments:
    """Payments of every receipt that is neither a return nor paid in cash, with the truth about fraud."""
    rng = rng_for(world.seed, Stream.PAYMENTS, day)
    sale = np.flatnonzero(till.slot >= 0)
    fraud = slots.fraud[till.slot[sale]]
    shop = till.shop[sale]
    web, country = world.shops.web[shop], world.shops.country[shop]
    method = _methods(rng, web, country == world.codes.index("DE"), fraud >= 0)
    token, device = _means(rng, world, till, slots, sale)
    kind = _friendly(rng, world, fraud, till.customer[sale], web)
    ip = _ip_countries(rng, kind, country, web, len(world.codes))
    due, reason = _chargebacks(rng, day, kind)
    paid = method != CASH
    return Payments(
        receipt=sale[paid],
        method=method[paid],
        token=np.where(method == INVOICE, -1, token)[paid],
        device=device[paid],
        ip=ip[paid],
        kind=kind[paid],
        chargeback_day=due[paid],
        reason=reason[paid],
    )


def _means(rng: np.random.Generator, world: World, till: Till, slots: Slots, sale: Ints) -> tuple[Ints, Ints]:
    """Token and device per sale: the customer's own, an anonymous one, or what the fraudster uses; -1 in stores."""
    slot, customer, shop = till.slot[sale], till.customer[sale], till.shop[sale]
    second_card = rng.random(sale.size) < 0.2
    passers_by = (ANONYMOUS_TOKENS_PER_SHOP * rng.random(sale.size) ** 1.3).astype(np.int64)
    anonymous = 2 * world.people.count + ANONYMOUS_TOKENS_PER_SHOP * shop + passers_by
    token = np.where(customer >= 0, 2 * customer + second_card, anonymous)
    second_device = rng.random(sale.size) < 0.3
    device = np.where(world.shops.web[shop], 2 * customer + second_device, -1)
    stolen, burner = slots.token[slot], slots.device[slot]
    return np.where(stolen >= 0, stolen, token), np.where(burner >= 0, burner, device)


def _friendly(rng: np.random.Generator, world: World, fraud: Ints, customer: Ints, web: Bools) -> Ints:
    """Adds friendly fraud and honest disputes to the planted kinds; -1 where a payment is simply good."""
    drawn = rng.random(fraud.size)
    friendly = (fraud < 0) & web & (drawn < world.people.disputes[customer])
    dispute = (fraud < 0) & ~friendly & (drawn > 1 - DISPUTED)
    return np.where(friendly, FRIENDLY, np.where(dispute, DISPUTE, fraud))


def _ip_countries(rng: np.random.Generator, kind: Ints, country: Ints, web: Bools, codes: int) -> Ints:
    """Country code index of the IP address: own countries first, then FOREIGN; -1 in stores."""
    chance = np.select([kind == BURST, kind == TAKEOVER], [0.8, 0.35], 0.02)
    abroad = rng.random(kind.size) < chance
    foreign = codes + rng.integers(0, len(FOREIGN), kind.size)
    return np.where(web, np.where(abroad, foreign, country), -1)


def _chargebacks(rng: np.random.Generator, day: int, kind: Ints) -> tuple[Ints, Ints]:
    """Day on which the chargeback is reported (-1: never) and its reason."""
    delay = np.clip(3 + rng.lognormal(2.3, 0.7, kind.size), 3, 40).astype(np.int64)
    reported = (kind >= 0) & (rng.random(kind.size) < REPORTED)
    stolen = np.where(rng.random(kind.size) < 0.6, 0, 1)
    reason = np.select([kind == FRIENDLY, kind == DISPUTE], [2, 3], stolen)
    return np.where(reported, day + delay, -1), reason
