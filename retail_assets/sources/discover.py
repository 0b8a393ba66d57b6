"""Which landing files are new: by size and time of change first, by content hash where that is not enough.

What stands where a feed's files are and is none, or cannot be read, is told each time and never noted as loaded.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath

from retail_assets.sources.contract import DELIVERY_YEARS, Feed
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.raw import RawFile, why_not_read
from retail_assets.sources.state import State

FORBIDDEN = "permission denied"
DELIVERY_STAMP = re.compile(r"_d(\d{8}T\d{6}Z)")


@dataclass(frozen=True)
class Discovery:
    """New files in the order of delivery, and files whose content another file brought already.

    `not_read` says of files and folders why they could not be read.
    """

    new: tuple[RawFile, ...]
    repeated: tuple[RawFile, ...]
    not_read: dict[str, str] = field(default_factory=dict)


@dataclass
class Listing:
    """What the feeds of a source find, said without opening a file: by name, each with its reason where it has one.

    `unknown` are the files that have not been seen, `no_files` folders, pipes and links to nothing or out of the folder
    in their place, `not_read` what this user may not look at.
    """

    unknown: list[tuple[Path, str, Feed]] = field(default_factory=list)
    no_files: dict[str, str] = field(default_factory=dict)
    not_read: dict[str, str] = field(default_factory=dict)


def discover(found: Listing, state: State) -> Discovery:
    """Files of a listing that ops/loads does not know, each of them read for its hash."""
    files, not_read = [], dict(found.not_read)
    for path, name, feed in found.unknown:
        try:
            files.append(raw_file(path, name, feed))
        except OSError as error:
            not_read[name] = why_not_read(error, path)
    return replace(_told_apart(files, state), not_read=not_read)


def listing(root: Path, source: str, feeds: Sequence[Feed], state: State) -> Listing:
    """What lies below `root` where the feeds of `source` look for files."""
    found = Listing()
    owners: dict[Path, str] = {}
    fence = Fence(root)
    for feed in feeds:
        for path in sorted(root.glob(feed.files)):
            if owners.setdefault(path, feed.name) != feed.name:
                raise SourceConfigError(
                    f"feeds {owners[path]!r} and {feed.name!r} of {source} both name this file", where=str(path)
                )
            name = shown(path.relative_to(root).as_posix())
            try:
                status = path.stat()
            except OSError as error:
                nowhere = not isinstance(error, PermissionError) and path.is_symlink()
                said = found.no_files if nowhere else found.not_read
                said[name] = f"{'a link that leads nowhere: ' if nowhere else ''}{why_not_read(error)}"
                continue
            if (outside := fence.outside(path)) is not None:
                found.no_files[name] = f"a link that leads out of the folder, to {shown(outside)}"
            elif not stat.S_ISREG(status.st_mode):
                if not (stat.S_ISDIR(status.st_mode) and _names_folders(feed.files)):
                    found.no_files[name] = _kind(status.st_mode)
            elif (name, status.st_size, status.st_mtime_ns // 1000) not in state.files:
                found.unknown.append((path, name, feed))
        found.not_read |= {shown(f.relative_to(root).as_posix()): FORBIDDEN for f in _closed(root, feed.files)}
    return found


class Fence:
    """What is below a folder, once links are followed: whoever may put a link there may not read by it what we may."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._folders: dict[str, str] = {}

    def outside(self, path: Path) -> str | None:
        """Where `path` leads if that is not below the folder."""
        folder = str(path.parent)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(path) if path.is_symlink() else f"{self._folders[folder].rstrip('/')}/{path.name}"
        return None if real.startswith(f"{self._root.rstrip('/')}/") else real


def _names_folders(pattern: str) -> bool:
    """Whether `pattern` (`exports/*`) names folders beside files without meaning them."""
    return not PurePosixPath(pattern).name.strip("*")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return f"{kinds.get(stat.S_IFMT(mode), 'a device')}, not a file"


def _closed(root: Path, pattern: str) -> Iterator[Path]:
    """Folders on the way to the files of `pattern` that this user may not list: `Path.glob` finds nothing in them."""
    for above in PurePosixPath(pattern).parents:
        folders = [root] if above == PurePosixPath(".") else root.glob(str(above))
        yield from filter(_is_closed, folders)


