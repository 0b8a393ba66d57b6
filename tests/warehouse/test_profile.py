"""How dbt is told to use DuckDB: a build that spills goes on, although every model has a connection of its own."""

import os
from pathlib import Path

import pytest
import yaml
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments import Environment, create
from dbt.config.renderer import ProfileRenderer
from dbt_common.context import set_invocation_context

from retail_assets.resources.warehouse import PROJECT_DIR

MEMORY_MB = 64


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """dbt-duckdb's own environment of the shipped profile, with little memory."""
    monkeypatch.setenv("RETAIL_WAREHOUSE_FILE", str(tmp_path / "retail.duckdb"))
    monkeypatch.setenv("RETAIL_WAREHOUSE_MEMORY", f"{MEMORY_MB}MB")
    set_invocation_context(os.environ)  # where dbt looks for `env_var`
    shipped = yaml.safe_load((PROJECT_DIR / "profiles.yml").read_text())["retail"]["outputs"]["local"]
    rendered = ProfileRenderer({}).render_data(shipped) | {"extensions": []}  # what is read here is in no Delta table
    return create(DuckDBCredentials.from_dict(rendered | {"database": "retail"}))


def test_a_connection_after_one_that_spilled_works(warehouse: Environment, tmp_path: Path) -> None:
    first = warehouse.handle().cursor()
    rows = 2 * MEMORY_MB * 1_000_000 // 16
    first.execute(f"create temp table large as select range as a, hash(range) as b from range({rows}) order by b")
    spilled = first.execute("select sum(size) from duckdb_temporary_files()").fetchone()
    assert spilled[0] > 0 and (tmp_path / "retail.duckdb.tmp").is_dir()
    second = warehouse.handle().cursor()
    assert second.execute("select current_setting('TimeZone'), current_setting('memory_limit')").fetchone()[0] == "UTC"
    assert second.execute("select count(*) from range(10)").fetchone() == (10,)
