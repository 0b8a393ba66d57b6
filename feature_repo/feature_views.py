"""One view per gold feature mart. A time to live is derived from how fresh the source is, see data_sources.py."""

from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float64, Int64, PrimitiveFeastType, String

from feature_repo import data_sources as sources
from feature_repo.entities import customer, payment_token, product, store, store_product

Columns = dict[str, PrimitiveFeastType]


def _floats(*names: str) -> Columns:
    return dict.fromkeys(names, Float64)


def _integers(*names: str) -> Columns:
    return dict.fromkeys(names, Int64)


def _view(
    name: str, entities: list[Entity], source: FileSource, freshness: sources.Freshness, columns: Columns, about: str
) -> FeatureView:
    keys = [Field(name=entity.join_key, dtype=String) for entity in entities]
    return FeatureView(
        name=name,
        entities=entities,
        ttl=freshness.ttl,
        schema=keys + [Field(name=column, dtype=dtype) for column, dtype in columns.items()],
        source=source,
        online=True,
        description=about,
        tags={"gold_table": source.name},
    )


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PRICE_FEATURES = _floats(
    "list_price",
    "unit_price_mean_28",
    "price_ratio_28",
    "discount_share",
    "unit_cost",
    "competitor_price",
    "competitor_ratio",
)
DEMAND_FEATURES = (
    _floats("units_lag_1", "units_lag_7", "units_lag_14", "units_lag_28")
    | _floats("units_mean_7", "units_mean_28", "units_mean_56", "units_std_28", "units_weekday_mean_8")
    | _floats(*(f"units_{weekday}_mean_8" for weekday in WEEKDAYS))
    | _floats("nonzero_share_28", "promo_share_28", "stockout_share_28", "return_share_28")
    | _floats("receipts_mean_28", "revenue_mean_28")
    | PRICE_FEATURES
    | _floats("on_hand")
    | _integers("on_promotion", "days_since_sale", "active_days_56")
)

store_product_demand = _view(
    "store_product_demand",
    store_product,
    sources.store_product_daily,
    sources.DAILY_FILES,
    DEMAND_FEATURES,
    "Demand and prices of a product in a store over windows that end with the business day.",
)
store_activity = _view(
    "store_activity",
    [store],
    sources.store_daily,
    sources.DAILY_FILES,
    _floats("store_units_mean_7", "store_units_mean_28", "store_trend", "store_revenue_mean_28")
    | _floats("store_products_mean_28", "store_promo_share_28", "store_stockout_share_28")
    | _floats("temp_max_c", "temp_max_mean_7", "precipitation_mm"),
    "What a whole store sold, and its weather.",
)
product_demand = _view(
    "product_demand",
    [product],
    sources.product_daily,
    sources.DAILY_FILES,
    _floats("product_units_mean_7", "product_units_mean_28", "product_trend")
    | _floats("product_selling_share_28", "product_promo_share_28")
    | _integers("product_stores_28"),
    "What a product sold over all stores.",
)
customer_activity = _view(
    "customer_activity",
    [customer],
    sources.customer_daily,
    sources.DAILY_ACTIVITY,
    _integers(*(f"customer_{what}_{days}" for days in (7, 28, 90) for what in ("orders", "sessions")))
    | _floats(*(f"customer_{what}_{days}" for days in (7, 28, 90) for what in ("units", "spend")))
    | _integers("customer_carts_28", "customer_returns_90", "customer_active_days_90")
    | _floats("customer_basket_mean_90", "customer_promo_share_90"),
    "Orders, sessions and spend of a customer, as of the last day with activity.",
)
payment_token_activity = _view(
    "payment_token_activity",
    [payment_token],
    sources.payment_token_daily,
    sources.DAILY_ACTIVITY,
    _integers(*(f"token_payments_{days}" for days in (1, 7, 28, 90)))
    | _floats(*(f"token_amount_{days}" for days in (1, 7, 28, 90)), "token_amount_max_28", "token_online_share_28")
    | _integers("token_devices_28", "token_countries_28", "token_stores_28", "token_chargebacks_90"),
    "Payments by one token, as of its last payment; a chargeback counts from the day it was reported.",
)

FEATURE_VIEWS = [store_product_demand, store_activity, product_demand, customer_activity, payment_token_activity]
