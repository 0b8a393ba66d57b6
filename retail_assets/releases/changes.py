"""A release that a person asks for: what it will change, said before it is done."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from retail_assets.core.errors import RetailError
from retail_assets.core.gates import GateReport, evaluate
from retail_assets.releases.evidence import evidence
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.releases.ledger import Ledger, LedgerError
from retail_assets.releases.rows import Action, Release, answering, versions_of
from retail_assets.releases.targets import Targets
from retail_assets.releases.traffic_split import routes
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import why_refused
from retail_assets.resources.model_store import ModelStore

NEWEST = "newest"


class ReleaseRefused(RetailError):
    """The gates do not let a version go live, and nobody took the responsibility."""


@dataclass(frozen=True)
class Change:
    """What one command would append. `chain` is the target and the wider ones it follows.

    `now` answers on the target today; `version` will, afterwards. `report` is what the gates say of a version that is
    to answer customers, None for every other action. `keep` are narrower targets with a release of their own: they
    stay. `share` is that of a canary.
    """

    product: str
    chain: tuple[str, ...]
    action: Action
    version: str
    now: Release | None
    report: GateReport | None = None
    keep: tuple[Release, ...] = ()
    share: float = 1.0

    @property
    def target(self) -> str:
        """The target that gets the row."""
        return self.chain[0]


class Desk:
    """Plans changes of the ledger of one home and carries them out."""

    def __init__(self, lake: Lake, store: ModelStore, config: ReleaseConfig) -> None:
        self.ledger = Ledger(lake)
        self.store = store
        self.config = config
        self.targets = Targets.of(lake, config.segments)

    def answers(self, product: str, target: str, at: datetime | None = None) -> Release | None:
        """What is live on `target`, whichever wider target decided it; a canary is not."""
        return self.ledger.answers(self._product(product), self.targets.chain(target), at)

    def routed(self, product: str, target: str, at: datetime | None = None) -> Release | None:
        """What `target` answers with: in a store that a canary has drawn, the canary."""
        log = [r for r in self.ledger.log() if at is None or r.at <= at]
        return routes(log, self._product(product), self.targets.chain(target), self.targets).default

    def promote(self, product: str, version: str, target: str) -> Change:
        """Making `version` (or the newest one stored) live; its gates are held against what answers now."""
        chain = self.targets.chain(target)
        version, now = self.resolve(product, version), self.answers(product, target)
        self.ledger.refuse_pinned(product, target)
        gates = self.config.gates(product)
        measured = evidence(self.ledger.lake, self.store, product, version, now.version if now else None, gates)
        report = evaluate(gates, *measured)
        return Change(product, chain, "promote", version, now, report, self._keep(product, target))

    def canary(self, product: str, version: str, target: str, share: float) -> Change:
        """Letting `version` answer in a share of the stores; it must pass the same gates."""
        return replace(self.promote(product, version, target), action="canary", share=share)

    def shadow(self, product: str, version: str, target: str) -> Change:
        """Asking `version` beside the one that answers; nobody gets its answers, so no gate is asked."""
        chain, now = self.targets.chain(target), self.answers(product, target)
        return Change(product, chain, "shadow", self.resolve(product, version), now, share=0.0)

    def withdraw(self, product: str, target: str) -> Change:
        """Ending the canary and the shadow of a target."""
        now, running = self.answers(product, target), [r.target for r in self.trials(product)]
        if now is None or target not in running:
            raise LedgerError(
                f"{product} has no canary and no shadow on {target}",
                todo=f"they run on: {', '.join(running) or 'none'}",
            )
        return Change(product, self.targets.chain(target), "withdraw", now.version, now)

    def trials(self, product: str, at: datetime | None = None) -> list[Release]:
        """The canaries and shadows of a product that run on any target."""
        return [r for r in self.ledger.trials(at) if r.product == product]

    def rollback(self, product: str, target: str, to: str | None) -> Change:
        """Going back to the version that answered before, or to `to`."""
        chain = self.targets.chain(target)
        *earlier, _ = versions_of(answering(self.ledger.log(), self._product(product), chain)) or [""]
        wanted = self.resolve(product, to) if to is not None else (earlier[-1] if earlier else "")
        if wanted not in earlier:
            raise LedgerError(
                f"{product} on {target} cannot be rolled back to {to or 'an earlier version'}",
                todo=f"versions to go back to: {', '.join(earlier) or 'none'}",
            )
        keep = self._keep(product, target)
        return Change(product, chain, "rollback", wanted, self.answers(product, target), keep=keep)

    def pin(self, product: str, version: str | None, target: str) -> Change:
        """Holding on to `version`, or to what answers now."""
        now = self.answers(product, target)
        if version is None and now is None:
            raise LedgerError(f"{product} has nothing live on {target} to pin", todo="name a version")
        wanted = self.resolve(product, version) if version is not None else (now.version if now else "")
        return Change(product, self.targets.chain(target), "pin", wanted, now)

    def unpin(self, product: str, target: str) -> Change:
        """Letting releases change the target again."""
        own = self._own(product, target)
        if own.action != "pin":
            raise LedgerError(f"{product} on {target} is not pinned", todo="see `retail models`")
        return Change(product, self.targets.chain(target), "unpin", own.version, own)

    def follow(self, product: str, target: str) -> Change:
        """Ending the target's own release."""
        own, chain = self._own(product, target), self.targets.chain(target)
        wider = self.ledger.answers(product, chain[1:])
        if wider is None:
            raise LedgerError(f"{product}: nothing wider than {target} is live", todo="see `retail models`")
        return Change(product, chain, "follow", wider.version, own)

    def carry_out(self, change: Change, *, by: str, reason: str, force: bool = False) -> Release:
        """Checks every byte of the version and appends the row.

        Raises ReleaseRefused where a gate failed, unless `force`.
        """
        if change.report is not None and not change.report.passed and not force:
            raise ReleaseRefused(
                f"{change.product} {change.version} does not pass its gates: " + "; ".join(change.report.reasons),
                todo="train a better version, or take the responsibility: `--force --reason ...`",
            )
        self.store.path(change.product, change.version)
        common = {"by": by, "reason": reason, "target": change.target}
        wider = change.chain[1:]
        report = json.dumps(change.report.as_dict() | {"forced": force}, sort_keys=True) if change.report else None
        if change.action == "promote":
            return self.ledger.promote(change.product, change.version, wider=wider, gate_report=report, **common)
        if change.action == "canary":
            return self.ledger.canary(
                change.product, change.version, change.share, wider=wider, gate_report=report, **common
            )
        if change.action == "shadow":
            return self.ledger.shadow(change.product, change.version, wider=wider, **common)
        if change.action == "withdraw":
            return self.ledger.withdraw(change.product, wider=wider, **common)
        if change.action == "rollback":
            return self.ledger.rollback(change.product, wider=wider, to=change.version, **common)
        if change.action == "pin":
            return self.ledger.pin(change.product, version=change.version, wider=wider, **common)
        if change.action == "unpin":
            return self.ledger.unpin(change.product, **common)
        return self.ledger.follow(change.product, wider=wider, **common)

    def refused(self, releases: Sequence[Release]) -> list[str]:
        """What is known of those of `releases` that may not be loaded, a sentence each; no version is asked anew."""
        found: dict[tuple[str, str], str] = {}
        for release in releases:
            reason = why_refused(self.store, release.product, release.version)
            if reason is not None:
                found[release.product, release.version] = f"{release.product} {release.version} is refused: {reason}"
        return list(found.values())

    def resolve(self, product: str, version: str) -> str:
        """The stored version that `version` is the beginning of; `newest` is the newest one. Raises LedgerError."""
        versions, unreadable = self.store.versions(self._product(product)), self.store.unreadable(product)
        if not version.strip():
            raise LedgerError(
                f"no version of {product} is named", todo=f"name one, or `{NEWEST}`; see `retail releases log`"
            )
        named = [v for v in (*versions, *unreadable) if v.startswith(version)]
        found = versions[-1:] if version == NEWEST else named
        if len(found) != 1:
            problem = "is not stored" if not found else f"is the beginning of {len(found)} versions"
            raise LedgerError(
                f"{product} {version} {problem}", todo=f"stored, oldest first: {', '.join(versions[-9:]) or 'none'}"
            )
        return found[0]

    def _product(self, product: str) -> str:
        self.config.gates(product)
        return product

    def _own(self, product: str, target: str) -> Release:
        chain = self.targets.chain(target)
        own = self.ledger.live(self._product(product), chain[0])
        if own is None:
            raise LedgerError(f"{product} on {target} has no release of its own", todo="see `retail models`")
        return own

    def _keep(self, product: str, target: str) -> tuple[Release, ...]:
        narrower = {t for t in self.targets.all() if t != target and target in self.targets.chain(t)}
        return tuple(r for r in self.ledger.live_all() if r.product == product and r.target in narrower)


