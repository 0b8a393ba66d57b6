"""A check that guards the trace: what live decisions were made from can still be read."""

import dagster as dg

from retail_assets.core.products import AssetPath
from retail_assets.core.registry import products
from retail_assets.provenance.config import LineageConfig
from retail_assets.provenance.retention import named_versions, unreadable
from retail_assets.resources.lake import KEPT_DAYS, Lake


def _versions_check(product: str, decisions: AssetPath) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(list(decisions)),
        name="traced_versions_can_be_opened",
        description="Every gold and bronze version that a live decision names can be opened, file by file: nobody "
        "vacuumed what the replay of a disputed price needs.",
    )
    def check(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        """Opens each version that decisions of the newest days name, and looks for each of its files."""
        days = LineageConfig.load().live_decision_days
        named = named_versions(lake, days, [product])
        gone = unreadable(lake, named)
        told = [f"{layer}/{name} version {version}: {why}" for (layer, name, version), why in gone.items()]
        return dg.AssetCheckResult(
            passed=not gone,
            metadata={"days": days, "versions": len(named), "kept_days": KEPT_DAYS, "unreadable": told[:20]},
        )

    return check


CHECKS = [_versions_check(product.name, key) for product in products().values() for key in product.batch_decisions]
