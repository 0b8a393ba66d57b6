"""One decision as a row: the columns every product's log shares, its text form and its identifier.

`gold_versions` and `bronze_versions` are JSON objects of table name to Delta version, `warehouse_code` the hash of the
dbt project that made that gold, `corrects` the decision id of the row that this one replaces. `arm` is champion, canary
or shadow, `latency_ms` the wall time that a service took to decide (null in batches). Tables that were written before a
column existed get it with the next append.
"""

import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.resources.lake import Lake

DECISION_SCHEMA = pa.schema(
    [
        ("decision_id", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("product", pa.string()),
        ("store_id", pa.string()),
        ("sku", pa.string()),
        ("inputs", pa.string()),
        ("model_version", pa.string()),
        ("policy_hash", pa.string()),
        ("guardrails", pa.string()),
        ("output", pa.string()),
        ("price", pa.decimal128(12, 2)),
        ("currency", pa.string()),
        ("previous_price", pa.decimal128(12, 2)),
        ("mode", pa.string()),
        ("dagster_run_id", pa.string()),
        ("git_commit", pa.string()),
        ("business_date", pa.date32()),
        ("effective_from", pa.date32()),
        ("gold_versions", pa.string()),
        ("bronze_versions", pa.string()),
        ("warehouse_code", pa.string()),
        ("corrects", pa.string()),
        ("arm", pa.string()),
        ("latency_ms", pa.float64()),
    ]
)
_AS_TEXT = pa.schema([(name, pa.string()) for name in DECISION_SCHEMA.names])


class DecisionLogError(RetailError):
    """A decision could not be written down, or a spool folder is not one."""


def new_decision_id(at: datetime | None = None) -> str:
    """A UUID of version 7 (RFC 9562): sorts by time of creation to the millisecond, then at random."""
    milliseconds = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1000)
    random = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def encode(row: Mapping[str, Any]) -> bytes:
    """One decision row as a line of JSON; raises DecisionLogError for a column the log does not have.

    Datetimes and dates become ISO text, decimals and other scalars the text that Arrow casts back exactly.
    """
    unknown = row.keys() - set(DECISION_SCHEMA.names)
    if unknown:
        raise DecisionLogError(f"a decision row has no column {', '.join(sorted(unknown))}")
    text = {name: value if value is None or isinstance(value, str) else _text(value) for name, value in row.items()}
    return orjson.dumps(text) + b"\n"


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def decode(lines: bytes | memoryview) -> pa.Table:
    """Complete lines of `encode` as a table of DECISION_SCHEMA; absent columns are null.

    Raises pyarrow.ArrowInvalid when a line is not one.
    """
    import pyarrow.json as arrow_json

    if not lines:
        return DECISION_SCHEMA.empty_table()
    options = arrow_json.ParseOptions(explicit_schema=_AS_TEXT, unexpected_field_behavior="error")
    block = arrow_json.ReadOptions(block_size=max(len(lines), 1 << 20))
    return arrow_json.read_json(pa.BufferReader(lines), read_options=block, parse_options=options).cast(DECISION_SCHEMA)


def arm_column(lake: Lake, product: str) -> str:
    """The column of the arm in SQL; null in tables that were written before there was one."""
    names = [field.name for field in lake.open("decisions", product).schema().fields]
    return "arm" if "arm" in names else "null::varchar"
