"""The state of each series: how fast it drifts, when it is due; and the weekly rhythm of training what is due."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from retail_assets.forecasting.common import DAILY, GROUP, OWNERS, written_with
from retail_assets.forecasting.policy import Verdict
from retail_assets.forecasting.tiers.next_training import learnt_until
from retail_assets.forecasting.tiers.state import SCHEMA, TABLE, judged, stored
from retail_assets.forecasting.tiers.tiers import FAST, SLOW, drift_velocity, updated, work
from retail_assets.forecasting.training import PRODUCT, feature_span
from retail_assets.forecasting.views_config import TiersConfig, ViewsConfig
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.dagster.run_order import LATER
from retail_assets.resources.dagster.unchanged import unchanged
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

TIERS = dg.AssetKey(["forecasting", "series_tiers"])
CHAIN = [["forecasting", "demand_model"], ["forecasting", "backtest_report"], ["serving", "forecasting_release"],
         ["forecasting", "forecasts"]]  # fmt: skip


@dg.asset(
    key=TIERS,
    deps=[["forecasting", "demand_model"], ["forecasting", "forecasts"], ["gold", "fct_sales_daily"]],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "deltalake"},
    code_version="1",
    freshness_policy=DAILY,
    op_tags=LATER,
    description="ops/series_tiers: one row per forecast store-SKU with its drift velocity, its tier (fast is retrained "
    "weekly, slow monthly), the day up to which the model that answers has learnt for it, and the day on which it is "
    "due. The next run of forecasting/demand_model trains or refreshes by it.",
)
def series_tiers(lake: dg.ResourceParam[Lake], model_store: dg.ResourceParam[ModelStore]) -> dg.MaterializeResult:
    """Measures the velocity on days that were forecast and have come, and writes the next state of every series."""
    config, span = ViewsConfig.load().tiers, feature_span(lake)
    trained = learnt_until(lake, model_store)
    if span is None or trained is None or not lake.exists("gold", "forecasts"):
        return dg.MaterializeResult(metadata={"status": "no forecasts yet"})
    made_from = {"made_from": _made_from(lake, model_store, config)}
    if written_with(lake, "ops", TABLE).get("made_from") == made_from["made_from"]:
        return unchanged()
    known, source = judged(lake, span[1])
    table = lake.scan("gold", "forecasts")
    newest = f"select max(business_date) from {table}"
    series = lake.query(f"select distinct store_id, sku from {table} where business_date = ({newest})").to_pandas()
    learnt = dict(zip((SLOW, FAST), trained, strict=True))
    rows = updated(drift_velocity(known), series, stored(lake), learnt, span[1], config)
    written = pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False)
    delta = lake.overwrite("ops", TABLE, written, metadata=made_from)
    asked = work(rows, span[1], config)
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
    live = Ledger(lake).live(PRODUCT)
    models = {"newest": store.versions(PRODUCT)[-1:], "live": live.version if live else None}
    return json.dumps({**tables, **models, "config": config.model_dump(mode="json")}, sort_keys=True)


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
    name="due_series_are_retrained_weekly",
    target=dg.AssetSelection.assets(*CHAIN, TIERS),
    cron_schedule="0 5 * * 1",
    execution_timezone="UTC",
    tags={"retail/writes": "lake"},
    description="On Monday morning: trains or refreshes what is due, lets it through the gates, forecasts with it and "
    "measures every series again. A refresh of the whole graph does the same whenever files come.",
)

ASSETS: list[Any] = [series_tiers]
CHECKS: list[Any] = [tier_checks]
SCHEDULES: list[Any] = [weekly]
