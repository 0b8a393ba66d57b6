"""What the assets of forecasting share: group, owners, freshness, and what a table was written with."""

from datetime import timedelta

import dagster as dg

from retail_assets.resources.lake import Lake

GROUP = "forecasting"
OWNERS = ["team:forecasting"]
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=30))


def written_with(lake: Lake, layer: str, name: str) -> dict[str, str]:
    """The metadata of the newest commit of a table; empty when there is no table."""
    return lake.open(layer, name).history(1)[0] if lake.exists(layer, name) else {}
