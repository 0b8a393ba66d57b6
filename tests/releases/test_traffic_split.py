"""Which release answers in which store, whatever the ledger has been through."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.releases.rows import Release, trial_rows
from retail_assets.releases.targets import Targets
from retail_assets.releases.traffic_split import Routes, in_share, routes

STORES = {f"{number:03d}": "US" if number % 2 else "DE" for number in range(200)}
TARGETS = Targets(regions=STORES, segments={"pilot": ("001", "002")})
ACTIONS = ("promote", "rollback", "pin", "unpin", "follow", "canary", "shadow", "withdraw")


def log_of(*rows: tuple[str, str, str] | tuple[str, str, str, float]) -> list[Release]:
    """Rows of action, version, target and share, an hour apart."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        Release.model_validate(
            {"product": "pricing", "action": action, "version": version, "target": target, "by": "test",
             "reason": "test", "at": start + timedelta(hours=hour), "share": share[0] if share else 1.0}
        )
        for hour, (action, version, target, *share) in enumerate(rows)
    ]  # fmt: skip


def routed(log: list[Release], target: str = "cloud") -> Routes:
    return routes(log, "pricing", TARGETS.chain(target), TARGETS)


def version(release: Release | None) -> str | None:
    return release.version if release else None


def test_nothing_is_routed_before_the_first_release() -> None:
    found = routed([])
    assert (found.default, found.of("001"), found.releases()) == (None, None, [])


def test_a_canary_answers_in_its_share_of_the_stores_and_nowhere_else() -> None:
    found = routed(log_of(("promote", "a", "cloud"), ("canary", "b", "cloud", 0.25)))
    drawn = {store for store in STORES if version(found.of(store)) == "b"}
    assert 30 <= len(drawn) <= 70
    assert version(found.of("nobody knows this store")) == "a"
    assert version(routed(log_of(("promote", "a", "cloud"), ("canary", "b", "cloud", 0.25)), "cloud").default) == "a"
    for store in list(STORES)[:20]:
        alone = routed(log_of(("promote", "a", "cloud"), ("canary", "b", "cloud", 0.25)), f"store-{store}")
        assert version(alone.default) == ("b" if store in drawn else "a"), "a store's own service agrees"


def test_a_larger_share_keeps_the_stores_it_had() -> None:
    small, large = (log_of(("canary", "b", "cloud", share))[0] for share in (0.1, 0.5))
    drawn = [{store for store in STORES if in_share(release, store)} for release in (small, large)]
    assert drawn[0] < drawn[1]
    assert all(in_share(log_of(("canary", "b", "cloud", 1.0))[0], store) for store in STORES)
    assert not any(in_share(log_of(("canary", "b", "cloud", 0.0))[0], store) for store in STORES)


def test_a_store_with_a_release_of_its_own_is_not_tried_on() -> None:
    rows = [("promote", "a", "cloud"), ("pin", "p", "store-001"), ("promote", "d", "region-DE")]
    found = routed(log_of(*rows, ("canary", "b", "cloud", 1.0)))
    assert [version(found.of(store)) for store in ("001", "002", "003")] == ["p", "d", "b"]
    aimed = routed(log_of(*rows, ("canary", "b", "store-001", 1.0)))
    assert [version(aimed.of(store)) for store in ("001", "003")] == ["b", "a"]


@pytest.mark.parametrize("ends", ["withdraw", "promote", "rollback", "pin"])
def test_what_ends_a_trial(ends: str) -> None:
    rows = [("promote", "a", "cloud"), ("canary", "b", "cloud", 1.0), ("shadow", "c", "cloud", 0.0)]
    before, after = routed(log_of(*rows)), routed(log_of(*rows, (ends, "a", "cloud")))
    assert (version(before.of("001")), [version(r) for r in before.shadows["001"]]) == ("b", ["c"])
    assert (version(after.of("001")), after.shadows["001"]) == ("a", ())


def test_a_process_of_a_region_routes_its_own_stores() -> None:
    found = routed(
        log_of(("promote", "a", "cloud"), ("promote", "s", "store-001"), ("promote", "p", "segment-pilot")), "region-US"
    )
    assert set(found.stores) == {store for store, region in STORES.items() if region == "US"}
    assert [version(found.of(store)) for store in ("001", "003")] == ["s", "a"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ACTIONS),
            st.sampled_from("abc"),
            st.sampled_from(["cloud", "region-US", "segment-pilot", "store-001"]),
            st.sampled_from([0.3, 1.0]),
        ),
        max_size=12,
    )
)
def test_a_service_of_one_store_and_one_of_all_agree(rows: list[tuple[str, str, str, float]]) -> None:
    log = log_of(*rows)
    everything = routed(log)
    for store in ("001", "002", "003"):
        alone = routed(log, f"store-{store}")
        assert version(everything.of(store)) == version(alone.default)
        assert everything.shadows[store] == alone.default_shadows
    needed = {release.release_id for release in everything.releases()}
    assert needed <= {release.release_id for release in log}
    assert {r.action for r in trial_rows(log)} <= {"canary", "shadow"}


def test_where_a_canary_answers_the_champion_is_held_beside_it() -> None:
    log = log_of(("promote", "a", "cloud"), ("promote", "r", "region-DE"), ("canary", "b", "cloud", 0.5))
    found = routed(log)
    drawn = {store for store in STORES if version(found.of(store)) == "b"}
    assert drawn and {version(release) for release in found.champions.values()} == {"a"}
    assert set(found.champions) == drawn
    assert {release.version for release in found.releases()} == {"a", "b", "r"}
    for store in ("001", "003", "005", "007"):
        alone = routed(log, f"store-{store}")
        assert {s: version(r) for s, r in alone.champions.items()} == ({store: "a"} if store in drawn else {})


def test_a_canary_of_everything_leaves_its_champion_loaded() -> None:
    found = routed(log_of(("promote", "a", "cloud"), ("canary", "b", "cloud", 1.0)))
    assert {version(found.of(store)) for store in STORES} == {"b"}
    assert len(found.champions) == len(STORES) and version(found.champions["001"]) == "a"


def test_a_canary_before_any_release_has_no_champion() -> None:
    found = routed(log_of(("canary", "b", "cloud", 1.0)))
    assert version(found.of("001")) == "b" and found.champions == {}
