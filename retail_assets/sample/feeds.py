"""The daily feeds that are neither tills nor masters: clicks, payments, chargebacks, stock, weather, rates."""

import io
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retail_assets.sample.arrays import Bools, Floats, Ints, within
from retail_assets.sample.baskets import Till
from retail_assets.sample.dialects import payment_ids, receipt_ids
from retail_assets.sample.payments import FOREIGN, METHODS, REASONS, Payments
from retail_assets.sample.sessions import TYPES, Clicks
from retail_assets.sample.shops import utc_offset
from retail_assets.sample.stock import StockDay
from retail_assets.sample.text import bodies, body, clock, integers, joined, padded, pick, strings
from retail_assets.sample.weather import WeatherDay
from retail_assets.sample.world import World

STOCK_HEADER = ("store_id", "sku", "counted_on", "on_hand", "on_order")


def _json_strings(values: list[str]) -> pa.StringArray:
    return strings([*(f'"{value}"' for value in values), "null"])


class ClickWriter:
    """Turns the clicks of a day into JSON lines per web shop."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._customers = _json_strings(world.people.ids)
        self._skus = _json_strings(world.skus.ids)
        self._queries = _json_strings(
            [category.nouns[code].lower() for code in world.codes for category in world.categories]
        )

    def files(self, day: int, clicks: Clicks) -> dict[int, tuple[bytes, int]]:
        """Bytes and rows per web shop."""
        world, date = self._world, self._world.date_of(day)
        shops = world.shops
        marks = strings(f"{shop}-{date:%Y%m%d}-" for shop in shops.ids)
        offsets = strings(_offset_text(utc_offset(city[2], date)) + '"}\n' for city in shops.cities)
        shop = pick(marks, clicks.shop)
        query = np.where(clicks.query >= 0, shops.country[clicks.shop] * len(world.categories) + clicks.query, -1)
        rows = joined(
            '{"event_id":"', shop, "E", padded(within(clicks.shop) + 1, 6),
            '","session_id":"', shop, "S", padded(clicks.session, 5),
            '","customer_id":', pick(self._customers, clicks.customer),
            ',"store_id":"', pick(strings(shops.ids), clicks.shop),
            '","event_type":"', pick(strings(TYPES), clicks.type),
            '","sku":', pick(self._skus, clicks.sku),
            ',"query":', pick(self._queries, query),
            f',"occurred_at":"{date.isoformat()}T', clock(clicks.second), pick(offsets, clicks.shop),
        )  # fmt: skip
        web = np.flatnonzero(shops.web)
        bounds = np.r_[np.searchsorted(clicks.shop, web), clicks.shop.size]
        sizes = np.diff(bounds)
        return {int(s): (text, int(n)) for s, text, n in zip(web, bodies(rows, bounds), sizes, strict=True)}


def _offset_text(seconds: int) -> str:
    return f"{'-' if seconds < 0 else '+'}{abs(seconds) // 3600:02d}:{abs(seconds) // 60 % 60:02d}"


def decimals(cents: Ints, precision: int = 12) -> pa.Array:
    """Minor units as DECIMAL(precision, 2), without going through text."""
    words = np.empty((cents.size, 2), dtype=np.int64)
    words[:, 0], words[:, 1] = cents, cents >> 63
    return pa.Array.from_buffers(pa.decimal128(precision, 2), cents.size, [None, pa.py_buffer(words.tobytes())])


class PaymentWriter:
    """Turns the payments of a day into one Parquet file."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._customers = pa.array([*world.people.ids, None], pa.string())
        self._tokens = pa.concat_arrays([world.people.tokens, pa.array([None], pa.string())])
        self._devices = pa.concat_arrays([world.people.devices, pa.array([None], pa.string())])
        self._countries = pa.array([*world.codes, *FOREIGN, None], pa.string())
        self._currency = strings(country.currency for country in world.config.countries.values())

    def table(self, day: int, till: Till, payments: Payments) -> pa.Table:
        """One row per payment in the order of receipts; instants in UTC."""
        world, at = self._world, payments.receipt
        shop = till.shop[at]
        receipts = receipt_ids(world, day, shop, till.number[at])
        return pa.table(
            {
                "payment_id": payment_ids(receipts),
                "receipt_id": receipts,
                "store_id": pick(strings(world.shops.ids), shop),
                "customer_id": pick(self._customers, till.customer[at]),
                "card_token": pick(self._tokens, payments.token),
                "amount": decimals(till.amount[at]),
                "currency": pick(self._currency, world.shops.country[shop]),
                "method": pick(strings(METHODS), payments.method),
                "paid_at": self._instants(day, shop, till.second[at]),
                "ip_country": pick(self._countries, payments.ip),
                "device_id": self._device_ids(payments, shop, till.number[at]),
                "is_online": pa.array(world.shops.web[shop]),
            }
        )

    def _instants(self, day: int, shop: Ints, second: Ints) -> pa.Array:
        date = self._world.date_of(day)
        offset = np.array([utc_offset(city[2], date) for city in self._world.shops.cities])
        midnight = (date - type(date)(1970, 1, 1)).days * 86_400
        return pa.array((midnight + second - offset[shop]) * 1_000_000).cast(pa.timestamp("us", "UTC"))

    def _device_ids(self, payments: Payments, shop: Ints, number: Ints) -> pa.Array:
        """Customers' devices online, one of three terminals in a store."""
        terminals = strings(f"till_{shop_id}_{k}" for shop_id in self._world.shops.ids for k in "abc")
        online = pa.array(self._world.shops.web[shop])
        at_till = pick(terminals, 3 * shop + number % 3)
        return pc.if_else(online, pick(self._devices, payments.device), at_till)


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as one Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def chargebacks_csv(payment: list[str], reported: date, reason: list[int]) -> bytes:
    """Chargebacks reported on one day."""
    rows = [f"{p},{reported.isoformat()},{REASONS[r]}\n" for p, r in zip(payment, reason, strict=True)]
    return "".join(["payment_id,reported_on,reason\n", *rows]).encode()


