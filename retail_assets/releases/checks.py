"""Checks of serving: a rejected candidate is seen, and what is live can be loaded."""

from collections.abc import Iterator

import dagster as dg

from retail_assets.releases.assets import PRODUCTS
from retail_assets.releases.gates import ReleaseConfig, decide_newest
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import Release
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore, ModelStoreError

RELEASES = dg.AssetKey(["serving", "releases"])


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "newest_versions_are_live",
            asset=RELEASES,
            description="The newest version of each product passed its gates. Fails when one was rejected: the old one "
            "stays live, and somebody should look at why.",
        ),
        dg.AssetCheckSpec(
            "live_versions_are_intact",
            asset=RELEASES,
            description="Every byte of every live version is what its manifest says.",
        ),
    ]
)
def release_checks(
    lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]
) -> Iterator[dg.AssetCheckResult]:
    """Asks the same decision as the release again, and reads every live version."""
    config, ledger = ReleaseConfig.load(), Ledger(lake)
    stored = {product: model_store.versions(product) for product in PRODUCTS}
    decisions = [
        decide_newest(product, versions[-1], model_store, ledger, config.gates(product))
        for product, versions in stored.items()
        if versions
    ]
    waiting = {f"{d.product} {d.version}": "; ".join(d.reasons) for d in decisions if not d.passed}
    yield dg.AssetCheckResult(
        check_name="newest_versions_are_live",
        asset_key=RELEASES,
        passed=not waiting,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"not_live": waiting},
    )
    broken = {f"{r.product} {r.version}": reason for r in ledger.live_all() if (reason := _broken(r, model_store))}
    yield dg.AssetCheckResult(
        check_name="live_versions_are_intact", asset_key=RELEASES, passed=not broken, metadata={"broken": broken}
    )


def _broken(release: Release, model_store: ModelStore) -> str | None:
    try:
        model_store.path(release.product, release.version)
    except ModelStoreError as error:
        return error.what
    return None


@dg.asset_check(
    asset=RELEASES,
    description="Every live version loads and answers soundly in a process of its own. Where one does not, the last "
    "good version before it answers.",
)
def live_versions_answer_soundly(
    lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]
) -> dg.AssetCheckResult:
    """Looks at the kept verdict on every live version, or has it prove itself now."""
    refused = {
        f"{r.product} {r.version}": reason for r in Ledger(lake).live_all() if (reason := _unfit(r, model_store))
    }
    return dg.AssetCheckResult(passed=not refused, metadata={"refused": refused})


def _unfit(release: Release, model_store: ModelStore) -> str | None:
    try:
        proven(model_store, release.product, release.version)
    except ModelStoreError as error:
        return error.what
    return None


CHECKS = [release_checks, live_versions_answer_soundly]
