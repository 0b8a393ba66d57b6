"""The state of each series (how fast it drifts, when it is due), the refresh of the fast tier, and their rhythm."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.accuracy import rmse
from retail_assets.core.manifest import Manifest, installed
from retail_assets.forecasting.assets import DAILY, GROUP, OWNERS, written_with
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.frames import Gold, crossed, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.policy import Verdict
from retail_assets.forecasting.tier_state import SCHEMA, TABLE, judged, stored
from retail_assets.forecasting.tiers import FAST, KEYS, SLOW, drift_velocity, updated, work
from retail_assets.forecasting.training import LIBRARIES, PRODUCT, feature_span, features_of, gold_versions
from retail_assets.forecasting.views_config import TiersConfig, ViewsConfig
from retail_assets.forecasting.warm_start import refreshed
from retail_assets.resources.feature_store import FeatureStore
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.resources.source_control import git_commit
from retail_assets.unchanged import unchanged

TIERS = dg.AssetKey(["forecasting", "series_tiers"])
REFRESH = dg.AssetKey(["forecasting", "fast_tier_model"])
FAST_PRODUCT = "forecasting_fast_tier"
FEWEST_DAYS = 14  # since an older model was trained: half of them refresh it, half prove it
LONGEST_PROOF = 28


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
    config, tiers, span = ForecastingConfig.load(), ViewsConfig.load().tiers, feature_span(lake)
    table = stored(lake)
    if span is None or table.empty:
        return dg.MaterializeResult(metadata={"status": "no series has a tier yet"})
    asked = work(table, span[1])
    if asked.fast_due == 0:
        return dg.MaterializeResult(metadata={"status": f"nothing to refresh: {asked.reason}"})
    older = _older(model_store, span[1] - timedelta(days=FEWEST_DAYS))
    if older is None:
        return dg.MaterializeResult(metadata={"status": "no model is old enough to prove a refresh on"})
    versions = gold_versions(lake, feature_store)
    held = min((span[1] - older.train_until).days // 2, LONGEST_PROOF, config.horizon)
    proof_origin = span[1] - timedelta(days=held)
    features = features_of(feature_store, _days(span, proof_origin, config, tiers), versions, config)
    gold = Gold(lake, span[1], versions)
    try:
        aged = DemandForecaster.load(model_store.path(PRODUCT, older.version))
        renewed = refreshed(aged, _recent(gold, features, proof_origin, config, tiers), config, tiers.refresh_keep)
        frame = gold.examples(crossed(gold.at_origin(features, proof_origin, config.series), held, proof_origin))
        fast = frame.merge(table.loc[table["tier"] == FAST, KEYS], on=KEYS)
        scores = {name: _rmse(fast, model, config) for name, model in (("aged", aged), ("refreshed", renewed))}
        verdict = no_worse(scores)
        if not verdict.passed:
            return dg.MaterializeResult(metadata={"status": "not stored: " + "; ".join(verdict.reasons), **scores})
        base = model_store.manifest(PRODUCT, model_store.versions(PRODUCT)[-1])
        newest = DemandForecaster.load(model_store.path(PRODUCT, base.version))
        examples = _recent(gold, features, span[1], config, tiers)
        made = refreshed(newest, examples, config, tiers.refresh_keep)
    finally:
        gold.close()
    manifest = base.model_copy(
        update={
            "product": FAST_PRODUCT,
            "created_at": datetime.now(UTC),
            "gold": versions,
            "config": base.config | {"warm_start_of": base.version, "keep": tiers.refresh_keep},
            "git_commit": git_commit(),
            "metrics": {f"rmse_{name}": value for name, value in scores.items()},
            "train_until": span[1],
            "rows": int(examples["units"].notna().sum()),
            "libraries": installed(*LIBRARIES),
        }
    )
    version = model_store.save(FAST_PRODUCT, made.files(), manifest)
    return dg.MaterializeResult(
        metadata={"status": "refreshed", "version": version, "warm_start_of": base.version, **scores}
    )


def no_worse(scores: dict[str, float]) -> Verdict:
    """A refresh is kept where its RMSE on days held back is not above that of the model as it was."""
    aged, renewed = scores["aged"], scores["refreshed"]
    passed = bool(renewed <= aged)
    reasons = () if passed else (f"RMSE {renewed:.4f} on the days held back, {aged:.4f} without the refresh",)
    return Verdict(passed, reasons, scores)


def _older(store: ModelStore, until: date) -> Manifest | None:
    """The newest version that has learnt nothing after `until`."""
    manifests = [store.manifest(PRODUCT, version) for version in store.versions(PRODUCT)]
    return next((m for m in reversed(manifests) if m.train_until <= until), None)


def _days(span: tuple[date, date], proof_origin: date, config: ForecastingConfig, tiers: TiersConfig) -> list[date]:
    first = max(
        span[0] + timedelta(days=config.training.warmup_days), proof_origin - timedelta(days=tiers.refresh_days)
    )
    reach = range(0, (span[1] - first).days + 1, config.training.origin_every)
    days = {span[1] - timedelta(days=back) for back in reach}
    return sorted(days | {proof_origin - timedelta(days=back) for back in range(config.series.origin_days)})


def _recent(gold: Gold, features: pa.Table, until: date, config: ForecastingConfig, tiers: TiersConfig) -> pd.DataFrame:
    """Examples of origins in the last `refresh_days` before `until`, with targets up to it."""
    days = features["business_date"]
    low, high = pa.scalar(until - timedelta(days=tiers.refresh_days), pa.date32()), pa.scalar(until, pa.date32())
    origins = features.filter(pc.and_(pc.greater_equal(days, low), pc.less_equal(days, high)))
    return gold.examples(sampled(origins, config.horizon, until, tiers.refresh_rows, config.seed))


def _rmse(frame: pd.DataFrame, model: DemandForecaster, config: ForecastingConfig) -> float:
    known = frame[frame["units"].notna()]
    return rmse(known["units"].to_numpy(float), model.mean(known, config.threads)) if len(known) else float(np.nan)


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
