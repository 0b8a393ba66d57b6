"""What the assets of planning share: their group, and when a table is made again."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import dagster as dg

from retail_assets.resources.lake import Lake

GROUP = "planning"
OWNERS = ["team:planning"]
CODE_VERSION = "1"
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=30))
NO_FORECASTS = "no forecasts yet"


def made_of(lake: Lake, *tables: tuple[str, str], config: Path | None = None) -> dict[str, str]:
    """What a table is made from, for its commit: versions of `tables` (layer, name), of the code and of `config`."""
    versions = {f"{layer}/{name}": lake.version(layer, name) for layer, name in tables}
    stated = {"config": hashlib.sha256(config.read_bytes()).hexdigest()[:16]} if config else {}
    return {"made_from": json.dumps({"code": CODE_VERSION, **stated, **versions}, sort_keys=True)}


def is_made_of(lake: Lake, layer: str, name: str, made_from: dict[str, str]) -> bool:
    """Whether the newest commit of `layer/name` was made from exactly `made_from`."""
    if not lake.exists(layer, name):
        return False
    before = lake.open(layer, name).history(1)[0]
    return all(before.get(key) == value for key, value in made_from.items())
