"""Raw slices as DuckDB views `raw_<n>`: _pos, _file, _line, _raw, _problem and the columns of the files."""

import json
from collections.abc import Iterable

import duckdb
import pyarrow as pa

from retail_assets.sources.contract import Feed
from retail_assets.sources.raw import Layout, Slice


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """`value` as a SQL literal."""
    return str(value) if isinstance(value, (int, float)) else "'" + str(value).replace("'", "''") + "'"


def stage(connection: duckdb.DuckDBPyConnection, piece: Slice, view: str) -> Slice:
    """Creates `view` over `piece` and returns the piece with the layout the view has (and per file, for JSON).

    The rows of `piece` must have a column _pos, their number within the part.
    """
    connection.register(f"{view}_arrow", piece.rows)
    if not piece.parse_json:
        raw = "_raw" if _has_raw(piece.rows) else f"coalesce(_raw, CAST(to_json({_struct(piece.layout)}) AS VARCHAR))"
        columns = "".join(f", {quoted(name)}" for name in piece.layout)
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {view} AS "
            f"SELECT _pos, _file, _line, {raw} AS _raw, _problem{columns} FROM {view}_arrow"
        )
        return piece
    return _stage_json(connection, piece, view)


def release(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Drops `view` and lets go of its memory."""
    connection.execute(f"DROP VIEW IF EXISTS {view}; DROP TABLE IF EXISTS {view}_json")
    connection.unregister(f"{view}_arrow")


def _has_raw(rows: pa.Table) -> bool:
    return rows["_raw"].null_count == 0


def _struct(layout: Layout) -> str:
    return "struct_pack(" + ", ".join(f"{quoted(name)} := {quoted(name)}" for name in layout) + ")"


def _stage_json(connection: duckdb.DuckDBPyConnection, piece: Slice, view: str) -> Slice:
    valid = "_problem IS NULL AND json_valid(_raw)"
    found = connection.execute(
        f"SELECT DISTINCT _file, json_keys(CASE WHEN {valid} THEN _raw END) FROM {view}_arrow"
    ).fetchall()
    layouts: dict[int, Layout] = {file: {} for file in piece.read}
    for file, keys in found:
        layouts[file] |= dict.fromkeys(sorted(keys or ()), "VARCHAR")
    names = [name for each in layouts.values() for name in each]
    layout: Layout = dict.fromkeys(_nameable(names, piece.feed), "VARCHAR")
    doubtful = _doubtful_keys() if len({name.lower() for name in names}) < len(set(names)) else "NULL"
    structure = literal(json.dumps(layout or {"_nothing": "VARCHAR"}))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {view}_json AS "
        "SELECT _pos, _file, _line, rtrim(_raw, chr(10) || chr(13)) AS _raw, "
        "CASE WHEN _problem IS NOT NULL THEN _problem "
        "WHEN NOT json_valid(_raw) THEN 'not_json: not valid JSON' "
        f"WHEN json_type(_raw) <> 'OBJECT' THEN 'not_json: not a JSON object' ELSE {doubtful} END AS _problem, "
        f"from_json(CASE WHEN {valid} THEN _raw END, {structure}) AS fields FROM {view}_arrow"
    )
    columns = "".join(f", fields.{quoted(name)} AS {quoted(name)}" for name in layout)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT _pos, _file, _line, _raw, _problem{columns} FROM {view}_json"
    )
    return Slice(piece.feed, layout, piece.rows, piece.read, layouts, parse_json=True)


def _nameable(keys: Iterable[str], feed: Feed) -> list[str]:
    """Of keys that differ only in case the one the feed names; none that does not print: they stay unknown keys."""
    named = {name for column in feed.columns for name in feed.names(column)}
    by_name: dict[str, str] = {}
    for key in sorted(set(keys), key=lambda key: (key not in named, key)):
        if key and key.isprintable():
            by_name.setdefault(key.lower(), key)
    return [key for key in dict.fromkeys(keys) if by_name.get(key.lower()) == key]


def _doubtful_keys() -> str:
    """SQL of the reason against an object that has two keys which differ only by case, or NULL."""
    same = "list_filter(json_keys(_raw), a -> len(list_filter(json_keys(_raw), b -> lower(a) = lower(b))) > 1)"
    return (
        f"CASE WHEN len({same}) > 0 THEN 'ambiguous_columns: ' || array_to_string({same}, ', ') "
        "|| ' differ only by case' END"
    )


def rebuild(layout: Layout) -> str:
    """The SQL expression that turns a quarantined JSON row `_raw` back into a struct typed as it was read."""
    return f"from_json(_raw, {literal(json.dumps(layout))})"
