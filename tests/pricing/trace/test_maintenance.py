"""Upkeep takes nothing from a trace: rows, writers and every version that a live decision names stay."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.decisions.spool import append_once
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.provenance.assets import decision_tables
from retail_assets.provenance.checks import CHECKS
from retail_assets.provenance.config import LineageConfig
from retail_assets.provenance.errors import TraceError
from retail_assets.provenance.maintenance import compact_decisions, crowded_days, tidy, vacuum
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.pricing.trace.conftest import environment_of, sample_ids

(traced_versions_can_be_opened,) = CHECKS

WRITER = "decision-log/test"


def add_small_files(lake: Lake, count: int, first: int = 1) -> list[str]:
    """Appends `count` copies of a decision under ids of their own, one commit each, as a service does."""
    known = (
        lake.open("decisions", "pricing").to_pyarrow_table().to_pylist() if lake.exists("decisions", "pricing") else []
    )
    row = known[0] if known else {"at": datetime(2026, 1, 1, tzinfo=UTC), "business_date": date(2026, 1, 1)}
    ids = []
    for number in range(first, first + count):
        ids.append(f"019b7c01-0400-7000-a000-{number:012d}")
        changed = row | {"decision_id": ids[-1], "mode": "service", "at": row["at"] + timedelta(seconds=number)}
        append_once(lake, "pricing", pa.Table.from_pylist([changed], DECISION_SCHEMA), WRITER, number)
    return ids


def rows_of(lake: Lake) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = lake.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: str(row["decision_id"]))


def test_compaction_changes_files_and_nothing_else(tiny_copy: Home) -> None:
    there = environment_of(tiny_copy.root)
    lake = there.lake
    added = add_small_files(lake, 25)
    before, files = rows_of(lake), len(lake.open("decisions", "pricing").file_uris())
    done = dg.materialize([decision_tables], resources={"lake": lake}, selection=[decision_tables])
    assert done.success
    table = lake.open("decisions", "pricing")
    assert len(table.file_uris()) < files - 20
    assert rows_of(lake) == before
    for name in [*sample_ids(lake, 3), added[0], added[-1]]:
        replay = trace_price(there, name, replay=True).replay
        assert replay is not None
        assert replay.equal, replay.verdict
    assert table.transaction_version(WRITER) == 25, "a segment that was shipped is not shipped again"
    assert not append_once(lake, "pricing", pa.Table.from_pylist([before[0]], DECISION_SCHEMA), WRITER, 25)
    assert traced_versions_can_be_opened(lake).passed
    version = table.version()
    assert compact_decisions(lake, 20)[0].compacted_days == 0
    assert lake.version("decisions", "pricing") == version, "nothing to do writes nothing"


def test_services_go_on_writing_while_decisions_are_compacted(lake: Lake) -> None:
    add_small_files(lake, 12)
    written: list[str] = []
    service = threading.Thread(target=lambda: written.extend(add_small_files(lake, 12, first=13)))
    service.start()
    for _ in range(3):
        compact_decisions(lake, 1)
    service.join()
    ids = [str(row["decision_id"]) for row in rows_of(lake)]
    assert len(ids) == len(set(ids))
    assert set(written) <= set(ids)
    assert len(written) == 12


def test_a_decision_can_be_added_and_never_changed(lake: Lake) -> None:
    add_small_files(lake, 1)
    table = lake.open("decisions", "pricing")
    with pytest.raises(DeltaError, match="append-only"):
        table.delete("store_id = 'DE-001'")
    with pytest.raises(DeltaError, match="append-only"):
        table.update(updates={"price": "0"})


def test_a_table_of_an_older_home_gets_the_properties_of_a_new_one(lake: Lake) -> None:
    from deltalake import write_deltalake

    rows = pa.table({"n": [1], "business_date": [date(2026, 1, 1)]})
    write_deltalake(lake.table_uri("decisions", "pricing"), rows, partition_by=["business_date"])
    compact_decisions(lake, 20)
    kept = lake.open("decisions", "pricing").metadata().configuration
    assert kept["delta.appendOnly"] == "true"
    assert kept["delta.logRetentionDuration"] == "interval 7 days"


def test_a_vacuum_refuses_what_a_live_decision_needs_and_takes_the_rest(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    lake = there.lake
    prices = lake.open("gold", "fct_price_history")
    prices.update(predicate="sku = 'SKU-00001'", updates={"unit_cost": "unit_cost + 1"})
    prices.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 days"})
    named = {("gold", "fct_price_history", 0)}
    with pytest.raises(TraceError, match="files that would go are of version 0, which live decisions name"):
        vacuum(lake, "gold", "fct_price_history", named)
    assert trace_price(there, decision_id, replay=True).replay.equal  # type: ignore[union-attr]
    assert vacuum(lake, "gold", "fct_price_history", set(), dry_run=True) > 0
    assert vacuum(lake, "gold", "fct_price_history", set()) > 0
    assert not traced_versions_can_be_opened(lake).passed


def test_tidy_gives_old_tables_their_retention_before_it_removes(
    tiny_copy: Home, decision_id: str, retail: Callable[..., object]
) -> None:
    there = environment_of(tiny_copy.root)
    prices = there.lake.open("gold", "fct_price_history")
    prices.update(predicate="sku = 'SKU-00001'", updates={"unit_cost": "unit_cost + 1"})
    prices.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 days"})
    told = json.loads(retail(tiny_copy.root, "trace", "tidy", "--dry-run", "--json").stdout)  # type: ignore[attr-defined]
    refused = {made["table"]: made["refused"] for made in told if made["refused"]}
    assert "gold/fct_price_history is not vacuumed" in refused["gold/fct_price_history"]
    config = LineageConfig.load()
    done = tidy(there.lake, config.most_decision_files, config.live_decision_days)
    assert {made.removed for made in done} == {0}
    assert all(made.refused is None for made in done)
    assert trace_price(there, decision_id, replay=True).replay.equal  # type: ignore[union-attr]


def test_only_days_with_too_many_files_are_compacted(lake: Lake) -> None:
    first, second = date(2026, 1, 1), date(2026, 1, 2)
    for day in (first, first, first, second):
        lake.append("decisions", "x", pa.table({"n": [1], "business_date": [day]}), ["business_date"])
    table = lake.open("decisions", "x")
    assert crowded_days(table, 2) == ["2026-01-01"]
    assert crowded_days(table, 3) == []
    assert [made.files_after for made in compact_decisions(lake, 2)] == [2]
