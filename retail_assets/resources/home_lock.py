"""One writer at a time: whoever simulates, refreshes, loads, rebuilds, tidies or deletes a home holds its lock.

Releases, answers to batches of prices and API keys do without: `Ledger.append`, `pricing.approval.settle` and
`KeyStore` write one row, or one file, and only if nobody wrote since they read; stops of prices are rows that nothing
overwrites. So a refresh holds up neither a rollback nor a stop.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from retail_assets.core.errors import RetailError
from retail_assets.core.private import private_folder
from retail_assets.resources.environments import Home

LOCK = "refresh.lock"  # in the folder of the Dagster instance; the system lets go of it when its process dies


class RefreshBusy(RetailError):
    """Another process writes into the same home."""

    def __init__(self, home: Home) -> None:
        super().__init__(
            "another command writes into this home: `retail run`, `demo`, `sample`, `import`, `replay`, `rebuild`, "
            "`doctor --repair`, `trace tidy` or `clean`",
            where=str(home.root),
            todo="wait until it has ended, or stop it; nothing was started",
        )


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Holds the lock of `home`; raises RefreshBusy, and waits for nobody, where another process does."""
    private_folder(home.dagster)
    try:
        with FileLock(home.dagster / LOCK).acquire(blocking=False):
            yield
    except Timeout:
        raise RefreshBusy(home) from None
