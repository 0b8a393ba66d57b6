"""The forecasting product as the rest of the house knows it."""

from typing import Final

from retail_assets.core.products import Headline, Product

PRODUCT: Final = Product(
    name="forecasting",
    summary="Units a day of every store and SKU, with intervals and reasons.",
    definitions=(
        "retail_assets.forecasting.assets",
        "retail_assets.forecasting.checks",
        "retail_assets.forecasting.explain.decomposition_assets",
        "retail_assets.forecasting.tiers.assets",
    ),
    probe="retail_assets.forecasting.probe",
    released_after=(("forecasting", "demand_model"), ("forecasting", "backtest_report")),
    headlines=(
        Headline(
            label="WAPE",
            metric="wape",
            baselines={"weekday mean": "wape_weekday_mean", "seasonal naive": "wape_seasonal_naive"},
        ),
        Headline(label="coverage of the 90 % interval", metric="coverage_90"),
    ),
    commands={
        "backtest forecasting": "retail_assets.forecasting.backtest_commands:backtest_forecasting",
        "forecast explain": "retail_assets.forecasting.explain.commands:explain",
    },
    gold_outputs=("forecasts",),
    answers_of=(("forecasting", "forecasts"),),
    outcomes="retail_assets.forecasting.outcomes:outcomes",
    proven_error="wape",
    store_tables="retail_assets.forecasting.store_tables:StoreTables",
    replay="retail_assets.forecasting.replay:forecast_again",
)
