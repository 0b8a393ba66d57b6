"""A disputed price replays after new data, retraining, a rollback, a new policy and other dbt code; tampering shows."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.decisions import Provenance, decide_one, decision_of, decision_row
from retail_assets.pricing.decide.gold_inputs import gold_versions
from retail_assets.pricing.decide.kept_policies import policy_of, record_policy
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PriceModel
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.provenance.records import MadeFrom, made_from
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import PROJECT_ROOT, Environment, Home
from retail_assets.resources.model_store import ModelStore
from retail_assets.warehouse.manifest import code_hash
from tests.pricing.trace.conftest import environment_of, sample_ids

SAMPLE = 12


def assert_equal(environment: Environment, ids: list[str]) -> None:
    verdicts = {name: trace_price(environment, name, replay=True).replay for name in ids}
    assert [r.verdict for r in verdicts.values() if r and not r.equal] == []


def changed_checkout(folder: Path) -> Path:
    """A copy of this project in which one dbt model means something else: the highest competitor, not the lowest."""
    ignored = shutil.ignore_patterns("__pycache__", "logs", "partial_parse.msgpack")
    for name in ("retail_assets", "dbt_project", "feature_repo", "configs", "deployments"):
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=ignored)
    model = folder / "dbt_project" / "models" / "intermediate" / "int_competitor_prices.sql"
    text = model.read_text()
    assert "min(price) as lowest_price" in text
    model.write_text(text.replace("min(price) as lowest_price", "max(price) as lowest_price"))
    return folder


@pytest.mark.slow
def test_replay_holds_after_new_days_another_dbt_model_a_retraining_and_a_rollback(
    tiny_copy: Home, retail: Callable[..., object], tmp_path: Path
) -> None:
    there = environment_of(tiny_copy.root)
    ids, ledger, store = sample_ids(there.lake, SAMPLE), Ledger(there.lake), ModelStore.at(tiny_copy.models)
    before = trace_price(there, ids[0])
    first = ledger.live("pricing")
    assert first
    days = json.loads((tiny_copy.truth / "manifest.json").read_text())["days"]
    retail(tiny_copy.root, "sample", "--scale", "tiny", "--days", str(days + 8))
    other = changed_checkout(tmp_path / "checkout")
    elsewhere = {"PYTHONPATH": str(other), "PYTHONSAFEPATH": "1"}
    write_manifest = [sys.executable, "-m", "retail_assets.warehouse.manifest"]
    subprocess.run(write_manifest, env=os.environ | elsewhere, check=True, capture_output=True)
    retail(tiny_copy.root, "run", "--json", environment=elsewhere)
    assert_equal(there, ids)
    after = trace_price(there, ids[0])
    assert (after.gold, after.raw, after.warehouse) == (before.gold, before.raw, before.warehouse)
    assert after.warehouse.code_hash == code_hash()
    trained = store.versions("pricing")
    assert len(trained) == 2, "eight new days train anew"
    live = ledger.live("pricing")
    assert live
    if live.version != trained[-1]:
        ledger.promote("pricing", trained[-1], by="test", reason="whatever the gates say")
    assert_equal(there, ids)
    assert (trace_price(there, ids[0]).models[0].replaced_by or "").startswith(trained[-1])
    ledger.rollback("pricing", by="test", reason="a dispute")
    assert_equal(there, ids)
    assert_says_where_the_other_model_differs(there, code_hash(other / "dbt_project"))


def assert_says_where_the_other_model_differs(environment: Environment, code: str) -> None:
    """Decisions on gold that no longer says what it is called: each trace names the model's hash, column and day."""
    decisions = environment.lake.scan("decisions", "pricing")
    newest = f"business_date = (select max(business_date) from {decisions})"
    sql = f"select decision_id from {decisions} where {newest} order by md5(decision_id) limit {SAMPLE}"
    ids = environment.lake.query(sql)["decision_id"].to_pylist()
    traces = [trace_price(environment, name, replay=True) for name in ids]
    assert all(code in str(trace.warehouse.code_hash).split(",") for trace in traces)
    assert "int_competitor_prices" in [model.name for model in traces[0].warehouse.marts["fct_sales_daily"]]
    differing = [trace for trace in traces if not trace.sums_agree]
    assert differing
    for trace in differing:
        assert str(trace.first_difference).startswith("gold/fct_sales_daily, lowest competitor price: on ")
        assert trace.replay is not None
        assert not trace.replay.equal
    assert all(trace.replay and trace.replay.equal for trace in traces if trace.sums_agree)


def test_replay_holds_after_other_dbt_code_rebuilt_gold(tiny_copy: Home) -> None:
    there = environment_of(tiny_copy.root)
    ids = sample_ids(there.lake, SAMPLE)
    sales = there.lake.open("gold", "fct_sales_daily").to_pyarrow_table()
    doubled = sales.set_column(
        sales.schema.get_field_index("gross_units"), "gross_units", pa.compute.multiply(sales["gross_units"], 2.0)
    )
    code = {"code_hash": "other", "bronze": json.dumps({"pos_lines": 1})}
    there.lake.overwrite("gold", "fct_sales_daily", doubled, ["business_date"], metadata=code)
    assert_equal(there, ids)
    assert "other" in str(made_from(there.lake, gold_versions(there.lake)).warehouse_code)


