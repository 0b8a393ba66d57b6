"""POS files in the dialect of each country."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.sample.arrays import Bools, Ints
from retail_assets.sample.baskets import Till
from retail_assets.sample.text import (
    SECONDS_PER_DAY,
    bodies,
    clock,
    csv_quoted,
    integers,
    joined,
    money,
    padded,
    pick,
    strings,
)
from retail_assets.sample.world import World

SKEW_SECONDS = 3 * 3600
POINTS_PER_CENTS = 100


@dataclass(frozen=True)
class Dialect:
    """How the tills of one country write: delimiter, decimal mark, date pattern, header."""

    delimiter: str
    mark: str
    date: str
    twelve_hours: bool
    header: tuple[str, ...]

    def head(self, *, renamed: bool, points: bool) -> bytes:
        """The header line, after the list price was renamed or loyalty points were added."""
        names = ["list_price" if renamed and name == "rrp" else name for name in self.header]
        return (self.delimiter.join(names + ["loyalty_points"] * points) + "\n").encode()


# Columns in this order everywhere: store, receipt, line, time, SKU, quantity, price, list price, promotion, customer,
# payment, currency.
DIALECTS = {
    "US": Dialect(
        ",", ".", "%m/%d/%Y ", True,
        ("store_id", "receipt_id", "line_no", "sold_at", "sku", "quantity", "unit_price", "list_price", "promo_code",
         "customer_id", "payment_id", "currency"),
    ),
    "UK": Dialect(
        ",", ".", "%d/%m/%Y ", False,
        ("store", "receipt", "line", "date_time", "product_code", "qty", "price", "rrp", "promo", "customer", "payment",
         "ccy"),
    ),
    "DE": Dialect(
        ";", ",", "%d.%m.%Y ", False,
        ("Filiale", "Bon", "Position", "Zeitpunkt", "Artikel", "Menge", "Preis", "Listenpreis", "Aktion", "Kunde",
         "Zahlung", "Waehrung"),
    ),
}  # fmt: skip


def receipt_ids(world: World, day: int, shop: Ints, number: Ints) -> pa.StringArray:
    """Ids such as US-001-20251005-R0042: a letter inside keeps digits from running on like a card number."""
    prefixes = strings(f"{shop_id}-{world.date_of(day):%Y%m%d}-R" for shop_id in world.shops.ids)
    return joined(pick(prefixes, shop), padded(number, 4))


def payment_ids(receipts: pa.StringArray) -> pa.StringArray:
    """The payment of a receipt carries its id."""
    return joined("PAY-", receipts)


@dataclass(frozen=True)
class Quirks:
    """What is odd about the tills on one day; the arrays are per shop."""

    skewed: Bools
    foreign_currency: Bools
    renamed: bool
    points: bool


class PosWriter:
    """Turns the receipts of a day into one CSV per open shop."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._skus = strings(world.skus.ids)
        self._customers = strings([*world.people.ids, ""])
        self._quoted: list[str] = []
        currencies = [country.currency for country in world.config.countries.values()]
        self._currency = [currencies[country] for country in world.shops.country]

    def files(
        self, day: int, till: Till, paid: Bools, codes: list[str], quirks: Quirks
    ) -> dict[int, tuple[bytes, int]]:
        """Bytes and rows per open shop; `paid` says per receipt whether a payment exists, `codes` are promo codes."""
        self._quoted += csv_quoted(codes[len(self._quoted) :]).to_pylist()
        promos = strings([*self._quoted, ""])
        open_shops = np.flatnonzero(self._world.open(day))
        made: dict[int, tuple[bytes, int]] = {}
        for country, code in enumerate(self._world.codes):
            shops = self._world.shops.of_country(country)
            first, last = np.searchsorted(till.line_shop, [shops.start, shops.stop])
            lines = np.arange(first, last)
            dialect = DIALECTS[code]
            points = quirks.points and code == "US"
            rows = self._rows(day, till, lines, dialect, paid, promos, quirks, points)
            bounds = np.searchsorted(till.line_shop[lines], np.arange(shops.start, shops.stop + 1))
            head = dialect.head(renamed=quirks.renamed, points=points)
            for offset, text in enumerate(bodies(rows, bounds)):
                made[shops.start + offset] = (head + text, int(bounds[offset + 1] - bounds[offset]))
        return {int(shop): made[int(shop)] for shop in open_shops}

    def _rows(
        self, day: int, till: Till, lines: Ints, dialect: Dialect, paid: Bools, promos: pa.StringArray, quirks: Quirks,
        points: bool,
    ) -> pa.StringArray:  # fmt: skip
        receipt = till.receipt[lines]
        shop = till.shop[receipt]
        ids = receipt_ids(self._world, day, shop, till.number[receipt])
        payment = pc.if_else(pa.array(paid[receipt]), payment_ids(ids), "")
        currency = strings(
            "USD" if odd else own for own, odd in zip(self._currency, quirks.foreign_currency, strict=True)
        )
        customer = till.customer[receipt]
        columns = [
            pick(strings(self._world.shops.ids), shop),
            ids,
            integers(till.line[lines]),
            _times(dialect, self._world.date_of(day), till.second[receipt] + SKEW_SECONDS * quirks.skewed[shop]),
            pick(self._skus, till.sku[lines]),
            integers(till.quantity[lines]),
            money(till.unit_cents[lines], dialect.mark),
            money(till.list_cents[lines], dialect.mark),
            pick(promos, till.promo[lines]),
            pick(self._customers, customer),
            payment,
            pick(currency, shop),
        ]
        if points:
            earned = np.maximum(till.quantity * till.unit_cents, 0)[lines] // POINTS_PER_CENTS
            columns.append(integers(np.where(customer >= 0, earned, 0)))
        return _delimited(columns, dialect.delimiter)


def _delimited(columns: list[pa.StringArray], delimiter: str) -> pa.StringArray:
    parts: list[pa.StringArray | str] = []
    for column in columns:
        parts += [column, delimiter]
    return joined(*parts[:-1], "\n")


def _times(dialect: Dialect, day: date, second: Ints) -> pa.StringArray:
    """Local times as the dialect writes them; a skewed clock may run into the next day."""
    dates = strings((day + timedelta(days=k)).strftime(dialect.date) for k in (0, 1))
    return joined(pick(dates, second // SECONDS_PER_DAY), clock(second, twelve_hours=dialect.twelve_hours))
