"""What a decision needs to be explained later, kept once by the hash of its content: policies, the dbt project.

Tables of `ops` such as `ops/warehouse_code` are append-only; a hash that is there is not written again. Delta versions
of gold and bronze come from the commits that published the gold.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa

from retail_assets.resources.lake import Lake

CODE = "warehouse_code"
KEPT = pa.schema([("hash", pa.string()), ("document", pa.string()), ("recorded_at", pa.timestamp("us", tz="UTC"))])
LOOK_BACK = 50  # commits of a gold table that are no publish: maintenance


@dataclass(frozen=True)
class MadeFrom:
    """The Delta versions behind a decision's inputs (JSON objects of table to version) and the dbt code of its gold."""

    gold_versions: str | None = None
    bronze_versions: str | None = None
    warehouse_code: str | None = None


def made_from(lake: Lake, gold: Mapping[str, int]) -> MadeFrom:
    """The versions behind a decision on gold at `gold` (table to Delta version).

    Bronze versions are the newest that any of these tables was built from: an older one was not touched by what came
    between. Null where gold was not published from bronze.
    """
    bronze: dict[str, int] = {}
    codes = set()
    for name, version in gold.items():
        commit = published_by(lake, name, version)
        codes |= {commit["code_hash"]} if "code_hash" in commit else set()
        for source, number in json.loads(commit.get("bronze", "{}")).items():
            bronze[source] = max(number, bronze.get(source, 0))
    return MadeFrom(
        gold_versions=json.dumps(dict(gold), sort_keys=True),
        bronze_versions=json.dumps(bronze, sort_keys=True) if bronze else None,
        warehouse_code=",".join(sorted(codes)) or None,
    )


def published_by(lake: Lake, name: str, version: int) -> dict[str, Any]:
    """The commit that wrote what `gold/<name>` holds at `version`; empty where no publish is recorded."""
    newest = lake.open("gold", name)  # a table opened at an older version lists its newest commits under wrong numbers
    since = newest.version() - version
    for limit in (1, LOOK_BACK):
        for commit in newest.history(since + limit):
            if commit["version"] <= version and {"bronze", "gold"} & commit.keys():
                return dict(commit)
    return {}


def record_warehouse_code(lake: Lake, code_hash: str | None) -> None:
    """Keeps the dbt models that made gold of `code_hash`, where the dbt project is still that one."""
    from retail_assets.warehouse.manifest import code_hash as running
    from retail_assets.warehouse.manifest import load_manifest

    for name in (code_hash or "").split(","):
        if name and not is_kept(lake, CODE, name) and running() == name:
            keep(lake, CODE, name, canonical(_models(load_manifest())))


def warehouse_code(lake: Lake, code_hash: str | None) -> dict[str, Any]:
    """Models and sources by name with `path`, `sql`, `description` and `reads` (names) of a dbt project.

    `code_hash` may name several, where marts that another project would not change were left as they were. Empty where
    none was kept and none is the running one.
    """
    from retail_assets.warehouse.manifest import code_hash as running
    from retail_assets.warehouse.manifest import load_manifest

    models: dict[str, Any] = {}
    for name in (code_hash or "").split(","):
        document = kept(lake, CODE, name) if name else None
        models |= json.loads(document) if document else _models(load_manifest()) if name == running() else {}
    return models


def _models(manifest: Mapping[str, Any]) -> dict[str, Any]:
    nodes = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    names = {n["unique_id"]: n["name"] for n in nodes}
    names |= {n["unique_id"]: f"bronze/{n['name']}" for n in manifest["sources"].values()}
    return {
        node["name"]: {
            "path": node["original_file_path"],
            "description": node["description"].strip(),
            "sql": node["raw_code"],
            "reads": sorted(names[p] for p in node["depends_on"]["nodes"] if p in names),
        }
        for node in nodes
    }


def canonical(document: Any) -> str:
    """JSON with sorted keys and no spaces: the text whose sha256 names a policy."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def is_kept(lake: Lake, table: str, name: str) -> bool:
    """Whether `ops/<table>` has a document of that hash."""
    return kept(lake, table, name) is not None


def kept(lake: Lake, table: str, name: str) -> str | None:
    """The document of that hash in `ops/<table>`, None where there is none."""
    try:
        return _found(lake.model_dump_json(), table, name) if lake.exists("ops", table) else None
    except KeyError:
        return None


@lru_cache(maxsize=64)
def _found(lake_json: str, table: str, name: str) -> str:
    """A kept document; raises KeyError where there is none, which is not remembered."""
    lake = Lake.model_validate_json(lake_json)
    with lake.connect() as connection:
        sql = f"select document from {lake.scan('ops', table)} where hash = ? limit 1"
        found = connection.execute(sql, [name]).fetchone()
    if found is None:
        raise KeyError(name)
    return str(found[0])


def keep(lake: Lake, table: str, name: str, document: str) -> None:
    """Appends `document` under its hash to `ops/<table>`, unless it is there already."""
    if is_kept(lake, table, name):
        return
    row = {"hash": name, "document": document, "recorded_at": datetime.now(UTC)}
    lake.append("ops", table, pa.Table.from_pylist([row], schema=KEPT))
