"""Parquet files: cut, with flipped bytes, with odd names and types, and some that hold far more than they take."""

import io
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults.hostile_text import _hole
from benchmarks.faults.rows import Content, payments

OURS = ("_raw", "_pos", "_file", "_problem", "_line", "\x1fpos", "\x1fraw")
FLIPPED = 12  # files with flipped bytes, of each kind


def parquet_contents(chance: random.Random, size: int) -> Iterator[tuple[str, Content]]:
    """Kind and content of every hostile Parquet file."""
    yield from _torn(chance)
    yield from _names()
    for what, changed in _types().items():
        yield what, written(payments("".join(filter(str.isalnum, what)), **changed))
    yield from _instants()
    yield "only NULs", _hole(size)
    yield "NULs between the marks", b"PAR1" + bytes(1 << 16) + b"PAR1"
    yield "one long text", _later(lambda: payments("long", customer_id=pa.array(["x" * min(size, 2**31 - 9), "y"])))
    yield "one text in every row", _later(lambda: payments("bomb", 400, customer_id=_repeated(b"x" * (size >> 6), 400)))
    yield (
        "one text in every row, written out",
        _later(lambda: payments("plain", 64, customer_id=_repeated(b"x" * (size >> 6), 64)), use_dictionary=False),
    )
    yield "many equal rows", written(payments("equal", 200_000, payment_id=pa.array(["equal"] * 200_000)))
    yield "thousands of columns", written(payments("wide", **{f"extra {n}": pa.array([n] * 2) for n in range(2_000)}))
    yield "many row groups", written(payments("groups", 500), row_group_size=1)


def _repeated(text: bytes, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([text], pa.string()))


def _later(table: Callable[[], pa.Table], **options: Any) -> Content:
    """A file that is made where it is wanted: not all of the large ones have to be in memory at a time."""

    def make(path: bytes) -> None:
        pq.write_table(table(), os.fsdecode(path), **options)

    return make


