"""The types of what is in JSON, where strings are text whatever they look like."""

import json
from typing import Any

import duckdb

# What is a string here and a number there is text; a whole number that is never negative may still be subtracted from.
KINDS = {"JSON": "VARCHAR", "NULL": "VARCHAR", "UBIGINT": "HUGEINT"}


def structure(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """The structure, as `from_json` takes it, of the objects in the column `raw` of `relation`."""
    (found,) = connection.execute(f"SELECT json_group_structure(CAST(raw AS JSON)) FROM {relation}").fetchone() or ("",)
    kinds = _as_text(json.loads(found)) if found else {}
    return json.dumps(kinds if isinstance(kinds, dict) and kinds else {"nothing": "VARCHAR"})


def _as_text(kind: Any) -> Any:
    if isinstance(kind, dict):
        return {name: _as_text(one) for name, one in kind.items()} or "VARCHAR"
    if isinstance(kind, list):
        return [_as_text(one) for one in kind]
    return KINDS.get(kind, kind)
