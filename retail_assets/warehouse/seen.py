"""What the UI shows of a model beside its rows: columns, lineage, counts; kept from one build to the next.

Lineage follows from the code alone and costs seconds for every build: it is worked out when the code changed, and
shown again with every later materialisation, since the UI looks at the newest one only.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from retail_assets.resources import durable
from retail_assets.resources.environments import Home

NAME = "seen.json"
KEPT = ("dagster/column_schema", "dagster/column_lineage", "dagster/row_count")
LINEAGE = "dagster/column_lineage"

Metadata = dict[str, Any]


def read(home: Home, code_hash: str) -> dict[str, Metadata]:
    """Metadata by asset key (`warehouse/<model>`) as it was kept for this code; empty for other code.

    A file that a power cut tore is as good as none: dbt says everything once more.
    """
    path = home.warehouse.parent / NAME
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_bytes())
    except ValueError:  # torn by a power cut: the next build fills it again
        return {}
    if kept["code_hash"] != code_hash:
        return {}
    return {
        key: {name: dg.deserialize_value(text) for name, text in metadata.items()}
        for key, metadata in kept["models"].items()
    }


def write(home: Home, code_hash: str, models: Mapping[str, Metadata]) -> None:
    """Keeps metadata for the next build."""
    packed = {
        key: {name: dg.serialize_value(value) for name, value in metadata.items() if name in KEPT}
        for key, metadata in models.items()
    }
    durable.write(home.warehouse.parent / NAME, json.dumps({"code_hash": code_hash, "models": packed}))


def keep(events: Iterable[Any], keys: Mapping[str, str], models: dict[str, Metadata]) -> Iterator[Any]:
    """Passes dbt's events on, each model with the metadata kept for it; what is new is added to `models`.

    `keys` maps the name of an output to the asset key it stands for.
    """
    for event in events:
        if not isinstance(event, dg.Output):
            yield event
            continue
        key = keys[event.output_name]
        models[key] = {**models.get(key, {}), **event.metadata}
        yield event.with_metadata({**models[key]})
