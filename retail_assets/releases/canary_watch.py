"""Watches the canaries of one service process and ends them: withdrawn within seconds, or promoted after good traffic.

The watch lives in the service and not in Dagster, because that is where answers, failures and times are at once: a
sensor would see them only after the log was shipped, and not at all while the daemon is down. Each process judges what
it answered; the first that finds a reason withdraws for all, and the ledger refuses the second.
"""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from retail_assets.releases.ledger import Ledger, LedgerError
from retail_assets.releases.rows import Release
from retail_assets.releases.verdicts import Evidence, Limits, Pair, Verdict, canary_is_safe

logger = logging.getLogger(__name__)

BY = "canary watch"
WATCH_EVERY_S = 2.0
PAIRS_KEPT = 2000
PAIRS_PER_LOOK = 200
FAILED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a model raises that cannot answer; unknown keys and missing inputs are errors of their own and no failure."""


@dataclass
class _Seen:
    """What one canary did in this process since it was first met."""

    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    answers: int = 0
    failures: int = 0
    champion_failures: int = 0
    asked: set[Hashable] = field(default_factory=set)
    pairs: deque[Pair] = field(default_factory=lambda: deque(maxlen=PAIRS_KEPT))
    room: int = PAIRS_PER_LOOK


class CanaryWatch:
    """Collects evidence from the threads that answer and judges it in `look`. Safe from any thread."""

    def __init__(
        self,
        ledger: Ledger,
        limits: Limits | None,
        running: Callable[[], tuple[Release, ...]],
        wider: Callable[[str], tuple[str, ...]],
    ) -> None:
        """`running` names the canaries of this process, `wider` the targets that a target follows.

        Without `limits` nothing is ever ended.
        """
        self.withdrawn = self.promoted = 0
        self._ledger = ledger
        self._limits = limits
        self._running = running
        self._wider = wider
        self._seen: dict[str, _Seen] = {}
        self._suspended: frozenset[str] = frozenset()
        self._gate = threading.Lock()

    def suspended(self, release: Release) -> bool:
        """Whether a canary was found unsafe here: it answers no more, even while the ledger cannot be written."""
        return release.release_id in self._suspended

    def answered(self, release: Release, question: Hashable) -> bool:
        """Counts an answer of a canary; returns whether the champion should be asked the same.

        Each question once: the same answer again would be counted as further evidence.
        """
        with self._gate:
            seen = self._seen.setdefault(release.release_id, _Seen())
            seen.answers += 1
            if self._limits is None or seen.room == 0 or question in seen.asked:
                return False
            seen.room -= 1
            if len(seen.asked) >= PAIRS_KEPT:
                seen.asked.clear()
            seen.asked.add(question)
            return True

    def failed(self, release: Release) -> None:
        """Counts a question that a canary could not answer, and the champion had to."""
        with self._gate:
            self._seen.setdefault(release.release_id, _Seen()).failures += 1

    def champion_failed(self, release: Release) -> None:
        """Counts a question of this canary that the champion could not answer."""
        with self._gate:
            self._seen.setdefault(release.release_id, _Seen()).champion_failures += 1

    def compared(self, release: Release, pair: Pair) -> None:
        """Takes the two answers to one question."""
        with self._gate:
            self._seen.setdefault(release.release_id, _Seen()).pairs.append(pair)

    def evidence(self, release: Release) -> Evidence:
        """What is known of a canary in this process."""
        with self._gate:
            seen = self._seen.setdefault(release.release_id, _Seen())
            seen.room = PAIRS_PER_LOOK
            hours = (datetime.now(UTC) - seen.since).total_seconds() / 3600
            return Evidence(seen.answers, seen.failures, seen.champion_failures, hours, tuple(seen.pairs))

    def look(self) -> None:
        """Judges every running canary once and ends those that are found unsafe, or proven."""
        running = self._running()
        with self._gate:
            ids = {release.release_id for release in running}
            self._seen = {key: seen for key, seen in self._seen.items() if key in ids}
            self._suspended &= ids
        if self._limits is None:
            return
        for release in running:
            verdict = canary_is_safe(self.evidence(release), self._limits)
            if verdict.outcome != "wait":
                self._end(release, verdict)

    def _end(self, release: Release, verdict: Verdict) -> None:
        if verdict.outcome == "withdraw":
            self._suspended |= {release.release_id}
            logger.error("canary %s %s is withdrawn: %s", release.product, release.version, verdict.reason)
        if release.release_id not in {trial.release_id for trial in self._ledger.trials()}:
            return  # somebody else was faster
        words = json.dumps(verdict.report.as_dict(), sort_keys=True)
        common = {"by": BY, "target": release.target}
        wider = self._wider(release.target)
        try:
            if verdict.outcome == "withdraw":
                reason = f"{release.version}: {verdict.reason}"
                self._ledger.withdraw(release.product, reason=reason, wider=wider, verdict=words, **common)
                self.withdrawn += 1
            else:
                reason = f"good traffic as a canary: {verdict.reason}"
                self._ledger.promote(
                    release.product, release.version, reason=reason, wider=wider, gate_report=words, **common
                )
                self.promoted += 1
        except LedgerError as error:  # released by somebody meanwhile, or pinned: the next look sees what holds now
            logger.warning("the verdict on %s %s was not carried out: %s", release.product, release.version, error)
