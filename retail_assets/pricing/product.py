"""The pricing product as the rest of the house knows it."""

from typing import Final

from retail_assets.core.products import Headline, Product

PRODUCT: Final = Product(
    name="pricing",
    summary="A price for every store and SKU, inside the guardrails, with its reasons and its trace.",
    definitions=("retail_assets.pricing.assets", "retail_assets.pricing.checks"),
    probe="retail_assets.pricing.probe",
    released_after=(("pricing", "demand_response_model"),),
    headlines=(
        Headline(
            label="held-out deviance",
            metric="holdout_deviance",
            baselines={
                "no response": "holdout_deviance_no_response",
                "pooled OLS": "holdout_deviance_pooled_ols",
                "OLS per SKU": "holdout_deviance_sku_ols",
            },
        ),
    ),
    more_data="load more history, or more changes of prices, and run again",
    commands={
        "backtest pricing": "retail_assets.pricing.backtest.backtest_commands:backtest_pricing",
        "prices": "retail_assets.pricing.commands:prices",
        "trace price": "retail_assets.pricing.trace.commands:trace_price",
    },
    batch_decisions=(("pricing", "price_decisions"),),
    answers_of=(("pricing", "price_decisions"),),
    outcomes="retail_assets.pricing.outcomes:outcomes",
    store_tables="retail_assets.pricing.store_tables:StoreTables",
)
