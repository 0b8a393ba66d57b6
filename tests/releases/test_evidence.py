"""What nobody measured or recorded of a version does not go live: each fact in both directions, on real models."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from retail_assets.core.gates import Gate, evaluate
from retail_assets.core.manifest import Manifest, installed
from retail_assets.releases.evidence import FACTS, evidence, facts, recorded, reproducible
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.pricing.conftest import model_with

DAY = date(2026, 11, 8)
ALL = [Gate(metric=name, better="higher", floor=0.0) for name in FACTS]
COMPLETE = Manifest(
    product="pricing", created_at=datetime(2026, 11, 9, tzinfo=UTC), gold={"fct_sales_daily": 3}, feature_service="",
    features=["log_price"], git_commit="c", config={"code_version": "2"}, seed=7, metrics={"skill": 0.1},
    train_from=DAY - timedelta(days=99), train_until=DAY, rows=10, libraries=installed("numpy"),
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore.at(tmp_path / "models")


def save(store: ModelStore, **changes: object) -> str:
    """A real pricing model under this manifest."""
    files = model_with({"SKU-00001": -2.0}).files()
    return store.save("pricing", files, COMPLETE.model_copy(update=changes))


def test_a_complete_version_answers_and_is_measured(store: ModelStore) -> None:
    found = facts(store, "pricing", save(store), DAY + timedelta(days=3), ALL)
    assert found["data_age_days"] == 3.0
    assert 0 < found["answer_ms"] < 10_000 and 0 < found["size_mb"] < 1
    assert {value for name, value in found.items() if "/" in name} == {1.0}
    assert {"manifest/features", "reproducible/tables", "reproducible/bytes"} <= found.keys()


def test_only_what_a_gate_asks_for_is_looked_up(store: ModelStore) -> None:
    gate = Gate(metric="size_mb", better="lower", floor=1.0)
    assert set(facts(store, "pricing", save(store), DAY, [gate])) == {"size_mb"}
    assert facts(store, "pricing", save(store), DAY, [Gate(metric="skill", better="higher", floor=0.0)]) == {}


def test_changed_bytes_have_neither_size_nor_answer(store: ModelStore) -> None:
    version = save(store)
    (store.home / "models" / "pricing" / version / "response.json").write_bytes(b"{}")
    found = facts(store, "pricing", version, DAY, ALL)
    assert found["reproducible/bytes"] == 0.0
    assert not {"size_mb", "answer_ms"} & found.keys()


def test_a_version_that_cannot_answer_has_no_time(store: ModelStore) -> None:
    version = store.save("pricing", {"model.json": b"{}"}, COMPLETE)
    found = facts(store, "pricing", version, DAY, ALL)
    assert "answer_ms" not in found and found["reproducible/bytes"] == 1.0
    gate = Gate(metric="answer_ms", better="lower", floor=50.0)
    assert evaluate([gate], found).reasons == ("answer_ms is missing",)


@pytest.mark.parametrize(
    ("changes", "gaps"),
    [
        ({}, set()),
        ({"features": []}, {"features"}),
        ({"rows": 0}, {"rows"}),
        ({"metrics": {}}, {"metrics"}),
        ({"train_from": DAY + timedelta(days=1)}, {"window"}),
        ({"gold": {}}, {"tables"}),
        ({"gold": {"fct_sales_daily": -1}}, {"tables"}),
        ({"git_commit": ""}, {"code"}),
        ({"config": {}}, {"code", "config"}),
        ({"config": {"depth": 3}}, {"code"}),
        ({"libraries": {}}, {"libraries"}),
        ({"libraries": {"numpy": "absent"}}, {"libraries"}),
    ],
)
def test_every_gap_in_a_manifest_is_seen(store: ModelStore, changes: dict[str, object], gaps: set[str]) -> None:
    manifest = store.manifest("pricing", save(store, **changes))
    said = recorded(manifest) | reproducible(manifest)
    assert {name for name, there in said.items() if not there} == gaps


def test_without_sales_the_age_of_the_data_is_unknown_and_fails(store: ModelStore, lake: Lake) -> None:
    gate = Gate(metric="data_age_days", better="lower", floor=14.0)
    version = save(store)
    assert not evaluate([gate], evidence(lake, store, "pricing", version, None, [gate])[0]).passed
    days = pa.table({"business_date": [DAY + timedelta(days=14)], "units": [1]})
    lake.append("gold", "fct_sales_daily", days, partition_by=["business_date"])
    assert evaluate([gate], evidence(lake, store, "pricing", version, None, [gate])[0]).passed
    later = pa.table({"business_date": [DAY + timedelta(days=15)], "units": [1]})
    lake.append("gold", "fct_sales_daily", later, partition_by=["business_date"])
    assert not evaluate([gate], evidence(lake, store, "pricing", version, None, [gate])[0]).passed


def test_a_live_version_that_was_deleted_cannot_be_compared_with(store: ModelStore, lake: Lake) -> None:
    gate = Gate(metric="skill", better="higher", live_gain=0.0)
    metrics, live = evidence(lake, store, "pricing", save(store), "0123456789ab", [gate])
    assert live == {} and not evaluate([gate], metrics, live).passed
    assert evidence(lake, store, "pricing", save(store), None, [gate])[1] is None
