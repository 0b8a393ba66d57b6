"""The state of each series (how fast it drifts, when it is due), the refresh of the fast tier, and their rhythm."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.assets import DAILY, GROUP, OWNERS, written_with
from retail_assets.forecasting.policy import Verdict
from retail_assets.forecasting.tier_refresh import FAST_PRODUCT, refresh_fast_tier
from retail_assets.forecasting.tier_state import SCHEMA, TABLE, judged, stored
from retail_assets.forecasting.tiers import FAST, SLOW, drift_velocity, updated, work
from retail_assets.forecasting.training import PRODUCT, feature_span
from retail_assets.forecasting.views_config import TiersConfig, ViewsConfig
from retail_assets.resources.feature_store import FeatureStore
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.unchanged import unchanged

TIERS = dg.AssetKey(["forecasting", "series_tiers"])
REFRESH = dg.AssetKey(["forecasting", "fast_tier_model"])


@dg.asset(
    key=TIERS,
    deps=[["forecasting", "demand_model"], ["forecasting", "forecasts"], ["gold", "fct_sales_daily"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "deltalake"},
    code_version="1",
    freshness_policy=DAILY,
    description="ops/series_tiers: one row per forecast store-SKU with its drift velocity, its tier (fast is retrained "
    "weekly, slow monthly), the day up to which its model has learnt, and the day on which it is due.",
)
def series_tiers(lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]) -> dg.MaterializeResult:
    """Measures the velocity on days that were forecast and have come, and writes the next state of every series."""
    config, span = ViewsConfig.load().tiers, feature_span(lake)
    trained = _trained_until(model_store, PRODUCT)
    if span is None or trained is None or not lake.exists("gold", "forecasts"):
        return dg.MaterializeResult(metadata={"status": "no forecasts yet"})
    made_from = {"made_from": _made_from(lake, model_store, config)}
    if written_with(lake, "ops", TABLE).get("made_from") == made_from["made_from"]:
        return unchanged()
    known, source = judged(lake, span[1])
    table = lake.scan("gold", "forecasts")
    newest = f"select max(business_date) from {table}"
    series = lake.query(f"select distinct store_id, sku from {table} where business_date = ({newest})").to_pandas()
    fast = _trained_until(model_store, FAST_PRODUCT) or trained
    rows = updated(drift_velocity(known), series, stored(lake), {SLOW: trained, FAST: fast}, span[1], config)
    written = pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False)
    delta = lake.overwrite("ops", TABLE, written, metadata=made_from)
    asked = work(rows, span[1])
    return dg.MaterializeResult(
        metadata={
            "status": f"measured on the {source}",
            "delta_version": delta,
            "dagster/row_count": len(rows),
            "fast": int((rows["tier"] == FAST).sum()),
            "slow": int((rows["tier"] == SLOW).sum()),
            "due": f"{asked.action}: {asked.reason}",
            "next_due": str(rows["next_due"].min()) if len(rows) else "never",
        }
    )


def _made_from(lake: Lake, store: ModelStore, config: TiersConfig) -> str:
    """What the state of the series follows from, as text."""
    tables = {name: lake.version("gold", name) for name in ("forecasts", "fct_sales_daily")}
    models = {product: store.versions(product)[-1:] for product in (PRODUCT, FAST_PRODUCT)}
    return json.dumps({**tables, **models, "config": config.model_dump(mode="json")}, sort_keys=True)


def _trained_until(store: ModelStore, product: str) -> date | None:
    versions = store.versions(product)
    return store.manifest(product, versions[-1]).train_until if versions else None


@dg.asset(
    key=REFRESH,
    deps=[TIERS, ["gold", "feat_store_product_daily"], ["features", "registry"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"lightgbm", "bentoml"},
    code_version="1",
    description="A warm start of the demand model for the fast tier when it is due: leaf values learnt anew from "
    "recent days, stored only where days that were held back show it to be no worse than the model as it was.",
)
def fast_tier_model(
    lake: dg.ResourceParam[Lake],
    feature_store: dg.ResourceParam[FeatureStore],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Proves a refresh on an older version first; then refreshes the newest one with everything known."""
    span, table = feature_span(lake), stored(lake)
    if span is None or table.empty:
        return dg.MaterializeResult(metadata={"status": "no series has a tier yet"})
    asked = work(table, span[1])
    if asked.fast_due == 0:
        return dg.MaterializeResult(metadata={"status": f"nothing to refresh: {asked.reason}"})
    made = refresh_fast_tier(lake, feature_store, model_store, table, span)
    if made is None:
        return dg.MaterializeResult(metadata={"status": "no model is old enough to prove a refresh on"})
    if not made.verdict.passed or made.files is None or made.manifest is None:
        return dg.MaterializeResult(
            metadata={"status": "not stored: " + "; ".join(made.verdict.reasons), **made.scores}
        )
    version = model_store.save(FAST_PRODUCT, made.files, made.manifest)
    base = str(made.manifest.config["warm_start_of"])
    return dg.MaterializeResult(
        metadata={"status": "refreshed", "version": version, "warm_start_of": base, **made.scores}
    )


def overdue(table: pd.DataFrame, today: date, grace_days: int) -> Verdict:
    """No series is past its day by more than the days of grace."""
    late = table[table["next_due"] < today - timedelta(days=grace_days)] if len(table) else table
    reasons = tuple(f"{len(rows)} {tier} series were due on {rows['next_due'].min()} or later"
                    for tier, rows in late.groupby("tier", sort=True)) if len(late) else ()  # fmt: skip
    return Verdict(not len(late), reasons, {"series": float(len(table)), "overdue": float(len(late))})


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "no_series_is_overdue",
            asset=TIERS,
            description="No series waits for its retraining longer than its tier and the days of grace allow.",
        )
    ]
)
def tier_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the newest state of every series."""
    span = feature_span(lake) if lake.exists("gold", "feat_store_product_daily") else None
    verdict = overdue(stored(lake), span[1], ViewsConfig.load().tiers.grace_days) if span else Verdict(True, (), {})
    yield dg.AssetCheckResult(
        check_name="no_series_is_overdue",
        asset_key=TIERS,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reasons": list(verdict.reasons), **verdict.numbers},
    )


weekly = dg.ScheduleDefinition(
    name="fast_series_are_refreshed_weekly",
    target=dg.AssetSelection.assets(TIERS, REFRESH),
    cron_schedule="0 5 * * 1",
    execution_timezone="UTC",
    tags={"retail/writes": "lake"},
    description="Measures every series on Monday morning and refreshes the model of the fast tier where it is due.",
)

ASSETS: list[Any] = [series_tiers, fast_tier_model]
CHECKS: list[Any] = [tier_checks]
SCHEDULES: list[Any] = [weekly]
