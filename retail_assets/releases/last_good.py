"""What answers where a released version may not: the last good one that answered there before.

Pure: whoever loads says which releases are good. A version that is refused stays released in the ledger, which is
followed as before: the next release, or a rollback by hand, is taken as soon as it is there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from retail_assets.releases.rows import Release, answering, versions_of
from retail_assets.releases.targets import STORE, Targets
from retail_assets.releases.traffic_split import Routes, arm_of

Good = Callable[[Release], bool]


def earlier(log: Sequence[Release], product: str, chain: Sequence[str]) -> list[Release]:
    """The releases to go back through on the first target of `chain`, newest first, each version once."""
    rows = answering(log, product, chain)
    newest = {release.version: release for release in rows}
    names = versions_of(rows)[:-1]
    return [newest[name] for name in dict.fromkeys(reversed(names))]


def with_last_good(
    wanted: Routes, log: Sequence[Release], product: str, chain: Sequence[str], targets: Targets, good: Good
) -> Routes:
    """`wanted` with every release that is not `good` replaced by the last good one of its target, or left out.

    A canary that is not good leaves its stores to their champion. `good` is asked at most once for a release.
    """
    asked: dict[str, bool] = {}

    def is_good(release: Release) -> bool:
        if release.version not in asked:
            asked[release.version] = good(release)
        return asked[release.version]

    default = _first((wanted.default, *earlier(log, product, chain)), is_good)
    stores: dict[str, Release] = {}
    for store, release in wanted.stores.items():
        found: Release | None = release
        if not is_good(release):
            champion = (wanted.champions.get(store),) if arm_of(release) == "canary" else ()
            found = _first((*champion, *earlier(log, product, targets.chain(f"{STORE}{store}"))), is_good) or default
        if found is not None:
            stores[store] = found
    tried = {store: r for store, r in wanted.champions.items() if arm_of(stores.get(store)) == "canary"}
    return replace(wanted, default=default, stores=stores, champions=tried)


def _first(releases: Iterable[Release | None], is_good: Good) -> Release | None:
    return next((release for release in releases if release is not None and is_good(release)), None)
