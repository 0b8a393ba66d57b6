"""One odd file beside good ones: it is in quarantine whole, with a reason a person understands; all others load."""

import bz2
import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.commands.status import source_status
from retail_assets.sources.contract import Feed
from retail_assets.sources.discover import raw_file
from retail_assets.sources.headers import read_header
from tests.sources.landing import US_HEADER, Retailer, us_line
from tests.sources.test_files import CLICKS, EVENT, WEATHER

GOOD = f"{US_HEADER}\n{us_line(receipt=2)}\n"
ODD_CSV = {
    "carriage returns": (GOOD.replace("\n", "\r").encode(), "unreadable: its lines end with carriage returns only"),
    "gzip": (gzip.compress(GOOD.encode()), "unreadable: it is packed by gzip"),
    "bzip2": (bz2.compress(GOOD.encode()), "unreadable: it is packed by bzip2"),
    "old Excel": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\n",
        "unreadable: it is an old Excel file (.xls): save it as CSV",
    ),
    "PDF": (b"%PDF-1.4\nx\n", "unreadable: it is a PDF"),
    "a page": (b"\n<html>\n<body>\n", "unreadable: it is a page of HTML or XML"),
    "an error message": (b'{"error": "expired"}\n', "unreadable: it is JSON, perhaps what a server said"),
    "text": (b"expired\n", "unreadable: its only line names no column that the feed reads"),
    "Excel": (b"PK\x03\x04\x14\x00\x06\x00", "unreadable: it is a ZIP or Excel file"),
    "long header": (b"a" * 140_000 + b",b\n1,2\n", "unreadable: its first line names no columns"),
    "NUL": (b"\0" * 4096, "unreadable: its first line holds NUL bytes"),
    "UTF-16": (GOOD.encode("utf-16"), "unreadable: its first line holds NUL bytes"),
    "same but for case": (
        GOOD.replace("promo_code", "Quantity").encode(),
        "ambiguous_columns: 'quantity' and 'Quantity' differ only by case",
    ),
    "twice": (GOOD.replace("promo_code", "quantity").encode(), "ambiguous_columns: the column 'quantity' is there twi"),
}


def test_odd_csv_files_are_quarantined_whole(retailer: Retailer) -> None:
    retailer.put_pos([us_line()], stamp="20251007T020000Z")
    for n, (content, _) in enumerate(ODD_CSV.values()):
        retailer.put(f"pos/US-001/pos_US-001_20251006_d20251008T0300{n:02d}Z.csv", content)
    report = retailer.load_pos()
    assert (report.files, report.rows_bronze, report.rows_quarantined) == (1 + len(ODD_CSV), 1, len(ODD_CSV))
    for row, (_, reason) in zip(retailer.quarantine(), ODD_CSV.values(), strict=True):
        assert row["reasons"][0].startswith(reason), row["file"]


def test_a_column_that_is_repeated_and_not_read_harms_nothing(retailer: Retailer) -> None:
    retailer.put_pos([us_line() + ",1,2"], header=f"{US_HEADER},note,note")
    assert retailer.load_pos().rows_bronze == 1


ODD_JSON = {
    "deep": ("[" * 20_000 + "]" * 20_000, "unreadable: its values are nested too deeply"),
    "surrogate": ('[{"store_id":"\\ud800"}]', "not_utf8: half of a surrogate pair"),
    "packed": (gzip.compress(b"[]"), "unreadable: it is packed by gzip"),
    "a page": ("<!DOCTYPE html>\n<html>\n", "unreadable: it is a page of HTML or XML"),
    "case": ('[{"store_id":"US-001","Store_Id":"US-002","observed_on":"2025-10-06"}]', "ambiguous_columns: "),
}


