"""A batch answers in each store with the version that the ledger routes to it, and makes up none."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.core.manifest import Manifest
from retail_assets.releases.assignment import Assignment, share_table
from retail_assets.releases.checks import live_versions_answer_soundly
from retail_assets.releases.last_good import with_last_good
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import CLOUD
from retail_assets.releases.traffic_split import routes
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from tests.pricing.conftest import model_with
from tests.releases.stored import saved
from tests.releases.test_traffic_split import ACTIONS, STORES, TARGETS, log_of

ROWS = pa.table({"store_id": [store for store in [*STORES, "new"] for _ in range(2)], "row": range(402)})


def assigned(*rows: tuple[str, str, str] | tuple[str, str, str, float]) -> Assignment:
    return Assignment("pricing", routes(log_of(*rows), "pricing", (CLOUD,), TARGETS))


def test_one_version_everywhere_leaves_the_batch_as_it_is() -> None:
    found = assigned(("promote", "a", "cloud"), ("promote", "a", "store-003"))
    (share,) = found.shares(ROWS)
    assert share.rows is ROWS
    assert (share.version, share.arm, found.name, found.versions) == ("a", "champion", "a", ["a"])


def test_the_most_specific_release_decides_and_a_canary_is_told_apart() -> None:
    found = assigned(
        ("promote", "a", "cloud"), ("promote", "b", "region-DE"), ("promote", "c", "store-004"),
        ("promote", "d", "segment-pilot"), ("canary", "e", "region-US", 0.3),
    )  # fmt: skip
    by = {(share.version, share.arm): set(share.rows["store_id"].to_pylist()) for share in found.shares(ROWS)}
    assert by["c", "champion"] == {"004"}
    assert by["d", "champion"] == {"001", "002"}
    assert by["b", "champion"] == {s for s, country in STORES.items() if country == "DE"} - {"002", "004"}
    assert by["a", "champion"] | by["e", "canary"] == {s for s, c in STORES.items() if c == "US"} - {"001"} | {"new"}
    assert "| e | canary |" in share_table(found.shares(ROWS))


def test_without_a_release_nothing_is_answered() -> None:
    found = assigned(("promote", "a", "store-004"))
    (share,) = found.shares(ROWS)
    assert set(share.rows["store_id"].to_pylist()) == {"004"}
    assert (assigned().shares(ROWS), assigned().versions) == ([], [])
    assert found.name != assigned(("promote", "a", "cloud")).name


RELEASED = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.sampled_from("abc"),
        st.sampled_from(["cloud", "region-DE", "segment-pilot", "store-001", "store-004"]),
    ),
    max_size=8,
)
"""Releases one after the other: action, version and target."""


@given(RELEASED)
def test_every_row_is_answered_once_and_as_a_service_would(rows: list[tuple[str, str, str]]) -> None:
    found, log = assigned(*rows), log_of(*rows)
    shares = found.shares(ROWS)
    answered = [row for share in shares for row in share.rows["row"].to_pylist()]
    assert len(answered) == len(set(answered))
    version = {store: share.version for share in shares for store in share.rows["store_id"].to_pylist()}
    for store in ("001", "002", "003", "004"):
        own = routes(log, "pricing", TARGETS.chain(f"store-{store}"), TARGETS).default
        assert version.get(store) == (own.version if own else None)


def test_versions_are_loaded_checked_or_not_at_all(tmp_path: Path, lake: Lake) -> None:
    store = ModelStore.at(tmp_path / "models")
    first, second = saved(store, {}, 1, "pricing"), saved(store, {}, 2, "pricing")
    lake.overwrite("gold", "dim_store", pa.table({"store_id": ["7"], "country": ["DE"]}))
    Ledger(lake).promote("pricing", first, by="t", reason="t")
    Ledger(lake).promote("pricing", second, by="t", reason="t", target="store-7", wider=("region-DE", "cloud"))
    found = Assignment.now(lake, "pricing")
    load: Callable[[Path], str] = lambda folder: folder.name  # noqa: E731
    assert found.load(store, load) == {first: first, second: second}
    assert (found.version_of("7"), found.version_of("8")) == (second, first)
    (store.home / "models" / "pricing" / second / "model.json").write_bytes(b"[]")
    with pytest.raises(ModelStoreError, match="was changed"):
        found.load(store, load)


def kept(store: ModelStore, seed: int, *, sound: bool = True) -> str:
    """Stores a real pricing model; one that is not sound has an elasticity above zero."""
    manifest = Manifest(
        product="pricing", created_at=datetime(2026, 11, seed, tzinfo=UTC), gold={}, feature_service="s", features=[],
        git_commit="c", config={}, seed=seed, metrics={}, train_from=date(2026, 1, 1), train_until=date(2026, 11, 1),
        rows=1,
    )  # fmt: skip
    return store.save("pricing", model_with({"SKU-00001": -2.0 if sound else 0.4}).files(), manifest)


def test_a_batch_answers_with_the_last_good_version_and_names_the_refused_one(tmp_path: Path, lake: Lake) -> None:
    store = ModelStore.at(tmp_path / "models")
    first, second, bad = kept(store, 1), kept(store, 2), kept(store, 3, sound=False)
    lake.overwrite("gold", "dim_store", pa.table({"store_id": ["7", "8"], "country": ["DE", "DE"]}))
    ledger = Ledger(lake)
    for version in (first, second, bad):
        ledger.promote("pricing", version, by="t", reason="t")
    ledger.promote("pricing", bad, by="t", reason="t", target="store-7", wider=("region-DE", "cloud"))
    found = Assignment.sound(lake, "pricing", store)
    assert (found.version_of("7"), found.version_of("8"), found.version_of("new")) == (second, second, second)
    assert found.versions == [second] and list(found.refused) == [bad]
    assert "not below zero" in found.refused[bad]
    assert Assignment.now(lake, "pricing").versions == [bad], "the ledger is as it was"
    ledger.rollback("pricing", by="t", reason="t", to=first)
    assert Assignment.sound(lake, "pricing", store).version_of("8") == first


def test_a_canary_that_is_not_sound_leaves_its_stores_to_the_champion(tmp_path: Path, lake: Lake) -> None:
    store = ModelStore.at(tmp_path / "models")
    good, bad = kept(store, 1), kept(store, 3, sound=False)
    lake.overwrite("gold", "dim_store", pa.table({"store_id": ["7"], "country": ["DE"]}))
    Ledger(lake).promote("pricing", good, by="t", reason="t")
    Ledger(lake).canary("pricing", bad, 1.0, by="t", reason="t")
    found = Assignment.sound(lake, "pricing", store)
    assert (found.version_of("7"), found.versions) == (good, [good])


def test_without_any_good_version_a_batch_says_why(tmp_path: Path, lake: Lake) -> None:
    store = ModelStore.at(tmp_path / "models")
    lake.overwrite("gold", "dim_store", pa.table({"store_id": ["7"], "country": ["DE"]}))
    assert Assignment.sound(lake, "pricing", store).versions == []
    Ledger(lake).promote("pricing", kept(store, 3, sound=False), by="t", reason="t")
    with pytest.raises(ModelStoreError, match="no released version of pricing may be loaded: .*not below zero"):
        Assignment.sound(lake, "pricing", store)


@given(
    RELEASED,
    st.sets(st.sampled_from("abc")),
)
def test_what_is_not_good_answers_nowhere_and_the_rest_stays(rows: list[tuple[str, str, str]], bad: set[str]) -> None:
    log = log_of(*rows)
    wanted = routes(log, "pricing", (CLOUD,), TARGETS)
    found = with_last_good(wanted, log, "pricing", (CLOUD,), TARGETS, lambda release: release.version not in bad)
    for store in ("001", "002", "003", "004", "new"):
        before, after = wanted.of(store), found.of(store)
        assert after is None or after.version not in bad
        if before is not None and before.version not in bad:
            assert after == before


def test_the_check_of_live_versions_names_one_that_may_not_answer(tmp_path: Path, lake: Lake) -> None:
    store = ModelStore.at(tmp_path / "models")
    Ledger(lake).promote("pricing", kept(store, 1), by="t", reason="t")
    assert live_versions_answer_soundly(lake=lake, model_store=store).passed
    bad = kept(store, 3, sound=False)
    Ledger(lake).promote("pricing", bad, by="t", reason="t")
    found = live_versions_answer_soundly(lake=lake, model_store=store)
    assert not found.passed and "not below zero" in str(found.metadata["refused"].value[f"pricing {bad}"])
