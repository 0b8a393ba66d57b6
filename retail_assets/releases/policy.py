"""May this version go live by itself? A pure decision over metrics, gates and the history of releases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from retail_assets.core.gates import Gate, GateReport, evaluate
from retail_assets.releases.rows import CLOUD, LIVE_ACTIONS, Release, trial_rows

Outcome = Literal["promote", "already live", "withheld", "rejected"]


@dataclass(frozen=True)
class ReleaseDecision:
    """What is to be done with a version and why; `report` holds the numbers, None where no gate was asked."""

    product: str
    version: str
    live: str | None
    outcome: Outcome
    reasons: tuple[str, ...]
    report: GateReport | None

    @property
    def passed(self) -> bool:
        """Whether the version is live after this decision."""
        return self.outcome in ("promote", "already live")


def decide(
    product: str,
    version: str,
    metrics: Mapping[str, float],
    live_metrics: Mapping[str, float] | None,
    gates: Sequence[Gate],
    log: Sequence[Release],
    target: str = CLOUD,
) -> ReleaseDecision:
    """Promote when every gate passes and nobody has decided otherwise.

    `live_metrics` are those of the live version, None when nothing is live. A version that was live here and gave way
    to another, or whose canary was withdrawn, comes back by hand only; one whose canary runs waits for its verdict; a
    pinned target keeps its version.
    """
    rows = [r for r in log if (r.product, r.target) == (product, target) and r.action in LIVE_ACTIONS]
    live = rows[-1] if rows else None
    before = live.version if live else None
    if before == version:
        return ReleaseDecision(product, version, before, "already live", (), None)
    if live is not None and live.action == "pin":
        return ReleaseDecision(product, version, before, "withheld", (f"{target} is pinned to {before}",), None)
    if replaced := _replaced(version, rows):
        return ReleaseDecision(product, version, before, "withheld", (replaced,), None)
    mine = [r for r in log if (r.product, r.target) == (product, target)]
    if waits := _canary_of(version, mine):
        return ReleaseDecision(product, version, before, "withheld", (waits,), None)
    report = evaluate(gates, metrics, live_metrics)
    return ReleaseDecision(product, version, before, "promote" if report.passed else "rejected", report.reasons, report)


def _replaced(version: str, rows: Sequence[Release]) -> str | None:
    """Who took a version back that was live, None where it never was; `rows` are what was live on one target."""
    was = [place for place, row in enumerate(rows) if row.version == version]
    if not was or was[-1] == len(rows) - 1:
        return None
    after = rows[was[-1] + 1]
    how = "rolled back from it" if after.action == "rollback" else f"released {after.version} in its place"
    return f"{after.by} {how}: {after.reason}"


def _canary_of(version: str, log: Sequence[Release]) -> str | None:
    """Why a version waits, or does not come back, where it is or was a canary; `log` is that of one target."""
    if any(trial.action == "canary" and trial.version == version for trial in trial_rows(log)):
        return "its canary runs: the verdict on it decides"
    for place, row in enumerate(log):
        ran = trial_rows(log[:place]) if row.action == "withdraw" else []
        if any(trial.action == "canary" and trial.version == version for trial in ran):
            return f"{row.by} withdrew its canary: {row.reason}"
    return None
