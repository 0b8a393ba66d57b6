"""The table of every asset check: what it promises, how grave a failure is and what it stops, read from the graph."""

import re
from collections import defaultdict
from functools import cache
from typing import Any

import dagster as dg

from retail_assets.documents.blocks import table
from retail_assets.resources.dagster.left_behind import FOUNDATION
from retail_assets.warehouse.manifest import load_manifest

SHOWN_ASSETS = 2
DATA = ("bronze", "warehouse", "gold")
COLUMNS = ["check", "of", "what it promises", "a failure"]
WARNINGS = frozenset(
    {
        "beats_both_baselines_in_every_segment",
        "clocks_agree_with_payments",
        "column_lineage_has_not_vanished",
        "decomposition_is_no_worse_than_naive",
        "every_level_beats_both_baselines",
        "every_listed_item_has_a_price",
        "every_segment_of_decisions_was_taken",
        "every_store_delivered",
        "every_store_has_what_the_centre_says",
        "intervals_are_calibrated",
        "level_intervals_are_calibrated",
        "live_errors_match_the_proof",
        "newest_versions_are_live",
        "no_date_is_ahead_of_its_store",
        "no_series_is_overdue",
        "no_unknown_columns",
        "quarantine_share_is_normal",
        "sums_are_calibrated",
        "training_rows_complete",
        "weeks_beat_seasonal_naive",
    }
)
"""Checks of ours whose failure is a warning. Dagster knows it once they have run; a test compares it with a run."""

Check = tuple[str, str]  # asset and name


def graph() -> Any:
    """The asset graph of the project."""
    from retail_assets.definitions import defs

    return defs.resolve_asset_graph()


def gravities() -> dict[Check, str]:
    """`stops`, `error` or `warning` for every check of the graph."""
    found, tests = graph(), dbt_tests()
    told = {}
    for key in found.asset_check_keys:
        severe = key.name not in WARNINGS and tests.get(key.name, {}).get("config", {}).get("severity") != "warn"
        grave = "stops" if found.get(key).blocking else "error"
        told[key.asset_key.to_user_string(), key.name] = grave if severe else "warning"
    return told


def text() -> str:
    """A table a stage, in the order of the pipeline; checks that promise the same under one name share a row."""
    found, told = graph(), gravities()
    stages: dict[str, dict[tuple[str, str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for asset, name in sorted(told):
        row = (_short(name), _promise(found, asset, name), told[asset, name])
        stages[asset.split("/")[0]][row].append(asset)
    order = [*FOUNDATION, *sorted(set(stages) - set(FOUNDATION))]
    return "\n\n".join(
        f"### {stage}\n\n{table(COLUMNS, [_row(found, *row, assets) for row, assets in stages[stage].items()])}"
        for stage in order
    )


def _row(found: Any, name: str, said: str, gravity: str, assets: list[str]) -> list[str]:
    of = ", ".join(f"`{asset.split('/', 1)[1]}`" for asset in assets)
    of = of if len(assets) <= SHOWN_ASSETS else f"{len(assets)} tables"
    return [f"`{name}`", of, said, _stops(found, assets[0]) if gravity == "stops" else gravity]


def _stops(found: Any, asset: str) -> str:
    """What a blocking check of an asset stops: of the data everything, else what is built on the asset."""
    if asset.split("/")[0] in DATA:
        return "stops everything behind it"
    key = dg.AssetKey.from_user_string(asset)
    names = [f"`{child.to_user_string()}`" for child in sorted(found.get(key).child_keys)]
    return f"stops {', '.join(names)} and what they lead to" if names else "the run fails; nothing is built on it"


def _promise(found: Any, asset: str, name: str) -> str:
    """What a check promises: its description."""
    key = dg.AssetCheckKey(dg.AssetKey.from_user_string(asset), name)
    return " ".join(found.get(key).description.split())


@cache
def dbt_tests() -> dict[str, Any]:
    """dbt's tests by name, as its manifest has them."""
    nodes = load_manifest()["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] == "test"}


def _short(name: str) -> str:
    """The name of a check without the columns that dbt writes into it."""
    return re.sub(r"^(unique_key|filled|no_overlap)_.*", r"\1_...", name)
