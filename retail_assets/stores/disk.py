"""What a store has put on its disk, and what tells that some of it has changed since."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from retail_assets.resources import durable


def file_sha256(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settled(folder: Path) -> dict[str, str]:
    """Forces everything below `folder` to disk and returns the hash of each file by its path below it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        durable.sync(path)
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = file_sha256(path)
    durable.sync(folder)
    return found


def changed(folder: Path, hashes: Mapping[str, str]) -> str | None:
    """The first file below `folder` that is missing or not what it was; None where all are. Others do not matter."""
    for name, wanted in hashes.items():
        path = folder / name
        try:
            if file_sha256(path) != wanted:
                return name
        except OSError:
            return name
    return None


def missing_bytes(folder: Path, wanted: Iterable[int]) -> int:
    """How many bytes are missing on the disk of `folder` for files of these sizes and a tenth more; 0 for none."""
    return max(int(sum(wanted) * 1.1) - shutil.disk_usage(folder).free, 0)
