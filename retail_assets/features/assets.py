"""Feast in the graph: the registered definitions, and the online store brought up to gold."""

from datetime import timedelta

import dagster as dg

from retail_assets.core.markdown import table
from retail_assets.features.store import FeatureStore
from retail_assets.resources.dagster.run_order import LATER

GROUP = "features"
OWNERS = ["team:data-platform"]
FEATURE_TABLES = (
    "feat_store_product_daily",
    "feat_store",
    "feat_product",
    "feat_customer_daily",
    "feat_payment_token_daily",
)
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=30))


@dg.asset(
    key=["features", "registry"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"feast"},
    code_version="1",
    description="Entities, feature views with their time to live and feature services, registered from feature_repo. "
    "Grain: definition.",
)
def registry(feature_store: dg.ResourceParam[FeatureStore]) -> dg.MaterializeResult:
    """Applies the definitions when one changed."""
    from retail_assets.features.registry import repository

    applied = feature_store.apply()
    defined = repository()
    ttls = [(view.name, view.tags["gold_table"], view.ttl) for view in defined.views]
    return dg.MaterializeResult(
        metadata={
            "status": "applied" if applied else "unchanged",
            "definitions": defined.digest()[:12],
            "feature_services": ", ".join(service.name for service in defined.services),
            "views": dg.MetadataValue.md(table(("view", "gold table", "time to live"), ttls)),
        }
    )


@dg.asset(
    key=["features", "online_features"],
    deps=[registry, *(["gold", table] for table in FEATURE_TABLES)],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"feast"},
    code_version="1",
    freshness_policy=DAILY,
    op_tags=LATER,
    description="The newest believable row of each active key, in SQLite or Redis; only rows that changed are written. "
    "Grain: key of a feature view.",
)
def online_features(feature_store: dg.ResourceParam[FeatureStore]) -> dg.MaterializeResult:
    """Materialises what changed between the gold version of the last time and the newest."""
    done = feature_store.materialise()
    written = sum(view.rows for view in done)
    rows = [
        (v.view, v.mode, v.rows, v.days, v.gold_version, f"{v.until:%Y-%m-%d %H:%M}")
        if v.until
        else (v.view, "empty", 0, 0, v.gold_version, "")
        for v in done
    ]
    head = ("view", "mode", "rows written", "days", "gold version", "newest instant (UTC)")
    return dg.MaterializeResult(
        metadata={
            "status": "unchanged" if all(view.mode == "unchanged" for view in done) else "materialised",
            "online_store": feature_store.online_target,
            "dagster/row_count": written,
            "views": dg.MetadataValue.md(table(head, rows)),
            **{f"delta_version_{view.gold_table}": view.gold_version for view in done},
        }
    )


ASSETS: list[dg.AssetsDefinition] = [registry, online_features]
