"""One feature service per model. Its base view gives the keys and days of a training set."""

from feast import FeatureService

from feature_repo.feature_views import (
    PRICE_FEATURES,
    product_demand,
    store_activity,
    store_product_demand,
)

# Decisions are taken at noon after the business day, when the files of the day are in (see DAILY_FILES).
AT_NOON = {"base_view": "store_product_demand", "decided_after_hours": "12"}

demand_forecast = FeatureService(
    name="demand_forecast",
    features=[store_product_demand, store_activity, product_demand],
    tags=AT_NOON,
    description="Everything the demand forecast of a store-product reads.",
)
price_response = FeatureService(
    name="price_response",
    features=[
        store_product_demand[
            [
                *PRICE_FEATURES,
                "units_mean_28",
                "units_mean_56",
                "units_std_28",
                "on_promotion",
                "promo_share_28",
                "stockout_share_28",
            ]
        ],
        product_demand[["product_units_mean_28", "product_promo_share_28"]],
    ],
    tags=AT_NOON,
    description="Prices paid and demand seen, for the response of demand to price.",
)

FEATURE_SERVICES = [demand_forecast, price_response]
