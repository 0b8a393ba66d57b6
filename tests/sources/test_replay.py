"""Quarantined rows after a correction: what passes moves to bronze under its own name, the rest stays."""

import json
import shutil
from pathlib import Path

import pytest

from retail_assets.sources import quality
from retail_assets.sources.config import SOURCES_DIR
from retail_assets.sources.replay import UnknownSource, replay
from tests.sources.landing import US_HEADER, Retailer, us_line


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """A copy of the contracts that a test corrects."""
    return Path(shutil.copytree(SOURCES_DIR, tmp_path / "sources"))


def correct(configs: Path, source: str, old: str, new: str) -> None:
    file = configs / f"{source}.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_rows_of_an_item_that_came_later_move_and_the_others_stay(retailer: Retailer) -> None:
    retailer.put_pos([us_line(), us_line(receipt=2, sku="SKU-00042"), us_line(receipt=3, quantity="abc")])
    retailer.load_pos()
    quarantined = {row["line"]: row["row_id"] for row in retailer.quarantine()}
    retailer.put("catalogue/products_US_20251008_d20251008T050000Z.json", json.dumps([{"sku": "SKU-00042"}]))
    retailer.load_only("products")
    report = replay(retailer.lake, retailer.home, "pos_lines")
    assert (report.rows_tried, report.rows_moved, report.rows_left) == (2, 1, 1)
    assert report.left_by_reason == {"not_a_decimal": 1}
    moved = retailer.bronze()[1]
    assert (moved["row_id"], moved["line"], moved["sku"]) == (quarantined[3], 3, "SKU-00042")
    assert str(moved["business_date"]) == "2025-10-06"


def test_replaying_twice_moves_nothing_twice(retailer: Retailer, configs: Path) -> None:
    retailer.put_pos([us_line(quantity="0"), us_line(receipt=2)])
    retailer.load_pos()
    correct(configs, "pos_lines", "quarantine_if: quantity = 0", "quarantine_if: quantity = 999")
    assert replay(retailer.lake, retailer.home, "pos_lines", configs).rows_moved == 1
    before = (retailer.bronze(), retailer.loads())
    again = replay(retailer.lake, retailer.home, "pos_lines", configs)
    assert (again.rows_tried, again.rows_moved, again.rows_left) == (0, 0, 0)
    assert (retailer.bronze(), retailer.loads()) == before


def test_sums_hold_after_a_replay_and_the_moved_days_are_noted(retailer: Retailer, configs: Path) -> None:
    retailer.put_pos([us_line(quantity="0"), us_line(receipt=2), us_line(receipt=2), us_line(quantity="0")])
    retailer.load_pos()
    correct(configs, "pos_lines", "quarantine_if: quantity = 0", "quarantine_if: quantity = 999")
    report = replay(retailer.lake, retailer.home, "pos_lines", configs)
    assert (report.rows_moved, report.rows_duplicate, report.rows_left) == (1, 1, 0)
    sums = quality.sums(retailer.lake, ["pos_lines"])["pos_lines"]
    assert (sums.add_up, sums.read, sums.duplicate) == (True, 4, 2)
    noted = [row for row in retailer.loads() if row["status"] == "replayed"]
    assert [row["business_dates"] for row in noted if row["rows_bronze"]] == [
        [row["business_date"] for row in retailer.bronze()][:1]
    ]
    assert retailer.load_pos().rows_read == 0


def test_a_column_named_in_the_mapping_later_is_read_from_the_kept_rows(retailer: Retailer, configs: Path) -> None:
    retailer.put_pos([us_line(), us_line(receipt=2)], header=US_HEADER.replace("sku", "article"))
    assert retailer.load_pos().quarantined_by_reason == {"missing_column": 2}
    correct(configs, "pos_lines", "      sku: sku\n", "      sku: [sku, article]\n")
    assert replay(retailer.lake, retailer.home, "pos_lines", configs).rows_moved == 2
    assert {row["sku"] for row in retailer.bronze()} == {"SKU-00001"}


def test_a_delimiter_corrected_later_splits_the_kept_rows(retailer: Retailer, configs: Path) -> None:
    content = "\n".join([US_HEADER, us_line(), us_line(receipt=2)]).replace(",", "|") + "\n"
    retailer.put("pos/US-001/pos_US-001_20251006_d20251007T030000Z.csv", content)
    retailer.load_pos()
    correct(configs, "pos_lines", 'dialect: {timestamp: "%m', 'dialect: {delimiter: "|", timestamp: "%m')
    assert replay(retailer.lake, retailer.home, "pos_lines", configs).rows_moved == 2


def test_an_encoding_corrected_later_restores_the_text(retailer: Retailer, configs: Path) -> None:
    content = "\n".join([US_HEADER, us_line(promo="caf\xe9"), us_line(receipt=2)]) + "\n"
    retailer.put("pos/US-001/pos_US-001_20251006_d20251007T030000Z.csv", content.encode("latin-1"))
    assert retailer.load_pos().quarantined_by_reason == {"not_utf8": 1}
    assert replay(retailer.lake, retailer.home, "pos_lines").rows_moved == 0
    correct(configs, "pos_lines", 'dialect: {timestamp: "%m', 'dialect: {encoding: latin-1, timestamp: "%m')
    assert replay(retailer.lake, retailer.home, "pos_lines", configs).rows_moved == 1
    assert retailer.bronze()[0]["promo_code"] == "café"


def test_cut_lines_stay_where_they_are(retailer: Retailer) -> None:
    content = "\n".join([US_HEADER, us_line(), us_line(receipt=2)])
    retailer.put("pos/US-001/pos_US-001_20251006_d20251007T030000Z.csv", content)
    retailer.load_pos()
    report = replay(retailer.lake, retailer.home, "pos_lines")
    assert (report.rows_moved, report.left_by_reason) == (0, {"truncated": 1})


def test_quarantined_json_is_judged_again(retailer: Retailer, configs: Path) -> None:
    event = {
        "event_id": "E1",
        "session_id": "S",
        "store_id": "US-WEB",
        "event_type": "wish",
        "occurred_at": "2025-10-06T12:00:00Z",
    }
    retailer.put("clicks/US-WEB/clicks_US-WEB_20251006_d20251007T040000Z.jsonl", json.dumps(event) + "\n")
    assert retailer.load_only("click_events").quarantined_by_reason == {"not_allowed": 1}
    correct(configs, "click_events", "allowed: [view,", "allowed: [wish, view,")
    assert replay(retailer.lake, retailer.home, "click_events", configs).rows_moved == 1
    assert retailer.bronze("click_events")[0]["event_type"] == "wish"


def test_an_unknown_source_is_an_error(retailer: Retailer) -> None:
    with pytest.raises(UnknownSource, match="sales"):
        replay(retailer.lake, retailer.home, "sales")
