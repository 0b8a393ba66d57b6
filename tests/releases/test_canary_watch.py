"""A verdict becomes a row of the ledger, once, and names its numbers; nothing else is touched."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from retail_assets.releases.canary_watch import BY, PAIRS_PER_LOOK, CanaryWatch
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import Release
from retail_assets.releases.verdicts import Limits
from retail_assets.resources.lake import Lake
from tests.releases.test_verdicts import pairs

LIMITS = Limits(value_low=-0.05, value_high=0.05, promote_answers=200, promote_hours=0.0)


class Home:
    """A ledger with champion `a` and canary `b`, and a watch on it."""

    def __init__(self, root: Path, limits: Limits | None = LIMITS) -> None:
        self.ledger = Ledger(Lake.at(root / "lake"))
        self.ledger.promote("pricing", "a", by="t", reason="t")
        self.canary = self.ledger.canary("pricing", "b", 0.5, by="t", reason="t")
        self.watch = self.another(limits)

    def another(self, limits: Limits | None = LIMITS) -> CanaryWatch:
        """The watch of another process."""
        return CanaryWatch(self.ledger, limits, self.running, lambda target: () if target == "cloud" else ("cloud",))

    def running(self) -> tuple[Release, ...]:
        return tuple(trial for trial in self.ledger.trials() if trial.action == "canary")

    @property
    def live(self) -> str:
        release = self.ledger.live("pricing")
        assert release is not None
        return release.version


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def feed(home: Home, watch: CanaryWatch, count: int = 250, **traits: float) -> None:
    for number, pair in enumerate(pairs(count, **traits)):  # type: ignore[arg-type]
        watch.answered(home.canary, number)
        watch.compared(home.canary, pair)


def test_a_bad_canary_is_withdrawn_with_its_numbers(home: Home) -> None:
    feed(home, home.watch, move=3.0)
    home.watch.look()
    row = home.ledger.log()[-1]
    assert (row.action, row.version, row.by, home.live, home.running()) == ("withdraw", "a", BY, "a", ())
    assert row.reason.startswith("b: answers moved: PSI")
    report = json.loads(row.gate_report or "")
    assert report["passed"] is False
    assert {c["metric"] for c in report["comparisons"]} == {"error_rate", "latency_p95_ms", "psi", "value_change"}
    assert home.watch.withdrawn == 1


def test_failures_withdraw_at_once(home: Home) -> None:
    for _ in range(3):
        home.watch.failed(home.canary)
    home.watch.look()
    assert home.ledger.log()[-1].reason.startswith("b: 3 of 3 answers failed")


def test_a_good_canary_becomes_the_champion(home: Home) -> None:
    feed(home, home.watch)
    home.watch.look()
    row = home.ledger.log()[-1]
    assert (row.action, row.version, row.previous, row.by, home.running()) == ("promote", "b", "a", BY, ())
    assert json.loads(row.gate_report or "")["passed"] is True


def test_two_processes_that_find_the_same_write_one_row(home: Home) -> None:
    other = home.another()
    for watch in (home.watch, other):
        feed(home, watch, move=3.0)
    running = home.running()
    home.watch.look()
    other._running = lambda: running  # it has not read the ledger since
    other.look()
    assert [row.action for row in home.ledger.log()] == ["promote", "canary", "withdraw"]
    assert other.suspended(home.canary), "its own traffic is safe all the same"


def test_a_canary_that_a_person_ended_is_left_alone(home: Home) -> None:
    feed(home, home.watch, move=3.0)
    home.ledger.withdraw("pricing", by="ann", reason="enough")
    home.watch.look()
    assert [row.by for row in home.ledger.log()][-1] == "ann"
    assert not home.watch.suspended(home.canary)


def test_while_the_ledger_cannot_be_written_the_canary_answers_no_more_here(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(home, home.watch, move=3.0)

    def cut() -> list[Release]:
        raise OSError("the line is cut")

    with monkeypatch.context() as patch:
        patch.setattr(home.ledger, "trials", cut)
        patch.setattr(home.watch, "_running", lambda: (home.canary,))
        with pytest.raises(OSError, match="cut"):
            home.watch.look()
    assert home.watch.suspended(home.canary)
    home.watch.look()
    assert home.ledger.log()[-1].action == "withdraw"


def test_the_same_question_is_compared_once_and_not_too_many_at_a_time(home: Home) -> None:
    assert home.watch.answered(home.canary, "milk")
    assert not home.watch.answered(home.canary, "milk")
    wanted = [home.watch.answered(home.canary, number) for number in range(PAIRS_PER_LOOK + 50)]
    assert sum(wanted) == PAIRS_PER_LOOK - 1
    assert home.watch.evidence(home.canary).answers == PAIRS_PER_LOOK + 52
    assert home.watch.answered(home.canary, "another look"), "evidence was taken: there is room again"


def test_without_limits_nothing_is_ended_or_compared(tmp_path: Path) -> None:
    home = Home(tmp_path, None)
    feed(home, home.watch, move=3.0)
    home.watch.look()
    assert not home.watch.answered(home.canary, "anything new")
    assert [row.action for row in home.ledger.log()] == ["promote", "canary"]


def test_a_pinned_target_keeps_its_champion(home: Home) -> None:
    feed(home, home.watch)
    running = home.running()
    home.ledger.pin("pricing", by="ann", reason="audit")
    home.watch._running = lambda: running
    home.watch.look()
    assert [row.action for row in home.ledger.log()] == ["promote", "canary", "pin"]


def test_what_ended_is_forgotten(home: Home) -> None:
    feed(home, home.watch, move=3.0)
    home.watch.look()
    home.watch.look()
    assert home.watch._seen == {} and not home.watch.suspended(home.canary)
    again = home.ledger.canary("pricing", "b", 0.5, by="t", reason="a second try")
    assert home.watch.evidence(replace_id(again)).answers == 0


def replace_id(release: Release) -> Release:
    return release.model_copy(update={"release_id": release.release_id})


def test_evidence_is_of_one_canary(home: Home) -> None:
    other = home.canary.model_copy(update={"release_id": "0" * 32})
    home.watch.failed(other)
    assert home.watch.evidence(home.canary).failures == 0
    assert replace(home.watch.evidence(other), hours=0.0).failures == 1
