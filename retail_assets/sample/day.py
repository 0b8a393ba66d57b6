"""One day of the sample retailer: the market moves, shoppers buy, files are sent."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np

from retail_assets.sample import feeds, masters
from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for
from retail_assets.sample.baskets import Slots, Till, draw_slots, ring_up
from retail_assets.sample.demand import DemandDay, Shocks, demand_on, season
from retail_assets.sample.dialects import PosWriter, Quirks, payment_ids, receipt_ids
from retail_assets.sample.events import plan_events, viral_effect
from retail_assets.sample.faults import SKEWED_DAYS, Faults
from retail_assets.sample.fraud import infect
from retail_assets.sample.outbox import Delivery, Outbox
from retail_assets.sample.payments import Payments, take_payments
from retail_assets.sample.prices import PriceList, Rates, Rivals
from retail_assets.sample.promotions import PLANNED_AHEAD, PromotionPlanner
from retail_assets.sample.returned import Returns
from retail_assets.sample.returns import ReturnDesk
from retail_assets.sample.sessions import browse
from retail_assets.sample.shops import delivered_after
from retail_assets.sample.stock import Stock, StockDay
from retail_assets.sample.truth import ParquetStream, demand_table, fraud_table, returns_table
from retail_assets.sample.weather import Weather
from retail_assets.sample.world import World


@dataclass(frozen=True)
class Shelf:
    """Prices of one day, (country, SKU): list and paid cents, index of the running promotion or -1."""

    listed: Ints
    paid: Ints
    promo: Ints

    @property
    def promoted(self) -> Bools:
        """Where a promotion runs."""
        return self.promo >= 0


class Simulation:
    """Holds the state that passes from day to day; `step` must be called for days 0, 1, 2, ..."""

    def __init__(self, world: World, outbox: Outbox, truth: Path) -> None:
        self.world, self._outbox = world, outbox
        self.events = plan_events(world)
        self.faults = Faults(world)
        self._weather = Weather(world, self.events)
        self._shocks, self._rates = Shocks(world), Rates(world)
        self._prices, self._rivals = PriceList(world), Rivals(world)
        self._promotions = PromotionPlanner(world)
        self._stock = Stock(world, self.events)
        self._returns = ReturnDesk(world)
        self._chargebacks: dict[int, tuple[list[str], list[int]]] = {}
        self.pos, self._clicks = PosWriter(world), feeds.ClickWriter(world)
        self._payments, self._counts = feeds.PaymentWriter(world), feeds.StockWriter(world)
        self._truth = {name: ParquetStream(truth / f"{name}.parquet") for name in ("demand", "fraud", "returns")}

    def close(self) -> None:
        """Finishes the truth files that grow with the days."""
        for stream in self._truth.values():
            stream.close()

    def step(self, day: int) -> None:
        """Simulates one day and queues its files."""
        world = self.world
        weather = self._weather.step(day)
        heat = self._shocks.step(day)
        shelf = self._market(day, heat)
        self._send_masters(day)
        viral = heat + viral_effect(world, self.events, day)
        demand = demand_on(world, day, viral, weather, shelf.paid, self._rivals.ratio(), shelf.promoted)
        returned = self._returns.due(day)
        stock = self._stock.step(day, demand, _units(world, returned))
        slots = infect(world, self.events, day, draw_slots(world, day, stock.sold))
        till = ring_up(world, day, stock.sold, slots, (shelf.paid, shelf.listed, shelf.promo), returned)
        self._returns.remember(day, till)
        payments = take_payments(world, day, till, slots)
        self._send_sales(day, till, payments, demand)
        self._send_counts(day, stock, demand)
        self._send_small(day, feeds.weather_json(world, day, weather), self._rates.step(day))
        self._tell(day, till, payments, returned, slots)
        self._truth["demand"].append(
            demand_table(world, day, demand, stock, (shelf.listed, shelf.paid), shelf.promoted)
        )

    def _market(self, day: int, heat: Floats) -> Shelf:
        """Moves prices, promotions and competitors, sends their files, and returns today's prices."""
        world, on = self.world, self.world.date_of(day)
        for change in (self._prices.introduced(day), self._prices.step(day, heat + 0.25 * season(world, day))):
            if change is not None:
                for country in range(len(world.codes)):
                    payload, rows = masters.prices_csv(world, country, change)
                    self._send_country("price_list", "prices", "prices", day, country, payload, rows)
        fresh = self._promotions.step(day, np.tile(season(world, day + PLANNED_AHEAD), (len(world.codes), 1)), heat)
        for country in range(len(world.codes)):
            payload, rows = masters.promotions_csv(world, country, fresh)
            self._send_country("promotions", "promotions", "promotions", day, country, payload, rows)
        if self._rivals.step(day, self._prices.cents):
            for country in range(len(world.codes)):
                listed = world.skus.listed(day)
                payload, rows = masters.competitors_csv(world, country, on, self._rivals, listed)
                self._send_country("competitor_prices", "competitor_prices", "competitor", day, country, payload, rows)
        promo = self._promotions.running(day)
        percent = np.where(promo >= 0, np.append(self._promotions.book.percent, 0)[promo], 0)
        paid = np.round(self._prices.cents * (100 - percent) / 100).astype(np.int64)
        return Shelf(self._prices.cents, paid, promo)

    def _send_masters(self, day: int) -> None:
        world = self.world
        due = masters.catalogue_due(world, day)
        for country in range(len(world.codes)):
            payload = masters.catalogue_json(world, day, country, due)
            self._send_country("products", "catalogue", "products", day, country, payload, due.size, "json")
        people = masters.customers_due(world, day)
        payload = masters.customers_jsonl(world, people)
        self._send_morning(
            "customers", "customers", f"customers_{self._stamp(day)}", day, payload, people.size, "jsonl"
        )
        if day == 0:
            stores = masters.stores_csv(world)
            self._send_morning("stores", "stores", f"stores_{self._stamp(day)}", day, stores, world.shops.count)

    def _stamp(self, day: int) -> str:
        return f"{self.world.date_of(day):%Y%m%d}"

    def _send_country(
        self, source: str, folder: str, stem: str, day: int, country: int, payload: bytes, rows: int, kind: str = "csv"
    ) -> None:
        name = f"{stem}_{self.world.codes[country]}_{self._stamp(day)}"
        self._send_morning(source, folder, name, day, payload, rows, kind, country)

    def _send_morning(
        self, source: str, folder: str, stem: str, day: int, payload: bytes, rows: int, kind: str = "csv", unit: int = 0
    ) -> None:
        """Sends a file of the head office at five in the morning (UTC) of its day, unless it is empty."""
        at = datetime.combine(self.world.date_of(day), time(5, 0, unit), UTC)
        if rows:
            self._send(Delivery(source, folder, stem, kind, payload, rows, at), day, unit)

    def _send(self, delivery: Delivery, day: int, unit: int) -> None:
        for real in self.faults.deliver(delivery, day, unit):
            self._outbox.put(real)

    def _night(self, day: int) -> Ints:
        """Seconds after local midnight at which each shop sends its files."""
        return rng_for(self.world.seed, Stream.DELIVERY, day).integers(3600, 3 * 3600, self.world.shops.count)

    def _send_sales(self, day: int, till: Till, payments: Payments, demand: DemandDay) -> None:
        world, stamp, night = self.world, self._stamp(day), self._night(day)
        paid = np.zeros(till.shop.size, dtype=bool)
        paid[payments.receipt] = True
        quirks = self._quirks(day)
        for shop, (payload, rows) in self.pos.files(day, till, paid, self._promotions.book.codes, quirks).items():
            delivery = self._from_shop("pos_lines", "pos", "csv", shop, day, payload, rows, int(night[shop]))
            self._note_quirks(day, shop, delivery, quirks)
            self._send(delivery, day, shop)
        clicks = self._clicks.files(day, browse(world, day, till, demand.mean))
        for unit, (shop, (payload, rows)) in enumerate(clicks.items()):
            delivery = self._from_shop(
                "click_events", "clicks", "jsonl", shop, day, payload, rows, int(night[shop]) + 60
            )
            self._send(delivery, day, unit)
        table = self._payments.table(day, till, payments)
        at = datetime.combine(world.date_of(day + 1), time(10), UTC)
        payload = feeds.parquet_bytes(table)
        self._send(
            Delivery("payments", "payments", f"payments_{stamp}", "parquet", payload, table.num_rows, at), day, 0
        )

    def _from_shop(
        self, source: str, folder: str, kind: str, shop: int, day: int, payload: bytes, rows: int, seconds: int
    ) -> Delivery:
        name = self.world.shops.ids[shop]
        at = delivered_after(self.world.shops.cities[shop][2], self.world.date_of(day), seconds)
        return Delivery(source, f"{folder}/{name}", f"{folder}_{name}_{self._stamp(day)}", kind, payload, rows, at)

    def _quirks(self, day: int) -> Quirks:
        """What is odd about the tills today."""
        shops = np.arange(self.world.shops.count)
        skewed_shop, first = self.faults.skewed
        mixed_shop, mixed_day = self.faults.mixed_up
        return Quirks(
            skewed=(shops == skewed_shop) & (first <= day < first + SKEWED_DAYS),
            foreign_currency=(shops == mixed_shop) & (day == mixed_day),
            renamed=day >= self.faults.renamed_from,
            points=day >= self.faults.added_from,
        )

    def _note_quirks(self, day: int, shop: int, delivery: Delivery, quirks: Quirks) -> None:
        """Records the odd files; a changed header is recorded with its first file."""
        faults, code = self.faults, self.world.codes[self.world.shops.country[shop]]
        first_open = {
            "renamed": self._first_open(faults.renamed_from, shop),
            "new": self._first_open(faults.added_from, shop),
        }
        if quirks.skewed[shop]:
            faults.note("clock_skew", delivery, "sold_at is 3 hours ahead")
        if quirks.foreign_currency[shop]:
            faults.note("currency_mixup", delivery, "amounts are GBP, the currency column says USD")
        if code == "UK" and day == first_open["renamed"]:
            faults.note("renamed_column", delivery, "rrp is called list_price from this file on", rows=0)
        if code == "US" and day == first_open["new"]:
            faults.note("new_column", delivery, "loyalty_points is added from this file on", rows=0)

    def _first_open(self, day: int, shop: int) -> int:
        return next(d for d in range(day, day + 30) if self.world.open(d)[shop])

    def _send_counts(self, day: int, stock: StockDay, demand: DemandDay) -> None:
        at = datetime.combine(self.world.date_of(day + 1), time(9), UTC)
        for country, (payload, rows) in self._counts.files(day, stock, demand.listed).items():
            stem = f"stock_{self.world.codes[country]}_{self._stamp(day)}"
            delivered = at + timedelta(seconds=country)
            self._send(Delivery("stock_levels", "stock", stem, "csv", payload, rows, delivered), day, country)

    def _send_small(self, day: int, weather: bytes, rates: Floats) -> None:
        world, stamp = self.world, self._stamp(day)
        next_morning = datetime.combine(world.date_of(day + 1), time(6), UTC)
        afternoon = datetime.combine(world.date_of(day), time(16), UTC)
        text = feeds.rates_csv(world, day, rates)
        self._send(
            Delivery("weather", "weather", f"weather_{stamp}", "json", weather, world.shops.count, next_morning), day, 0
        )
        self._send(Delivery("exchange_rates", "rates", f"rates_{stamp}", "csv", text, rates.size, afternoon), day, 0)
        payments, reasons = self._chargebacks.pop(day, ([], []))
        if payments:
            payload = feeds.chargebacks_csv(payments, world.date_of(day), reasons)
            at = next_morning + timedelta(hours=1)
            self._send(
                Delivery("chargebacks", "chargebacks", f"chargebacks_{stamp}", "csv", payload, len(payments), at),
                day,
                0,
            )

    def _tell(self, day: int, till: Till, payments: Payments, returned: Returns, slots: Slots) -> None:
        """Writes the truth about fraud and returns, and remembers the chargebacks to come."""
        world = self.world
        self._truth["fraud"].append(fraud_table(world, day, till, payments))
        self._truth["returns"].append(returns_table(world, day, till, returned))
        due = np.flatnonzero(payments.chargeback_day >= 0)
        at = payments.receipt[due]
        ids = payment_ids(receipt_ids(world, day, till.shop[at], till.number[at])).to_pylist()
        for payment, on, reason in zip(
            ids, payments.chargeback_day[due].tolist(), payments.reason[due].tolist(), strict=True
        ):
            names, reasons = self._chargebacks.setdefault(on, ([], []))
            names.append(payment)
            reasons.append(reason)


def _units(world: World, returned: Returns) -> Ints:
    """Returned units by (shop, SKU)."""
    units = np.zeros((world.shops.count, world.skus.count), dtype=np.int64)
    np.add.at(units, (returned.shop, returned.sku), returned.quantity)
    return units
