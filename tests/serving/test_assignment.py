"""A batch answers in each store with the version that the ledger routes to it, and makes up none."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from retail_assets.serving.arms import routes
from retail_assets.serving.assignment import Assignment, share_table
from retail_assets.serving.ledger import CLOUD, Ledger
from tests.serving.stored import saved
from tests.serving.test_arms import ACTIONS, STORES, TARGETS, log_of

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


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ACTIONS),
            st.sampled_from("abc"),
            st.sampled_from(["cloud", "region-DE", "segment-pilot", "store-001", "store-004"]),
        ),
        max_size=8,
    )
)
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
