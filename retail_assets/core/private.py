"""Folders and files that only their owner may read: a home holds a retailer's sales, and keys."""

import errno
import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


def private_folder(path: Path) -> Path:
    """Makes a folder and those above it that are missing, each for its owner only; what is there stays as it is.

    Whoever shares a home with a group makes its folder, with the rights that it wants, before anything is put there.
    Raises NotADirectoryError where a file stands in the way.
    """
    if not path.is_dir():
        private_folder(path.parent)
        try:
            path.mkdir(mode=FOLDER, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
    return path
