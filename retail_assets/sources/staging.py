"""Raw slices as DuckDB views `raw_<n>`: _pos, _file, _line, _raw, _problem and the columns of the files."""

import json
from collections.abc import Collection, Iterable

import duckdb
import pyarrow as pa

from retail_assets.sources.contract import Feed
from retail_assets.sources.raw import Layout, Slice

HOLDS_NUL = r"regexp_matches(_raw, '(^|[^\\])(\\\\)*\\u0000')"


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """`value` as a SQL literal."""
    return str(value) if isinstance(value, (int, float)) else "'" + str(value).replace("'", "''") + "'"


def stage(
    connection: duckdb.DuckDBPyConnection, piece: Slice, view: str, texts: Collection[str] = frozenset()
) -> Slice:
    """Creates `view` over `piece` and returns the piece with the layout the view has (and per file, for JSON).

    `texts` are the columns of the contract that are text. The rows of `piece` must have a column _pos, their number
    within the part.
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
    return _stage_json(connection, piece, view, texts)


def release(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Drops `view` and lets go of its memory."""
    connection.execute(f"DROP VIEW IF EXISTS {view}; DROP TABLE IF EXISTS {view}_json")
    connection.unregister(f"{view}_arrow")


def _has_raw(rows: pa.Table) -> bool:
    return rows["_raw"].null_count == 0


def _struct(layout: Layout) -> str:
    return "struct_pack(" + ", ".join(f"{quoted(name)} := {quoted(name)}" for name in layout) + ")"


def _stage_json(connection: duckdb.DuckDBPyConnection, piece: Slice, view: str, texts: Collection[str]) -> Slice:
    valid = "_problem IS NULL AND json_valid(_raw)"
    found = connection.execute(
        f"SELECT DISTINCT _file, json_keys(CASE WHEN {valid} THEN _raw END) FROM {view}_arrow"
    ).fetchall()
    layouts: dict[int, Layout] = {file: {} for file in piece.read}
    for file, keys in found:
        layouts[file] |= dict.fromkeys(sorted(keys or ()), "VARCHAR")
    names = [name for each in layouts.values() for name in each]
    layout: Layout = dict.fromkeys(_nameable(names, piece.feed), "VARCHAR")
    twice = any(len({key.lower() for key in keys}) < len(keys) for _, keys in found if keys)
    doubtful = _doubtful_keys() if twice else "NULL"
    structure = literal(json.dumps(layout or {"_nothing": "VARCHAR"}))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {view}_json AS "
        "SELECT _pos, _file, _line, rtrim(_raw, chr(10) || chr(13)) AS _raw, "
        "CASE WHEN _problem IS NOT NULL THEN _problem "
        "WHEN NOT json_valid(_raw) THEN 'not_json: not valid JSON' "
        f"WHEN json_type(_raw) <> 'OBJECT' THEN 'not_json: not a JSON object' "
        f"WHEN {HOLDS_NUL} THEN 'not_text: it holds a NUL' "
        f"ELSE coalesce({doubtful}, {_no_codes(piece.feed, layout, texts)}) END AS _problem, "
        f"from_json(CASE WHEN {valid} THEN {_numbers_as_text('_raw')} END, {structure}) AS fields FROM {view}_arrow"
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


def _numbers_as_text(raw: str) -> str:
    """SQL of the JSON `raw` with its numbers as strings of their digits: DuckDB makes 1000.0 of 1e3, 90.75 of 90.750.

    Each string and number is followed by a mark, a number led by one; strings have two in a row, which go.
    """
    token, mark = r'("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)', "chr(1)"
    marked = f"regexp_replace({raw}, {literal(token)}, '\\1' || {mark} || '\\2' || {mark}, 'g')"
    whole = f"regexp_replace({marked}, {mark} || '(-?[0-9]+)[.]0+' || {mark}, {mark} || '\\1' || {mark}, 'g')"
    quoted_numbers = f"replace(replace({whole}, {mark} || {mark}, ''), {mark}, '\"')"
    return f"CASE WHEN regexp_matches({raw}, '[0-9][.eE]|[0-9]{{16}}') THEN {quoted_numbers} ELSE {raw} END"


def _no_codes(feed: Feed, layout: Layout, texts: Collection[str]) -> str:
    """SQL of the reason against an object that has an object, a list or a number like 1e16 for a text, or NULL."""
    names = {name for column in texts for name in feed.names(column) if name in layout}
    reasons = []
    for name in sorted(names):
        path = literal("$." + json.dumps(name, ensure_ascii=False))
        value, kind = f"json_extract(_raw, {path})", f"json_type(_raw, {path})"
        nested = f"{kind} IN ('OBJECT', 'ARRAY')"
        written = f"json_extract_string({_numbers_as_text('_raw')}, {path})"
        lost = f"{kind} = 'DOUBLE' AND regexp_matches({written}, '[eE]')"
        said = literal(f"not_a_code: {name}=")
        reasons.append(
            f"CASE WHEN {nested} THEN {said} || left(CAST({value} AS VARCHAR), 100) || ', which is no text' "
            f"WHEN {lost} THEN {said} || {written} || ', a number that may have lost digits: write it as text' END"
        )
    if not reasons:
        return "NULL"
    odd = "regexp_matches(_raw, '[:,]\\s*(-?[0-9][0-9.]*[eE]|[\\[{{])')".replace("{{", "{")
    return f"CASE WHEN {odd} THEN coalesce({', '.join(reasons)}) END"


def _doubtful_keys() -> str:
    """SQL of the reason against an object that has two keys which are equal or differ only by case, or NULL."""
    same = "list_filter(json_keys(_raw), a -> len(list_filter(json_keys(_raw), b -> lower(a) = lower(b))) > 1)"
    return (
        f"CASE WHEN len({same}) > 0 THEN 'ambiguous_columns: ' || array_to_string({same}, ', ') "
        "|| CASE WHEN len(list_distinct(json_keys(_raw))) < len(json_keys(_raw)) THEN ' stand twice' "
        "ELSE ' differ only by case' END END"
    )


def rebuild(layout: Layout) -> str:
    """The SQL expression that turns a quarantined JSON row `_raw` back into a struct typed as it was read."""
    return f"from_json(_raw, {literal(json.dumps(layout))})"