def test_replay_holds_after_the_policy_changed_and_a_correction_points_at_what_it_corrects(tiny_copy: Home) -> None:
    there = environment_of(tiny_copy.root)
    ids = sample_ids(there.lake, SAMPLE)
    old = next(
        row
        for row in there.lake.open("decisions", "pricing").to_pyarrow_table().to_pylist()
        if json.loads(row["output"])["outcome"] == "changed"
    )
    strict = Rulebook.of(load_config().policy.model_copy(update={"defaults": _narrow(), "departments": {}}))
    record_policy(there.lake, strict)
    model = PriceModel.load(ModelStore.at(tiny_copy.models).path("pricing", old["model_version"]))
    made = MadeFrom(old["gold_versions"], old["bronze_versions"], old["warehouse_code"])
    provenance = Provenance(old["at"] + timedelta(hours=1), "batch", None, "c", made)
    again = decision_row(decide_one(model, strict, decision_of(old).inputs), provenance, corrects=old["decision_id"])
    there.lake.append("decisions", "pricing", pa.Table.from_pylist([again], DECISION_SCHEMA))
    assert_equal(there, [*ids, old["decision_id"], again["decision_id"]])
    before, after = (trace_price(there, row["decision_id"]) for row in (old, again))
    assert before.corrected_by == after.decision_id
    assert after.corrects == before.decision_id
    assert after.policy.rules["max_change"] == 0.01
    assert before.price != after.price
    assert policy_of(there.lake, strict.policy_hash) == strict.policy


def _narrow() -> object:
    return load_config().policy.defaults.model_copy(update={"max_change": 0.01})


@pytest.mark.parametrize(
    ("source", "column", "said"),
    [
        ("price_list", "unit_cost", "differs at input unit_cost"),
        ("stock_levels", "on_hand", "differs at input on_hand"),
        ("pos_lines", "quantity", "differs at gold/fct_sales_daily, units sold: on "),
    ],
)
def test_a_tampered_raw_row_is_where_the_replay_differs(
    tiny_copy: Home, decision_id: str, source: str, column: str, said: str
) -> None:
    there = environment_of(tiny_copy.root)
    trace = trace_price(there, decision_id)
    rows = next(found.rows for found in trace.raw if found.table == source)
    newest = max(rows, key=lambda row: row["business_date"])
    _tamper(there, source, str(newest["row_id"]), column)
    replay = trace_price(there, decision_id, replay=True).replay
    assert replay is not None
    assert not replay.equal
    assert replay.verdict.startswith(said)
    if source == "pos_lines":
        assert str(newest["business_date"]) in replay.verdict


def test_the_command_exits_with_1_when_the_replay_differs(
    tiny_copy: Home, decision_id: str, retail: Callable[..., object]
) -> None:
    there = environment_of(tiny_copy.root)
    rows = next(found.rows for found in trace_price(there, decision_id).raw if found.table == "price_list")
    _tamper(there, "price_list", str(rows[-1]["row_id"]), "list_price")
    done = retail(tiny_copy.root, "trace", "price", "--decision", decision_id, "--replay", check=False)
    assert done.returncode == 1  # type: ignore[attr-defined]
    assert "differs at input previous_price" in done.stderr  # type: ignore[attr-defined]


def test_a_policy_that_was_changed_in_the_record_is_refused(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    kept = there.lake.open("ops", "policies")
    kept.update(updates={"document": "replace(document, '0.05', '0.01')"})
    told = trace_price(there, decision_id)
    assert "was changed after it was kept" in str(told.policy.missing)


def _tamper(environment: Environment, source: str, row_id: str, column: str) -> None:
    """Adds 1 to `column` of one bronze row, in its file and behind the back of Delta."""
    for uri in environment.lake.open("bronze", source).file_uris():
        path = Path(uri)
        table = pq.ParquetFile(path).read()
        hit = pa.compute.equal(table["row_id"], row_id)
        if not pa.compute.any(hit).as_py():
            continue
        values = table[column].to_pylist()
        values = [v + 1 if h else v for v, h in zip(values, hit.to_pylist(), strict=True)]
        place = table.schema.get_field_index(column)
        changed = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
        pq.write_table(changed, path)
        return
    raise AssertionError(f"{row_id} is not in bronze/{source}")


def test_an_instant_between_two_decisions_gives_the_earlier_one(tiny_copy: Home) -> None:
    there = environment_of(tiny_copy.root)
    row = there.lake.open("decisions", "pricing").to_pyarrow_table().to_pylist()[0]
    later = row | {"decision_id": "019b7c01-0400-7000-a000-000000000001", "at": row["at"] + timedelta(days=2)}
    there.lake.append("decisions", "pricing", pa.Table.from_pylist([later], DECISION_SCHEMA))
    key = {"store_id": row["store_id"], "sku": row["sku"]}
    assert trace_price(there, **key, at=row["at"] + timedelta(days=1)).decision_id == row["decision_id"]
    assert trace_price(there, **key).decision_id == later["decision_id"]
    assert trace_price(there, **key, at=datetime(2999, 1, 1, tzinfo=UTC)).decision_id == later["decision_id"]
