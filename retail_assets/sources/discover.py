"""Which landing files are new: by size and time of change first, by content hash where that is not enough."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from retail_assets.sources.contract import Feed
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.raw import RawFile
from retail_assets.sources.state import State

DELIVERY_STAMP = re.compile(r"_d(\d{8}T\d{6}Z)")


@dataclass(frozen=True)
class Discovery:
    """New files in the order of delivery, and files whose content another file brought already."""

    new: tuple[RawFile, ...]
    repeated: tuple[RawFile, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.repeated)


def discover(root: Path, source: str, feeds: Sequence[Feed], state: State) -> Discovery:
    """Files below `root` that the feeds of `source` name and ops/loads does not know."""
    return _told_apart([raw_file(*unknown) for unknown in _unknown(root, source, feeds, state)], state)


def anything_unknown(root: Path, source: str, feeds: Sequence[Feed], state: State) -> bool:
    """Whether `discover` would have a file to open, said without opening one."""
    return next(_unknown(root, source, feeds, state), None) is not None


def _unknown(
    root: Path, source: str, feeds: Sequence[Feed], state: State
) -> Iterator[tuple[Path, str, Feed, int, int]]:
    """Path, name, feed, bytes and mtime in µs of files that have not been seen in this state."""
    owners: dict[Path, str] = {}
    for feed in feeds:
        for path in sorted(root.glob(feed.files)):
            if not path.is_file():
                continue
            if owners.setdefault(path, feed.name) != feed.name:
                raise SourceConfigError(
                    f"feeds {owners[path]!r} and {feed.name!r} of {source} both name this file", where=str(path)
                )
            name, status = shown(path.relative_to(root).as_posix()), path.stat()
            mtime_us = status.st_mtime_ns // 1000
            if (name, status.st_size, mtime_us) not in state.files:
                yield path, name, feed, status.st_size, mtime_us


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


def raw_file(path: Path, name: str, feed: Feed, size: int, mtime_us: int) -> RawFile:
    """The file at `path` as it is known by `name`; reads it once for its hash."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    problem = _wrong_name(feed, path.name)
    if problem is not None:  # under a hash of its own: the same content under a good name is no repetition of it
        digest = hashlib.sha256(f"{digest} {name}".encode()).hexdigest()
        return RawFile(0, path, name, feed, digest, size, mtime_us, _changed(mtime_us), None, problem)
    delivered_at = _delivered(feed, path, mtime_us)
    return RawFile(0, path, name, feed, digest, size, mtime_us, delivered_at, file_date(feed, name))


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
        return feed.delivered_at if feed.delivered_at.tzinfo else feed.delivered_at.replace(tzinfo=UTC)
    return _stamp(feed, path.name) or _changed(mtime_us)


def _changed(mtime_us: int) -> datetime:
    return datetime.fromtimestamp(mtime_us / 1_000_000, UTC)


def _stamp(feed: Feed, name: str) -> datetime | None:
    """The instant in a file's name, where the feed takes it from there. Raises ValueError for one that is none."""
    stamp = DELIVERY_STAMP.search(name) if feed.delivered_at == "file_name" else None
    return datetime.strptime(stamp[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if stamp else None


def last_instant(file: RawFile, now: datetime) -> datetime:
    """Until when what `file` tells of can have happened: its delivery where its name says it, else `now`."""
    if file.feed.delivered_at == "file_name" and DELIVERY_STAMP.search(file.path.name):
        return file.delivered_at
    return now if file.feed.delivered_at == "business_day_end" else max(now, file.delivered_at)


def file_date(feed: Feed, name: str) -> date | None:
    """The business day in a file's name, where the feed says how to find it. Raises ValueError for one that is none."""
    found = re.search(feed.file_date, name.rpartition("/")[2]) if feed.file_date else None
    return date.fromisoformat(found[1]) if found else None