def test_odd_json_files_are_quarantined_whole(retailer: Retailer) -> None:
    for n, (content, _) in enumerate(ODD_JSON.values()):
        retailer.put(WEATHER.replace("T060000Z", f"T06000{n}Z"), content)
    retailer.put(WEATHER.replace("06_d", "07_d"), '[{"store_id":"US-001","observed_on":"2025-10-07"}]')
    report = retailer.load_only("weather")
    assert (report.files, report.rows_bronze, report.rows_quarantined) == (1 + len(ODD_JSON), 1, len(ODD_JSON))
    for row, (_, reason) in zip(retailer.quarantine("weather"), ODD_JSON.values(), strict=True):
        assert row["reasons"][0].startswith(reason), row["file"]


def test_what_is_no_parquet_file_is_named(retailer: Retailer) -> None:
    for n, content in enumerate((b"payment_id,amount\nP1,2\n", gzip.compress(b"x"), b"PAR1 cut")):
        retailer.put(f"payments/payments_20251006_d20251007T06000{n}Z.parquet", content)
    retailer.load_only("payments")
    assert [row["reasons"][0].split(" (")[0] for row in retailer.quarantine("payments")] == [
        "unreadable: it is no Parquet file, which begins with PAR1",
        "unreadable: it is packed by gzip: unpack it",
        "truncated: not a whole Parquet file",
    ]


def test_a_header_in_another_case_is_one_of_the_feed(retailer: Retailer) -> None:
    retailer.put_pos([], header=US_HEADER.upper())
    assert retailer.load_pos().rows_read == 0


def test_a_key_in_another_case_is_one_bad_row(retailer: Retailer) -> None:
    lines = [EVENT, {key.title(): value for key, value in EVENT.items()}, EVENT | {"event_id": "E2"}]
    retailer.put(CLICKS, "".join(json.dumps(line) + "\n" for line in lines))
    retailer.put(CLICKS.replace("06_d", "07_d"), '{"Event_Id":"x"}\n')
    report = retailer.load_only("click_events")
    assert (report.rows_read, report.rows_bronze, report.rows_quarantined) == (4, 2, 2)


@pytest.mark.parametrize("second", ["Method", "method"])
def test_a_parquet_file_with_alike_columns_is_quarantined_whole(retailer: Retailer, second: str) -> None:
    table = pa.Table.from_arrays([pa.array(["card"])] * 2, names=["method", second])
    path = retailer.put("payments/payments_20251006_d20251007T060000Z.parquet", b"")
    pq.write_table(table, path)
    assert retailer.load_only("payments").quarantined_by_reason == {"ambiguous_columns": 1}


def test_a_column_that_the_feed_ignores_is_never_in_doubt() -> None:
    feed = Feed(name="f", files="f", format="csv", columns={"sku": "sku"}, ignored=("SKU", "_line"))
    header = read_header(b"SKU,sku,_line\n", feed)
    assert (header.problem, header.names) == (None, ("SKU_2", "sku", "_line"))


def test_the_status_names_the_files_that_were_refused(retailer: Retailer) -> None:
    retailer.put_pos([us_line()], stamp="20251007T020000Z")
    content, reason = ODD_CSV["NUL"]
    retailer.put("pos/US-001/pos_US-001_20251006_d20251008T030000Z.csv", content)
    retailer.put("weather/weather_20251006_d20251007T060000Z.json", '[{"store_id":"US-001",')
    retailer.load_pos()
    retailer.load_only("weather")
    found = {source.source: source.refused_files for source in source_status(retailer.lake)}
    [(file, said)] = found["pos_lines"].items()
    assert file.endswith("pos_US-001_20251006_d20251008T030000Z.csv") and said.startswith(reason)
    assert [text.split(":")[0] for text in found["weather"].values()] == ["truncated"]


@pytest.mark.parametrize(("seconds", "year"), [(-40_000_000_000, 1970), (15_000_000_000, 2199), (1_700_000_000, 2023)])
def test_a_file_time_that_no_calendar_has_is_the_nearest_that_one_has(tmp_path: Path, seconds: int, year: int) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    os.utime(file, (seconds, seconds))
    feed = Feed(name="x", files="*.csv", format="csv", delivered_at="file_time", columns={"a": "a"})
    assert raw_file(file, file.name, feed).delivered_at.year == year