class StockWriter:
    """Turns closing stock into one CSV per country."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._skus = strings(world.skus.ids)

    def files(self, day: int, stock: StockDay, listed: Bools) -> dict[int, tuple[bytes, int]]:
        """Bytes and rows per country, one row per listed (shop, SKU); Germany separates by semicolons."""
        shop, sku = np.nonzero(listed)
        shops = strings(self._world.shops.ids)
        made = {}
        for country, code in enumerate(self._world.codes):
            members = self._world.shops.of_country(country)
            here = slice(*np.searchsorted(shop, [members.start, members.stop]))
            mark = ";" if code == "DE" else ","
            on_hand, on_order = (a[shop[here], sku[here]] for a in (stock.on_hand, stock.on_order))
            rows = joined(
                pick(shops, shop[here]), mark, pick(self._skus, sku[here]),
                f"{mark}{self._world.date_of(day).isoformat()}{mark}",
                integers(on_hand), mark, integers(on_order), "\n",
            )  # fmt: skip
            made[country] = ((mark.join(STOCK_HEADER) + "\n").encode() + body(rows), len(rows))
        return made


def weather_json(world: World, day: int, weather: WeatherDay) -> bytes:
    """The weather of all shops as a JSON array, one record a line."""
    on = world.date_of(day).isoformat()
    columns = (world.shops.ids, weather.temp_max.tolist(), weather.temp_min.tolist(), weather.rain.tolist())
    rows = [
        f'{{"store_id":"{shop}","observed_on":"{on}","temp_max_c":{warm},"temp_min_c":{cold},"precipitation_mm":{rain}}}'
        for shop, warm, cold, rain in zip(*columns, strict=True)
    ]
    return ("[\n" + ",\n".join(rows) + "\n]\n").encode()


def rates_csv(world: World, day: int, rates: Floats) -> bytes:
    """Exchange rates of one day: one unit of the currency in US dollars."""
    on = world.date_of(day).isoformat()
    rows = [
        f"{on},{country.currency},{rate:.6f}\n"
        for country, rate in zip(world.config.countries.values(), rates.tolist(), strict=True)
    ]
    return "".join(["rate_date,currency,rate_to_usd\n", *rows]).encode()
