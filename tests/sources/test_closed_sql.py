"""SQL of mappings and contracts: it sees its rows and nothing else of the machine, and comes to an end."""

import shutil
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from retail_assets.core.errors import RetailError
from retail_assets.resources import duck
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.closed import TookTooLong, closed_lake, closed_memory, in_time, reads_outside
from retail_assets.sources.config import load_contracts, load_mapping
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.load import import_retailer
from retail_assets.sources.report import LoadReport
from tests.cases.test_cases import HERE as CASES

WAYS_OUT = {
    "read_text('/etc/passwd')": "the function read_text",
    "read_csv('/etc/passwd')": "the function read_csv",
    "read_blob('/etc/passwd')": "the function read_blob",
    "read_json('https://example.org/a.json')": "the function read_json",
    "read_parquet('../../other/lake/bronze/stores/*.parquet')": "the function read_parquet",
    "parquet_metadata('a.parquet')": "the function parquet_metadata",
    "delta_scan('file:///other/lake/bronze/stores')": "the function delta_scan",
    "glob('/home/*')": "the function glob",
    "query('SELECT 1')": "the function query",
    "query_table('files')": "the function query_table",
    "duckdb_secrets()": "the function duckdb_secrets",
    "duckdb_settings()": "the function duckdb_settings",
    "sniff_csv('/etc/passwd')": "the function sniff_csv",
    "'/etc/passwd'": "the file '/etc/passwd'",
    "'https://example.org/a.csv'": "the file 'https://example.org/a.csv'",
    "'a.parquet'": "the file 'a.parquet'",
    '"../x.csv"': "the file '../x.csv'",
    "information_schema.tables": "the table information_schema.tables",
    "other.main.t": "the table ",
}


@pytest.mark.parametrize(("source", "what"), WAYS_OUT.items())
@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM {}", "FROM {}", "SELECT (SELECT count(*) FROM {}) AS n", "WITH c AS (FROM {}) FROM rows, c",
     "SELECT 1 WHERE EXISTS (FROM {})", "FROM rows JOIN {} ON true", "FROM rows UNION ALL FROM {}"],
)  # fmt: skip
def test_what_reads_outside_is_seen_wherever_it_stands(source: str, what: str, sql: str) -> None:
    assert (reads_outside(sql.format(source)) or "").startswith(what)


@pytest.mark.parametrize(
    "sql",
    ["FROM rows", "SELECT unnest([1, 2])", "SELECT * FROM rows, unnest(items) AS t(i)", "SELECT * FROM range(3)",
     "WITH c AS (FROM rows) SELECT * FROM c JOIN shelves USING (item)", "SELECT 'FROM read_text(''/etc/passwd'')'",
     "PIVOT rows ON item USING sum(qty)"],
)  # fmt: skip
def test_sql_over_what_it_is_given_is_free(sql: str) -> None:
    assert reads_outside(sql) is None


def written(folder: Path, old: str, new: str) -> Path:
    """The mapping of the cases' shop in which `old` is `new`."""
    text = (CASES / "shop" / "m.yaml").read_text()
    assert old in text
    (folder / "m.yaml").write_text(text.replace(old, new))
    return folder / "m.yaml"


@pytest.mark.parametrize("sql", [
    "(SELECT length(content) FROM read_text('/etc/passwd'))",
    "(FROM '/etc/passwd')",
    "CASE WHEN EXISTS (FROM glob('/home/*')) THEN 1 END",
])  # fmt: skip
def test_an_expression_that_reads_outside_is_refused_by_its_line(sql: str, tmp_path: Path) -> None:
    with pytest.raises(SourceConfigError, match="a value is computed from its own row") as refused:
        load_mapping(written(tmp_path, "quantity: qty", f'quantity: {{sql: "{sql}"}}'), load_contracts())
    assert str(refused.value.where).startswith(f"{tmp_path}/m.yaml:")


@pytest.mark.parametrize("sql", [
    "1) FROM read_text('/etc/passwd') WHERE (1=1",
    "1); COPY (SELECT 1) TO '/tmp/out.csv'; SELECT (1",
    "1; ATTACH '/tmp/x.db'",
])  # fmt: skip
def test_an_expression_cannot_be_more_than_one(sql: str, tmp_path: Path) -> None:
    file = written(tmp_path, "quantity: qty", f'quantity: {{sql: "{sql}"}}')
    with pytest.raises(SourceConfigError):
        load_mapping(file, load_contracts())


@pytest.mark.parametrize("sql", [
    "COPY rows TO '/tmp/out.csv'", "ATTACH '/tmp/x.db'", "INSTALL httpfs", "LOAD httpfs", "PRAGMA version",
    "SET threads = 1", "FROM rows; COPY rows TO '/tmp/out.csv'", "CREATE TABLE t AS FROM rows", "CALL pragma_version()",
    "EXPORT DATABASE '/tmp/x'", "SELECT * FROM read_csv('/etc/passwd')", "FROM rows, '/etc/passwd'",
])  # fmt: skip
def test_a_derive_that_is_more_than_a_select_over_its_files_is_refused(sql: str, tmp_path: Path) -> None:
    file = written(tmp_path, "files: items.csv", f'files: items.csv\n    derive: "{sql}"')
    with pytest.raises(SourceConfigError):
        load_mapping(file, load_contracts())


