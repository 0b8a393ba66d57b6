"""SQL for single values: what a file gives to the types of a contract, wall clock to UTC and back.

A value is taken as it is written or not at all: nothing is rounded into a count, no two-digit year becomes a century,
no offset of a time is dropped or invented, and a number that has lost its digits is no identifier.
"""

from retail_assets.core.number_codes import WHOLE_UNTIL, code_of
from retail_assets.sources.contract import Dialect
from retail_assets.sources.staging import literal, quoted

SQL_TYPES = {
    "text": "VARCHAR",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
COUNTS, ZONED, CLOCKS = ("integer", "bigint"), "TIMESTAMP WITH TIME ZONE", ("DATE", "TIMESTAMP")
WHOLE = r"[-+]?[0-9]+"
WHITE = r"\s*"
DAY = r"\s*[0-9]{4}(-[0-9]{1,2}-|/[0-9]{1,2}/)[0-9]{1,2}"
TIME = r"[T ]([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?"
NO_OFFSET = r"Z|z|UTC|GMT|[-+]00(:?00){0,2}"
# A name of a place has one offset at a time; an abbreviation (CST, IST, BST) is of several.
OFFSET = rf" ?({NO_OFFSET}|[-+](0[0-9]|1[0-4])(:?[0-5][0-9])?(:?[0-5][0-9])?|[A-Z][A-Za-z]+/[A-Za-z_/+-]+)"
KNOWN = {"DATE": "DATE '0001-01-01' AND DATE '9999-12-31'"}
KNOWN["TIMESTAMP"] = "TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
"""What Python and Arrow can hold too: `infinity` and the year 12024 are no dates of a retailer."""


def sql_type(type_name: str) -> str:
    """The DuckDB type of a contract type."""
    return SQL_TYPES.get(type_name, type_name.upper())


def from_text(value: str, type_name: str, dialect: Dialect, timestamps: str) -> str:
    """The typed value of the text `value`, or NULL where it is none of `type_name`."""
    kind = sql_type(type_name)
    if type_name in COUNTS:
        return f"CASE WHEN regexp_full_match({value}, {literal(WHOLE)}) THEN TRY_CAST({value} AS {kind}) END"
    if type_name.startswith("decimal") or type_name == "double":
        return _number(value, type_name, dialect)
    if type_name == "date" and dialect.date is not None:
        return _within(f"CAST(TRY_STRPTIME({value}, {literal(dialect.date)}) AS DATE)", kind)
    if type_name == "date":
        return _within(f"CASE WHEN {_is(value, f'{DAY}({TIME})?')} THEN TRY_CAST({value} AS DATE) END", kind)
    if type_name == "timestamp" and dialect.timestamp is not None:
        if "%z" in dialect.timestamp:  # strptime's %z is Z, too
            value = f"regexp_replace({value}, '[Zz]$', '+00:00')"
        return _within(f"CAST(TRY_STRPTIME({value}, {literal(dialect.timestamp)}) AS TIMESTAMP)", kind)
    if type_name == "timestamp":
        return _within(_instant(value, timestamps), kind)
    return f"TRY_CAST({value} AS {kind})"


def from_typed(value: str, kind: str, type_name: str, timestamps: str) -> str:
    """The value of a column that has the DuckDB type `kind` in the file, or NULL where it is none of `type_name`."""
    target = sql_type(type_name)
    if type_name == "text":
        return _text(value, kind)
    if kind == "BOOLEAN" and type_name != "boolean":
        return "NULL"
    if type_name in COUNTS and (kind in WHOLE_UNTIL or kind.startswith("DECIMAL")):
        return f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS {target}) END"
    contradicted = "local" if kind == ZONED else "offset"  # by a column of instants, or of wall clocks
    if type_name == "timestamp" and kind.startswith(CLOCKS) and timestamps == contradicted:
        return "NULL"
    if type_name == "double":
        return f"CASE WHEN isfinite(TRY_CAST({value} AS DOUBLE)) THEN TRY_CAST({value} AS DOUBLE) END"
    return _within(f"TRY_CAST({value} AS {target})", target)


def from_expression(value: str, type_name: str, dialect: Dialect, timestamps: str) -> str:
    """The value of an SQL expression, whose type is known only where it is computed."""
    kind = f"typeof({value})"
    if type_name == "text":
        floats = "".join(f"WHEN {kind} = '{name}' THEN {code_of(value, name)} " for name in WHOLE_UNTIL)
        no_text = f"regexp_matches({kind}, '^(STRUCT|MAP|BLOB)|\\]$')"
        return f"CASE {floats}WHEN {no_text} THEN NULL ELSE nullif(CAST({value} AS VARCHAR), '') END"
    text = from_text(f"CAST({value} AS VARCHAR)", type_name, dialect, timestamps)
    typed = from_typed(value, "", type_name, timestamps)
    if type_name in COUNTS:
        number = f"TRY_CAST({value} AS DOUBLE)"
        typed = f"CASE WHEN {number} = trunc({number}) THEN {typed} END"
    refused = [f"{kind} = 'BOOLEAN'"] if type_name != "boolean" else []
    if type_name == "timestamp" and timestamps == "local":
        refused.append(f"{kind} = '{ZONED}'")
    if type_name == "timestamp" and timestamps == "offset":
        refused.append(f"{kind} <> '{ZONED}' AND regexp_matches({kind}, '^(DATE|TIMESTAMP)')")
    return (
        f"CASE WHEN {kind} = 'VARCHAR' THEN {text} WHEN {' OR '.join(refused or ['false'])} THEN NULL ELSE {typed} END"
    )


