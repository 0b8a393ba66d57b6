"""SQL for single values: text to the types of a contract, wall clock to UTC and back."""

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


def sql_type(type_name: str) -> str:
    """The DuckDB type of a contract type."""
    return SQL_TYPES.get(type_name, type_name.upper())


def from_text(value: str, type_name: str, dialect: Dialect, timestamps: str) -> str:
    """The typed value of the text `value`, or NULL where it is none of `type_name`."""
    if type_name in ("integer", "bigint"):
        # DuckDB would round '3.7' to 4; a count with a fraction is an error of the file.
        return f"TRY_CAST(CASE WHEN NOT contains({value}, '.') THEN {value} END AS {sql_type(type_name)})"
    if type_name.startswith("decimal") or type_name == "double":
        if dialect.decimal == ",":
            value = f"CASE WHEN NOT contains({value}, '.') THEN replace({value}, ',', '.') END"
        return f"TRY_CAST({value} AS {sql_type(type_name)})"
    if type_name == "date" and dialect.date is not None:
        return f"CAST(TRY_STRPTIME({value}, {literal(dialect.date)}) AS DATE)"
    if type_name == "timestamp" and dialect.timestamp is not None:
        return f"CAST(TRY_STRPTIME({value}, {literal(dialect.timestamp)}) AS TIMESTAMP)"
    if type_name == "timestamp" and timestamps == "offset":
        return f"CAST(TRY_CAST({value} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"TRY_CAST({value} AS {sql_type(type_name)})"


def to_utc(name: str, zone: str) -> str:
    """The instant of the wall clock time `name` in `zone`, as a plain UTC timestamp."""
    # Almost every day has one offset; only days with a clock change need the time zone database per row.
    slow = f"CAST(timezone({zone}, typed.{quoted(name)}) AS TIMESTAMP)"
    return f"CASE WHEN _day_{name}.steady THEN typed.{quoted(name)} - _day_{name}.ahead ELSE {slow} END"


def to_local(name: str, zone: str) -> str:
    """The wall clock time in `zone` of the UTC timestamp `name`."""
    slow = f"timezone({zone}, CAST(typed.{quoted(name)} AS TIMESTAMPTZ))"
    return f"CASE WHEN _day_{name}.steady THEN typed.{quoted(name)} + _day_{name}.ahead ELSE {slow} END"
