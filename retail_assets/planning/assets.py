"""Assets of planning: forecasts at every level, and how far off each level was on days held back."""

import dagster as dg
import pyarrow as pa

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.tiers.next_training import champion
from retail_assets.forecasting.tiers.refresh import is_provable, past_until, proof_model
from retail_assets.forecasting.training import FEATURE_TABLE, feature_span
from retail_assets.planning import level_origins, level_tables
from retail_assets.planning.common import CODE_VERSION, DAILY, GROUP, NO_FORECASTS, OWNERS, is_made_of, made_of
from retail_assets.planning.order_assets import ASSETS as ORDER_ASSETS
from retail_assets.planning.read import chosen_origin
from retail_assets.planning.report import level_table
from retail_assets.planning.weekly_assets import ASSETS as WEEKLY_ASSETS
from retail_assets.resources.dagster.run_order import LATER
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

LEVELS_REPORT = "forecast_levels"


@dg.asset(
    key=["planning", "level_backtest"],
    deps=[["serving", "forecasting_release"], ["forecasting", "backtest_report"], ["gold", FEATURE_TABLE]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"lightgbm", "deltalake"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    op_tags=LATER,
    description="reports/forecast_level_origins: one row per earlier origin (a week apart), level above the store-SKU, "
    "group and day ahead: what the summed forecast of a model that had not seen the day said, and what was sold.",
)
def level_backtest(
    lake: dg.ResourceParam[Lake],
    feature_store: dg.ResourceParam[FeatureStore],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Asks the model that proved the full version behind what answers, once per full version and week."""
    full, span = champion(lake, model_store), feature_span(lake)
    if full is None or span is None:
        return dg.MaterializeResult(metadata={"status": NO_FORECASTS})
    if not is_provable(full):
        why = f"{full.version} was stored without the model that proved it: intervals come from its one backtest"
        return dg.MaterializeResult(metadata={"status": why})
    config = ForecastingConfig.load()
    origins = level_origins.earlier_origins(past_until(full, config), span[1], config.horizon)
    if not origins:
        return dg.MaterializeResult(metadata={"status": "no days ahead have all come yet"})
    made_from = level_origins.stated(full, origins)
    if is_made_of(lake, "reports", level_origins.TABLE, made_from):
        return unchanged()
    rows = level_origins.rolling_sums(lake, feature_store, proof_model(model_store, full), origins, span[1])
    table = pa.Table.from_pandas(rows, schema=level_origins.SCHEMA, preserve_index=False)
    delta = lake.overwrite("reports", level_origins.TABLE, table, metadata=made_from)
    return dg.MaterializeResult(
        metadata={
            "status": "asked",
            "model_version": full.version,
            "origins": ", ".join(map(str, origins)),
            "delta_version": delta,
            "dagster/row_count": len(rows),
        }
    )


@dg.asset(
    key=["planning", "levels_report"],
    deps=[["forecasting", "backtest_report"], ["planning", "level_backtest"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    op_tags=LATER,
    description="reports/forecast_levels: one row per level of the hierarchy with the error of the summed forecast "
    "beside both baselines, and what the level's 90 % interval covered in weeks that it was not learnt from.",
)
def levels_report(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Sums the newest backtest to every level and scores it."""
    if not lake.exists("reports", level_tables.PROOF):
        return dg.MaterializeResult(metadata={"status": "no model yet"})
    made_from = made_of(lake, ("reports", level_tables.PROOF), ("reports", level_origins.TABLE))
    if is_made_of(lake, "reports", LEVELS_REPORT, made_from):
        return unchanged()
    quantile_levels = ForecastingConfig.load().intervals.levels
    scores = level_tables.level_scores(
        level_tables.proof_of(lake, quantile_levels), level_origins.stored_sums(lake), quantile_levels
    )
    table = pa.Table.from_pandas(scores, preserve_index=False)
    delta = lake.overwrite("reports", LEVELS_REPORT, table, metadata=made_from)
    return dg.MaterializeResult(
        metadata={
            "status": "reported",
            "delta_version": delta,
            "dagster/row_count": len(scores),
            "levels": dg.MetadataValue.md(level_table(scores)),
        }
    )


@dg.asset(
    key=["planning", "forecast_levels"],
    deps=[
        ["forecasting", "forecasts"],
        ["forecasting", "backtest_report"],
        ["planning", "level_backtest"],
        ["gold", "dim_store"],
        ["gold", "dim_product"],
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"deltalake"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    op_tags=LATER,
    description="gold/forecast_levels: one row per level (total to store-SKU), group, forecast origin and day ahead. "
    "Means are exact sums of the store-SKUs; intervals are of the level itself.",
)
def forecast_levels(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Sums the newest forecasts to every level; replaces that origin's rows."""
    if not (lake.exists("gold", "forecasts") and lake.exists("reports", level_tables.PROOF)):
        return dg.MaterializeResult(metadata={"status": NO_FORECASTS})
    inputs = [("gold", name) for name in ("forecasts", "dim_store", "dim_product")]
    made_from = made_of(lake, *inputs, ("reports", level_tables.PROOF), ("reports", level_origins.TABLE))
    if is_made_of(lake, "gold", level_tables.TABLE, made_from):
        return unchanged()
    origin, quantile_levels = chosen_origin(lake, None), ForecastingConfig.load().intervals.levels
    forecasts = level_tables.forecasts_with_dimensions(lake, origin)
    proof, earlier = level_tables.proof_of(lake, quantile_levels), level_origins.stored_sums(lake)
    rows = level_tables.level_forecasts(forecasts, proof, earlier, origin, quantile_levels)
    delta = lake.overwrite_days("gold", level_tables.TABLE, rows, [origin], metadata=made_from)
    return dg.MaterializeResult(
        metadata={
            "status": "summed",
            "origin": str(origin),
            "delta_version": delta,
            "dagster/row_count": len(rows),
            "series": len(forecasts.groupby(["store_id", "sku"])),
        }
    )


ASSETS = [level_backtest, levels_report, forecast_levels, *ORDER_ASSETS, *WEEKLY_ASSETS]
