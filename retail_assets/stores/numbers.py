"""Which bundle of a store is the newer: a number that only rises, and how far a store is behind."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from retail_assets.resources import durable
from retail_assets.stores.bundle import Bundle

logger = logging.getLogger(__name__)

REMEMBERED, LOCK = 200, "numbers.lock"


class Wanted(BaseModel):
    """One state that the centre wanted of a store, since `made_at`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    etag: str
    made_at: AwareDatetime


class Behind(NamedTuple):
    """How far a store is behind: how many states it has not taken (at least), and since when there is a newer one."""

    versions: int
    since: datetime


class _History(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    states: tuple[Wanted, ...] = ()


class BundleNumbers:
    """Numbers the states of each store, in one small file a store. Safe beside other processes of the same home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._newest: dict[str, Wanted] = {}

    def numbered(self, bundle: Bundle) -> Bundle:
        """The bundle with its number: that of the newest where nothing changed, otherwise a higher one.

        Numbers are microseconds since 1970 or one more than the last, so they rise also where a centre was restored.
        """
        known = self._newest.get(bundle.target)
        if known is None or known.etag != bundle.etag:
            known = self._newest[bundle.target] = self._next(bundle)
        return bundle.model_copy(update={"number": known.number, "made_at": known.made_at, "name": known.etag})

    def _next(self, bundle: Bundle) -> Wanted:
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / LOCK):
            states = self.states(bundle.target)
            if states and states[-1].etag == bundle.etag:
                return states[-1]
            last = states[-1].number if states else 0
            number = max(last + 1, time.time_ns() // 1_000)
            new = Wanted(number=number, etag=bundle.etag, made_at=datetime.now(UTC))
            # Not forced to disk, which would take minutes for thousands of stores that a release wakes at once: where a
            # power cut takes the file, the clock still makes the next number a higher one.
            partial = durable.hidden_beside(self._path(bundle.target))
            partial.write_text(_History(states=(*states, new)[-REMEMBERED:]).model_dump_json())
            partial.replace(self._path(bundle.target))
            return new

    def states(self, target: str) -> tuple[Wanted, ...]:
        """What the centre wanted of a store, the newest last; empty before the store first asked."""
        path = self._path(target)
        if not path.is_file():
            return ()
        try:
            return _History.model_validate_json(path.read_bytes()).states
        except ValidationError:
            logger.error("%s cannot be read: the states of %s are numbered anew, by the clock", path, target)
            return ()

    def behind(self, target: str, etag: str | None) -> Behind | None:
        """How far a store that holds `etag` is behind; None where it has what was wanted last, or never asked."""
        states = self.states(target)
        if not states or states[-1].etag == etag:
            return None
        places = [place for place, state in enumerate(states) if state.etag == etag]
        missed = states[places[-1] + 1 :] if places else states
        return Behind(versions=len(missed), since=missed[0].made_at)

    def _path(self, target: str) -> Path:
        return self._folder / f"{target}.json"
