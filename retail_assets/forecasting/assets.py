"""Assets of forecasting: the demand model, its proof, and the forecasts that the live model makes."""

import json
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.cold_start import RUNGS
from retail_assets.forecasting.common import DAILY, GROUP, OWNERS, written_with
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import ShortHistory, by_segment
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.report import plots, segment_table
from retail_assets.forecasting.tiers.next_training import plan
from retail_assets.forecasting.tiers.refresh import refresh, refreshed_manifest
from retail_assets.forecasting.training import (
    CODE_VERSION,
    FEATURE_TABLE,
    PRODUCT,
    SERVICE,
    feature_span,
    forecast,
    gold_versions,
    manifest_of,
    run_training_on,
)
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.releases.assignment import Assignment
from retail_assets.releases.untrained import untrained
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.environments import fanout
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

PROOF = "forecast_backtest"
HEADLINES = (
    "wape",
    "wape_median",
    "wape_seasonal_naive",
    "wape_weekday_mean",
    "rmse",
    "bias",
    "pinball",
    "coverage_90",
    "coverage_90_closed",
    "rows",
)


@dg.asset(
    key=["forecasting", "demand_model"],
    deps=[["gold", "fct_sales_daily"], ["gold", FEATURE_TABLE], ["gold", "dim_promotion"], ["gold", "dim_calendar"],
          ["gold", "dim_store"], ["gold", "dim_product"], ["features", "registry"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"lightgbm", "bentoml"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    description="One LightGBM over all store-SKU series: mean and quantiles for each of the next 28 days. A full "
    "training when slow series are due (monthly), most drift, or code or configuration changed; in between a warm "
    "start when fast series are due (weekly). Both are versions that pass the same gates.",
)  # fmt: skip
def demand_model(
    lake: dg.ResourceParam[Lake],
    feature_store: dg.ResourceParam[FeatureStore],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Trains or refreshes, proves and stores a version, unless the newest one was made from exactly this."""
    config, tiers = ForecastingConfig.load(), ViewsConfig.load().tiers
    versions, features = gold_versions(lake, feature_store), feature_store.features(SERVICE)
    span = feature_span(lake)
    if span is None:
        return dg.MaterializeResult(metadata={"status": "no sales yet"})
    planned = plan(lake, model_store, config, versions, features, span)
    if planned.action == "none":
        waiting = {"waiting": "; ".join(planned.reasons)} if planned.reasons else {}
        return unchanged(version=model_store.versions(PRODUCT)[-1], **waiting)
    if planned.parent is not None:
        training = refresh(lake, feature_store, model_store, planned.parent, config, tiers, versions, span)
        files = training.forecaster.files()
        manifest = refreshed_manifest(training, planned.parent, config, tiers, versions, features)
        how = {"kind": "refreshed", "parent": planned.parent.version}
    else:
        try:
            training = run_training_on(fanout(), lake, feature_store, config, versions, span)
        except ShortHistory as error:
            return untrained(lake, model_store, PRODUCT, error)
        files, manifest = training.files(), manifest_of(training, config, versions, features)
        how = {"kind": "trained"}
    proof = pa.Table.from_pandas(training.proof, preserve_index=False)
    lake.overwrite("reports", PROOF, proof, metadata={"model_version": manifest.sealed(files).version})
    version = model_store.save(PRODUCT, files, manifest)  # last: a killed run has no model, so it is repeated whole
    return dg.MaterializeResult(
        metadata={
            "status": f"{how['kind']}: " + "; ".join(planned.reasons),
            "version": version,
            **how,
            "dagster/row_count": training.rows,
            "train_from": str(manifest.train_from),
            "train_until": str(training.windows.newest),
            **{name: training.metrics[name] for name in HEADLINES},
        }
    )


@dg.asset(
    key=["forecasting", "backtest_report"],
    deps=[demand_model],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    description="The newest model against seasonal naive and weekday mean on days that were held back, one row per "
    "segment, with the worst and the median series to look at.",
)
def backtest_report(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Reads the proof of the newest model, writes the scores per segment and draws two series."""
    if not lake.exists("reports", PROOF):
        return dg.MaterializeResult(metadata={"status": "no model yet"})
    version = written_with(lake, "reports", PROOF).get("model_version", "")
    if written_with(lake, "reports", "forecast_segments").get("model_version") == version:
        return unchanged(model_version=version)
    proof = lake.open("reports", PROOF).to_pyarrow_table().to_pandas()
    scores = by_segment(proof, ForecastingConfig.load())
    table = pa.Table.from_pandas(scores, preserve_index=False)
    delta = lake.overwrite("reports", "forecast_segments", table, metadata={"model_version": version})
    drawn = plots(lake, proof)
    return dg.MaterializeResult(
        metadata={
            "status": "reported",
            "model_version": version,
            "delta_version": delta,
            "dagster/row_count": len(scores),
            "segments": dg.MetadataValue.md(segment_table(scores)),
            **{name: dg.MetadataValue.md(image) for name, image in drawn.items()},
        }
    )


@dg.asset(
    key=["forecasting", "forecasts"],
    deps=[
        ["serving", "forecasting_release"],
        ["gold", FEATURE_TABLE],
        ["gold", "dim_promotion"],
        ["gold", "dim_calendar"],
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"lightgbm", "deltalake"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    description="gold/forecasts: one row per active store-SKU, forecast origin and day ahead, by the version "
    "that the release ledger routes to its store.",
)
def forecasts(
    lake: dg.ResourceParam[Lake],
    feature_store: dg.ResourceParam[FeatureStore],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Forecasts from the newest origin with the versions the ledger routes to; replaces that origin's rows."""
    assigned, span = Assignment.sound(lake, PRODUCT, model_store), feature_span(lake)
    if not assigned.versions or span is None:
        return dg.MaterializeResult(metadata={"status": "no forecasting model is live" if span else "no sales yet"})
    config, origin = ForecastingConfig.load(), span[1]
    made_from = {"model_version": assigned.name, "gold": json.dumps(gold_versions(lake, feature_store), sort_keys=True)}
    before = written_with(lake, "gold", "forecasts")
    if all(before.get(name) == value for name, value in made_from.items()):
        return unchanged(model_version=", ".join(assigned.versions))
    models = assigned.load(model_store, DemandForecaster.load)
    rows = forecast(lake, feature_store, models, assigned, origin, config, fanout())
    delta = lake.overwrite_days("gold", "forecasts", rows, [origin], metadata=made_from)
    return dg.MaterializeResult(
        metadata={
            "status": "forecast",
            "model_version": ", ".join(assigned.versions),
            "refused_versions": dict(assigned.refused),
            "origin": str(origin),
            "delta_version": delta,
            "dagster/row_count": len(rows),
            "series": len(rows) // config.horizon,
            "rungs": {rung: rows["rung"].to_pylist().count(rung) // config.horizon for rung in RUNGS},
            "made_at": datetime.now(UTC).isoformat(),
        }
    )


ASSETS = [demand_model, backtest_report, forecasts]
