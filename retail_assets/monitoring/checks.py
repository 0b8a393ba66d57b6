"""Checks of what answers have become."""

import dagster as dg

from retail_assets.core.registry import products
from retail_assets.monitoring.live_quality import by_arm
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore, ModelStoreError

FEWEST_ANSWERS, WORSE_THAN_PROVEN = 500, 1.5


@dg.asset_check(
    asset=dg.AssetKey(["serving", "live_quality"]),
    description="The live forecaster errs on what was sold since at most half as much again as in the proof by "
    "which it was released.",
)
def live_errors_match_the_proof(
    lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]
) -> dg.AssetCheckResult:
    """Compares the WAPE of the last outcome days with that of the manifest; small numbers of answers are left out."""
    found: dict[str, dict[str, float]] = {}
    wrong: list[str] = []
    for row in by_arm(lake):
        name = f"{row['product']} {row['model_version']} {row['arm']} {row['source']}"
        proof = _proof(model_store, str(row["product"]), str(row["model_version"]))
        if proof is not None and row["wape"] is not None and int(str(row["judged"])) >= FEWEST_ANSWERS:
            live = float(str(row["wape"]))
            found[name] = {"live_wape": live, "proven_wape": proof}
            wrong += [name] if not live <= WORSE_THAN_PROVEN * proof else []
    return dg.AssetCheckResult(
        passed=not wrong, severity=dg.AssetCheckSeverity.WARN, metadata={"compared": found, "worse": wrong}
    )


def _proof(model_store: ModelStore, product: str, version: str) -> float | None:
    """What a version was proven to err, None where its proof is of another kind or it is gone."""
    try:
        metric = products()[product].proven_error if product in products() else None
        return model_store.manifest(product, version).metrics.get(metric) if metric else None
    except ModelStoreError:
        return None


CHECKS = [live_errors_match_the_proof]
