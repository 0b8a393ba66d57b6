"""Good rows of the sample retailer, which hostile files are made of."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa

Content = bytes | Callable[[bytes], None]
"""What a file holds, or a function that makes what stands at the path it is given."""
HEADER = (
    "store_id,receipt_id,line_no,sold_at,sku,quantity,unit_price,list_price,promo_code,customer_id,payment_id,currency"
)


def sale(receipt: str, line: int = 1, **changed: str) -> str:
    """A line of a till, without its end."""
    values = dict(zip(HEADER.split(","), _SALE.format(receipt=receipt, line=line).split(","), strict=True)) | changed
    return ",".join(values.values())


_SALE = "US-001,{receipt},{line},10/06/2025 10:15:00 AM,SKU-00001,1,2.50,2.75,,C-1,P-1,USD"


def sales(name: str, count: int = 2) -> str:
    """A good CSV file of `count` rows."""
    return "\n".join([HEADER, *(sale(name, n + 1) for n in range(count))]) + "\n"


def click(event: str, **changed: Any) -> dict[str, Any]:
    """A click on the web shop."""
    return {
        "event_id": event, "session_id": "S1", "customer_id": None, "store_id": "US-WEB", "event_type": "view",
        "sku": "SKU-00001", "query": None, "occurred_at": "2025-10-06T12:30:00-04:00",
    } | changed  # fmt: skip


def clicks(name: str, count: int = 2) -> str:
    """A good file of JSON lines."""
    return "".join(json.dumps(click(f"{name}-{n}")) + "\n" for n in range(count))


def weather(day: str, **changed: Any) -> dict[str, Any]:
    """The weather of a day in New York."""
    return {"store_id": "US-001", "observed_on": day, "temp_max_c": 21.5, "temp_min_c": 12.0} | changed


def payments(name: str, count: int = 2, **changed: Any) -> pa.Table:
    """A good table of payments; `changed` columns replace others or stand beside them."""
    columns: dict[str, Any] = {
        "payment_id": pa.array([f"{name}-{n}" for n in range(count)]),
        "receipt_id": pa.array(["R1"] * count),
        "store_id": pa.array(["US-001"] * count),
        "card_token": pa.array(["tok_a1"] * count),
        "amount": pa.array([2.5] * count),
        "currency": pa.array(["USD"] * count),
        "method": pa.array(["card"] * count),
        "paid_at": pa.array([datetime(2025, 10, 6, 15)] * count, pa.timestamp("us")),  # noqa: DTZ001 - UTC by the feed
        "is_online": pa.array([False] * count),
    }
    return pa.table(columns | changed)