def written(table: pa.Table, **options: Any) -> bytes:
    """`table` as a Parquet file with checksums, as the better writers make them."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True, **options)
    return buffer.getvalue()


def _torn(chance: random.Random) -> Iterator[tuple[str, Content]]:
    good = written(payments("torn", 500), compression="zstd")
    footer = int.from_bytes(good[-8:-4], "little")
    yield "empty", b""
    yield "a mark only", b"PAR1"
    yield "two marks", b"PAR1PAR1"
    yield "CSV", b"payment_id,amount\nP1,2\n"
    yield "encrypted footer", b"PARE" + good[4:-4] + b"PARE"
    for share in (0.1, 0.5, 0.99):
        yield f"cut at {share:.0%}", good[: int(len(good) * share)]
    yield "without its last byte", good[:-1]
    yield "zeros over a page", good[:200] + bytes(200) + good[400:]
    yield "zeros over the footer", good[: -8 - footer] + bytes(footer) + good[-8:]
    for claim in (0, 1, footer - 1, footer + 9, len(good), 2**31 - 1, 2**31, 2**32 - 1):
        yield f"footer of {claim - footer:+} bytes", good[:-8] + claim.to_bytes(4, "little") + b"PAR1"
    for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd"):
        whole = bytearray(written(payments(f"page-{codec}", 400), compression=codec))
        whole[chance.randrange(60, 400)] ^= 0xFF
        yield f"flipped byte in a page of {codec}", bytes(whole)
    for n in range(FLIPPED):
        whole = bytearray(written(payments(f"flip-{n}", 300)))
        whole[chance.randrange(4, len(whole) - 8)] ^= 1 << chance.randrange(8)
        yield f"flipped bit {n}", bytes(whole)
        whole = bytearray(written(payments(f"foot-{n}", 300)))
        for _ in range(3):
            whole[-9 - chance.randrange(int.from_bytes(whole[-8:-4], "little") - 1)] = chance.randrange(256)
        yield f"flipped bytes {n} in the footer", bytes(whole)


def _names() -> Iterator[tuple[str, Content]]:
    for name in (
        "_raw",
        "_pos",
        "_file",
        "_problem",
        "_line",
        "\x1fpos",
        "\x1fraw",
        "a\0b",
        'a"b',
        "a\nb",
        "é",
        "k" * 100_000,
    ):
        plain = "".join(filter(str.isalnum, name))[:9]
        yield f"column {name[:12]!r}", written(payments(f"name-{plain}-{len(name)}", **{name: pa.array(["x", "y"])}))
    good = payments("names")
    for what, second in {
        "twice": "method",
        "in two cases": "Method",
        "without a name": "",
        "with a space": "method ",
    }.items():
        table = pa.Table.from_arrays([*good.columns, good["method"]], names=[*good.column_names, second])
        yield f"column {what}", written(table.set_column(0, "payment_id", [pa.array([f"{what}-1", f"{what}-2"])]))
    yield "columns without names", written(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["", ""]))
    yield "no column", written(pa.table({}))
    yield "no row", written(payments("rows").slice(0, 0))
    yield "no column of the feed", written(pa.table({"a": [1], "b": [2]}))
    yield "missing column", written(payments("missing").drop_columns(["method"]))
    yield "other order", written(payments("order").select(list(reversed(good.column_names))))
    yield "names in capitals", written(payments("caps").rename_columns([name.upper() for name in good.column_names]))


def _types() -> dict[str, dict[str, pa.Array]]:
    def two(value: Any, kind: pa.DataType | None = None) -> pa.Array:
        return pa.array([value, value], kind)

    return {
        "decimal256": {"amount": two(Decimal("1.5"), pa.decimal256(60, 10))},
        "amount as text": {"amount": two("2.50")},
        "amount as no number": {"amount": two("two")},
        "amount as NaN": {"amount": two(float("nan"))},
        "amount as infinity": {"amount": two(float("inf"))},
        "amount as bytes": {"amount": two(b"\xff\xfe")},
        "amount as a list": {"amount": two([2.5])},
        "amount as a record": {"amount": two({"value": 2.5})},
        "amount as a map": {"amount": pa.array([[("a", 1.0)]] * 2, pa.map_(pa.string(), pa.float64()))},
        "amount as half a float": {"amount": two(2.5, pa.float16())},
        "amount as nothing": {"amount": pa.nulls(2)},
        "amount as truth": {"amount": two(True)},
        "unsigned": {"amount": two(2**64 - 1, pa.uint64())},
        "dictionary": {"method": two("card").dictionary_encode()},
        "dictionary of whole numbers": {"method": two(1).dictionary_encode()},
        "large text": {"payment_id": pa.array(["lt-1", "lt-2"], pa.large_string())},
        "text view": {"payment_id": pa.array(["tv-1", "tv-2"], pa.string_view())},
        "bytes for text": {"payment_id": pa.array([b"bt-1", b"bt-2"])},
        "bytes that are no text": {"payment_id": pa.array([b"\xff", b"\xfe"])},
        "fixed bytes": {"payment_id": pa.array([b"fb-1", b"fb-2"], pa.binary(4))},
        "numbers for text": {"payment_id": pa.array([1, 2])},
        "floats for text": {"payment_id": pa.array([1e16, 2e16])},
        "text with NULs": {"payment_id": pa.array(["a\0", "\0b"])},
        "day for an instant": {"paid_at": two(date(2025, 10, 6))},
        "64-bit day": {"paid_at": two(datetime(2025, 10, 6), pa.date64())},  # noqa: DTZ001
        "time for an instant": {"paid_at": two(time(12), pa.time64("us"))},
        "length for an instant": {"paid_at": two(timedelta(1), pa.duration("us"))},
        "text for an instant": {"paid_at": two("2025-10-06 15:00:00")},
        "number for an instant": {"paid_at": two(1_759_700_000)},
        "instant with a zone": {"paid_at": two(datetime(2025, 10, 6, tzinfo=UTC), pa.timestamp("us", "Asia/Tokyo"))},
        "seconds": {"paid_at": two(datetime(2025, 10, 6), pa.timestamp("s"))},  # noqa: DTZ001
        "records in records": {"note": pa.array([{"a": {"b": [{"c": 1}]}}] * 2)},
        "truth as a number": {"is_online": two(7)},
        "only nulls": {"payment_id": pa.nulls(2, pa.string())},
    }


def _instants() -> Iterator[tuple[str, Content]]:
    for unit, value in (("us", 2**63 - 1), ("us", -(2**63) + 1), ("ns", 2**63 - 1), ("ms", 2**62), ("ms", 10**15)):
        table = payments(f"at-{unit}-{value % 97}", paid_at=pa.array([value] * 2, pa.timestamp(unit)))
        yield f"instant {value} {unit}", written(table, version="2.6")
    for days in (2**31 - 1, -(2**31)):
        table = payments(f"day-{days % 97}", paid_at=pa.array([days] * 2, pa.int32()).cast(pa.date32()))
        yield f"day {days}", written(table)
