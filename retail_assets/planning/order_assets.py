"""The asset of order proposals."""

import dagster as dg
import pandas as pd

from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.planning import level_tables, orders
from retail_assets.planning.common import CODE_VERSION, DAILY, GROUP, NO_FORECASTS, OWNERS, is_made_of, made_of
from retail_assets.planning.ordering import CONFIG_FILE, OrderingConfig
from retail_assets.planning.read import chosen_origin
from retail_assets.planning.report import markdown
from retail_assets.planning.sum_quantiles import covered
from retail_assets.resources.dagster.run_order import LATER
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.lake import Lake

LARGEST = 10
SHOWN = {
    "store_id": ("store", "{}"),
    "sku": ("SKU", "{}"),
    "proposed_units": ("units", "{:,}"),
    "reason": ("why", "{}"),
}


@dg.asset(
    key=["planning", "order_proposals"],
    deps=[["forecasting", "forecasts"], ["forecasting", "backtest_report"], ["gold", "fct_sales_daily"],
          ["gold", "dim_product"], ["gold", "dim_store"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"deltalake"},
    code_version=CODE_VERSION,
    freshness_policy=DAILY,
    op_tags=LATER,
    description="gold/order_proposals: one row per forecast store-SKU and origin: what to order today so that the "
    "shelf lasts until the next order arrives with the chance that configs/ordering.yaml asks for, and why.",
)  # fmt: skip
def order_proposals(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Proposes orders from the newest forecasts and counts; replaces that origin's rows."""
    if not (lake.exists("gold", "forecasts") and lake.exists("reports", level_tables.PROOF)):
        return dg.MaterializeResult(metadata={"status": NO_FORECASTS})
    inputs = [("gold", name) for name in ("forecasts", "fct_sales_daily", "dim_product", "dim_store")]
    made_from = made_of(lake, *inputs, ("reports", level_tables.PROOF), config=CONFIG_FILE)
    if is_made_of(lake, "gold", orders.TABLE, made_from):
        return unchanged()
    config, origin = OrderingConfig.load(), chosen_origin(lake, None)
    proof = level_tables.proof_of(lake, ForecastingConfig.load().intervals.levels)
    sums = orders.held_back_sums(lake, config, proof)
    forecasts = level_tables.forecasts_with_dimensions(lake, origin)
    rows = orders.proposals(forecasts, orders.stock(lake, origin), orders.learnt_needs(sums, config), origin, config)
    share = {f"covered_{level:g}": covered(sums, level, config) for level in config.service_levels()}
    metadata = made_from | {name: str(value) for name, value in share.items()} | {"periods": str(len(sums))}
    delta = lake.overwrite_days("gold", orders.TABLE, orders.proposal_table(rows), [origin], metadata=metadata)
    return dg.MaterializeResult(
        metadata={
            "status": "proposed",
            "origin": str(origin),
            "delta_version": delta,
            "dagster/row_count": len(rows),
            "to_order": int((rows["proposed_units"] > 0).sum()),
            "units": int(rows["proposed_units"].sum()),
            "not_counted": int(rows["on_hand"].isna().sum()),
            **share,
            "largest": dg.MetadataValue.md(largest(rows)),
        }
    )


def largest(rows: pd.DataFrame) -> str:
    """The largest proposals as a markdown table."""
    return markdown(rows.nlargest(LARGEST, "proposed_units"), SHOWN)


ASSETS = [order_proposals]
