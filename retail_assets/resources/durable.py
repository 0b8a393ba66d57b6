"""Files that are whole or not there, also after a power cut: the one way in which this project replaces a file.

A rename alone is not enough: after a power cut the new name can stand for a file of no bytes, because the name reached
the disk before the content. So the content is forced to the disk first, then the file is renamed, then the folder that
holds the name is forced to the disk as well.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PARTIAL = ".partial"
"""How the hidden files and folders end that a killed writer leaves behind; deleting them is always right."""
UNSUPPORTED = (PermissionError, NotADirectoryError)  # folders that cannot be opened for reading are not forced


def write(path: Path, content: bytes | str, *, mode: int = 0o666) -> None:
    """Replaces `path` by `content` (text as UTF-8) in one step and on disk; makes its folder where there is none.

    A reader, and whoever comes after a crash, sees the old content or the new one. `mode` is that of a new file, less
    the umask. Raises OSError and leaves `path` as it was when the disk is full or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    fill(path, lambda partial: _write(partial, data, mode))


def fill(path: Path, make: Callable[[Path], object]) -> None:
    """As `write`, for content that `make` writes to the path it is given, in the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = hidden_beside(path)
    try:
        make(partial)
        sync(partial)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def move_in(staged: Path, target: Path) -> None:
    """Renames the folder `staged` to `target` after every file in it is on disk, and forces the new name to disk.

    Raises OSError where `target` is a folder that is not empty.
    """
    for found in sorted(staged.rglob("*")):
        if not found.is_symlink():
            sync(found)
    sync(staged)
    staged.rename(target)
    sync(target.parent)


def hidden_beside(path: Path) -> Path:
    """A name in the folder of `path` that nobody else uses and that ends in PARTIAL."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")


def sync(path: Path) -> None:
    """Forces a file's content, or the names in a folder, to disk."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except UNSUPPORTED:
        return
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _write(path: Path, content: bytes, mode: int) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(opened, "wb") as file:
        file.write(content)
