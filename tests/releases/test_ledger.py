"""What is live is what the ledger says, at every instant, whoever writes at the same time."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.releases.ledger import Ledger, LedgerConflict, LedgerError
from retail_assets.releases.rows import Release, answering, release_id, releases_schema, versions_of
from retail_assets.resources.lake import Lake

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Lake.at(tmp_path / "lake"))


def promoted(version: str, previous: str | None, hours: float = 0, **changes: object) -> Release:
    values = {"product": "pricing", "version": version, "action": "promote", "by": "test", "reason": "better"}
    return Release.model_validate(values | {"previous": previous, "at": NOON + timedelta(hours=hours)} | changes)


def test_before_the_first_release_nothing_is_live(ledger: Ledger) -> None:
    assert ledger.live("pricing") is None and ledger.live_all() == [] and ledger.log() == []
    assert ledger.version() is None


def test_live_now_and_as_it_was(ledger: Ledger) -> None:
    ledger.append(promoted("a" * 12, None))
    ledger.append(promoted("b" * 12, "a" * 12, hours=2))
    live = ledger.live("pricing")
    assert live is not None and live.version == "b" * 12 and live.previous == "a" * 12
    then = ledger.live("pricing", at=NOON + timedelta(hours=1))
    assert then is not None and then.version == "a" * 12
    exactly = ledger.live("pricing", at=NOON + timedelta(hours=2))
    assert exactly is not None and exactly.version == "b" * 12
    assert ledger.live("pricing", at=NOON - timedelta(seconds=1)) is None
    assert ledger.live("pricing", target="store-238") is None


def test_live_all_answers_for_every_product_and_target(ledger: Ledger) -> None:
    ledger.append(promoted("p1", None))
    ledger.append(promoted("p2", None, target="store-238"))
    ledger.append(promoted("f1", None, product="forecasting"))
    assert [(r.product, r.target, r.version) for r in ledger.live_all()] == [
        ("forecasting", "cloud", "f1"),
        ("pricing", "cloud", "p1"),
        ("pricing", "store-238", "p2"),
    ]


def test_canary_and_shadow_change_nothing_that_is_live(ledger: Ledger) -> None:
    ledger.append(promoted("p1", None))
    ledger.append(promoted("p2", "p1", hours=1, action="canary", share=0.05))
    ledger.append(promoted("p3", "p1", hours=2, action="shadow", share=0.0))
    live = ledger.live("pricing")
    assert live is not None and live.version == "p1"
    assert [r.action for r in ledger.log()] == ["promote", "canary", "shadow"]


def test_rollback_is_one_row_and_a_second_one_goes_further_back(ledger: Ledger) -> None:
    for version in ("p1", "p2", "p3"):
        ledger.promote("pricing", version, by="test", reason="better")
    assert ledger.rollback("pricing", by="manager", reason="odd prices").version == "p2"
    assert ledger.rollback("pricing", by="manager", reason="still odd").version == "p1"
    assert len(ledger.log()) == 5
    with pytest.raises(LedgerError, match="cannot be rolled back"):
        ledger.rollback("pricing", by="manager", reason="further")


def test_rollback_to_a_named_version_must_have_been_live(ledger: Ledger) -> None:
    for version in ("p1", "p2", "p3"):
        ledger.promote("pricing", version, by="test", reason="better")
    with pytest.raises(LedgerError, match="p1, p2"):
        ledger.rollback("pricing", by="manager", reason="odd", to="p9")
    assert ledger.rollback("pricing", by="manager", reason="odd", to="p1").version == "p1"


def test_rollback_of_nothing_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="none"):
        ledger.rollback("pricing", by="manager", reason="odd")


def test_a_decision_on_an_old_ledger_is_refused(ledger: Ledger) -> None:
    ledger.append(promoted("p1", None))
    ledger.append(promoted("p2", "p1", hours=1))
    with pytest.raises(LedgerConflict, match="is at p2, not at p1"):
        ledger.append(promoted("p3", "p1", hours=2))
    assert [r.version for r in ledger.log()] == ["p1", "p2"]


def test_a_clock_that_runs_backwards_is_refused(ledger: Ledger) -> None:
    ledger.append(promoted("p1", None))
    with pytest.raises(LedgerError, match="clock"):
        ledger.append(promoted("p2", "p1", hours=-1))


def test_a_clock_that_runs_ahead_is_refused(ledger: Ledger) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(LedgerError, match="which is not yet"):
        ledger.append(Release(product="p", version="a", action="promote", by="t", reason="t", at=ahead))
    assert ledger.log() == []


def test_a_row_of_a_clock_that_is_ahead_blocks_nobody(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("retail_assets.releases.ledger.CLOCKS_DIFFER", timedelta(hours=3))
        ahead = datetime.now(UTC) + timedelta(hours=1)
        ledger.append(Release(product="p", version="a", action="promote", by="t", reason="t", at=ahead))
    ledger.promote("p", "b", by="t", reason="t")
    ledger.rollback("p", by="t", reason="wrong prices")
    assert [row.version for row in ledger.log()] == ["a", "b", "a"]
    assert "two clocks differ" in caplog.text
    live = ledger.live("p")
    assert live is not None and live.version == "a"


def test_a_ledger_of_before_runs_were_named_takes_new_rows(ledger: Ledger) -> None:
    old = pa.Table.from_pylist(
        [Release(product="p", version="a", action="promote", by="t", reason="t").model_dump(exclude={"run_id"})],
        schema=pa.schema([field for field in releases_schema() if field.name != "run_id"]),
    )
    ledger.lake.append("ops", "releases", old)
    ledger.promote("p", "b", by="t", reason="t", run_id="1234")
    assert [(row.version, row.run_id) for row in ledger.log()] == [("a", None), ("b", "1234")]


def test_columns_that_newer_code_wrote_are_left_alone(ledger: Ledger) -> None:
    first = ledger.promote("p", "a", by="t", reason="t")
    newer = first.model_dump() | {"release_id": release_id(), "version": "b", "previous": "a", "at": datetime.now(UTC)}
    schema = releases_schema().append(pa.field("signed_by", pa.string()))
    write_deltalake(
        ledger.lake.open("ops", "releases"),
        pa.Table.from_pylist([newer | {"signed_by": "x"}], schema),
        mode="append",
        schema_mode="merge",
    )
    assert [row.version for row in ledger.log()] == ["a", "b"]
    assert ledger.promote("p", "c", by="t", reason="t").previous == "b"


def test_of_many_threads_that_release_the_same_product_one_wins(ledger: Ledger) -> None:
    def release(number: int) -> str:
        try:
            return ledger.append(promoted(f"p{number}", None)).version
        except LedgerConflict:
            return ""

    with ThreadPoolExecutor(6) as pool:
        winners = [version for version in pool.map(release, range(6)) if version]
    assert len(winners) == 1
    assert [r.version for r in ledger.log()] == winners


def test_threads_that_release_different_products_all_win(ledger: Ledger) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: ledger.append(promoted("v1", None, product=f"product-{n}")), range(6)))
    assert [r.product for r in ledger.live_all()] == [f"product-{n}" for n in range(6)]


def test_of_two_processes_one_wins(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from retail_assets.resources.lake import Lake\n"
        "from retail_assets.releases.ledger import Ledger, LedgerConflict, Release\n"
        "release = Release(product='pricing', version=sys.argv[2], action='promote', by='t', reason='r')\n"
        "sys.stdin.readline()\n"
        "try:\n    print(Ledger(Lake.at(sys.argv[1])).append(release).version)\n"
        "except LedgerConflict:\n    print('conflict')\n"
    )
    lake = tmp_path / "lake"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(lake), version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for version in ("p1", "p2")
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(process.communicate()[0].strip() for process in started)
    assert answers[0] == "conflict" and answers[1] in ("p1", "p2")
    assert [r.version for r in Ledger(Lake.at(lake)).log()] == [answers[1]]


@given(st.lists(st.sampled_from(["promote a", "promote b", "promote c", "rollback"]), max_size=12))
def test_a_rollback_always_restores_what_was_live_before(steps: list[str]) -> None:
    log: list[Release] = []
    stack: list[str] = []
    for step in steps:
        if step == "rollback":
            if len(stack) < 2:
                continue
            stack.pop()
            log.append(promoted(stack[-1], None, action="rollback"))
        elif stack[-1:] != [step[-1]]:
            stack.append(step[-1])
            log.append(promoted(step[-1], None))
        assert versions_of(answering(log, "pricing", ["cloud"])) == stack


STORE = ("store-238", "region-US", "cloud")


def test_the_most_specific_release_answers(ledger: Ledger) -> None:
    assert ledger.answers("pricing", STORE) is None
    ledger.promote("pricing", "p1", by="test", reason="first")
    ledger.promote("pricing", "p2", by="test", reason="here", target="region-US", wider=["cloud"])
    ledger.promote("pricing", "p3", by="test", reason="everywhere else")
    live = ledger.answers("pricing", STORE)
    assert live is not None and (live.target, live.version, live.previous) == ("region-US", "p2", "p1")
    other = ledger.answers("pricing", ("store-7", "region-DE", "cloud"))
    assert other is not None and other.version == "p3"


def test_one_store_goes_back_through_what_it_followed_and_the_others_stay(ledger: Ledger) -> None:
    for version in ("p1", "p2", "p3"):
        ledger.promote("pricing", version, by="test", reason="better")
    for expected in ("p2", "p1"):
        row = ledger.rollback("pricing", by="manager", reason="odd prices", target=STORE[0], wider=STORE[1:])
        assert (row.version, row.target) == (expected, "store-238")
    with pytest.raises(LedgerError, match="cannot be rolled back"):
        ledger.rollback("pricing", by="manager", reason="further", target=STORE[0], wider=STORE[1:])
    cloud = ledger.live("pricing")
    assert cloud is not None and cloud.version == "p3"


def test_a_target_that_follows_again_answers_with_the_wider_one(ledger: Ledger) -> None:
    ledger.promote("pricing", "p1", by="test", reason="first")
    ledger.promote("pricing", "p2", by="test", reason="trial", target=STORE[0], wider=STORE[1:])
    assert ledger.follow("pricing", by="test", reason="over", target=STORE[0], wider=STORE[1:]).version == "p1"
    ledger.promote("pricing", "p3", by="test", reason="better")
    live = ledger.answers("pricing", STORE)
    assert live is not None and (live.target, live.version) == ("cloud", "p3")
    assert [r.target for r in ledger.live_all()] == ["cloud"]
    with pytest.raises(LedgerError, match="no release of its own"):
        ledger.follow("pricing", by="test", reason="again", target=STORE[0], wider=STORE[1:])
    again = ledger.promote("pricing", "p1", by="test", reason="trial", target=STORE[0], wider=STORE[1:])
    assert again.previous == "p3"


def test_a_pinned_target_is_released_to_only_after_it_was_unpinned(ledger: Ledger) -> None:
    ledger.promote("pricing", "p1", by="test", reason="first")
    assert ledger.pin("pricing", by="ann", reason="audit").version == "p1"
    with pytest.raises(LedgerError, match="pinned to p1 by ann: audit"):
        ledger.promote("pricing", "p2", by="test", reason="better")
    ledger.unpin("pricing", by="ann", reason="done")
    ledger.promote("pricing", "p2", by="test", reason="better")
    with pytest.raises(LedgerError, match="not pinned"):
        ledger.unpin("pricing", by="ann", reason="again")
    assert ledger.rollback("pricing", by="ann", reason="odd").version == "p1"


@given(st.lists(st.tuples(st.sampled_from(["promote", "rollback", "follow"]), st.booleans(), st.sampled_from("abc"))))
def test_a_store_always_answers_with_its_own_release_or_the_clouds(steps: list[tuple[str, bool, str]]) -> None:
    log: list[Release] = []
    live: dict[str, str] = {}
    for hour, (action, in_store, version) in enumerate(steps):
        target = "store-238" if in_store else "cloud"
        if action == "follow" and (not in_store or "store-238" not in live):
            continue
        if action == "rollback" and target not in live:
            continue
        log.append(promoted(version, None, hours=hour, action=action, target=target))
        live[target] = version
        if action == "follow":
            del live["store-238"]
        rows = answering(log, "pricing", ["store-238", "cloud"])
        expected = live.get("store-238", live.get("cloud"))
        assert (rows[-1].version if rows else None) == expected
        assert (versions_of(rows) or [None])[-1] == expected


def test_ids_sort_by_time() -> None:
    early, late = release_id(), f"{int((datetime.now(UTC) + timedelta(seconds=1)).timestamp() * 1000):012x}"
    assert len(early) == 32 and early < late


def test_a_follower_reads_only_what_is_new_and_all_of_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    follower, read = Ledger(ledger.lake), []
    real = parquet.read_table
    monkeypatch.setattr(parquet, "read_table", lambda path, **options: (read.append(path), real(path, **options))[1])
    for number in range(3):
        ledger.promote("pricing", f"v{number}", by="test", reason="better")
    assert [r.version for r in follower.log()] == ["v0", "v1", "v2"]
    read.clear()
    ledger.promote("pricing", "v3", by="test", reason="better")
    read.clear()
    assert [r.version for r in follower.log()] == ["v0", "v1", "v2", "v3"]
    assert len(read) == 1
    ledger.lake.open("ops", "releases").optimize.compact()
    assert [r.version for r in follower.log()] == ["v0", "v1", "v2", "v3"], "files were replaced, rows were not"
