"""dbt's manifest: what models there are, what they depend on and which of them become gold.

`python -m retail_assets.warehouse.manifest` writes it; `make setup` does that whenever the dbt project changed.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.warehouse import DBT, MANIFEST, PROJECT_DIR, child_environment, dbt_variables
from retail_assets.warehouse.errors import WarehouseError

CODE = ("dbt_project.yml", "macros/**/*.sql", "models/**/*.sql", "models/**/*.yml")


@cache
def load_manifest(path: Path = MANIFEST) -> dict[str, Any]:
    """The manifest as dbt wrote it; raises WarehouseError when it was never written."""
    if not path.exists():
        raise WarehouseError("dbt's manifest is missing", where=str(path), todo="run `make setup`")
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    return manifest


def write_manifest() -> None:
    """Parses the dbt project into dbt_project/target; raises WarehouseError with dbt's words when it does not parse."""
    with tempfile.TemporaryDirectory() as nowhere:
        home = Home.at(nowhere)
        variables = dbt_variables(home, Lake.at(home.lake)) | {"DBT_TARGET_PATH": str(MANIFEST.parent)}
        del variables["DBT_LOG_PATH"]
        done = subprocess.run(
            [str(DBT), "--quiet", "parse", "--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)],
            env=child_environment(variables),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise WarehouseError(f"the dbt project does not parse:\n{done.stdout}{done.stderr}", where=str(PROJECT_DIR))


def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every model by its name."""
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


def models_in_order(manifest: dict[str, Any]) -> list[str]:
    """Names of the models, each after those it reads."""
    nodes = models(manifest)
    names = {node["unique_id"]: name for name, node in nodes.items()}
    parents = {name: {names[p] for p in node["depends_on"]["nodes"] if p in names} for name, node in nodes.items()}
    return list(TopologicalSorter(parents).static_order())


def gold_marts(manifest: dict[str, Any]) -> list[str]:
    """Names of the models that are published as gold (`meta: gold: true`), sorted."""
    return sorted(name for name, node in models(manifest).items() if node["config"]["meta"].get("gold"))


def mart_columns(manifest: dict[str, Any], mart: str) -> dict[str, str]:
    """Column name -> data type of a mart, in the order of its contract."""
    return {name: column["data_type"] for name, column in models(manifest)[mart]["columns"].items()}


def is_by_day(manifest: dict[str, Any], model: str) -> bool:
    """Whether a model is built and published day by day; others are built whole."""
    return bool(models(manifest)[model]["config"]["materialized"] == "incremental")


def code_hash(project: Path = PROJECT_DIR) -> str:
    """12 hex digits over every file that decides what the models hold: other code, other rows, hence a full build."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in project.glob(pattern)):
        digest.update(str(path.relative_to(project)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    try:
        write_manifest()
    except WarehouseError as error:
        sys.exit(str(error))
