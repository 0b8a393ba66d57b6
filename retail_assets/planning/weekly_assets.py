"""The asset of weekly forecasts."""

import dagster as dg
import pyarrow as pa

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.planning import weekly_tables
from retail_assets.planning.common import CODE_VERSION, DAILY, GROUP, NO_FORECASTS, OWNERS, is_made_of, made_of
from retail_assets.planning.config import CONFIG_FILE, PlanningConfig
from retail_assets.planning.level_tables import forecasts_with_dimensions
from retail_assets.planning.read import chosen_origin
from retail_assets.planning.report import markdown
from retail_assets.planning.weekly_promotions import promotion_factors
from retail_assets.resources.dagster.run_order import LATER
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.lake import Lake

SHORT = "history is too short to prove weeks ahead"
SHOWN = {
    "weeks": ("weeks ahead", "{}"),
    "rows": ("rows", "{:,}"),
    "wape": ("WAPE", "{:.3f}"),
    "wape_seasonal_naive": ("seasonal naive", "{:.3f}"),
    "bias": ("bias", "{:+.3f}"),
    "coverage_90": ("90 % covers", "{:.1%}"),
}


@dg.asset(
    key=["planning", "forecasts_weekly"],
    deps=[["forecasting", "forecasts"], ["gold", "fct_sales_daily"], ["gold", "dim_calendar"], ["gold", "dim_store"],
          ["gold", "dim_product"], ["gold", "dim_promotion"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numpy", "deltalake"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    op_tags=LATER,
    description="gold/forecasts_weekly: one row per store-SKU, forecast origin and week ahead, for 52 weeks. The first "
    "four are the sums of the daily forecasts, the rest is level times season times announced promotions.",
)  # fmt: skip
def forecasts_weekly(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Forecasts the weeks after the newest origin; replaces that origin's rows."""
    if not lake.exists("gold", "forecasts"):
        return dg.MaterializeResult(metadata={"status": NO_FORECASTS})
    inputs = ("forecasts", "fct_sales_daily", "dim_calendar", "dim_store", "dim_product", "dim_promotion")
    made_from = made_of(lake, *(("gold", name) for name in inputs), config=CONFIG_FILE)
    if is_made_of(lake, "gold", weekly_tables.TABLE, made_from):
        return unchanged()
    config, origin = PlanningConfig.load().weekly, chosen_origin(lake, None)
    levels = ForecastingConfig.load().intervals.levels
    daily = forecasts_with_dimensions(lake, origin)
    series = daily.drop_duplicates(weekly_tables.SERIES).reset_index(drop=True)
    history = weekly_tables.read_history(lake, series, origin, config)
    proof = weekly_tables.held_back(history, config)
    if proof.empty:
        return dg.MaterializeResult(metadata={"status": SHORT})
    scores = weekly_tables.weekly_scores(proof, levels, config)
    table = weekly_tables.intervals(proof, levels, config)
    promotions = promotion_factors(lake, series, origin, config.weeks)
    rows = weekly_tables.weekly_forecasts(daily, history, promotions, table, origin, config)
    report = pa.Table.from_pandas(scores, preserve_index=False)
    lake.overwrite("reports", weekly_tables.REPORT, report, metadata=made_from)
    delta = lake.overwrite_days("gold", weekly_tables.TABLE, rows, [origin], metadata=made_from)
    return dg.MaterializeResult(
        metadata={
            "status": "forecast",
            "origin": str(origin),
            "delta_version": delta,
            "dagster/row_count": len(rows),
            "series": len(series),
            "promoted_weeks": int((promotions[:, weekly_tables.DAILY_WEEKS :] != 1.0).sum()),
            "weeks_of_history": history.units.shape[1],
            "held_back": dg.MetadataValue.md(markdown(scores, SHOWN)),
        }
    )


ASSETS = [forecasts_weekly]
