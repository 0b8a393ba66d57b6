"""A feed's `derive` over quarantined rows: possible where each row it makes depends on one row."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.sources.contract import Feed
from retail_assets.sources.csv_lines import parse_records
from retail_assets.sources.json_structure import structure
from retail_assets.sources.lines import text_of
from retail_assets.sources.names import FILE, LINE, MARK, PROBLEM, RAW
from retail_assets.sources.raw import Layout
from retail_assets.sources.staging import Own, literal, numbers_as_text, quoted

NEEDS_ALL = ("group_expressions", "group_sets", "having", "qualify")
NEEDS_ALL_TYPES = ("JOIN", "PIVOT", "TABLE_FUNCTION", "SET_OPERATION_NODE", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER")
NOT_DERIVED = "not_derived: the SQL of the feed makes no row, or several, of this one"


class NotRowwise(Exception):
    """SQL that needs all rows of a file at once, or that fails on the kept ones."""


def derived_again(connection: duckdb.DuckDBPyConnection, feed: Feed, layout: Layout, rows: pa.Table) -> pa.Table:
    """What `feed.derive` makes of each of `rows` (FILE, LINE, RAW, PROBLEM) alone, under their own numbers.

    Rows of which it makes none, or more than one, are told so in PROBLEM. Raises NotRowwise.
    """
    derive = feed.derive or ""
    if needs_all_rows(connection, derive):
        raise NotRowwise("it needs all rows of a file at once")
    connection.register("kept_rows", rows)
    try:
        _create_kept(connection, feed, layout, rows)
        found = [name for name, *_ in connection.execute("DESCRIBE kept").fetchall()]
        inner = ", ".join(f"kept.{quoted(name)} AS {quoted(name)}" for name in found if not name.startswith(MARK))
        nothing = f"CASE WHEN d.{Own.LINE} IS NULL THEN {literal(NOT_DERIVED)} END"
        return connection.execute(
            f"WITH derived AS (SELECT kept.{Own.FILE}, kept.{Own.LINE}, d.* FROM kept, "
            f"LATERAL (WITH rows AS (SELECT {inner}) SELECT * FROM ({_without_end(derive)}\n)) AS d "
            f"QUALIFY count(*) OVER (PARTITION BY kept.{Own.FILE}, kept.{Own.LINE}) = 1) "
            f"SELECT r.{Own.FILE}, r.{Own.LINE}, r.{Own.RAW}, coalesce(r.{Own.PROBLEM}, {nothing}) AS {Own.PROBLEM}, "
            f"d.* EXCLUDE ({Own.FILE}, {Own.LINE}) FROM kept_rows AS r LEFT JOIN derived AS d "
            f"ON d.{Own.FILE} = r.{Own.FILE} AND d.{Own.LINE} = r.{Own.LINE} ORDER BY 1, 2"
        ).to_arrow_table()
    except duckdb.Error as error:
        raise NotRowwise(str(error).splitlines()[0]) from error
    finally:
        connection.unregister("kept_rows")
        connection.execute("DROP TABLE IF EXISTS kept")


def _without_end(sql: str) -> str:
    """`sql` without the semicolon at its end, of which a query within another one has none."""
    ends = [at for at, kind in duckdb.tokenize(sql) if kind == duckdb.token_type.operator and sql[at] == ";"]
    return sql[: ends[0]] if ends else sql


def needs_all_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether a row that `sql` makes of a table may depend on other rows of the table."""
    found = connection.execute("SELECT json_serialize_sql(?, skip_null := true, skip_empty := true)", [sql]).fetchall()
    aggregates = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
    ).fetchall()
    named = {name for (name,) in aggregates}
    return any(_needs_all(node, named) for node in _nodes(json.loads(found[0][0])))


def _needs_all(node: dict[str, Any], aggregates: set[str]) -> bool:
    return (
        node.get("class") in ("WINDOW", "SUBQUERY")
        or node.get("type") in NEEDS_ALL_TYPES
        or node.get("aggregate_handling") == "FORCE_AGGREGATES"
        or any(key in node for key in NEEDS_ALL)
        or (node.get("class") == "FUNCTION" and node.get("function_name") in aggregates)
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a parsed JSON document."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(child)


def _create_kept(connection: duckdb.DuckDBPyConnection, feed: Feed, layout: Layout, rows: pa.Table) -> None:
    """The table `kept`: the kept texts as the reader of the file has them, each with the number of its row."""
    good = rows.filter(pc.is_null(rows[PROBLEM]))
    is_csv = feed.format == "csv"
    connection.register("kept_texts", _columns(good, feed, layout) if is_csv else good.select([FILE, LINE, RAW]))
    try:
        if is_csv:
            connection.execute("CREATE OR REPLACE TEMP TABLE kept AS FROM kept_texts")
            return
        kinds = structure(connection, f"(SELECT {Own.RAW} AS raw FROM kept_texts)")
        fields = f"from_json({numbers_as_text(Own.RAW)}, {literal(kinds)})"
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE kept AS SELECT {Own.FILE}, {Own.LINE}, unnest(fields) "
            f"FROM (SELECT *, {fields} AS fields FROM kept_texts)"
        )
    finally:
        connection.unregister("kept_texts")


def _columns(rows: pa.Table, feed: Feed, layout: Layout) -> pa.Table:
    """The columns of kept CSV lines, all of them text. Raises NotRowwise where one does not read as a row."""
    lines = pa.array([text.rstrip("\r\n") + "\n" for text in rows[RAW].to_pylist()], pa.string())
    parsed = parse_records(*text_of(lines), tuple(layout), feed.dialect)
    if parsed.problems is not None and any(parsed.problems):
        raise NotRowwise("the kept rows do not read as rows of its files")
    numbers = rows.select([FILE, LINE]).take(pa.array(parsed.rows))
    return pa.table([*numbers.columns, *parsed.columns.columns], names=[FILE, LINE, *parsed.columns.column_names])
