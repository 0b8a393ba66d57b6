"""Bronze tables by hand: the columns a source writes, and a small retailer in two countries to fill them."""

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from retail_assets.resources.lake import Lake

COMMON = [
    ("row_id", pa.string()),
    ("load_id", pa.string()),
    ("file", pa.string()),
    ("line", pa.int32()),
    ("content_hash", pa.int64()),
    ("delivered_at", pa.timestamp("us", tz="UTC")),
    ("loaded_at", pa.timestamp("us", tz="UTC")),
    ("business_date", pa.date32()),
]
TEXT, DAY, INSTANT, PRICE = pa.string(), pa.date32(), pa.timestamp("us", tz="UTC"), pa.decimal128(12, 4)
COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "pos_lines": {
        "store_id": TEXT,
        "receipt_id": TEXT,
        "line_no": pa.int32(),
        "sold_at": INSTANT,
        "sku": TEXT,
        "quantity": pa.decimal128(12, 3),
        "unit_price": PRICE,
        "list_price": PRICE,
        "promo_code": TEXT,
        "customer_id": TEXT,
        "payment_id": TEXT,
        "currency": TEXT,
    },
    "click_events": {
        "event_id": TEXT,
        "session_id": TEXT,
        "customer_id": TEXT,
        "store_id": TEXT,
        "event_type": TEXT,
        "sku": TEXT,
        "query": TEXT,
        "occurred_at": INSTANT,
    },
    "payments": {
        "payment_id": TEXT,
        "receipt_id": TEXT,
        "store_id": TEXT,
        "customer_id": TEXT,
        "card_token": TEXT,
        "amount": pa.decimal128(12, 2),
        "currency": TEXT,
        "method": TEXT,
        "paid_at": INSTANT,
        "ip_country": TEXT,
        "device_id": TEXT,
        "is_online": pa.bool_(),
    },
    "chargebacks": {"payment_id": TEXT, "reported_on": DAY, "reason": TEXT},
    "competitor_prices": {
        "country": TEXT,
        "competitor": TEXT,
        "sku": TEXT,
        "observed_on": DAY,
        "price": PRICE,
        "currency": TEXT,
    },
    "stock_levels": {
        "store_id": TEXT,
        "sku": TEXT,
        "counted_on": DAY,
        "on_hand": pa.int32(),
        "on_order": pa.int32(),
    },
    "price_list": {
        "country": TEXT,
        "sku": TEXT,
        "effective_on": DAY,
        "list_price": PRICE,
        "unit_cost": PRICE,
        "currency": TEXT,
    },
    "promotions": {
        "promo_code": TEXT,
        "country": TEXT,
        "sku": TEXT,
        "starts_on": DAY,
        "ends_on": DAY,
        "discount_pct": pa.decimal128(5, 2),
        "announced_on": DAY,
    },
    "weather": {
        "store_id": TEXT,
        "observed_on": DAY,
        "temp_max_c": pa.float64(),
        "temp_min_c": pa.float64(),
        "precipitation_mm": pa.float64(),
    },
    "products": {
        "sku": TEXT,
        "country": TEXT,
        "name": TEXT,
        "department": TEXT,
        "category": TEXT,
        "brand": TEXT,
        "colour": TEXT,
        "pack_size": pa.float64(),
        "unit": TEXT,
        "price_family": TEXT,
        "launched_on": DAY,
        "discontinued_on": DAY,
    },
    "stores": {
        "store_id": TEXT,
        "name": TEXT,
        "country": TEXT,
        "region": TEXT,
        "city": TEXT,
        "time_zone": TEXT,
        "currency": TEXT,
        "channel": TEXT,
        "fiscal_calendar": TEXT,
        "day_ends": TEXT,
        "opened_on": DAY,
        "size_sqm": pa.int32(),
    },
    "customers": {
        "customer_id": TEXT,
        "country": TEXT,
        "home_store_id": TEXT,
        "joined_on": DAY,
        "loyalty_tier": TEXT,
    },
    "exchange_rates": {"rate_date": DAY, "currency": TEXT, "rate_to_usd": pa.decimal128(18, 8)},
}
START = date(2026, 1, 5)
STORES = {"US-001": "US", "US-WEB": "US", "UK-001": "UK", "UK-WEB": "UK"}
CURRENCY = {"US": "USD", "UK": "GBP"}
SKUS = [f"SKU-{n}" for n in range(1, 7)]