Kind = Literal["metric", "gold", "config", "library", "other"]


@dataclass(frozen=True)
class Difference:
    """One thing in which two versions of a product differ; None where a version does not have it."""

    kind: Kind
    name: str
    first: Any
    second: Any


def differences(store: ModelStore, product: str, first: str, second: str) -> list[Difference]:
    """What the manifests of two stored versions say differently: data, configuration, code, libraries, metrics."""
    one, two = store.manifest(product, first), store.manifest(product, second)
    parts: list[tuple[Kind, dict[str, Any], dict[str, Any]]] = [
        ("gold", dict(one.gold), dict(two.gold)),
        ("config", _flat(one.config), _flat(two.config)),
        ("library", one.libraries, two.libraries),
        ("metric", dict(one.metrics), dict(two.metrics)),
    ]
    plain = ("git_commit", "seed", "train_from", "train_until", "rows", "feature_service", "features")
    parts.insert(0, ("other", {n: str(getattr(one, n)) for n in plain}, {n: str(getattr(two, n)) for n in plain}))
    return [
        Difference(kind, name, left.get(name), right.get(name))
        for kind, left, right in parts
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    ]


def _flat(document: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def select(log: Sequence[Release], product: str | None, target: str | None, limit: int) -> list[Release]:
    """The newest `limit` rows of a product and a target (None: of all), newest first."""
    chosen = [r for r in log if product in (None, r.product) and target in (None, r.target)]
    return sorted(chosen, key=lambda r: (r.at, r.release_id), reverse=True)[:limit]
