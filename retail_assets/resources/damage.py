"""What a disk or a power cut broke, told from the words of the libraries that stumble over it.

They say it in their own terms and often without the file; a person needs to know what it is and which command helps.
"""

import re

from retail_assets.core.errors import RetailError, causes

DOCTOR = (
    "`retail doctor` says what is damaged, `retail doctor --repair` sets aside what can be made again; "
    "then `retail run`"
)
FOREIGN = {"duckdb", "_duckdb", "deltalake", "_internal", "pyarrow", "sqlite3", "sqlalchemy", "builtins", "google"}
SAID = {
    "a file of rows is damaged (Parquet)": r"no magic bytes|parquet magic bytes|corrupt|thrift|TProtocolException"
    r"|too small to be a Parquet|Requested range was invalid"
    r"|ZSTD Decompression|Snappy|Parquet file size is|invalid parquet|metadata length",
    "a file of rows is missing (Parquet)": r"(?:cannot open file|no such file)[^\n]*\.parquet"
    r"|\.parquet[^\n]*(?:no such file|not found)",
    "the log of a table is damaged (Delta)": r"DeltaKernel|Kernel error|contiguous commit files|delta log|log segment",
    "a database file is damaged (SQLite)": r"file is not a database|disk image is malformed|file is encrypted",
    "the private DuckDB file is damaged": r"not a valid DuckDB database|Could not read enough bytes"
    r"|Corrupt database file|checksum .* does not match",
    "the register of features is damaged (Feast)": r"Error parsing message",
}
FILE = re.compile(r"(/[^\s'\"`]+?(?:\.parquet|\.duckdb|\.db|\.json))")


class Damaged(RetailError):
    """A file of the home cannot be read as what it is: torn, zeroed, missing or overwritten."""


def damaged(said: str) -> str | None:
    """What is damaged, where a library's words `said` tell of a damaged file; None where of something else."""
    return next((what for what, words in SAID.items() if re.search(words, said, re.IGNORECASE)), None)


def damage(error: BaseException) -> Damaged | None:
    """The damage that `error` came from, nearest cause first; None where no library tells of any."""
    for one in causes(error):
        if type(one).__module__.split(".")[0] in FOREIGN and (what := damaged(str(one))):
            found = FILE.search(str(one))
            first = (str(one).splitlines() or [""])[0][:300]
            return Damaged(f"{what}: {first}", where=found.group(1) if found else None, todo=DOCTOR)
    return None
