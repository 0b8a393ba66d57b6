"""What the centre concludes from the word of a store, in all directions; and the table of it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.stores.agent import percentile_ms
from retail_assets.stores.assets import store_checks, stores
from retail_assets.stores.centre import Tokens, folder_of
from retail_assets.stores.numbers import Behind
from retail_assets.stores.status import (
    SILENT_AFTER_S,
    STATUS_SCHEMA,
    Heard,
    ServiceStatus,
    Statuses,
    StoreStatus,
    Wanted,
    report,
    rows,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = ServiceStatus(up=True, ready=True, version="aaa", requests=10, p50_ms=1.0, p99_ms=3.0)


def heard(seconds_ago: float = 1.0, off: float = 0.0, **service: Any) -> Heard:
    """The word of a store that came so long ago, by a clock that is so much off."""
    at = NOW - timedelta(seconds=seconds_ago)
    status = StoreStatus(
        target="store-1",
        at=at + timedelta(seconds=off),
        started_at=at,
        services={"pricing": GOOD.model_copy(update=service)},
    )
    return Heard(heard_at=at, status=status)


@pytest.mark.parametrize(
    ("word", "health", "reason"),
    [
        (None, "unknown", "never called"),
        (heard(), "ok", None),
        (heard(SILENT_AFTER_S), "ok", None),
        (heard(SILENT_AFTER_S + 1), "silent", "not heard for 121 s"),
        (heard(up=False), "degraded", "pricing does not answer"),
        (heard(ready=False), "degraded", "pricing has no model"),
        (heard(refused="bbb: changed"), "degraded", "pricing refuses a version: bbb: changed"),
        (heard(version="old"), "degraded", "pricing has old, should have aaa"),
        (heard(off=61), "ok", "its clock is +61 s off"),
        (heard(off=-61), "ok", "its clock is -61 s off"),
        (heard(refused_segments=2), "degraded", "pricing keeps 2 segments that the centre refuses"),
        (heard(-5), "ok", None),
    ],
)
def test_health_follows_from_the_last_word(word: Heard | None, health: str, reason: str | None) -> None:
    found = report("store-1", word, Wanted({"pricing": "aaa"}), NOW)
    assert found.health == health
    assert any(reason in said for said in found.reasons) if reason else not found.reasons


def test_a_copy_that_is_behind_says_how_far_in_time_and_states() -> None:
    behind = Behind(versions=3, since=NOW - timedelta(hours=2))
    word = heard()
    said = word.status.model_copy(update={"last_failure": "the disk is full", "broken": ("table:gold/x",)})
    found = report("store-1", word.model_copy(update={"status": said}), Wanted({}, behind), NOW)
    assert (found.health, found.behind_versions, found.behind_s) == ("behind", 3, 7200.0)
    assert found.reasons == (
        "its copy is 3 states behind, for 7200 s, it fetches anew what broke on its disk: table:gold/x, "
        "last failure: the disk is full",
    )
    assert report("store-1", heard(up=False), Wanted({}, behind), NOW).health == "degraded"
    assert report("store-1", heard(SILENT_AFTER_S + 1), Wanted({}, behind), NOW).health == "silent"


def test_segments_that_were_set_aside_are_a_fault_of_their_store() -> None:
    found = report("store-1", heard(), Wanted({}, None, ("no table", "torn")), NOW)
    assert found.health == "degraded"
    assert found.reasons == ("2 segments of its decisions are set aside at the centre: torn",)


def test_a_product_that_nothing_is_released_of_is_no_fault() -> None:
    assert report("store-1", heard(), Wanted({"pricing": None}), NOW).health == "ok"
    assert report("store-1", heard(), Wanted({}), NOW).health == "ok"


def test_the_newest_word_replaces_the_one_before(tmp_path: Path) -> None:
    statuses = Statuses(tmp_path)
    assert (statuses.get("store-1"), statuses.targets()) == (None, [])
    for failures in (1, 2):
        statuses.put(heard().status.model_copy(update={"failures": failures}), NOW)
    kept = statuses.get("store-1")
    assert kept is not None and (kept.status.failures, kept.heard_at) == (2, NOW)
    assert statuses.targets() == ["store-1"]


def test_rows_fit_the_table() -> None:
    found = rows([report("store-1", heard(), Wanted({}), NOW), report("store-2", None, Wanted({}), NOW)], NOW)
    assert found.schema == STATUS_SCHEMA
    assert found.select(["target", "health", "product", "version", "requests"]).to_pylist() == [
        {"target": "store-1", "health": "ok", "product": "pricing", "version": "aaa", "requests": 10},
        {"target": "store-2", "health": "unknown", "product": None, "version": None, "requests": None},
    ]


def buckets(**counts: int) -> dict[str, list[tuple[dict[str, str], float]]]:
    """A histogram: upper bound in milliseconds to answers that were as fast or faster."""
    bounds = {name: "+Inf" if name == "inf" else str(int(name[2:]) / 1000) for name in counts}
    return {"retail_request_seconds_bucket": [({"le": bounds[name]}, float(n)) for name, n in counts.items()]}


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ({}, 0.5, None),
        ({"ms10": 0, "inf": 0}, 0.5, None),
        ({"ms10": 100, "inf": 100}, 0.5, 5.0),
        ({"ms10": 50, "ms20": 100, "inf": 100}, 0.99, 19.8),
        ({"ms10": 50, "inf": 100}, 0.99, 10.0),
    ],
)
def test_percentiles_are_read_from_buckets(counts: dict[str, int], share: float, expected: float | None) -> None:
    found = percentile_ms(buckets(**counts), share)
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_asset_shows_every_store_and_keeps_its_history(home: Home, lake: Lake) -> None:
    folder = folder_of(Environment(name="test", home=home, lake=lake))
    Tokens(folder).issue("store-2")
    Statuses(folder / "status").put(heard().status)
    for runs in (1, 2):
        result = dg.materialize([stores], resources={"home": home, "lake": lake}, selection=[stores])
        metadata = result.asset_materializations_for_node("serving__stores")[0].metadata
        assert "| store-1 | ok |" in str(metadata["stores"].value)
        assert "| store-2 | unknown | never |" in str(metadata["stores"].value)
        assert lake.open("ops", "store_status").to_pyarrow_table().num_rows == 2 * runs


def test_the_checks_name_stores_that_are_not_well_and_segments_that_were_not_taken(home: Home, lake: Lake) -> None:
    def checked() -> dict[str, tuple[bool, Any]]:
        result = dg.materialize([stores, store_checks], resources={"home": home, "lake": lake})
        return {one.check_name: (one.passed, one.metadata) for one in result.get_asset_check_evaluations()}

    environment = Environment(name="test", home=home, lake=lake)
    folder = folder_of(environment)
    Statuses(folder / "status").put(heard().status.model_copy(update={"etag": "old"}))
    assert [passed for passed, _ in checked().values()] == [True, True]
    states = [(1, "old", 7200), (2, "new", 3600)]
    history = [{"number": n, "etag": e, "made_at": str(datetime.now(UTC) - timedelta(seconds=s))} for n, e, s in states]
    (folder / "bundles").mkdir()
    (folder / "bundles" / "store-1.json").write_text(json.dumps({"states": history}))
    passed, metadata = checked()["every_store_has_what_the_centre_says"]
    assert not passed
    assert "its copy is 1 state behind, for 36" in str(metadata["not_well"].value)
    aside = home.root / "spool" / "stores" / "set-aside"
    aside.mkdir(parents=True)
    (aside / "pricing-x-1.json").write_text(json.dumps({"target": "store-1", "reason": "torn", "at": str(NOW)}))
    (aside / "pricing-x-2.json").write_text("{")
    passed, metadata = checked()["every_segment_of_decisions_was_taken"]
    assert (passed, metadata["set_aside"].value) == (False, 2)
    assert "store-1: torn" in str(metadata["newest"].value)
