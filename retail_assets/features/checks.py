"""Checks of features: what is served is what gold says, nothing too old is served, training sets are whole."""

from datetime import UTC, datetime

import dagster as dg

from retail_assets.features.config import FeaturesConfig
from retail_assets.features.store import FeatureStore

ONLINE = dg.AssetKey(["features", "online_features"])
SERVICE = "demand_forecast"


@dg.asset_check(
    asset=ONLINE,
    blocking=True,
    description="For a random sample of keys of every view, each online value equals gold exactly, as does its time.",
)
def offline_equals_online(feature_store: dg.ResourceParam[FeatureStore]) -> dg.AssetCheckResult:
    """Passes without a key only when gold has none."""
    from retail_assets.features.parity import compare_with_gold

    parity = FeaturesConfig.load().parity
    found = compare_with_gold(feature_store, parity.keys, parity.seed)
    return dg.AssetCheckResult(
        passed=found.different == 0,
        metadata={"keys_compared": found.compared, "different": found.different, "examples": found.examples},
    )


@dg.asset_check(
    asset=ONLINE,
    blocking=True,
    description="Asked when gold is new, now, and when every time to live has just passed, the store never serves a "
    "value older than its time to live.",
)
def no_stale_feature_is_served(feature_store: dg.ResourceParam[FeatureStore]) -> dg.AssetCheckResult:
    """Feast itself serves any age, so this guards our own reading side."""
    from retail_assets.features.parity import served_too_old

    parity = FeaturesConfig.load().parity
    found = served_too_old(feature_store, SERVICE, parity.keys, parity.seed, datetime.now(UTC))
    return dg.AssetCheckResult(
        passed=found.different == 0,
        metadata={"asked_at": found.compared, "served_too_old": found.different, "examples": found.examples},
    )


@dg.asset_check(
    asset=ONLINE,
    description="The training set of the newest days has exactly the keys and days of gold, and nearly all of its "
    "features were known when the decision was taken.",
)
def training_rows_complete(feature_store: dg.ResourceParam[FeatureStore]) -> dg.AssetCheckResult:
    """A missing share above the threshold means that files come later than decisions are taken."""
    from retail_assets.features.evaluation import training_completeness

    config = FeaturesConfig.load().training
    found = training_completeness(feature_store, SERVICE, config.days)
    return dg.AssetCheckResult(
        passed=found.rows == found.expected and found.known_share >= config.min_known_share,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "rows": found.rows,
            "expected": found.expected,
            "known_share": found.known_share,
            "from": str(found.start),
            "until": str(found.end),
        },
    )


CHECKS: list[dg.AssetChecksDefinition] = [offline_equals_online, no_stale_feature_is_served, training_rows_complete]
