"""SQL for single values: what a file gives to the types of a contract, wall clock to UTC and back.

A value is taken as it is written or not at all: nothing is rounded into a count, no two-digit year becomes a century,
no offset of a time is dropped or invented, and a number that has lost its digits is no identifier.
"""

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
COUNTS, FLOATS, ZONED = ("integer", "bigint"), ("DOUBLE", "FLOAT"), "TIMESTAMP WITH TIME ZONE"
WHOLE = r"[-+]?[0-9]+"
ZERO_OFFSET = r"[^A-Za-z+-]*([Zz]|UTC|GMT|[-+]00(:?00)?)"
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
        return _within(f"CASE WHEN {_begins_with_a_year(value)} THEN TRY_CAST({value} AS DATE) END", kind)
    if type_name == "timestamp" and dialect.timestamp is not None:
        return _within(f"CAST(TRY_STRPTIME({value}, {literal(dialect.timestamp)}) AS TIMESTAMP)", kind)
    if type_name == "timestamp":
        return _within(_instant(value, timestamps), kind)
    return f"TRY_CAST({value} AS {kind})"


def from_typed(value: str, kind: str, type_name: str, timestamps: str) -> str:
    """The value of a column that has the DuckDB type `kind` in the file, or NULL where it is none of `type_name`."""
    target = sql_type(type_name)
    if type_name == "text":
        return _code(value) if kind in FLOATS else f"nullif(CAST({value} AS VARCHAR), '')"
    if type_name in COUNTS and (kind in FLOATS or kind.startswith("DECIMAL")):
        return f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS {target}) END"
    contradicted = "local" if kind == ZONED else "offset"  # by a column of instants, or of wall clocks
    if type_name == "timestamp" and kind.startswith("TIMESTAMP") and timestamps == contradicted:
        return "NULL"
    if type_name == "double":
        return f"CASE WHEN isfinite(TRY_CAST({value} AS DOUBLE)) THEN TRY_CAST({value} AS DOUBLE) END"
    return _within(f"TRY_CAST({value} AS {target})", target)


def from_expression(value: str, type_name: str, dialect: Dialect, timestamps: str) -> str:
    """The value of an SQL expression, whose type is known only where it is computed."""
    if type_name == "text":
        return f"CASE WHEN typeof({value}) IN ('DOUBLE', 'FLOAT') THEN {_code(value)} ELSE {_text(value)} END"
    text = from_text(f"CAST({value} AS VARCHAR)", type_name, dialect, timestamps)
    typed = from_typed(value, "", type_name, timestamps)
    if type_name in COUNTS:
        number = f"TRY_CAST({value} AS DOUBLE)"
        typed = f"CASE WHEN {number} = trunc({number}) THEN {typed} END"
    return f"CASE WHEN typeof({value}) = 'VARCHAR' THEN {text} ELSE {typed} END"


def disagreement(raw: str, timestamps: str) -> str:
    """What a reason adds about the text `raw` of a time whose offset is not what the feed says, or ''."""
    wrong = _has_offset(raw) if timestamps == "local" else f"{_has_offset(raw)} AND NOT {_is_zero_offset(raw)}"
    if timestamps == "offset":
        wrong = f"NOT {_has_offset(raw)}"
    said = f" has {'no' if timestamps == 'offset' else 'an'} offset, and the feed says timestamps: {timestamps}"
    return f"CASE WHEN {_begins_with_a_year(raw)} AND {wrong} THEN {literal(said)} ELSE '' END"


def _text(value: str) -> str:
    return f"nullif(CAST({value} AS VARCHAR), '')"


def _code(value: str) -> str:
    """A code that a writer has made a number: its digits, where it still has all of them (536365.0 is 536365)."""
    number, shown = f"TRY_CAST({value} AS DOUBLE)", f"CAST({value} AS VARCHAR)"
    plain = f"abs({number}) < 9007199254740992 AND {number} = trunc({number})"
    whole = f"CAST(TRY_CAST({number} AS BIGINT) AS VARCHAR)"
    return f"CASE WHEN {plain} THEN {whole} WHEN isfinite({number}) AND NOT contains({shown}, 'e') THEN {shown} END"


def _number(value: str, type_name: str, dialect: Dialect) -> str:
    plain = f"NOT contains({value}, '_')"  # DuckDB reads 1_5 as 15
    if dialect.decimal == ",":
        value, plain = f"replace({value}, ',', '.')", f"{plain} AND NOT contains({value}, '.')"
    typed = f"TRY_CAST({value} AS {sql_type(type_name)})"
    if type_name == "double":
        plain += f" AND isfinite({typed})"
    return f"CASE WHEN {plain} THEN {typed} END"


def _instant(value: str, timestamps: str) -> str:
    year = _begins_with_a_year(value)
    if timestamps == "offset":
        zoned = f"CAST(TRY_CAST({value} AS TIMESTAMPTZ) AS TIMESTAMP)"
        return f"CASE WHEN {year} AND {_has_offset(value)} THEN {zoned} END"
    agrees = f"NOT {_has_offset(value)}"
    if timestamps == "utc":
        agrees = f"({agrees} OR {_is_zero_offset(value)})"
    return f"CASE WHEN {year} AND {agrees} THEN TRY_CAST({value} AS TIMESTAMP) END"


def _begins_with_a_year(value: str) -> str:
    """Four digits and a separator: DuckDB reads 30-01-23 as a day of the year 30, and knows words (`epoch`)."""
    return f"substring({value}, 5, 1) IN ('-', '/')"


def _has_offset(value: str) -> str:
    """Whether a time of day is followed by one: Z, +05:30, -0500, a name."""
    ends = f"right({value}, 1) NOT BETWEEN '0' AND '9'"
    return f"({ends} OR contains({value}, '+') OR contains(substring({value}, 12), '-'))"


def _is_zero_offset(value: str) -> str:
    return f"regexp_full_match(substring({value}, 12), {literal(ZERO_OFFSET)})"


def _within(typed: str, kind: str) -> str:
    return f"CASE WHEN ({typed}) BETWEEN {KNOWN[kind]} THEN {typed} END" if kind in KNOWN else typed


def to_utc(name: str, zone: str) -> str:
    """The instant of the wall clock time `name` in `zone`, as a plain UTC timestamp."""
    # Almost every day has one offset; only days with a clock change need the time zone database per row.
    slow = f"CAST(timezone({zone}, typed.{quoted(name)}) AS TIMESTAMP)"
    return f"CASE WHEN _day_{name}.steady THEN typed.{quoted(name)} - _day_{name}.ahead ELSE {slow} END"


def to_local(name: str, zone: str) -> str:
    """The wall clock time in `zone` of the UTC timestamp `name`."""
    slow = f"timezone({zone}, CAST(typed.{quoted(name)} AS TIMESTAMPTZ))"
    return f"CASE WHEN _day_{name}.steady THEN typed.{quoted(name)} + _day_{name}.ahead ELSE {slow} END"
