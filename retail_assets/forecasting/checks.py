"""Checks of forecasting. The decisions are in policy.py; here they meet the tables."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from retail_assets.forecasting.cold_start import listed_without_history
from retail_assets.forecasting.config import ForecastingConfig, SeriesConfig, quantile_name
from retail_assets.forecasting.policy import (
    Verdict,
    beats_baselines,
    calibrated,
    complete,
    never_negative,
    quantiles_ascend,
)
from retail_assets.forecasting.training import PRODUCT, feature_span, forecast_schema
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

FORECASTS = dg.AssetKey(["forecasting", "forecasts"])
REPORT = dg.AssetKey(["forecasting", "backtest_report"])
FORECAST_CLAIMS = ("every_active_series_is_forecast", "forecasts_are_never_negative", "quantiles_ascend")
NONE_TO_JUDGE = Verdict(True, ("there is no forecast that could be wrong",), {})
NOT_YET = Verdict(False, ("there is no forecast yet: no forecasting model is live",), {})


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "every_active_series_is_forecast",
            asset=FORECASTS,
            description="Every SKU that was active in an open store on its newest day, or is priced there and has not "
            "sold yet, has a forecast for each day ahead; where more are active than configs/forecasting.yaml allows, "
            "that many have.",
        ),
        dg.AssetCheckSpec(
            "forecasts_are_never_negative",
            asset=FORECASTS,
            blocking=True,
            description="A negative or missing demand would reach a price or an order.",
        ),
        dg.AssetCheckSpec(
            "quantiles_ascend",
            asset=FORECASTS,
            blocking=True,
            description="The 95 % quantile is nowhere below the 90 % quantile, and so on down.",
        ),
    ]
)
def forecast_checks(lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the forecasts of the newest origin."""
    config, span = ForecastingConfig.load(), feature_span(lake)
    quantiles = [quantile_name(level) for level in config.intervals.levels]
    if span is None or not lake.exists("gold", "forecasts"):
        verdicts = dict.fromkeys(FORECAST_CLAIMS, NONE_TO_JUDGE) | {"every_active_series_is_forecast": NOT_YET}
    else:
        made = _newest_forecasts(lake, config)
        verdicts = {
            "every_active_series_is_forecast": complete(
                _expected(lake, config.series, config.horizon), made, config.horizon, config.series.max_series
            ),
            "forecasts_are_never_negative": never_negative(made, ["mean", *quantiles]),
            "quantiles_ascend": quantiles_ascend(made, quantiles),
        }
    for name, verdict in verdicts.items():
        yield _result(name, FORECASTS, verdict, dg.AssetCheckSeverity.ERROR)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "intervals_are_calibrated",
            asset=REPORT,
            description="On days held back, the 90 % interval covered enough and each quantile met its level.",
        ),
        dg.AssetCheckSpec(
            "beats_both_baselines_in_every_segment",
            asset=REPORT,
            description="RMSE of the mean and WAPE of the median are below those of seasonal naive and of weekday "
            "mean, overall and per segment of size.",
        ),
    ]
)
def proof_checks(model_store: dg.ResourceParam[ModelStore]) -> Iterator[dg.AssetCheckResult]:
    """Looks at the metrics of the newest model."""
    stored = model_store.versions(PRODUCT)
    metrics = model_store.manifest(PRODUCT, stored[-1]).metrics if stored else {}
    report = ForecastingConfig.load().report
    yield _result("intervals_are_calibrated", REPORT, calibrated(metrics, report), dg.AssetCheckSeverity.WARN)
    name = "beats_both_baselines_in_every_segment"
    yield _result(name, REPORT, beats_baselines(metrics), dg.AssetCheckSeverity.WARN)


def _newest_forecasts(lake: Lake, config: ForecastingConfig) -> pd.DataFrame:
    table = lake.scan("gold", "forecasts")
    columns = ", ".join(name for name in forecast_schema(config).names if name != "business_date")
    newest = f"select max(business_date) from {table}"
    return lake.query(f"select {columns} from {table} where business_date = ({newest})").to_pandas()


def _expected(lake: Lake, config: SeriesConfig, horizon: int) -> pd.DataFrame:
    """Series with a fact on their store's newest day, and not discontinued, asked of gold and not of the features; and
    those that are priced and have not sold yet.
    """
    active: pd.DataFrame = lake.query(
        f"""with facts as (select store_id, sku, business_date from {lake.scan("gold", "fct_sales_daily")}),
                 newest as (select max(business_date) as day from facts),
                 stores as (select store_id, max(business_date) as day from facts group by 1)
            select distinct f.store_id, f.sku from facts f
            join stores s on s.store_id = f.store_id and s.day = f.business_date
            join newest n on f.business_date > n.day - {config.origin_days}
            left join {lake.scan("gold", "dim_product")} p on p.sku = f.sku
            where coalesce(p.discontinued_on, date '9999-12-31') > n.day
            order by 1, 2"""
    ).to_pandas()
    span = feature_span(lake)
    new = listed_without_history(lake, span[1], horizon, config.origin_days) if span else active.iloc[:0]
    return pd.concat([active, new[["store_id", "sku"]]], ignore_index=True)


def _result(name: str, asset: dg.AssetKey, verdict: Verdict, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=verdict.passed,
        severity=severity,
        metadata={"reasons": list(verdict.reasons), **verdict.numbers},
    )


CHECKS = [forecast_checks, proof_checks]