Rows = list[dict[str, Any]]


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a bronze table."""
    return pa.schema([*COLUMNS[table].items(), *COMMON])


def create(lake: Lake) -> None:
    """Every bronze table, empty."""
    for table in COLUMNS:
        lake.ensure("bronze", table, schema(table), partition_by=["business_date"])


def append(lake: Lake, table: str, rows: Iterable[Mapping[str, Any]], delivered: datetime | None = None) -> None:
    """Appends rows as one load; `business_date` and `delivered_at` may be given per row."""
    load = f"{random.getrandbits(64):016x}"
    full = []
    for line, row in enumerate(rows, start=2):
        day = row["business_date"]
        at = row.get("delivered_at") or delivered or datetime.combine(day, time(5), UTC) + timedelta(days=1)
        common = {"row_id": f"{load}:{line}", "load_id": load, "file": f"{table}.csv", "line": line}
        full.append({**common, "content_hash": line, "loaded_at": at, **row, "delivered_at": at})
    lake.append("bronze", table, pa.Table.from_pylist(full, schema=schema(table)), partition_by=["business_date"])


def sale(day: date, store: str = "US-001", sku: str = "SKU-1", **changes: Any) -> dict[str, Any]:
    """One POS line, two units at 10.00 without promotion."""
    row = {
        "store_id": store,
        "receipt_id": "R1",
        "line_no": 1,
        "sold_at": datetime.combine(day, time(15), UTC),
        "sku": sku,
        "quantity": Decimal("2"),
        "unit_price": Decimal("10.00"),
        "list_price": Decimal("10.00"),
        "promo_code": None,
        "customer_id": "C-1",
        "payment_id": None,
        "currency": CURRENCY[STORES.get(store, "US")],
        "business_date": day,
    }
    return row | changes


def master_data(lake: Lake, days: int) -> None:
    """Stores, products, customers, a price list, a promotion, rates: what is known on the first day."""
    append(lake, "stores", [_store(store, country) for store, country in STORES.items()])
    append(lake, "products", [_product(sku, country) for sku in SKUS[:-1] for country in CURRENCY])
    customers = [{"customer_id": f"C-{n}", "country": "US", "home_store_id": "US-001"} for n in range(1, 20)]
    append(lake, "customers", [row | {"joined_on": START, "business_date": START} for row in customers])
    append(lake, "price_list", [_price(sku, country, START, "10.00") for sku in SKUS for country in CURRENCY])
    append(lake, "promotions", [_promotion(country, START + timedelta(days=9), 4) for country in CURRENCY])
    append(lake, "exchange_rates", [row for n in range(days) for row in _rates(START + timedelta(days=n))])


def _store(store: str, country: str) -> dict[str, Any]:
    return {
        "store_id": store,
        "name": store,
        "country": country,
        "time_zone": "UTC",
        "currency": CURRENCY[country],
        "channel": "web" if "WEB" in store else "store",
        "fiscal_calendar": "4-5-4",
        "business_date": START,
    }


def _product(sku: str, country: str) -> dict[str, Any]:
    return {"sku": sku, "country": country, "name": f"{sku} {country}", "category": "c", "business_date": START}


def _price(sku: str, country: str, day: date, price: str) -> dict[str, Any]:
    return {
        "country": country,
        "sku": sku,
        "effective_on": day,
        "list_price": Decimal(price),
        "unit_cost": Decimal("6.00"),
        "currency": CURRENCY[country],
        "business_date": day,
    }


def _promotion(country: str, day: date, length: int) -> dict[str, Any]:
    return {
        "promo_code": "WINTER",
        "country": country,
        "sku": SKUS[1],
        "starts_on": day,
        "ends_on": day + timedelta(days=length - 1),
        "discount_pct": Decimal("20.00"),
        "announced_on": START,
        "business_date": START,
    }


def _rates(day: date) -> Rows:
    pound = Decimal("1.25") + Decimal(day.day) / 1000
    pairs = [("USD", Decimal(1)), ("GBP", pound)]
    return [{"rate_date": day, "currency": c, "rate_to_usd": rate, "business_date": day} for c, rate in pairs]


def trading_day(day: date, seed: int = 0) -> dict[str, Rows]:
    """One day of sales, returns, stock, payments and clicks in every store; same seed, same rows."""
    dice = random.Random(f"{day}{seed}")  # noqa: S311
    found: dict[str, Rows] = {"pos_lines": [], "stock_levels": [], "payments": [], "click_events": []}
    for store in STORES:
        for receipt in range(dice.randint(3, 6)):
            found["pos_lines"] += _receipt(dice, day, store, f"R-{store}-{day:%Y%m%d}-{receipt}")
        found["stock_levels"] += [_stock(dice, day, store, sku) for sku in SKUS]
        found["payments"] += [_payment(dice, day, store, n) for n in range(3)]
        if "WEB" in store:
            found["click_events"] += _visits(dice, day, store)
    return found


def _receipt(dice: random.Random, day: date, store: str, receipt: str) -> Rows:
    skus = dice.sample(SKUS, dice.randint(1, 3))
    return [
        sale(
            day,
            store,
            sku,
            receipt_id=receipt,
            line_no=number,
            quantity=Decimal(dice.choice([1, 1, 2, 3, -1])),
            unit_price=Decimal(dice.choice(["9.99", "8.00", "3.335"])),
            promo_code=dice.choice([None, None, "FLASH"]),
            customer_id=f"C-{dice.randint(1, 25)}",
        )
        for number, sku in enumerate(skus, start=1)
    ]


def _stock(dice: random.Random, day: date, store: str, sku: str) -> dict[str, Any]:
    on_hand = dice.choice([0, 3, 8])
    return {"store_id": store, "sku": sku, "counted_on": day, "on_hand": on_hand, "on_order": 0, "business_date": day}


def _payment(dice: random.Random, day: date, store: str, number: int) -> dict[str, Any]:
    return {
        "payment_id": f"P-{store}-{day:%Y%m%d}-{number}",
        "receipt_id": f"R-{store}-{day:%Y%m%d}-{number}",
        "store_id": store,
        "customer_id": f"C-{dice.randint(1, 25)}",
        "card_token": f"tok_{dice.randint(1, 9)}",
        "amount": Decimal(dice.randint(100, 9999)) / 100,
        "currency": CURRENCY[STORES[store]],
        "method": dice.choice(["card", "wallet"]),
        "paid_at": datetime.combine(day, time(15), UTC),
        "is_online": "WEB" in store,
        "business_date": day,
    }


def _visits(dice: random.Random, day: date, store: str) -> Rows:
    """Visits of a day; one begins before midnight and goes on in the next day."""
    rows: Rows = []
    for visit in range(4):
        for event in range(dice.randint(1, 5)):
            on = day + timedelta(days=1) if visit == 0 and event > 1 else day
            rows.append(
                {
                    "event_id": f"E-{store}-{day:%Y%m%d}-{visit}-{event}",
                    "session_id": f"S-{store}-{day:%Y%m%d}-{visit}",
                    "store_id": store,
                    "event_type": dice.choice(["view", "view", "search", "add_to_cart", "purchase"]),
                    "sku": dice.choice(SKUS),
                    "occurred_at": datetime.combine(on, time(1 if on > day else 23, event), UTC),
                    "business_date": on,
                }
            )
    return rows


def trade(lake: Lake, days: Iterable[date], seed: int = 0) -> None:
    """Appends the trading days, one load per table."""
    found = [trading_day(day, seed) for day in days]
    for table in ("pos_lines", "stock_levels", "payments", "click_events"):
        append(lake, table, [row for day in found for row in day[table]])


def fill(lake: Lake, days: int) -> list[date]:
    """A whole small retailer of so many days; returns the days."""
    create(lake)
    master_data(lake, days + 10)
    dates = [START + timedelta(days=n) for n in range(days)]
    trade(lake, dates)
    return dates
