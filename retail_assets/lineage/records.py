"""What a decision needs to be explained later, kept once by the hash of its content: policies and the dbt project.

`ops/policies` and `ops/warehouse_code` are append-only; a hash that is there is not written again. Delta versions of
gold and bronze come from the commits that published the gold.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa

from retail_assets.core.manifest import sha256
from retail_assets.lineage.errors import TraceError
from retail_assets.pricing.config import PricingPolicy, load_config
from retail_assets.pricing.decisions import MadeFrom
from retail_assets.pricing.rulebook import Rulebook
from retail_assets.resources.lake import Lake

POLICIES, CODE = "policies", "warehouse_code"
KEPT = pa.schema([("hash", pa.string()), ("document", pa.string()), ("recorded_at", pa.timestamp("us", tz="UTC"))])
LOOK_BACK = 50  # commits of a gold table that are no publish: maintenance


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


def record_policy(lake: Lake, rulebook: Rulebook) -> None:
    """Keeps the policy of `rulebook` under its hash, unless it is kept already."""
    _keep(lake, POLICIES, rulebook.policy_hash, canonical(rulebook.policy.model_dump(mode="json", by_alias=True)))


def rulebook_of(lake: Lake, policy_hash: str) -> Rulebook:
    """The rulebook that decided under `policy_hash`; raises TraceError as `policy_of` does."""
    policy = policy_of(lake, policy_hash)
    return replace(Rulebook.of(policy), policy_hash=policy_hash)  # fields added since have no say in its name


def policy_of(lake: Lake, policy_hash: str) -> PricingPolicy:
    """The policy of that hash, whatever configs/pricing.yaml says today.

    Raises TraceError when it was never kept or its text was changed.
    """
    document = _kept(lake, POLICIES, policy_hash)
    if document is None:
        current = load_config().policy
        if current.policy_hash == policy_hash:
            return current
        raise TraceError(
            f"the pricing policy {policy_hash[:12]} was not kept",
            where=lake.table_uri("ops", POLICIES),
            todo="put the configs/pricing.yaml of that time back; `retail run` keeps its policy",
        )
    if sha256(document.encode()) != policy_hash:
        raise TraceError(
            f"the pricing policy {policy_hash[:12]} was changed after it was kept",
            where=lake.table_uri("ops", POLICIES),
            todo="restore ops/policies from a backup",
        )
    return PricingPolicy.model_validate_json(document)


def record_warehouse_code(lake: Lake, code_hash: str | None) -> None:
    """Keeps the dbt models that made gold of `code_hash`, where the dbt project is still that one."""
    from retail_assets.warehouse.manifest import code_hash as running
    from retail_assets.warehouse.manifest import load_manifest

    for name in (code_hash or "").split(","):
        if name and not _is_kept(lake, CODE, name) and running() == name:
            _keep(lake, CODE, name, canonical(_models(load_manifest())))


def warehouse_code(lake: Lake, code_hash: str | None) -> dict[str, Any]:
    """Models and sources by name with `path`, `sql`, `description` and `reads` (names) of a dbt project.

    `code_hash` may name several, where marts that another project would not change were left as they were. Empty where
    none was kept and none is the running one.
    """
    from retail_assets.warehouse.manifest import code_hash as running
    from retail_assets.warehouse.manifest import load_manifest

    models: dict[str, Any] = {}
    for name in (code_hash or "").split(","):
        kept = _kept(lake, CODE, name) if name else None
        models |= json.loads(kept) if kept else _models(load_manifest()) if name == running() else {}
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


def _is_kept(lake: Lake, table: str, name: str) -> bool:
    return _kept(lake, table, name) is not None


def _kept(lake: Lake, table: str, name: str) -> str | None:
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


def _keep(lake: Lake, table: str, name: str, document: str) -> None:
    if _is_kept(lake, table, name):
        return
    row = {"hash": name, "document": document, "recorded_at": datetime.now(UTC)}
    lake.append("ops", table, pa.Table.from_pylist([row], schema=KEPT))