def is_surely_text(kind: str) -> bool:
    """Whether every value of the DuckDB type `kind` can be taken over as text."""
    return not (kind in WHOLE_UNTIL or kind == "BLOB" or kind.endswith("]") or kind.startswith(("STRUCT", "MAP")))


def disagreement(raw: str, timestamps: str) -> str:
    """What a reason adds about the text `raw` of a time whose offset is not what the feed says, or ''."""
    with_offset = _is(raw, f"{DAY}{TIME}{OFFSET}")
    wrong = {
        "local": with_offset,
        "utc": f"{with_offset} AND NOT {_is(raw, f'{DAY}{TIME} ?({NO_OFFSET})')}",
        "offset": _is(raw, f"{DAY}({TIME})?"),
    }[timestamps]
    said = f" has {'no' if timestamps == 'offset' else 'an'} offset, and the feed says timestamps: {timestamps}"
    return f"CASE WHEN {wrong} THEN {literal(said)} ELSE '' END"


def _text(value: str, kind: str) -> str:
    if kind in WHOLE_UNTIL:
        return code_of(value, kind)
    if kind == "BLOB":
        decoded = f"TRY(decode({value}))"
        return f"CASE WHEN NOT contains({decoded}, chr(0)) THEN nullif({decoded}, '') END"
    return f"nullif(CAST({value} AS VARCHAR), '')" if is_surely_text(kind) else "NULL"


def _number(value: str, type_name: str, dialect: Dialect) -> str:
    plain = f"NOT contains({value}, '_')"  # DuckDB reads 1_5 as 15
    if dialect.decimal == ",":
        value, plain = f"replace({value}, ',', '.')", f"{plain} AND NOT contains({value}, '.')"
    typed = f"TRY_CAST({value} AS {sql_type(type_name)})"
    if type_name == "double":
        plain += f" AND isfinite({typed})"
    return f"CASE WHEN {plain} THEN {typed} END"


def _instant(value: str, timestamps: str) -> str:
    if timestamps == "offset":
        # a small z, and UTC or GMT without a blank before them, are unknown to DuckDB
        spelled = f"regexp_replace({value}, ' ?(z|UTC|GMT)\\s*$', 'Z')"
        zoned = f"CAST(TRY_CAST({spelled} AS TIMESTAMPTZ) AS TIMESTAMP)"
        return f"CASE WHEN {_is(value, f'{DAY}{TIME}{OFFSET}')} THEN {zoned} END"
    plain = f"WHEN {_is(value, f'{DAY}({TIME})?')} THEN TRY_CAST({value} AS TIMESTAMP)"
    if timestamps == "local":
        return f"CASE {plain} END"
    without = f"TRY_CAST(regexp_replace({value}, ' ?({NO_OFFSET})\\s*$', '') AS TIMESTAMP)"
    return f"CASE {plain} WHEN {_is(value, f'{DAY}{TIME} ?({NO_OFFSET})')} THEN {without} END"


def _is(value: str, pattern: str) -> str:
    """Whether the whole of `value` is written like that: DuckDB's casts read 30-01-23, `epoch` and `2024-03-01 BC`."""
    return f"regexp_full_match({value}, {literal(pattern + WHITE)})"


def _within(typed: str, kind: str) -> str:
    return f"CASE WHEN ({typed}) BETWEEN {KNOWN[kind]} THEN {typed} END" if kind in KNOWN else typed


def to_utc(name: str, zone: str) -> str:
    """The instant of the wall clock time `name` in `zone`, as a plain UTC timestamp.

    A time that comes twice, when clocks go back, is the first of the two. One that never comes, when they go forward,
    is as long after the change as the clock says. In both the offset before the change holds, as in `java.time` and
    for Python's `fold=0`.
    """
    # Almost every day has one offset; beyond the days that are known the time zone database is asked per row.
    before, after = _candidates(name)
    day, unknown = f"_day_{name}", f"CAST(timezone({zone}, typed.{quoted(name)}) AS TIMESTAMP)"
    return (
        f"CASE WHEN {day}.steady THEN {before} WHEN {day}.changes_at IS NULL THEN {unknown} "
        f"WHEN {before} < {day}.changes_at OR {after} < {day}.changes_at THEN {before} ELSE {after} END"
    )


def clock_change(name: str) -> str:
    """`skipped` or `twice` where the wall clock time `name` does not exist or exists twice, else NULL."""
    before, after = _candidates(name)
    changes = f"_day_{name}.changes_at"
    return (
        f"CASE WHEN {changes} IS NULL THEN NULL WHEN {before} >= {changes} AND {after} < {changes} THEN 'skipped' "
        f"WHEN {before} < {changes} AND {after} >= {changes} THEN 'twice' END"
    )


def _candidates(name: str) -> tuple[str, str]:
    return f"(typed.{quoted(name)} - _day_{name}.ahead)", f"(typed.{quoted(name)} - _day_{name}.after)"


def to_local(name: str, zone: str) -> str:
    """The wall clock time in `zone` of the UTC timestamp `name`."""
    slow = f"timezone({zone}, CAST(typed.{quoted(name)} AS TIMESTAMPTZ))"
    return f"CASE WHEN _day_{name}.steady THEN typed.{quoted(name)} + _day_{name}.ahead ELSE {slow} END"
