"""A feed's `derive` over quarantined rows: possible where each row it makes depends on one row."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.resources import duck
from retail_assets.sources.contract import Feed
from retail_assets.sources.names import FILE, LINE, MARK, PROBLEM, RAW, own
from retail_assets.sources.raw import Layout
from retail_assets.sources.staging import Own, literal, quoted

NTH = own("nth")
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
    """The table `kept`: the kept texts typed as the reader of the file would, each with the number of its row."""
    good = rows.filter(pc.is_null(rows[PROBLEM]))
    texts = [text.rstrip("\r\n") for text in good[RAW].to_pylist()]
    numbers = good.select([FILE, LINE]).append_column(NTH, pa.array(np.arange(1, good.num_rows + 1)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kept")
        place = literal(duck.exact(path))
        if feed.format == "csv":
            delimiter = feed.dialect.delimiter
            texts.insert(0, delimiter.join(quoted(name) for name in layout))
            types = ", all_varchar = true" if feed.text else ""
            source = f"read_csv({place}, header = true, delim = {literal(delimiter)}, quote = '\"'{types})"
        else:
            source = f"read_json({place}, format = 'newline_delimited')"
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        connection.register("kept_numbers", numbers)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE kept AS SELECT n.{Own.FILE}, n.{Own.LINE}, t.* EXCLUDE ({quoted(NTH)}) "
            f"FROM (SELECT *, row_number() OVER () AS {quoted(NTH)} FROM {source}) AS t "
            f"JOIN kept_numbers AS n ON n.{quoted(NTH)} = t.{quoted(NTH)}"
        )
        connection.unregister("kept_numbers")
    if connection.execute("SELECT count(*) FROM kept").fetchall()[0][0] != good.num_rows:
        raise NotRowwise("the kept rows do not read as rows of its files")
