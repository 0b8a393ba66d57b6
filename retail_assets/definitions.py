"""The whole graph on one page: the assets, checks, sensors and schedules of every room and every product."""

from itertools import chain
from typing import Any

import dagster as dg

from retail_assets.core.products import load
from retail_assets.core.registry import products
from retail_assets.features.store import FeatureStore
from retail_assets.resources.dagster.jobs import refresh
from retail_assets.resources.environments import Environment, current
from retail_assets.resources.model_store import ModelStore
from retail_assets.resources.warehouse import dbt_resource

ROOMS = (
    "sources.assets",
    "sources.checks",
    "sources.sensors",
    "warehouse.assets",
    "warehouse.checks",
    "features.assets",
    "features.checks",
    "planning.assets",
    "planning.checks",
    "provenance.assets",
    "provenance.checks",
    "releases.assets",
    "releases.checks",
    "releases.sensors",
    "serving.assets",
    "monitoring.assets",
    "monitoring.checks",
    "stores.assets",
    "resources.dagster.left_behind",
)
MODULES = [
    load(name)
    for name in (*(f"retail_assets.{room}" for room in ROOMS), *chain(*(p.definitions for p in products().values())))
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


def collected(kind: str) -> list[Any]:
    """What every room and product lists under `kind`: ASSETS, CHECKS, SENSORS or SCHEDULES."""
    return [one for module in MODULES for one in getattr(module, kind, ())]


defs = dg.Definitions(
    assets=collected("ASSETS"),
    asset_checks=collected("CHECKS"),
    sensors=collected("SENSORS"),
    schedules=collected("SCHEDULES"),
    jobs=[refresh],
    resources=resources(current()),
    executor=dg.in_process_executor,
)
