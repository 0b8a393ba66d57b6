"""One writer at a time per source."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retail_assets.core.errors import RetailError
from retail_assets.core.private import private_folder
from retail_assets.resources.lake import Lake


class LoadInProgress(RetailError):
    """Another process is loading the same source into the same lake."""


@contextmanager
def only_one(lake: Lake, source: str) -> Iterator[None]:
    """Holds a lock that the operating system lets go when the process dies; lakes in object stores have none."""
    if "://" in lake.uri:
        yield
        return
    folder = Path(lake.uri) / "ops"
    private_folder(folder)
    with (folder / f".{source}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LoadInProgress(
                f"another process is loading {source}", where=lake.uri, todo="wait until it is done"
            ) from error
        yield
