"""Versions in a model store, for tests of releases."""

from datetime import UTC, date, datetime

import dagster as dg

from retail_assets.core.manifest import Manifest
from retail_assets.releases.assets import RELEASED, releases
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore


def saved(store: ModelStore, metrics: dict[str, float], day: int = 1, product: str = "forecasting") -> str:
    """Stores a model of one small file with these metrics; `day` makes it another version. Returns its version."""
    manifest = Manifest(
        product=product, created_at=datetime(2026, 11, day, tzinfo=UTC), gold={}, feature_service="s", features=[],
        git_commit="c", config={}, seed=day, metrics=metrics, train_from=date(2026, 1, 1),
        train_until=date(2026, 11, day), rows=1,
    )  # fmt: skip
    return store.save(product, {"model.json": b"{}"}, manifest)


def materialise_releases(lake: Lake, store: ModelStore) -> dg.AssetMaterialization:
    """Releases what passes, and returns what the asset serving/releases says of it; on an ephemeral instance."""
    result = dg.materialize([*RELEASED, releases], resources={"lake": lake, "model_store": store})
    return result.asset_materializations_for_node("serving__releases")[0]
