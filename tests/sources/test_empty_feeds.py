"""Rows were read and none of them reached bronze: an error that says why, and nothing is lost."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources import quality
from retail_assets.sources.load import import_retailer
from retail_assets.sources.replay import replay
from retail_assets.sources.report import EmptyFeed, Reason
from tests.sources.landing import Retailer, us_line
from tests.sources.test_bronze_assets import checks, materialize
from tests.sources.test_mapping_mistakes import ROW, mapped, write

BAD = [ROW | {"time": "yesterday"}, ROW | {"qty": "two", "receipt": "2"}, ROW | {"time": "today", "receipt": "3"}]


def test_an_import_without_a_row_in_bronze_gives_the_commonest_reasons(tmp_path: Path, home: Home, lake: Lake) -> None:
    write(tmp_path, *BAD)
    report = import_retailer(lake, home, mapped(tmp_path)[0], tmp_path)
    assert report.empty_feeds == (
        EmptyFeed(
            source="pos_lines",
            feed="shop/lines",
            rows_read=3,
            reasons=(
                Reason(
                    reason="not_a_timestamp",
                    rows=2,
                    example="not_a_timestamp: sold_at='yesterday'",
                    where="sales.csv:2",
                ),
                Reason(reason="not_a_decimal", rows=1, example="not_a_decimal: quantity='two'", where="sales.csv:3"),
            ),
        ),
    )
    assert quality.sums(lake, ["pos_lines"])["pos_lines"].add_up
    assert report.source("stores").rows_bronze == 1


def test_a_feed_whose_rows_were_there_before_is_not_empty(tmp_path: Path, home: Home, lake: Lake) -> None:
    write(tmp_path, ROW)
    import_retailer(lake, home, mapped(tmp_path)[0], tmp_path)
    write(tmp_path, ROW, name="sales_again")
    report = import_retailer(lake, home, mapped(tmp_path)[0], tmp_path)
    assert (report.source("pos_lines").rows_duplicate, report.empty_feeds) == (1, ())


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_fails_and_says_what_to_do(
    tmp_path: Path, retail: Callable[..., "CompletedProcess[str]"], as_json: bool
) -> None:
    write(tmp_path, *BAD)
    json_flag = ["--json"] if as_json else []
    done = retail(tmp_path / "home", "import", str(mapped(tmp_path)[0]), str(tmp_path), *json_flag, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    if as_json:
        assert [feed["feed"] for feed in json.loads(done.stdout)["sources"][-1]["empty_feeds"]] == ["shop/lines"]
    else:
        assert "none of the 3 rows of feed shop/lines reached bronze/pos_lines" in done.stderr
        assert "2 x not_a_timestamp, for example not_a_timestamp: sold_at='yesterday' (sales.csv:2)" in done.stderr
        assert "then `retail replay pos_lines`" in done.stderr
        assert "Next" not in done.stdout


def test_a_graph_without_a_sale_stops_until_one_is_there(retailer: Retailer) -> None:
    retailer.put_pos([us_line(sku="SKU-00042"), us_line(receipt=2, sku="SKU-00042")])
    for _ in range(2):
        result = materialize(retailer, "pos_lines", raise_on_error=False)
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert "2 x unknown_sku, for example unknown_sku: sku='SKU-00042'" in str(failure.step_failure_data.error)
    retailer.put("catalogue/products_US_20251008_d20251008T050000Z.json", '[{"sku":"SKU-00042"}]')
    retailer.load_only("products")
    assert replay(retailer.lake, retailer.home, "pos_lines").rows_moved == 2
    assert checks(materialize(retailer, "pos_lines"))["pos_lines", "every_feed_has_rows"].passed


def test_a_feed_that_is_empty_beside_others_fails_a_check_and_stops_nothing(retailer: Retailer) -> None:
    retailer.put("rates/rates_20251006_d20251006T160000Z.csv", "rate_date,currency,rate_to_usd\n2025-10-06,USD,one\n")
    result = materialize(retailer, "exchange_rates")
    found = checks(result)["exchange_rates", "every_feed_has_rows"]
    assert (result.success, found.passed, found.severity.value) == (True, False, "ERROR")
    assert "not_a_decimal" in str(found.metadata["feeds"].value)
