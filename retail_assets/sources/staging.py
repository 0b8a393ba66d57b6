"""Raw slices as DuckDB views `raw_<n>`: our columns under names of our own, then the columns of the files.

SQL of a feed may name some of ours too (`_line`), unless a column of the file is called like it.
"""

import json
from collections.abc import Collection, Iterable, Mapping

import duckdb

from retail_assets.sources import names
from retail_assets.sources.contract import Feed
from retail_assets.sources.raw import Layout, Slice, Told


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """`value` as a SQL literal."""
    return str(value) if isinstance(value, (int, float)) else "'" + str(value).replace("'", "''") + "'"


class Own:
    """Our columns as SQL identifiers."""

    POS, FILE, LINE, RAW = quoted(names.POS), quoted(names.FILE), quoted(names.LINE), quoted(names.RAW)
    PROBLEM, KEY = quoted(names.PROBLEM), quoted(names.KEY)
    ALL = f"{FILE}, {LINE}, {RAW}, {PROBLEM}"


MOST_KEYS = 1_000  # of the objects of a slice: ids that were made keys (`{"A17": 3}`) can be millions
HOLDS_NUL = rf"regexp_matches({Own.RAW}, '(^|[^\\])(\\\\)*\\u0000')"


def offered(mine: Collection[str], layout: Layout) -> list[str]:
    """Those names of `mine` that SQL of a feed may use, because no column of the file has them."""
    taken = {name.lower() for name in layout}
    return [name for name in mine if name not in taken]


def with_offered(layout: Layout) -> str:
    """Further columns of a view of raw rows, so that SQL of a feed may name what each row has of ours."""
    ours = {"_line": Own.LINE, "_raw": Own.RAW}
    return "".join(f", {ours[name]} AS {name}" for name in offered(names.OF_ROW, layout))


def stage(
    connection: duckdb.DuckDBPyConnection, piece: Slice, view: str, texts: Collection[str] = frozenset()
) -> Slice:
    """Creates `view` over `piece` and returns the piece with the layout the view has (and per file, for JSON).

    `texts` are the columns of the contract that are text. The rows of `piece` must have a column POS, their number
    within the part.
    """
    connection.register(f"{view}_arrow", piece.rows)
    if not piece.parse_json:
        made = f"coalesce({Own.RAW}, CAST(to_json({_struct(piece.layout)}) AS VARCHAR))"
        raw = Own.RAW if piece.rows[names.RAW].null_count == 0 else made
        columns = "".join(f", {quoted(name)}" for name in piece.layout)
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT *{with_offered(piece.layout)} FROM (SELECT {Own.POS}, "
            f"{Own.FILE}, {Own.LINE}, {raw} AS {Own.RAW}, {Own.PROBLEM}{columns} FROM {view}_arrow)"
        )
        return piece
    return _stage_json(connection, piece, view, texts)


