"""Dagster's instance of a home: its folder, its settings, its environment variable."""

import os

from retail_assets.core.private import private_folder
from retail_assets.resources import durable
from retail_assets.resources.environments import PROJECT_ROOT, Home

SETTINGS = PROJECT_ROOT / "deployments" / "local" / "dagster.yaml"


def prepare(home: Home) -> None:
    """Creates the instance folder with the settings of deployments/local and points DAGSTER_HOME at it."""
    private_folder(home.dagster)
    target = home.dagster / "dagster.yaml"
    if not target.exists() or target.read_bytes() != SETTINGS.read_bytes():
        durable.write(target, SETTINGS.read_bytes())
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ["RETAIL_HOME"] = str(home.root)
