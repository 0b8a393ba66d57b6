"""A price is traced to its raw rows and replayed from them; what is missing is named."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from retail_assets.pricing.trace.document import Trace
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.pricing.trace.words import markdown, text
from retail_assets.provenance.checks import CHECKS
from retail_assets.provenance.errors import TraceError, UnknownDecision, VersionGone
from retail_assets.resources.environments import Environment, Home, pricing_url
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStoreError
from tests.pricing.trace.conftest import environment_of, sample_ids

(traced_versions_can_be_opened,) = CHECKS


def test_a_sample_of_prices_is_equal_to_the_cent(environment: Environment) -> None:
    traces = [trace_price(environment, name, replay=True) for name in sample_ids(environment.lake, 24)]
    assert {t.outcome for t in traces} >= {"changed", "kept"}
    assert [t.replay.verdict for t in traces if t.replay and not t.replay.equal] == []
    assert all(t.sums_agree for t in traces)
    assert all(t.replay and len(t.replay.fields) >= 15 for t in traces)
    assert {name for t in traces if t.replay for name in t.replay.as_recorded} == set(), "no input is taken on trust"
    assert any(t.family for t in traces)


def test_a_trace_leads_to_files_and_lines_that_are_there(trace: Trace, environment: Environment) -> None:
    lines = next(rows.rows for rows in trace.raw if rows.table == "pos_lines")
    assert lines
    shas = {file.load_id: file.sha256 for file in trace.files}
    for row in lines:
        landed = environment.home.landing / row["file"]
        written = landed.read_text(encoding="cp1252", errors="replace").splitlines()[row["line"] - 1]
        assert row["receipt_id"] in written
        assert row["sku"] in written
        assert row["row_id"] == f"{row['load_id']}:{row['line']}"
        assert shas[row["load_id"]]


def test_a_trace_names_models_gates_windows_and_dbt_models(trace: Trace, environment: Environment) -> None:
    assert [story.product for story in trace.models] == ["pricing", "forecasting"]
    for story in trace.models:
        assert story.released_by == "retail refresh"
        assert story.gates
        assert all(gate["passed"] for gate in story.gates)
        assert story.training is not None
        assert story.training.gold["fct_sales_daily"] >= 0
    path = [model.name for model in trace.warehouse.marts["fct_price_history"]]
    assert path[0] == "stg_price_list"
    assert path[-1] == "fct_price_history"
    assert trace.warehouse.marts["forecasts"][-1].name == "feat_store_product_daily"
    assert trace.forecast_from["feat_store_product_daily"] >= 0
    assert trace.policy.rules["margin_floor"] == 0.05


def test_a_trace_tells_nothing_of_who_bought(trace: Trace) -> None:
    document = json.dumps(trace.model_dump(mode="json")["raw"])
    assert "customer_id" not in document
    assert "payment_id" not in document


def test_rows_of_the_key_that_were_left_out_are_named(environment: Environment) -> None:
    key = environment.lake.query(
        f"""select p.store_id, p.sku from {environment.lake.scan("quarantine", "pos_lines")} q
            join {environment.lake.scan("decisions", "pricing")} p
              on contains(q.raw, p.sku || ',') and contains(q.raw, p.store_id || ',')
             and q.business_date > p.business_date - 56 order by all limit 1"""
    ).to_pylist()
    assert key, "the tiny sample plants faults in every feed"
    trace = trace_price(environment, store_id=key[0]["store_id"], sku=key[0]["sku"], replay=True)
    left_out = next(rows.rows for rows in trace.quarantined if rows.table == "pos_lines")
    assert all(key[0]["sku"] in row["raw"] and row["reasons"] for row in left_out)
    assert trace.replay
    assert trace.replay.equal
    assert left_out[0]["file"] in text(trace)


def test_the_newest_price_of_an_item_is_found_by_its_key(trace: Trace, environment: Environment) -> None:
    found = trace_price(environment, store_id=trace.store_id, sku=trace.sku)
    assert found.decision_id == trace.decision_id
    then = trace_price(environment, store_id=trace.store_id, sku=trace.sku, at=trace.decided_at)
    assert then.decision_id == trace.decision_id
    assert found.replay is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"decision_id": "01a1b874-6c00-7cac-a220-ee2fa5f10fea"}, "there is no price decision"),
        ({"decision_id": "'; drop"}, "there is no price decision"),
        ({"store_id": "XX-999", "sku": "SKU-00001"}, "never decided for: XX-999"),
        ({"store_id": "US-001", "sku": "nonsense"}, "never decided for: nonsense"),
        (
            {"store_id": "US-001", "sku": "SKU-00001", "at": datetime(2020, 1, 1, tzinfo=UTC)},
            "its first decision is of 20",
        ),
        ({}, "give --decision, or --store and --sku"),
    ],
)
def test_what_is_not_there_is_named(environment: Environment, asked: dict[str, object], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        trace_price(environment, **asked)  # type: ignore[arg-type]


def test_a_home_without_decisions_says_so(home: Home) -> None:
    with pytest.raises(UnknownDecision, match="no price was ever decided here"):
        trace_price(environment_of(home.root), "x")


def test_a_deleted_model_is_named_and_cannot_be_replayed(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    version = trace_price(there, decision_id).models[0].version
    (tiny_copy.models / "models" / "pricing" / version).rename(tiny_copy.root / "gone")
    told = trace_price(there, decision_id)
    assert "the model store has no pricing" in str(told.models[0].missing)
    assert told.models[0].live_since
    with pytest.raises(ModelStoreError, match="the model store has no pricing"):
        trace_price(there, decision_id, replay=True)


def test_a_vacuumed_version_is_named_by_the_trace_and_by_the_check(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    assert traced_versions_can_be_opened(there.lake).passed
    prices = there.lake.open("gold", "fct_price_history")
    prices.update(predicate="sku = 'SKU-00001'", updates={"unit_cost": "unit_cost + 1"})
    assert trace_price(there, decision_id, replay=True).replay.equal  # type: ignore[union-attr]
    prices.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(VersionGone, match="gold/fct_price_history can no longer be read"):
        trace_price(there, decision_id)
    result = traced_versions_can_be_opened(there.lake)
    assert not result.passed
    assert "gold/fct_price_history version" in str(result.metadata["unreadable"].value)


def test_a_vacuum_within_its_retention_takes_nothing(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    prices = there.lake.open("gold", "fct_price_history")
    prices.update(predicate="sku = 'SKU-00001'", updates={"unit_cost": "unit_cost + 1"})
    assert prices.vacuum(dry_run=False) == []
    assert trace_price(there, decision_id, replay=True).replay.equal  # type: ignore[union-attr]


def test_text_and_markdown_say_the_price_and_that_the_sums_agree(trace: Trace) -> None:
    for said in (text(trace), markdown(trace)):
        assert trace.price in said
        assert "equal to the cent" in said
        assert trace.words[1] in said
    assert "all agree" in text(trace)


def test_the_command_writes_json_and_exits_with_1_when_nothing_is_found(
    trace: Trace, tiny_home: Path, retail: object, tmp_path: Path
) -> None:
    page = tmp_path / "trace.html"
    asked = ("trace", "price", "--decision", trace.decision_id, "--replay", "--json", "--html", str(page))
    document = json.loads(retail(tiny_home, *asked).stdout)  # type: ignore[operator]
    once = {"seconds": 0, "replay": None}
    assert document | once == trace.model_dump(mode="json") | once
    assert document["replay"]["equal"] is True
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    missing = retail(tiny_home, "trace", "price", "--decision", "x", check=False)  # type: ignore[operator]
    assert missing.returncode == 1
    assert "there is no price decision" in missing.stderr


def test_decisions_from_before_versions_were_recorded_say_so(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    added = ["gold_versions", "bronze_versions", "warehouse_code", "corrects", "effective_from"]
    rows = there.lake.open("decisions", "pricing").to_pyarrow_table().drop_columns(added)
    there.lake.open("decisions", "pricing").alter.set_table_properties({"delta.appendOnly": "false"})
    there.lake.overwrite("decisions", "pricing", rows, partition_by=["business_date"])
    with pytest.raises(TraceError, match="does not say what it was made from"):
        trace_price(there, decision_id)


def test_the_lake_of_the_trace_is_only_read(environment: Environment, trace: Trace) -> None:
    lake = Lake.at(environment.home.lake)
    tables = [("ops", "policies"), ("ops", "warehouse_code"), ("decisions", "pricing"), ("gold", "fct_sales_daily")]
    before = [lake.version(*table) for table in tables]
    trace_price(environment, trace.decision_id, replay=True)
    assert [lake.version(*table) for table in tables] == before


def test_the_dagster_ui_shows_a_traced_price_and_the_check(tiny_home: Path) -> None:
    key = dg.AssetKey(["pricing", "price_decisions"])
    with dg.DagsterInstance.from_config(str(tiny_home / "dagster")) as instance:
        event = instance.get_latest_materialization_event(key)
    assert event
    assert event.asset_materialization
    shown = str(event.asset_materialization.metadata["example_trace"].value)
    assert "Replay: equal to the cent" in shown
    assert "retail trace price --decision" in shown
    assert re.search(r"\[The whole trace as a page\]\(http://localhost:3002/trace/[-0-9a-f]{36}\?replay=true\)", shown)


def test_the_link_of_the_ui_leads_to_where_the_service_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_PRICING_URL", "https://prices.example/")
    assert pricing_url() == "https://prices.example"
