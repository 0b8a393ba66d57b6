"""Can every table version that decisions name still be read? What vacuum and log cleaning must leave alone."""

import json
from collections.abc import Iterable
from datetime import timedelta

import pyarrow.fs as pa_fs
from deltalake.exceptions import DeltaError
from deltalake.fs import DeltaStorageHandler

from retail_assets.core.errors import RetailError
from retail_assets.core.registry import products
from retail_assets.provenance.records import published_by
from retail_assets.provenance.snapshots import Snapshots
from retail_assets.resources.lake import Lake, LakeError

Named = tuple[str, str, int]
"""Layer, table and Delta version."""
VERSIONS = {"gold_versions", "bronze_versions"}  # of a log whose decisions can be replayed


def named_versions(lake: Lake, days: int, logs: Iterable[str] | None = None) -> set[Named]:
    """Every gold and bronze version that a decision of the newest `days` business dates of its product names.

    `logs` are the products whose decisions are asked, by default all.

    Also the gold that the outputs of models among them were made from, without which no forecast can be made again.
    """
    with Snapshots(lake) as reader:
        asked = products() if logs is None else logs
        named: set[Named] = set().union(*(_named_by(reader, product, days) for product in asked))
    outputs = {table for product in products().values() for table in product.gold_outputs}
    return named | _behind(lake, {(name, n) for layer, name, n in named if layer == "gold" and name in outputs})


def _named_by(reader: Snapshots, product: str, days: int) -> set[Named]:
    version = reader.newest("decisions", product)
    newest = None if version is None else reader.newest_day("decisions", product, version)
    if version is None or newest is None or not set(reader.columns("decisions", product, version)) >= VERSIONS:
        return set()
    first = newest - timedelta(days=days - 1)
    rows = reader.rows(
        "decisions", product, version, "business_date >= ?", [first], {"business_date": (first, None)},
        select="distinct gold_versions, bronze_versions",
    )  # fmt: skip
    texts = {(layer, row[f"{layer}_versions"] or "{}") for row in rows for layer in ("gold", "bronze")}
    return {(layer, name, number) for layer, text in texts for name, number in json.loads(text).items()}


def _behind(lake: Lake, made_by_models: set[tuple[str, int]]) -> set[Named]:
    named: set[Named] = set()
    for table, version in made_by_models:
        try:
            commit = published_by(lake, table, version)
        except (DeltaError, LakeError):
            continue  # reported as unreadable itself
        named |= {("gold", name, number) for name, number in json.loads(commit.get("gold", "{}")).items()}
    return named


def unreadable(lake: Lake, named: set[Named]) -> dict[Named, str]:
    """Those of `named` that cannot be read any more, and why: the log is gone, or a file of it is."""
    found: dict[Named, str] = {}
    for layer, name in sorted({(layer, name) for layer, name, _ in named}):
        there: dict[str, bool] = {}
        for version in sorted(v for other_layer, other, v in named if (other_layer, other) == (layer, name)):
            if why := _unreadable(lake, layer, name, version, there):
                found[layer, name, version] = why
    return found


def _unreadable(lake: Lake, layer: str, name: str, version: int, there: dict[str, bool]) -> str | None:
    try:
        table = lake.open(layer, name, version)
        files = table.get_add_actions(flatten=True).column("path").to_pylist()
    except (DeltaError, RetailError) as error:
        return f"its log cannot be read: {str(error).splitlines()[0]}"
    storage = pa_fs.PyFileSystem(DeltaStorageHandler(lake.table_uri(layer, name), lake.storage_options or None))
    unknown = [path for path in files if path not in there]
    infos = storage.get_file_info(unknown)
    there.update({path: info.type == pa_fs.FileType.File for path, info in zip(unknown, infos, strict=True)})
    missing = [path for path in files if not there[path]]
    return f"{len(missing)} of its {len(files)} files are gone, e.g. {missing[0]}" if missing else None
