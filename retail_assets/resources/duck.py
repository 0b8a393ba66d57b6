"""The one door to DuckDB: whoever opens it, on whatever machine, counts in UTC and finds the Delta extension.

DuckDB of its own takes the time zone of the machine, looks for extensions below the user's home, where a service may
have none, and spills into the folder it was started in.

`python -m retail_assets.resources.duck` puts the extension, which a pip package brings, into the Python environment;
`make setup` does that.
"""

import math
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retail_assets.core.errors import RetailError

if TYPE_CHECKING:
    import duckdb

EXTENSIONS = Path(sys.prefix) / "share" / "duckdb"
INSTALL = (
    "import sys, duckdb; from duckdb_extensions import import_extension; import_extension('delta', "
    "con=duckdb.connect(config={'extension_directory': sys.prefix + '/share/duckdb'}))"
)
"""What puts the extension into any Python environment; a container image runs it before our package is there."""


SQL_SECONDS = "RETAIL_SQL_SECONDS"  # how long the SQL of a mapping may take over one file, or over a part of many
SQL_SECONDS_DEFAULT = 300.0
MEMORY = "RETAIL_DUCKDB_MEMORY"  # of a process that reads the lake, in DuckDB's words: 3GB
MEMORY_DEFAULT = "3GB"


class BadLimit(RetailError):
    """A limit in the environment that says nothing."""


class NoExtension(RetailError):
    """This Python environment was made without DuckDB's Delta extension."""


def connect(
    database: str | Path = ":memory:", *, read_only: bool = False, delta: bool = False, **config: Any
) -> "duckdb.DuckDBPyConnection":
    """A connection in UTC, as are all its cursors; `delta` loads the extension, `config` are DuckDB's own settings."""
    import duckdb

    options: dict[str, Any] = {"extension_directory": str(EXTENSIONS), "autoinstall_known_extensions": False}
    if str(database) == ":memory:":
        options["temp_directory"] = f"{tempfile.gettempdir()}/retail-duckdb-{os.getpid()}"
    options |= config
    connection = duckdb.connect(str(database), read_only=read_only, config=options)
    connection.execute("SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false")
    if delta:
        try:
            connection.execute("LOAD delta")
        except duckdb.Error as error:
            raise NoExtension(
                "DuckDB's Delta extension is missing", where=str(EXTENSIONS), todo="`make setup`"
            ) from error
    return connection


def memory_limit() -> str:
    """How much memory DuckDB may take, in its own words; without a limit it takes four fifths of the machine."""
    return os.environ.get(MEMORY, MEMORY_DEFAULT)


def sql_seconds() -> float:
    """How many seconds the SQL of a mapping may take. Raises BadLimit for what is no such number."""
    said = os.environ.get(SQL_SECONDS, str(SQL_SECONDS_DEFAULT))
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise BadLimit(f"{SQL_SECONDS}={said} is no number of seconds", todo=f"{SQL_SECONDS}=300 is five minutes")
    return seconds


def exact(path: str | Path) -> str:
    """`path` for DuckDB's readers, which take a bracket, `*` and `?` in a name for a pattern, and `~` for a home."""
    name = re.sub(r"([\[*?])", r"[\1]", str(path))
    return f"./{name}" if name.startswith("~") else name


if __name__ == "__main__":
    exec(INSTALL)
