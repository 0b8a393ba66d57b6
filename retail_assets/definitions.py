"""The whole graph on one page: every domain's assets, checks and sensors, with the resources of the environment."""

import dagster as dg

from retail_assets import left_behind
from retail_assets.environments import Environment, current
from retail_assets.features import assets as features_assets
from retail_assets.features import checks as features_checks
from retail_assets.forecasting import assets as forecasting_assets
from retail_assets.forecasting import checks as forecasting_checks
from retail_assets.forecasting import decomposition_assets, tier_assets
from retail_assets.jobs import refresh
from retail_assets.lineage import assets as lineage_assets
from retail_assets.lineage import checks as lineage_checks
from retail_assets.planning import assets as planning_assets
from retail_assets.planning import checks as planning_checks
from retail_assets.pricing import assets as pricing_assets
from retail_assets.pricing import checks as pricing_checks
from retail_assets.resources.feature_store import FeatureStore
from retail_assets.resources.model_store import ModelStore
from retail_assets.resources.warehouse import dbt_resource
from retail_assets.serving import assets as serving_assets
from retail_assets.serving import checks as serving_checks
from retail_assets.serving import sensors as serving_sensors
from retail_assets.serving import store_assets
from retail_assets.sources import assets as sources_assets
from retail_assets.sources import checks as sources_checks
from retail_assets.sources import sensors as sources_sensors
from retail_assets.warehouse import assets as warehouse_assets
from retail_assets.warehouse import checks as warehouse_checks

ASSETS = [
    sources_assets,
    warehouse_assets,
    features_assets,
    forecasting_assets,
    planning_assets,
    decomposition_assets,
    tier_assets,
    pricing_assets,
    lineage_assets,
    serving_assets,
    store_assets,
]
CHECKS = [
    sources_checks,
    warehouse_checks,
    features_checks,
    forecasting_checks,
    planning_checks,
    decomposition_assets,
    tier_assets,
    pricing_checks,
    lineage_checks,
    serving_checks,
    store_assets,
]


def resources(environment: Environment) -> dict[str, object]:
    """What the assets of `environment` read and write; building them opens nothing."""
    home, lake = environment.home, environment.lake
    return {
        "home": home,
        "lake": lake,
        "dbt": dbt_resource(home, lake),
        "feature_store": FeatureStore.at(home, lake),
        "model_store": ModelStore.at(home.models),
    }


defs = dg.Definitions(
    assets=[asset for domain in ASSETS for asset in domain.ASSETS],
    asset_checks=[check for domain in CHECKS for check in domain.CHECKS],
    sensors=[*sources_sensors.SENSORS, *serving_sensors.SENSORS, *left_behind.SENSORS],
    schedules=tier_assets.SCHEDULES,
    jobs=[refresh],
    resources=resources(current()),
    executor=dg.in_process_executor,
)
