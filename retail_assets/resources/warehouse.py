"""How this process starts dbt: the project, the private DuckDB file and the lake, given to dbt as variables."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from retail_assets.resources.duck import EXTENSIONS
from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    from dagster_dbt import DbtCliInvocation, DbtCliResource

PROJECT_DIR = PROJECT_ROOT / "dbt_project"
MANIFEST = PROJECT_DIR / "target" / "manifest.json"
DBT = Path(sys.executable).parent / "dbt"


def dbt_variables(home: Home, lake: Lake) -> dict[str, str]:
    """The environment variables dbt_project/profiles.yml and its macros read, and where dbt keeps its own files."""
    return {
        "RETAIL_WAREHOUSE_FILE": str(home.warehouse),
        "RETAIL_LAKE": lake.url,
        "RETAIL_DUCKDB_EXTENSIONS": str(EXTENSIONS),
        "DBT_TARGET_PATH": str(target_path(home)),
        "DBT_LOG_PATH": str(target_path(home)),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def target_path(home: Home) -> Path:
    """Where dbt compiles to, one folder per home, so that what it parsed last time is there the next time."""
    return home.warehouse.parent / "target"


@contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables of this process for a while: dagster-dbt hands on the whole environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child process: this one's, with `variables`."""
    return dict(os.environ) | dict(variables)


def dbt_resource(home: Home, lake: Lake) -> "DbtCliResource":
    """Dagster's handle on the dbt command line; it opens nothing, and reads home and lake from `dbt_variables`."""
    from dagster_dbt import DbtCliResource

    return DbtCliResource(project_dir=PROJECT_DIR, profiles_dir=PROJECT_DIR, dbt_executable=DBT)


def release_file(invocation: "DbtCliInvocation") -> None:
    """Closes the DuckDB file that dagster-dbt opened to read columns and counts: dbt-duckdb would keep it for ever."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if invocation.adapter is not None:
        invocation.adapter.cleanup_connections()
        DuckDBConnectionManager.close_all_connections()