def _is_closed(path: Path) -> bool:
    try:
        return path.is_dir() and not os.access(path, os.R_OK | os.X_OK)
    except OSError:
        return False  # a folder above it is closed


def shown(name: str) -> str:
    """A file's name as text: its bytes need not be UTF-8, and what is stored and printed has to be."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _told_apart(found: list[RawFile], state: State) -> Discovery:
    new: list[RawFile] = []
    repeated: list[RawFile] = []
    seen = set(state.rows_by_load)
    for file in sorted(found, key=lambda f: (f.delivered_at, f.name)):
        if (file.name, file.load_id) in state.contents:
            continue
        (repeated if file.load_id in seen else new).append(file)
        seen.add(file.load_id)
    return Discovery(tuple(replace(file, index=i) for i, file in enumerate(new)), tuple(repeated))


def raw_file(path: Path, name: str, feed: Feed) -> RawFile:
    """The file at `path` as it is known by `name`; reads it once for its hash. Raises OSError."""
    with path.open("rb") as content:
        status = os.fstat(content.fileno())
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    size, mtime_us, stamp = status.st_size, status.st_mtime_ns // 1000, _stamp_of(status)
    problem = _wrong_name(feed, path.name)
    if problem is not None:  # under a hash of its own: the same content under a good name is no repetition of it
        digest = hashlib.sha256(f"{digest} {name}".encode()).hexdigest()
        return RawFile(0, path, name, feed, digest, size, mtime_us, _changed(mtime_us), None, problem, stamp)
    delivered_at = _delivered(feed, path, mtime_us)
    day = file_date(feed, name)
    return RawFile(0, path, name, feed, digest, size, mtime_us, delivered_at, day, stamp=stamp)


def _stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """What differs once a file was written, or another one was put in its place: nobody can set back the last."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def changed(file: RawFile) -> str | None:
    """Why what was read from `file` may not be what its hash says: whoever asks has read all of it."""
    try:
        same = _stamp_of(file.path.stat()) == file.stamp
    except OSError as error:
        return why_not_read(error)
    return None if same else "it changed while it was read"


def _wrong_name(feed: Feed, name: str) -> str | None:
    """What in a file's name is no instant or no day, although it stands where one does."""
    try:
        _stamp(feed, name)
    except ValueError:
        return f"unreadable: the stamp in its name is no instant: {name}"
    try:
        file_date(feed, name)
    except ValueError:
        return f"unreadable: what file_date finds in its name is no day: {name}"
    return None


def _delivered(feed: Feed, path: Path, mtime_us: int) -> datetime:
    if isinstance(feed.delivered_at, datetime):
        return feed.delivered_at.astimezone(UTC) if feed.delivered_at.tzinfo else feed.delivered_at.replace(tzinfo=UTC)
    return _stamp(feed, path.name) or _changed(mtime_us)


def _changed(mtime_us: int) -> datetime:
    # A file system may hold times that no calendar has.
    earliest, latest = (
        datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (DELIVERY_YEARS[0], DELIVERY_YEARS[-1])
    )
    return datetime.fromtimestamp(min(max(mtime_us / 1_000_000, earliest), latest), UTC)


def _stamp(feed: Feed, name: str) -> datetime | None:
    """The instant in a file's name, where the feed takes it from there. Raises ValueError for one that is none."""
    stamp = DELIVERY_STAMP.search(name) if feed.delivered_at == "file_name" else None
    if stamp is None:
        return None
    instant = datetime.strptime(stamp[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if instant.year not in DELIVERY_YEARS:
        raise ValueError(f"no file was delivered in {instant.year}")
    return instant


def last_instant(file: RawFile, now: datetime) -> datetime:
    """Until when what `file` tells of can have happened: its delivery where its name says it, else `now`."""
    if file.feed.delivered_at == "file_name" and DELIVERY_STAMP.search(file.path.name):
        return file.delivered_at
    return now if file.feed.delivered_at == "business_day_end" else max(now, file.delivered_at)


def file_date(feed: Feed, name: str) -> date | None:
    """The business day in a file's name, where the feed says how to find it. Raises ValueError for one that is none."""
    found = re.search(feed.file_date, name.rpartition("/")[2]) if feed.file_date else None
    return date.fromisoformat(found[1]) if found and found[1] is not None else None