STATEMENTS = (
    "FROM read_text('/etc/passwd')", "FROM '/etc/passwd'", "COPY (SELECT 1) TO '{}/out.csv'", "ATTACH '{}/x.db'",
    "INSTALL httpfs", "SET memory_limit = '1GB'", "SET enable_external_access = true", "FROM glob('{}/*')",
    "FROM read_csv('https://example.org/a.csv')", "EXPORT DATABASE '{}/x'", "FROM mine",
)  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_closed_connection_opens_nothing_else(statement: str, tmp_path: Path) -> None:
    mine = duckdb.sql("SELECT 1")  # what DuckDB would find among the variables of Python
    (tmp_path / "beside").write_text("x")
    with closed_memory([tmp_path / "own"]) as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.format(tmp_path)).fetchall()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside"]
    assert mine is not None


@pytest.mark.parametrize("folder", ["plain", "with a space", "5% off", "semi;colon", "it's"])
def test_a_closed_lake_is_read_and_its_neighbour_is_not(folder: str, tmp_path: Path) -> None:
    lake, other = Lake.at(tmp_path / folder / "lake"), Lake.at(tmp_path / folder / "lake2")
    for one in (lake, other):
        one.append("bronze", "t", pa.table({"a": [1, 2]}))
    with closed_lake(lake) as connection:
        assert connection.execute(f"SELECT sum(a) FROM {lake.scan('bronze', 't')}").fetchall() == [(3,)]
        lake.append("bronze", "t", pa.table({"a": [3]}))
        assert connection.cursor().execute(f"SELECT sum(a) FROM {lake.scan('bronze', 't')}").fetchall() == [(6,)]
        with pytest.raises(duckdb.Error):
            connection.execute(f"SELECT sum(a) FROM {other.scan('bronze', 't')}").fetchall()


def test_sql_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(duck.SQL_SECONDS, "0.3")
    endless = "SELECT count(*) FROM range(1000000000000) AS t(i) WHERE hash(i) = 1"
    with (
        closed_memory() as connection,
        pytest.raises(TookTooLong, match="the SQL took longer than 0.3 s") as stopped,
        in_time(connection, "the SQL", "a.csv"),
    ):
        time.sleep(0.6)  # between two statements there is nothing to interrupt: the next one is
        connection.execute(endless).fetchall()
    assert (stopped.value.where, duck.SQL_SECONDS in str(stopped.value.todo)) == ("a.csv", True)


def test_a_connection_is_as_good_as_before_once_it_was_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(duck.SQL_SECONDS, "30")
    with closed_memory() as connection:
        with in_time(connection, "the SQL", "a.csv"):
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        assert connection.execute("SELECT 2").fetchall() == [(2,)]


@pytest.mark.parametrize("said", ["", "soon", "0", "-1", "nan", "inf", "1e300"])
def test_a_limit_that_is_none_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(duck.SQL_SECONDS, said)
    with pytest.raises(RetailError, match="is no number of seconds"):
        duck.sql_seconds()


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(duck.MEMORY, "50MB")
    with closed_memory() as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute("SELECT list(i) FROM range(100000000) AS t(i)").fetchall()


ENDLESS = "(SELECT count(*) FROM range(1000000000000) AS t(i) WHERE hash(i) = hash({}))"


def brought(root: Path, old: str, new: str) -> LoadReport:
    """The import of the cases' shop by a mapping in which `old` is `new`."""
    folder = root / "in"
    shutil.copytree(CASES / "shop", folder)
    home = Home.at(root / "home")
    return import_retailer(Lake.at(home.lake), home, written(folder, old, new), folder)


def test_a_derive_that_does_not_end_costs_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(duck.SQL_SECONDS, "1")
    derive = f"SELECT *, {ENDLESS.format('item')} AS n FROM rows"
    report = brought(tmp_path, "files: items.csv", f"files: items.csv\n    derive: {derive}")
    found = {source.source: source for source in report.sources}
    assert found["products"].quarantined_by_reason == {"unreadable": 1}
    assert (found["stores"].rows_bronze, found["pos_lines"].rows_read) == (1, 3)
    reasons = Lake.at(tmp_path / "home" / "lake").read("quarantine", "products")["reasons"].to_pylist()
    assert reasons == [["unreadable: the SQL of feed 'items' took longer than 1 s"]]


def test_an_expression_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(duck.SQL_SECONDS, "1")
    with pytest.raises(RetailError, match="the SQL of feed 'till' took longer than 1 s") as stopped:
        brought(tmp_path, "quantity: qty", f'quantity: {{sql: "{ENDLESS.format("qty")}"}}')
    assert stopped.value.where == "sales/a.csv"
