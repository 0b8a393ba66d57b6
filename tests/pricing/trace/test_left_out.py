"""Rows in quarantine that name the same key are told with the price they were left out of, whatever happens later."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from retail_assets.pricing.trace.trace import trace_price
from retail_assets.resources.environments import Home
from tests.pricing.trace.conftest import environment_of

SOURCES = ("pos_lines", "stock_levels", "price_list", "competitor_prices", "promotions")


def test_rows_of_the_same_key_are_listed_for_each_source_and_no_others(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    before = trace_price(there, decision_id)
    assert before.quarantined == []
    country = next(feature.value for feature in before.features if feature.name == "country")
    for source in SOURCES:
        place = before.store_id if source in ("pos_lines", "stock_levels") else country
        early = before.decided_at - timedelta(minutes=1)
        rows = [
            _row(source, 1, f"{place},{before.sku},broken", before.business_date, early),
            _row(source, 2, f"{place},{before.sku}0,another SKU", before.business_date, early),
            _row(source, 3, f"{place}-X9,another place".replace(place, "ZZ"), before.business_date, early),
            _row(source, 4, f"{place},{before.sku},too late", before.business_date, datetime(2999, 1, 1, tzinfo=UTC)),
            _row(source, 5, f"{place},{before.sku},of tomorrow", before.business_date + timedelta(days=1), early),
        ]
        table = there.lake.open("quarantine", source)
        made = pa.Table.from_pylist(rows, pa.schema(table.schema().to_arrow()))
        there.lake.append("quarantine", source, made, table.metadata().partition_columns)
    told = trace_price(there, decision_id, replay=True)
    assert {found.table: [row["line"] for row in found.rows] for found in told.quarantined} == dict.fromkeys(
        SOURCES, [1]
    )
    assert told.replay is not None
    assert told.replay.equal, "what was left out changes nothing"


def test_a_row_that_was_moved_to_bronze_later_is_still_told_as_left_out(tiny_copy: Home) -> None:
    there = environment_of(tiny_copy.root)
    waiting = there.lake.query(
        f"""select d.decision_id, q.row_id from {there.lake.scan("quarantine", "pos_lines")} q
            join {there.lake.scan("decisions", "pricing")} d
              on contains(q.raw, d.sku || ',') and contains(q.raw, d.store_id || ',')
             and q.business_date > d.business_date - 56 order by all limit 1"""
    ).to_pylist()[0]
    before = trace_price(there, waiting["decision_id"])
    _move(there.lake, "pos_lines", waiting["row_id"])
    after = trace_price(there, waiting["decision_id"], replay=True)
    assert after.quarantined == before.quarantined
    assert waiting["row_id"] in {row["row_id"] for found in after.quarantined for row in found.rows}
    assert after.replay is not None
    assert after.replay.equal


def _move(lake: Any, source: str, row_id: str) -> None:
    """What `retail replay` leaves behind for a row that passed: a note in ops/loads, and no row in quarantine."""
    loads = lake.open("ops", "loads").to_pyarrow_table()
    note = loads.slice(0, 1).to_pylist()[0] | {
        "source": source, "status": "replayed", "loaded_at": datetime.now(UTC) + timedelta(seconds=1),
    }  # fmt: skip
    lake.append("ops", "loads", pa.Table.from_pylist([note], loads.schema))
    lake.open("quarantine", source).delete(f"row_id = '{row_id}'")


def _row(source: str, line: int, raw: str, day: Any, loaded_at: datetime) -> dict[str, Any]:
    """A quarantined row."""
    return {
        "row_id": f"{source}:{line}", "load_id": "l", "file": "f.csv", "line": line, "raw": raw, "reasons": ["broken"],
        "delivered_at": loaded_at, "loaded_at": loaded_at, "business_date": day, "status": "quarantined",
    }  # fmt: skip
