"""Landing to bronze: each row is in bronze, in quarantine with its reasons, or counted as a duplicate."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from retail_assets.sources import load as load_module
from retail_assets.sources.locks import LoadInProgress, only_one
from retail_assets.sources.tables import BATCHES, LOADS
from tests.sources.landing import DE_HEADER, SKUS, UK_HEADER, Retailer, touch, us_line

COMMON = {"row_id", "load_id", "file", "line", "content_hash", "delivered_at", "loaded_at", "business_date"}


def test_a_line_becomes_a_typed_row_that_can_be_named(retailer: Retailer) -> None:
    file = retailer.put_pos([us_line(), us_line(receipt=2, quantity="-2", promo='"5 % off, today"')])
    report = retailer.load_pos()
    assert (report.rows_read, report.rows_bronze, report.rows_quarantined, report.rows_duplicate) == (2, 2, 0, 0)
    first, second = retailer.bronze()
    assert first.keys() >= COMMON
    assert first["file"] == file.relative_to(retailer.home.landing).as_posix()
    assert (first["line"], second["line"]) == (2, 3)
    assert first["row_id"] == f"{first['load_id']}:2"
    assert first["sold_at"] == datetime(2025, 10, 6, 14, 15, tzinfo=ZoneInfo("UTC"))
    assert first["delivered_at"] == datetime(2025, 10, 7, 3, tzinfo=ZoneInfo("UTC"))
    assert first["business_date"] == date(2025, 10, 6)
    assert (first["unit_price"], first["promo_code"]) == (Decimal("2.5000"), None)
    assert (second["quantity"], second["promo_code"]) == (Decimal("-2.000"), "5 % off, today")


def test_every_dialect_means_the_same(retailer: Retailer) -> None:
    uk = f"{UK_HEADER}\nUK-001,R1,1,06/10/2025 22:15:00,{SKUS[0]},1.5,1234.50,1300.00,,C-1,P-1,GBP\n"
    de = f"{DE_HEADER}\nDE-001;R1;1;06.10.2025 22:15:00;{SKUS[0]};1,5;1234,50;1300,00;;C-1;P-1;EUR\n"
    retailer.put("pos/UK-001/pos_UK-001_20251006_d20251007T030000Z.csv", uk)
    retailer.put("pos/DE-001/pos_DE-001_20251006_d20251007T030000Z.csv", de)
    retailer.load_pos()
    german, british = retailer.bronze()
    for row in (german, british):
        assert (row["quantity"], row["unit_price"]) == (Decimal("1.500"), Decimal("1234.5000"))
        assert row["business_date"] == date(2025, 10, 6)
    assert (german["sold_at"].hour, british["sold_at"].hour) == (20, 21)


@pytest.mark.parametrize(
    ("zone", "day", "time"),
    [
        ("America/New_York", "10/31/2025", "11:59:59 PM"),
        ("America/New_York", "11/02/2025", "12:30:00 AM"),
        ("America/New_York", "11/02/2025", "03:30:00 AM"),
        ("America/New_York", "03/08/2026", "01:59:59 AM"),
        ("America/New_York", "03/08/2026", "03:00:00 AM"),
    ],
)
def test_local_times_around_clock_changes_become_utc(retailer: Retailer, zone: str, day: str, time: str) -> None:
    local = datetime.strptime(f"{day} {time}", "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=ZoneInfo(zone))
    retailer.put_pos([us_line(time=f"{day} {time}")], day=f"{local:%Y%m%d}", stamp="20270101T000000Z")
    retailer.load_pos()
    (row,) = retailer.bronze()
    assert row["sold_at"] == local.astimezone(ZoneInfo("UTC"))
    assert row["business_date"] == local.date()


def test_an_event_just_after_midnight_utc_belongs_to_the_day_before_in_new_york(retailer: Retailer) -> None:
    event = (
        '{"event_id":"E1","session_id":"S1","customer_id":null,"store_id":"US-WEB","event_type":"search","sku":null,'
        '"query":"ice","occurred_at":"2025-10-06T22:30:00-04:00"}\n'
    )
    retailer.put("clicks/US-WEB/clicks_US-WEB_20251006_d20251007T040000Z.jsonl", event)
    retailer.load_only("click_events")
    (row,) = retailer.bronze("click_events")
    assert row["occurred_at"] == datetime(2025, 10, 7, 2, 30, tzinfo=ZoneInfo("UTC"))
    assert row["business_date"] == date(2025, 10, 6)


BAD_LINES = [
    (us_line(quantity="abc"), ["not_a_decimal: quantity='abc'"]),
    (us_line(price="12,x").replace("12,x", '"12,x"'), ["not_a_decimal: unit_price='12,x'"]),
    (us_line(sku="SKU-99999"), ["unknown_sku: sku='SKU-99999'"]),
    (us_line(store="XX-999"), ["unknown_store_id: store_id='XX-999'"]),
    (us_line(currency="EUR"), ["currency_mismatch: currency='EUR', US-001 sells in USD"]),
    (us_line(quantity="0"), ["zero_quantity"]),
    (us_line(sku=""), ["missing: sku"]),
    (us_line(price="-1"), ["out_of_range: unit_price='-1.0000', allowed 0.0 to 1000000.0"]),
    (us_line(time="2025-10-06 10:15"), ["not_a_timestamp: sold_at='2025-10-06 10:15'"]),
    (us_line(time="10/07/2025 10:15:00 PM"), ["clock_skew"]),
    (us_line() + ",extra", ["field_count: 13 fields instead of 12"]),
    ("US-001,R1", ["field_count: 2 fields instead of 12"]),
    (us_line(promo='"half a quote'), ["broken_quotes"]),
    (us_line(sku="SKU-99999", quantity="x"), ["not_a_decimal: quantity='x'", "unknown_sku: sku='SKU-99999'"]),
]


@pytest.mark.parametrize(("line", "reasons"), BAD_LINES, ids=[reasons[0].split(":")[0] for _, reasons in BAD_LINES])
def test_a_bad_line_is_quarantined_as_it_came_with_all_reasons(
    retailer: Retailer, line: str, reasons: list[str]
) -> None:
    retailer.put_pos([us_line(receipt=7), line, us_line(receipt=8)])
    report = retailer.load_pos()
    assert (report.rows_bronze, report.rows_quarantined) == (2, 1)
    (row,) = retailer.quarantine()
    assert (row["raw"], row["line"], row["status"]) == (line, 3, "open")
    assert len(row["reasons"]) == len(reasons)
    assert all(found.startswith(expected) for found, expected in zip(row["reasons"], reasons, strict=True))


def test_loading_twice_adds_nothing(retailer: Retailer) -> None:
    file = retailer.put_pos([us_line(), us_line(receipt=2, quantity="abc")])
    retailer.load()
    before = (retailer.bronze(), retailer.quarantine(), retailer.loads())
    again = retailer.load()
    touch(file, 60)
    touched = retailer.load()
    assert (again.rows_read, touched.rows_read) == (0, 0)
    assert (retailer.bronze(), retailer.quarantine(), retailer.loads()) == before


def test_the_same_content_under_another_name_is_a_duplicate_load(retailer: Retailer) -> None:
    lines = [us_line(), us_line(receipt=2)]
    retailer.put_pos(lines)
    retailer.load_pos()
    retailer.put_pos(lines, stamp="20251007T050000Z")
    report = retailer.load_pos()
    assert (report.files, report.files_duplicate) == (1, 1)
    assert (report.rows_read, report.rows_bronze, report.rows_duplicate) == (2, 0, 2)
    assert len(retailer.bronze()) == 2


def test_two_equal_files_that_arrive_together_are_loaded_once(retailer: Retailer) -> None:
    retailer.put_pos([us_line()])
    retailer.put_pos([us_line()], stamp="20251007T050000Z")
    report = retailer.load_pos()
    assert (report.rows_read, report.rows_bronze, report.rows_duplicate) == (2, 1, 1)


@pytest.mark.parametrize("together", [True, False])
def test_rows_that_came_before_are_duplicates_and_new_ones_are_not(retailer: Retailer, together: bool) -> None:
    retailer.put_pos([us_line(receipt=1), us_line(receipt=2)])
    if not together:
        retailer.load_pos()
    retailer.put_pos([us_line(receipt=n) for n in (1, 2, 3)], stamp="20251007T090000Z")
    report = retailer.load_pos()
    assert report.rows_duplicate == 2
    assert sorted(row["receipt_id"] for row in retailer.bronze()) == ["R1", "R2", "R3"]


@pytest.mark.parametrize("together", [True, False])
def test_the_same_key_with_other_content_is_a_conflict(retailer: Retailer, together: bool) -> None:
    retailer.put_pos([us_line()])
    if not together:
        retailer.load_pos()
    retailer.put_pos([us_line(price="2.60")], stamp="20251007T090000Z")
    retailer.load_pos()
    (kept,) = retailer.bronze()
    (conflict,) = retailer.quarantine()
    assert kept["unit_price"] == Decimal("2.5000")
    assert conflict["reasons"] == [f"key_conflict: same key as row {kept['row_id']} with other content"]


def test_an_item_that_changes_is_a_new_version_and_one_that_does_not_is_a_duplicate(retailer: Retailer) -> None:
    changed = f'[{{"sku":"{SKUS[0]}","name":"New name"}}]'
    retailer.put("catalogue/products_US_20251101_d20251101T050000Z.json", changed)
    assert retailer.load_only("products").rows_bronze == 1
    retailer.put("catalogue/products_US_20251102_d20251102T050000Z.json", changed + "\n")
    assert retailer.load_only("products").rows_duplicate == 1


def test_a_file_that_grew_under_its_name_adds_only_what_is_new(retailer: Retailer) -> None:
    retailer.put_pos([us_line()])
    retailer.load_pos()
    retailer.put_pos([us_line(), us_line(receipt=2)])
    report = retailer.load_pos()
    assert (report.rows_read, report.rows_bronze, report.rows_duplicate) == (2, 1, 1)


def test_touched_days_are_those_of_the_rows(retailer: Retailer) -> None:
    retailer.put_pos([us_line()])
    retailer.load_pos()
    retailer.put_pos([us_line(time="10/03/2025 10:00:00 AM")], day="20251003", stamp="20251008T000000Z")
    report = retailer.load_pos()
    assert report.business_dates == (date(2025, 10, 3),)
    assert retailer.loads()[-1]["business_dates"] == [date(2025, 10, 3)]


def test_the_order_of_arrival_does_not_change_what_is_in_bronze(another: Callable[[], Retailer]) -> None:
    retailer, other = another(), another()
    days = {f"202510{n:02d}": [us_line(receipt=n, time=f"10/{n:02d}/2025 10:00:00 AM")] for n in (3, 4, 5)}
    for day, lines in days.items():
        retailer.put_pos(lines, day=day)
    retailer.load_pos()
    for day, lines in reversed(days.items()):
        other.put_pos(lines, day=day)
        other.load_pos()
    without = [{k: v for k, v in row.items() if k != "loaded_at"} for row in retailer.bronze()]
    assert without == [{k: v for k, v in row.items() if k != "loaded_at"} for row in other.bronze()]


@pytest.mark.parametrize("block_bytes", [200, 1000])
def test_a_large_file_is_read_in_blocks_with_true_line_numbers(
    retailer: Retailer, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr("retail_assets.sources.readers.read_blocks", _small_blocks(block_bytes))
    monkeypatch.setattr("retail_assets.sources.batches.PART_ROWS", 7)
    lines = [us_line(receipt=n) for n in range(40)]
    lines[20] = us_line(receipt=20, quantity="abc")
    lines.append(us_line(receipt=3))
    retailer.put_pos(lines)
    report = retailer.load_pos()
    assert (report.rows_bronze, report.rows_quarantined, report.rows_duplicate) == (39, 1, 1)
    assert [row["line"] for row in retailer.bronze()] == [n + 2 for n in range(40) if n != 20]
    assert [row["line"] for row in retailer.quarantine()] == [22]


def _small_blocks(limit: int) -> object:
    from retail_assets.sources.lines import read_blocks

    return lambda path, encoding: read_blocks(path, encoding, limit)


def test_many_batches_give_what_one_batch_gives(retailer: Retailer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "BATCH_BYTES", 1)
    for n in range(1, 6):
        retailer.put_pos([us_line(receipt=n), us_line(receipt=1)], stamp=f"2025100{n + 6}T030000Z")
    report = retailer.load_pos()
    assert len({row["batch_id"] for row in retailer.loads()}) == 5
    assert (report.rows_read, report.rows_bronze, report.rows_duplicate) == (10, 5, 5)


def test_a_source_is_loaded_by_one_process_at_a_time(retailer: Retailer) -> None:
    retailer.put_pos([us_line()])
    with only_one(retailer.lake, "pos_lines"), pytest.raises(LoadInProgress, match="pos_lines"):
        retailer.load_pos()
    assert retailer.load_pos().rows_bronze == 1


def test_every_table_exists_after_an_empty_load(retailer: Retailer) -> None:
    report = retailer.load()
    assert {source.source for source in report.sources} == set(retailer.lake.tables("bronze"))
    assert set(retailer.lake.tables("bronze")) == set(retailer.lake.tables("quarantine"))
    assert retailer.lake.open("ops", "loads").schema().fields
    assert {field.name for field in LOADS} >= {"schema_changes", "business_dates"}
    assert {field.name for field in BATCHES} >= {"load_ids", "status"}