def release(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Drops `view` and lets go of its memory."""
    connection.execute(f"DROP VIEW IF EXISTS {view}; DROP TABLE IF EXISTS {view}_json")
    connection.unregister(f"{view}_arrow")


def _struct(layout: Layout) -> str:
    return "struct_pack(" + ", ".join(f"{quoted(name)} := {quoted(name)}" for name in layout) + ")"


def _stage_json(connection: duckdb.DuckDBPyConnection, piece: Slice, view: str, texts: Collection[str]) -> Slice:
    valid = f"{Own.PROBLEM} IS NULL AND json_valid({Own.RAW})"
    found = connection.execute(
        f"SELECT DISTINCT {Own.FILE}, json_keys(CASE WHEN {valid} THEN {Own.RAW} END) FROM {view}_arrow"
    ).fetchall()
    keys: dict[int, set[str]] = {file: set() for file in piece.read}
    for file, of_row in found:
        keys[file] |= set(of_row or ())
    keys = {file: _few(of_file, piece.feed) for file, of_file in keys.items()}
    by_name = nameable(_few({key for each in keys.values() for key in each}, piece.feed), piece.feed)
    layout: Layout = dict.fromkeys(by_name, "VARCHAR")
    doubtful = _doubtful(piece.feed, [of_row for _, of_row in found if of_row])
    structure = literal(json.dumps(dict.fromkeys(by_name.values(), "VARCHAR") or {"nothing": "VARCHAR"}))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {view}_json AS "
        f"SELECT {Own.POS}, {Own.FILE}, {Own.LINE}, rtrim({Own.RAW}, chr(10) || chr(13)) AS {Own.RAW}, "
        f"CASE WHEN {Own.PROBLEM} IS NOT NULL THEN {Own.PROBLEM} "
        f"WHEN NOT json_valid({Own.RAW}) THEN 'not_json: not valid JSON' "
        f"WHEN json_type({Own.RAW}) <> 'OBJECT' THEN 'not_json: not a JSON object' "
        f"WHEN {HOLDS_NUL} THEN 'not_text: it holds a NUL' "
        f"ELSE coalesce({doubtful}, {_no_codes(piece.feed, by_name, texts)}) END AS {Own.PROBLEM}, "
        f"from_json(CASE WHEN {valid} THEN {numbers_as_text(Own.RAW)} END, {structure}) AS fields FROM {view}_arrow"
    )
    columns = "".join(f", fields.{quoted(key)} AS {quoted(name)}" for name, key in by_name.items())
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT *{with_offered(layout)} FROM "
        f"(SELECT {Own.POS}, {Own.ALL}{columns} FROM {view}_json)"
    )
    layouts: dict[int, Layout] = {
        file: {name: "VARCHAR" for name in sorted(map(names.printed, of_file)) if name}
        for file, of_file in keys.items()
    }
    told: dict[int, Told] = {file: {} for file in piece.read}
    for file, of_row in found:
        told[file] |= {names.printed(key): f"column {key} stands twice" for key in _twice(of_row or [])}
    return Slice(piece.feed, layout, piece.rows, piece.read, layouts, parse_json=True, told=told)


def _few(keys: set[str], feed: Feed) -> set[str]:
    """`keys`, or where they are no names of columns, being so many, those that the feed may read and some others."""
    if len(keys) <= MOST_KEYS:
        return keys
    texts = " ".join(feed.texts).lower()
    known = {name for column in feed.columns for name in feed.names(column)}
    read = {key for key in keys if names.printed(key) in known or (key and key.lower() in texts)}
    return read | set(sorted(keys - read)[:MOST_KEYS])


def nameable(keys: Iterable[str], feed: Feed) -> dict[str, str]:
    """Names of columns and the keys of objects they stand for.

    Of keys that differ only by case, or by what does not print, the one that the feed names has a name.
    """
    named = {name for column in feed.columns for name in feed.names(column)}
    by_name: dict[str, str] = {}
    for key in sorted(set(keys), key=lambda key: (names.printed(key) not in named, key)):
        if name := names.printed(key):
            by_name.setdefault(name.lower(), key)
    return {names.printed(key): key for key in sorted(by_name.values())}


def numbers_as_text(raw: str) -> str:
    """SQL of the JSON `raw` with its numbers as strings of their digits: DuckDB makes 1000.0 of 1e3, 90.75 of 90.750.

    Each string and number is followed by a mark, a number led by one; strings have two in a row, which go.
    """
    token, mark = r'("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)', "chr(1)"
    marked = f"regexp_replace({raw}, {literal(token)}, '\\1' || {mark} || '\\2' || {mark}, 'g')"
    whole = f"regexp_replace({marked}, {mark} || '(-?[0-9]+)[.]0+' || {mark}, {mark} || '\\1' || {mark}, 'g')"
    quoted_numbers = f"replace(replace({whole}, {mark} || {mark}, ''), {mark}, '\"')"
    return f"CASE WHEN regexp_matches({raw}, '[0-9][.eE]|[0-9]{{16}}') THEN {quoted_numbers} ELSE {raw} END"


def _no_codes(feed: Feed, by_name: Mapping[str, str], texts: Collection[str]) -> str:
    """SQL of the reason against an object that has an object, a list or a number like 1e16 for a text, or NULL."""
    reasons = []
    for name in sorted({name for column in texts for name in feed.names(column) if name in by_name}):
        path = literal("$." + json.dumps(by_name[name], ensure_ascii=False))
        value, kind = f"json_extract({Own.RAW}, {path})", f"json_type({Own.RAW}, {path})"
        nested = f"{kind} IN ('OBJECT', 'ARRAY')"
        written = f"json_extract_string({numbers_as_text(Own.RAW)}, {path})"
        lost = f"{kind} = 'DOUBLE' AND regexp_matches({written}, '[eE]')"
        said = literal(f"not_a_code: {name}=")
        reasons.append(
            f"CASE WHEN {nested} THEN {said} || left(CAST({value} AS VARCHAR), 100) || ', which is no text' "
            f"WHEN {lost} THEN {said} || {written} || ', a number that may have lost digits: write it as text' END"
        )
    if not reasons:
        return "NULL"
    odd = f"regexp_matches({Own.RAW}, '[:,]\\s*(-?[0-9][0-9.]*[eE]|[\\[{{])')"
    return f"CASE WHEN {odd} THEN coalesce({', '.join(reasons)}) END"


def _doubtful(feed: Feed, objects: Iterable[list[str]]) -> str:
    """SQL of the reason against an object that has a key of the feed twice, or in two cases; NULL where none has."""
    alike = {key for keys in objects for key in _alike(keys, feed)}
    if not alike:
        return "NULL"
    same = (
        f"list_filter(json_keys({Own.RAW}), a -> a IN ({', '.join(map(literal, sorted(alike)))}) "
        f"AND len(list_filter(json_keys({Own.RAW}), b -> lower(a) = lower(b))) > 1)"
    )
    told = f"CASE WHEN len(list_distinct({same})) < len({same}) THEN ' is there twice' ELSE ' differ only by case' END"
    names_of = f"array_to_string(list_sort(list_distinct({same})), ', ')"
    return f"CASE WHEN len({same}) > 0 THEN 'ambiguous_columns: ' || {names_of} || {told} END"


def _twice(keys: list[str]) -> set[str]:
    """Keys that an object has twice."""
    return {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()


def _alike(keys: list[str], feed: Feed) -> set[str]:
    """Keys of an object that equal another but for case, where the feed reads one of them."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.lower(), []).append(key)
    doubled = [group for group in groups.values() if len(group) > 1]
    return {key for group in doubled if any(feed.reads(names.printed(key)) for key in group) for key in group}


def rebuild(layout: Layout) -> str:
    """The SQL expression that turns a quarantined JSON row back into a struct typed as it was read."""
    return f"from_json({Own.RAW}, {literal(json.dumps(layout))})"
