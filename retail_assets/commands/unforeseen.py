"""What no command foresaw: what the machine refuses is said in plain words, all else in one sentence and a report."""

import os
import platform
import re
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from errno import EACCES, EDQUOT, EEXIST, EISDIR, EMFILE, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import Path

from retail_assets.core.errors import RetailError, causes
from retail_assets.resources.environments import PROJECT_ROOT

KEPT = "what was there before is as it was"
REFUSED = {
    ENOSPC: ("no space is left on the disk", f"free some and run it again: {KEPT}"),
    EDQUOT: ("this user may not fill more of the disk", f"free some and run it again: {KEPT}"),
    EROFS: ("this place can only be read", "name a folder that can be written to: RETAIL_HOME, or the option's"),
    EACCES: ("this user has no right to it", "change the rights, or name another place"),
    EPERM: ("this user has no right to it", "change the rights, or name another place"),
    ENOTDIR: ("there is a file where a folder should be", "name a folder, or move the file away"),
    EISDIR: ("there is a folder where a file should be", "name a file"),
    EEXIST: ("there is already something of that name", "name another, or move it away"),
    ENOENT: ("there is no such file or folder", "look at how it is written"),
    ENAMETOOLONG: ("the name is longer than this disk allows", "name a shorter one"),
    EMFILE: ("too many files are open at once", "raise the limit: `ulimit -n 4096`"),
}
DATABASE = "disk I/O error|unable to open database|readonly database|disk is full"
LEAST_FREE = 100_000  # bytes; SQLite wants 32 kB at once beside a database
SECRETS = ("--key", "--token")
NUMBER = re.compile(r"os error (\d+)|Os \{ code: (\d+)")  # how libraries in Rust say what the system refused


class SystemRefusal(RetailError):
    """The machine did not let something be read or written: a full disk, a missing right, a file for a folder."""


def refusal(error: BaseException) -> SystemRefusal | None:
    """What the system refused, if that is why `error` came about."""
    for one in causes(error):
        number = one.errno if isinstance(one, OSError) else _number(str(one)) or _of_database(str(one))
        if number in REFUSED:
            what, todo = REFUSED[number]
            return SystemRefusal(what, where=_place(one), todo=todo)
    return None


def _of_database(said: str) -> int | None:
    """What lies behind the words of SQLite, which has the same ones for a full disk, a read-only one and no right."""
    if "sqlite3.OperationalError" not in said or not re.search(DATABASE, said):
        return None
    home = Path(os.environ.get("RETAIL_HOME") or PROJECT_ROOT / ".retail")
    home = next(place for place in (home, *home.absolute().parents) if place.exists())
    if os.statvfs(home).f_flag & os.ST_RDONLY:
        return EROFS
    return ENOSPC if shutil.disk_usage(home).free < LEAST_FREE else EACCES


def _number(said: str) -> int | None:
    found = NUMBER.search(said)
    return int(found.group(1) or found.group(2)) if found else None


def _place(error: BaseException) -> str:
    named = [str(name) for name in (getattr(error, "filename", None), getattr(error, "filename2", None)) if name]
    return " and ".join(named) or str(error).splitlines()[0][:200]


def report(error: BaseException, arguments: Sequence[str], folder: Path) -> Path:
    """Writes what happened into a file in `folder`, or where temporary files go, and returns its path."""
    lines = [
        f"retail {' '.join(_without_secrets(arguments))}",
        f"at {datetime.now(UTC).isoformat(timespec='seconds')}, Python {platform.python_version()}, "
        f"{platform.platform()}, TZ {os.environ.get('TZ', '-')}",
        "",
        *traceback.format_exception(error),
    ]
    text = "\n".join(lines).encode(errors="backslashreplace")
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            file = place / f"fault-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
            file.write_bytes(text)
        except OSError:
            continue
        return file
    with suppress(OSError):  # there is no place left for it
        os.write(2, text)
    return Path("standard error")


def _without_secrets(arguments: Sequence[str]) -> Iterator[str]:
    """What was typed, with what follows an option that takes a secret left out: the report is sent to others."""
    hidden = False
    for word in arguments:
        option, equals, _ = word.partition("=")
        yield "***" if hidden else f"{option}=***" if equals and option in SECRETS else word
        hidden = not equals and option in SECRETS


def sentence(error: BaseException) -> str:
    """One sentence for a person: the kind of the error and what it says first."""
    said = (str(error).strip() or "it says nothing more").splitlines()[0][:300]
    return f"something went wrong that should not: {type(error).__name__}: {said}"
