"""Folders and files that only their owner may read: a home holds a retailer's sales, and keys."""

import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


def private_folder(path: Path) -> Path:
    """Makes a folder and those above it that are missing, each for its owner only; what is there stays as it is.

    Whoever shares a home with a group makes its folder, with the rights that it wants, before anything is put there.
    """
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=FOLDER, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replaces a file as a whole, on disk before it has its name, for its owner only whatever it was before."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
