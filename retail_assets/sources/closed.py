"""SQL that somebody else wrote, kept to the tables it is given, to a time and to an amount of memory.

The SQL of contracts and mappings (`sql`, `derive`, `quarantine_if`, `detail`) runs in DuckDB beside our own. Its text
is looked at first, so that what reads files or the network is refused by name and line. The connection it runs on
cannot open any file but the ones it was made for, load an extension or change a setting: DuckDB takes none of that
back.
"""

import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from retail_assets.core.errors import RetailError
from retail_assets.resources import duck
from retail_assets.resources.lake import Lake
from retail_assets.sources.staging import literal

TABLES_OUT_OF_VALUES = frozenset(
    (
        "unnest", "range", "generate_series", "generate_subscripts", "json_each", "json_tree", "repeat", "repeat_row",
        "pg_timezone_names",
    )
)  # fmt: skip
"""Table functions that make rows of what they are given or of what DuckDB knows of the world, and read nothing else."""
PIVOT = re.compile(r"\b(un)?pivot\b", re.IGNORECASE)
STEADY = "join_order,build_side_probe_side"
AGAIN_S = 0.2


class TookTooLong(RetailError):
    """SQL that was stopped because its time was over."""


@cache
def reads_outside(sql: str) -> str | None:
    """What in the SELECT `sql` is no table of those it is given, in words; None where everything is.

    DuckDB does not tell what is in a PIVOT whose columns it has to look up first.
    """
    statement = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true)"
    with _parser(os.getpid()).cursor() as connection:
        found = json.loads(connection.execute(statement, [sql]).fetchall()[0][0])
    if found.get("error") and not PIVOT.search(sql):
        return "more than a SELECT does"
    for node in _nodes(found):
        function = node.get("function", {}).get("function_name") if node.get("type") == "TABLE_FUNCTION" else None
        if function is not None and function not in TABLES_OUT_OF_VALUES:
            return f"the function {function}"
        if node.get("type") == "BASE_TABLE" and (outside := _table_outside(node)):
            return outside
    return None


@cache
def _parser(process: int) -> duckdb.DuckDBPyConnection:
    """One for all texts of a process; threads of DuckDB do not survive a fork."""
    return closed_memory()


def _table_outside(node: dict[str, Any]) -> str | None:
    name = str(node.get("table_name", ""))
    if any(sign in name for sign in "/\\.:*?"):
        return f"the file {name!r}"
    if place := node.get("schema_name") or node.get("catalog_name"):
        return f"the table {place}.{name}"
    return f"the table {name}" if name.startswith(("duckdb_", "sqlite_", "pg_", "pragma_")) else None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a parsed JSON document; the tree of a SQL text is as deep as its text, which may be very deep."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def closed_lake(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection of its own that reads the tables of `lake` and nothing else, for as long as it lives."""
    connection = lake.connect(private=True)
    # Arrow input has no statistics, so the optimizer would build hash tables over it instead of over the lookups.
    connection.execute(f"SET disabled_optimizers = '{STEADY}'")
    folders = [lake.uri] if "://" in lake.uri else [str(Path(lake.uri).absolute()), str(Path(lake.uri).resolve())]
    close(connection, folders=folders)
    return connection


def closed_memory(folders: Sequence[Path] = (), files: Sequence[Path] = ()) -> duckdb.DuckDBPyConnection:
    """A connection with no table at all that reads what is below `folders`, and `files`, and nothing else."""
    connection = duck.connect(memory_limit=duck.memory_limit())
    close(connection, folders=[str(folder) for folder in folders], files=[str(file) for file in files])
    return connection


def close(connection: duckdb.DuckDBPyConnection, *, folders: Sequence[str] = (), files: Sequence[str] = ()) -> None:
    """Closes a connection of its own to everything outside but `folders` and `files`. Nobody opens it again."""
    listed = [f"{folder}/" for folder in dict.fromkeys(folders)]
    connection.execute(
        "SET python_enable_replacements = false; SET allow_community_extensions = false; "
        "SET autoload_known_extensions = false; "
        f"SET allowed_directories = [{', '.join(map(literal, listed))}]; "
        f"SET allowed_paths = [{', '.join(map(literal, files))}]; "
        "SET enable_external_access = false; SET lock_configuration = true"
    )


@contextmanager
def in_time(connection: duckdb.DuckDBPyConnection, what: str, where: str) -> Iterator[None]:
    """Stops what runs on `connection` after RETAIL_SQL_SECONDS; raises TookTooLong, which names `what` and `where`."""
    seconds, over, done = duck.sql_seconds(), threading.Event(), threading.Event()

    def interrupt() -> None:
        # More than once: between two statements there is nothing to interrupt.
        if not done.wait(seconds):
            over.set()
            while not done.is_set():
                connection.interrupt()
                done.wait(AGAIN_S)

    watch = threading.Thread(target=interrupt, name="sql-time", daemon=True)
    watch.start()
    try:
        yield
    except duckdb.InterruptException as error:
        if not over.is_set():
            raise
        todo = f"correct the SQL, or allow it more time by {duck.SQL_SECONDS}"
        raise TookTooLong(f"{what} took longer than {seconds:g} s", where=where, todo=todo) from error
    finally:
        done.set()
        watch.join()
