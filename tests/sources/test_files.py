"""Files as they really come: empty, cut, without header, in other bytes, with other columns."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from retail_assets.sources.lines import LINE_LIMIT
from tests.sources.landing import SKUS, UK_HEADER, US_HEADER, Retailer, us_line

POS = "pos/US-001/pos_US-001_20251006_d20251007T030000Z.csv"
UK = "pos/UK-001/pos_UK-001_20251006_d20251007T03000{n}Z.csv"
WEATHER = "weather/weather_20251006_d20251007T060000Z.json"
CLICKS = "clicks/US-WEB/clicks_US-WEB_20251006_d20251007T040000Z.jsonl"
EVENT = {
    "event_id": "E1",
    "session_id": "S1",
    "customer_id": None,
    "store_id": "US-WEB",
    "event_type": "view",
    "sku": SKUS[0],
    "query": None,
    "occurred_at": "2025-10-06T12:30:00-04:00",
}


@pytest.mark.parametrize("content", ["", US_HEADER, f"{US_HEADER}\n", f"{US_HEADER}\n\n\r\n"])
def test_a_file_without_rows_is_loaded_once_and_counts_nothing(retailer: Retailer, content: str) -> None:
    retailer.put(POS, content)
    report = retailer.load_pos()
    assert (report.files, report.rows_read) == (1, 0)
    assert retailer.load_pos().files == 0
    assert [change.change for change in report.schema_changes] == (["the file is empty"] if not content else [])


@pytest.mark.parametrize("source", ["click_events", "weather", "payments"])
def test_an_empty_file_of_any_format_is_no_failure(retailer: Retailer, source: str) -> None:
    retailer.put(
        {"click_events": CLICKS, "weather": WEATHER, "payments": "payments/p_d20251007T040000Z.parquet"}[source], b""
    )
    report = retailer.load_only(source)
    assert report.files == 1
    assert report.rows_read == report.rows_quarantined == (1 if source == "payments" else 0)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_cut_last_line_is_quarantined_and_the_rest_is_kept(retailer: Retailer, kept: float) -> None:
    last = us_line(receipt=2)
    cut = last[: int(len(last) * kept)]
    retailer.put(POS, "\n".join([US_HEADER, us_line(), cut]))
    report = retailer.load_pos()
    assert (report.rows_bronze, report.rows_quarantined) == (1, 1)
    assert report.quarantined_by_reason == {"truncated": 1}
    assert retailer.quarantine()[0]["raw"] == cut


def test_a_line_that_lacks_only_its_end_may_be_cut_too(retailer: Retailer) -> None:
    retailer.put(POS, "\n".join([US_HEADER, us_line(), us_line(receipt=2)]))
    assert retailer.load_pos().quarantined_by_reason == {"truncated": 1}


def test_a_cut_json_line_is_truncated_but_a_whole_one_needs_no_line_end(retailer: Retailer) -> None:
    event = json.dumps(EVENT)
    retailer.put(CLICKS, event + "\n" + event.replace("E1", "E2"))
    retailer.put(CLICKS.replace("06_d", "07_d"), event.replace("E1", "E3") + "\n" + event[:40])
    report = retailer.load_only("click_events")
    assert (report.rows_bronze, report.quarantined_by_reason) == (3, {"truncated": 1})


def test_lines_that_are_no_json_objects_are_quarantined(retailer: Retailer) -> None:
    retailer.put(CLICKS, json.dumps(EVENT) + "\n[1]\nnonsense\n\n")
    report = retailer.load_only("click_events")
    assert (report.rows_read, report.rows_bronze, report.quarantined_by_reason) == (3, 1, {"not_json": 2})


def test_a_cut_json_array_is_one_quarantined_row(retailer: Retailer) -> None:
    retailer.put(WEATHER, '[{"store_id":"US-001","observed_on":"2025-10-06"},\n{"store_id":')
    report = retailer.load_only("weather")
    assert (report.rows_read, report.quarantined_by_reason) == (1, {"truncated": 1})


def test_json_arrays_and_json_lines_are_told_apart(retailer: Retailer) -> None:
    rows = [{"store_id": "US-001", "observed_on": f"2025-10-0{n}", "temp_max_c": n} for n in (6, 7, 8, 9)]
    retailer.put(WEATHER, json.dumps(rows[:2]))
    retailer.put(WEATHER.replace("06_d", "08_d"), "\n".join(json.dumps(row) for row in rows[2:]))
    assert retailer.load_only("weather").rows_bronze == 4
    assert [row["temp_max_c"] for row in retailer.bronze("weather")] == [6, 7, 8, 9]


def test_a_half_written_parquet_file_is_quarantined(retailer: Retailer, tmp_path: Path) -> None:
    pq.write_table(pa.table({"payment_id": ["P1"] * 500}), tmp_path / "p.parquet")
    whole = (tmp_path / "p.parquet").read_bytes()
    retailer.put("payments/payments_20251006_d20251007T060000Z.parquet", whole[: len(whole) // 2])
    report = retailer.load_only("payments")
    assert (report.rows_read, report.quarantined_by_reason) == (1, {"truncated": 1})


def test_a_missing_required_column_rejects_the_rows_of_the_file_and_is_reported(retailer: Retailer) -> None:
    retailer.put(POS, US_HEADER.replace("sku", "item") + "\n" + us_line() + "\n" + us_line(receipt=2) + "\n")
    report = retailer.load_pos()
    assert report.quarantined_by_reason == {"missing_column": 2}
    assert "missing_column: sku (the file has store_id," in retailer.quarantine()[0]["reasons"][0]
    assert {c.change for c in report.schema_changes} == {"missing required column sku (sku)", "new column item"}


def test_a_new_column_is_reported_once_and_its_values_are_not_guessed(retailer: Retailer) -> None:
    retailer.put_pos([us_line()])
    for n in (7, 8):
        lines = [us_line(receipt=n, time=f"10/0{n}/2025 10:00:00 AM") + ",55"]
        retailer.put_pos(lines, day=f"2025100{n}", stamp=f"2025101{n}T000000Z", header=US_HEADER + ",loyalty_points")
    report = retailer.load_pos()
    assert [("_20251007_d" in c.file, c.change) for c in report.schema_changes] == [(True, "new column loyalty_points")]
    assert (report.rows_bronze, "loyalty_points" in retailer.bronze()[0]) == (3, False)


def test_a_renamed_column_is_read_and_reported(retailer: Retailer) -> None:
    line = f"UK-001,R{{n}},1,06/10/2025 22:15:00,{SKUS[0]},1,1.00,1.25,,C-1,P-1,GBP\n"
    retailer.put(UK.format(n=1), f"{UK_HEADER}\n{line.format(n=1)}")
    assert retailer.load_pos().schema_changes == ()
    retailer.put(UK.format(n=2), f"{UK_HEADER.replace('rrp', 'list_price')}\n{line.format(n=2)}")
    report = retailer.load_pos()
    assert [c.change for c in report.schema_changes] == ["renamed column rrp -> list_price (list_price)"]
    assert {str(row["list_price"]) for row in retailer.bronze()} == {"1.2500"}
    retailer.put(UK.format(n=3), f"{UK_HEADER.replace('rrp', 'list_price')}\n{line.format(n=3)}")
    assert retailer.load_pos().schema_changes == ()


def test_columns_may_come_in_another_order(retailer: Retailer) -> None:
    header, line = US_HEADER.split(","), us_line().split(",")
    retailer.put(POS, ",".join(reversed(header)) + "\n" + ",".join(reversed(line)) + "\n")
    assert retailer.load_pos().rows_bronze == 1


def test_bytes_that_are_no_text_are_quarantined_and_shown(retailer: Retailer) -> None:
    retailer.put(
        POS, f"{US_HEADER}\n{us_line()}\n".encode() + us_line(receipt=2).replace("C-1", "Jos").encode() + b"\xe9\n"
    )
    report = retailer.load_pos()
    assert (report.rows_bronze, report.quarantined_by_reason) == (1, {"not_utf8": 1})
    assert retailer.quarantine()[0]["raw"].endswith("\\xe9")


def test_a_byte_order_mark_and_windows_line_ends_are_no_content(retailer: Retailer) -> None:
    retailer.put(POS, b"\xef\xbb\xbf" + f"{US_HEADER}\r\n{us_line()}\r\n".encode())
    report = retailer.load_pos()
    assert (report.rows_bronze, report.schema_changes) == (1, ())
    assert retailer.bronze()[0]["currency"] == "USD"


def test_a_huge_line_is_quarantined(retailer: Retailer) -> None:
    retailer.put(POS, f"{US_HEADER}\n{us_line(promo='x' * (LINE_LIMIT + 10))}\n{us_line(receipt=2)}\n")
    report = retailer.load_pos()
    assert (report.rows_bronze, report.quarantined_by_reason) == (1, {"line_too_long": 1})


CHARACTERS = st.sampled_from(list("abc019.,;\"'\r\n\t -/:%é€\x00") + [US_HEADER, us_line(), "US-001", SKUS[0]])


# Shrinking would take minutes, because every example is a load; the parts are short enough to read.
@settings(
    deadline=None,
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(parts=st.lists(CHARACTERS, max_size=40), encoding=st.sampled_from(["utf-8", "utf-16", "cp1252"]))
def test_whatever_a_file_holds_its_rows_add_up(
    another: Callable[[], Retailer], parts: list[str], encoding: str
) -> None:
    retailer = another()
    retailer.put(POS, f"{US_HEADER}\n{''.join(parts)}\n{us_line()}\n".encode(encoding, errors="replace"))
    report = retailer.load_pos()
    assert report.rows_read == report.rows_bronze + report.rows_quarantined + report.rows_duplicate
    assert (len(retailer.bronze()), len(retailer.quarantine())) == (report.rows_bronze, report.rows_quarantined)
