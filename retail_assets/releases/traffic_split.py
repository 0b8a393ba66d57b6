"""Which release answers in which store: the champion of its targets, or a canary in a share of the stores.

Pure: from the rows of the ledger and the targets of the retailer. The unit is the store and not the request, because a
shopper must find one price on one shelf; services and batches route alike.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from retail_assets.releases.rows import TRIALS, Release, live_rows, trial_rows
from retail_assets.releases.targets import STORE, Targets

Trial = Literal["canary", "shadow"]
Arm = Literal["champion", "canary", "shadow"]


@dataclass(frozen=True)
class Routes:
    """The release of each store, and of every other store (`default`, None before the first release).

    `shadows` are versions that are asked beside the one that answers, by store and for every other store; `champions`
    what would answer in each store that a canary has drawn.
    """

    default: Release | None
    stores: Mapping[str, Release]
    default_shadows: tuple[Release, ...]
    shadows: Mapping[str, tuple[Release, ...]]
    champions: Mapping[str, Release] = field(default_factory=dict)

    def of(self, store_id: str) -> Release | None:
        """What answers in a store."""
        return self.stores.get(store_id, self.default)

    def releases(self) -> list[Release]:
        """Every release that something is routed to, once."""
        shadows = [r for group in (self.default_shadows, *self.shadows.values()) for r in group]
        champions = self.champions.values()
        found = [*([self.default] if self.default else []), *self.stores.values(), *champions, *shadows]
        return list({release.release_id: release for release in found}.values())


def routes(log: Sequence[Release], product: str, chain: Sequence[str], targets: Targets) -> Routes:
    """The routes of a process that answers for `chain[0]`: everything, or the stores of a region, or one store."""
    rows = [r for r in log if r.product == product]
    stores = {
        store: targets.chain(f"{STORE}{store}")
        for store in targets.regions
        if chain[0] in targets.chain(f"{STORE}{store}") and not chain[0].startswith(STORE)
    }
    found = {store: _answers(rows, own, store) for store, own in stores.items()}
    champions = {store: _champion(rows, own) for store, own in stores.items() if arm_of(found[store]) == "canary"}
    default = _champion(rows, chain)
    if chain[0].startswith(STORE):
        default = _answers(rows, chain, chain[0].removeprefix(STORE))
        if arm_of(default) == "canary":
            champions[chain[0].removeprefix(STORE)] = _champion(rows, chain)
    return Routes(
        default=default,
        stores={store: release for store, release in found.items() if release is not None},
        default_shadows=_shadows(rows, chain),
        shadows={store: _shadows(rows, own) for store, own in stores.items()},
        champions={store: release for store, release in champions.items() if release is not None},
    )


def arm_of(release: Release | None) -> Arm:
    """As what a release answers: a trial under its own name, everything else as the champion."""
    if release is None or release.action not in TRIALS:
        return "champion"
    return "canary" if release.action == "canary" else "shadow"


def in_share(release: Release, store_id: str) -> bool:
    """Whether a store belongs to the share of a canary: by a hash, so always the same stores, others per version."""
    text = f"{release.product}|{release.version}|{store_id}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) < release.share * 2**64


def _answers(rows: Sequence[Release], chain: Sequence[str], store_id: str) -> Release | None:
    champion = _champion(rows, chain)
    canary = _trial(rows, chain, champion, "canary")
    return canary if canary is not None and in_share(canary, store_id) else champion


def _champion(rows: Sequence[Release], chain: Sequence[str]) -> Release | None:
    live = {release.target: release for release in live_rows(rows)}
    return next((live[target] for target in chain if target in live), None)


def _trial(rows: Sequence[Release], chain: Sequence[str], champion: Release | None, kind: Trial) -> Release | None:
    """The most specific trial that is not wider than the champion: who has a release of his own is not tried on."""
    wide = chain.index(champion.target) if champion else len(chain) - 1
    running = {release.target: release for release in trial_rows(rows) if release.action == kind}
    return next((running[target] for target in chain[: wide + 1] if target in running), None)


def _shadows(rows: Sequence[Release], chain: Sequence[str]) -> tuple[Release, ...]:
    shadow = _trial(rows, chain, _champion(rows, chain), "shadow")
    return (shadow,) if shadow is not None else ()
