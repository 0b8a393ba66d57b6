"""The version a service answers with: whatever the ledger says is live, swapped in place.

A new version is loaded and checked beside those that serve, then takes over by one assignment; requests that began
with the old one end with it, after which it is freed. A version that cannot be loaded is refused and the old one stays;
where a process starts with such a version, the last good one before it answers. While a version is looked at the ledger
is followed, and a version that is not wanted any more is given up.
Stores may have releases of their own, canaries a share of the stores: every version that is routed to is held once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Generic, TypeVar

from deltalake.exceptions import DeltaError

from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import Manifest
from retail_assets.releases.last_good import earlier
from retail_assets.releases.ledger import Ledger, LedgerError
from retail_assets.releases.refused import explained
from retail_assets.releases.rows import CLOUD, Release
from retail_assets.releases.targets import Targets
from retail_assets.releases.traffic_split import Routes, routes
from retail_assets.resources.model_store import ModelStore

logger = logging.getLogger(__name__)
Model = TypeVar("Model")

POLL_EVERY_S = 0.25
ASKED_EVERY_S = 5.0
RETRY_REFUSED_EVERY = 120
"""Looks at the ledger between two attempts to load a version that was refused."""
LOADERS = 4
Opener = Callable[[str, Callable[[], bool]], Path]
"""A version, and what says that it is not wanted any more -> the folder of a version that may be loaded."""


class NothingLive(RetailError):
    """The ledger names no version of the product, or the one it names could not be loaded."""


@dataclass(frozen=True)
class Live(Generic[Model]):
    """A loaded model and the release that made it live. Never changed, only replaced."""

    release: Release
    manifest: Manifest
    model: Model
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Refusal:
    """A released version that this process does not serve, and why."""

    version: str
    reason: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class _Table(Generic[Model]):
    """What answers where, as one object that is replaced as a whole."""

    default: Live[Model] | None = None
    stores: Mapping[str, Live[Model]] = field(default_factory=dict)
    default_shadows: tuple[Live[Model], ...] = ()
    shadows: Mapping[str, tuple[Live[Model], ...]] = field(default_factory=dict)
    champions: Mapping[str, Live[Model]] = field(default_factory=dict)

    def of(self, store_id: str) -> Live[Model] | None:
        return self.stores.get(store_id, self.default)

    def loaded(self) -> dict[str, Live[Model]]:
        """By release id and by version."""
        shadows = [live for group in (self.default_shadows, *self.shadows.values()) for live in group]
        champions = self.champions.values()
        everything = [*([self.default] if self.default else []), *self.stores.values(), *champions, *shadows]
        return {key: live for live in everything for key in (live.release.release_id, live.release.version)}


class LiveModel(Generic[Model]):
    """Follows the ledger for one product and target. Asking it is a look into a table and never blocks."""

    def __init__(
        self,
        product: str,
        ledger: Ledger,
        store: ModelStore,
        load: Callable[[Path, Manifest], Model],
        chain: Sequence[str] = (CLOUD,),
        targets: Callable[[], Targets] = lambda: Targets(regions={}),
        opened: Opener | None = None,
    ) -> None:
        """`chain` is the target of this process and the wider ones it follows, the most specific first.

        `load` gets a folder from `opened` (by default one whose bytes are those of its manifest), and may raise
        anything to refuse it.
        `targets` names the stores that may have a release of their own; it is asked when the ledger changes.
        """
        self.product = product
        self.chain = tuple(chain)
        self.refused: Refusal | None = None
        self.swaps = 0
        self.refusals = 0
        self.ledger_read_at: datetime | None = None
        self._table: _Table[Model] = _Table()
        self._nothing: tuple[float, RetailError] | None = None
        self._ledger = ledger
        self._store = store
        self._load = load
        self._targets = targets
        self._seen: int | None = None
        self._polls_since_refusal = 0
        self._opened = opened or (lambda version, _: store.path(product, version))
        self._closing = Event()
        self._loader = ThreadPoolExecutor(LOADERS, thread_name_prefix=f"load-{product}")

    @property
    def target(self) -> str:
        """The target of this process."""
        return self.chain[0]

    @property
    def current(self) -> Live[Model] | None:
        """What answers where no store has a release of its own."""
        return self._table.default

    def require(self, store_id: str | None = None) -> Live[Model]:
        """What answers in a store (None: in any other); raises NothingLive when there is nothing to answer with."""
        table = self._table
        live = table.default if store_id is None else table.of(store_id)
        if live is not None:
            return live
        if self.refused is not None:
            raise NothingLive(
                f"{self.product} {self.refused.version} is released but could not be loaded: {self.refused.reason}",
                todo=f"repair it or roll back: `retail models` shows what is live on {self.target}",
            )
        raise self._nothing_live()

    def _nothing_live(self) -> NothingLive:
        """Why nothing answers; asked of the lake every few seconds only."""
        if self._nothing is None or monotonic() - self._nothing[0] > ASKED_EVERY_S:
            plain = NothingLive(
                f"no version of {self.product} is live on {self.target}", todo="train and release one: `retail run`"
            )
            self._nothing = (monotonic(), explained(self._ledger.lake, self.product, plain))
        told = self._nothing[1]
        return NothingLive(told.what, where=told.where, todo=told.todo)

    def exceptions(self) -> dict[str, dict[str, str]]:
        """The stores that do not answer with `current`: their version, and the action and target it came by."""
        table, default = self._table, self.current
        return {
            store: {"version": live.release.version, "action": live.release.action, "target": live.release.target}
            for store, live in sorted(table.stores.items())
            if default is None or live.release.release_id != default.release.release_id
        }

    def shadows(self, store_id: str) -> tuple[Live[Model], ...]:
        """What is asked beside the version that answers in a store."""
        table = self._table
        return table.shadows.get(store_id, table.default_shadows)

    def champion(self, store_id: str) -> Live[Model] | None:
        """What would answer in a store that a canary has drawn; None in every other store."""
        return self._table.champions.get(store_id)

    def canaries(self) -> tuple[Release, ...]:
        """The canaries that answer somewhere in this process, each once."""
        running = [live.release for live in self._table.stores.values() if live.release.action == "canary"]
        return tuple({release.release_id: release for release in running}.values())

    def poll(self) -> None:
        """Reads the ledger once and swaps when it says another thing; keeps what serves when it cannot be read."""
        self._polls_since_refusal += 1
        try:
            if not self._ledger.changed_since(self._seen) and not self._retry_is_due():
                return
            version, log = self._ledger.newest()
            if version is None and self._seen is not None:
                raise LedgerError("the release ledger was there and is not")
            if version == self._seen and not self._retry_is_due():
                return
            wanted = routes(log, self.product, self.chain, self._targets())
        except (DeltaError, OSError, RetailError, ValueError) as error:  # Arrow's and pydantic's are ValueErrors
            logger.error("the release ledger cannot be read, %s stays as it is: %s", self.product, error)
            return
        self._seen = version
        self.ledger_read_at = datetime.now(UTC)
        self._follow(wanted, log)

    def _retry_is_due(self) -> bool:
        return self.refused is not None and self._polls_since_refusal >= RETRY_REFUSED_EVERY

    def _follow(self, wanted: Routes, log: Sequence[Release]) -> None:
        """Loads what is missing, then replaces the table; a route whose version is refused keeps what it had."""
        before = self._table
        have, refused = before.loaded(), self.refused
        self.refused = None
        taken: dict[str, Live[Model]] = {}
        for release in wanted.releases():
            live = self._take(release, have)
            if live is not None:
                taken[release.release_id] = have[release.version] = live
        default = taken.get(wanted.default.release_id, before.default) if wanted.default else before.default
        if default is None and wanted.default is not None:
            default = self._last_good(wanted.default, log, have)
        stores = {s: taken.get(r.release_id, before.of(s)) for s, r in wanted.stores.items()}
        self._table = _Table(
            default=default,
            stores={store: live for store, live in stores.items() if live is not None},
            default_shadows=tuple(taken[r.release_id] for r in wanted.default_shadows if r.release_id in taken),
            shadows={
                s: tuple(taken[r.release_id] for r in g if r.release_id in taken) for s, g in wanted.shadows.items()
            },
            champions={s: taken[r.release_id] for s, r in wanted.champions.items() if r.release_id in taken},
        )
        if refused is not None and self.refused is None:
            logger.info("%s %s is refused no longer", self.product, refused.version)

    def _take(
        self, release: Release, have: Mapping[str, Live[Model]], instead_of: Release | None = None
    ) -> Live[Model] | None:
        """The loaded version of `release`; None when it is refused, or given up because the ledger wants another."""
        if release.release_id in have:
            return have[release.release_id]
        same, given_up = have.get(release.version), Event()
        # In a thread of its own, whose outcome is looked at whatever it is: what serves must survive it.
        loading = self._loader.submit(self._open, release, same, given_up)
        if not self._awaited(loading, instead_of or release):
            given_up.set()
            logger.warning("%s %s is given up: it is not wanted any more", self.product, release.version)
            return None
        error = loading.exception()
        if error is not None:
            self._refuse(release, error)
            return None
        self.swaps += 1
        logger.info(
            "%s on %s: %s by %s, %s (before: %s)",
            self.product,
            release.target,
            release.action,
            release.by,
            release.version,
            release.previous or "nothing",
        )
        return loading.result()

    def _awaited(self, loading: "Future[Live[Model]]", release: Release) -> bool:
        """Waits for a version to be loaded; False once the ledger does not want it any more, or the process ends."""
        while not wait([loading], timeout=POLL_EVERY_S).done:
            if self._closing.is_set() or not self._still_wanted(release):
                return loading.done()
        return True

    def _still_wanted(self, release: Release) -> bool:
        """Whether the ledger, where it has changed meanwhile, still routes to `release`."""
        try:
            if not self._ledger.changed_since(self._seen):
                return True
            wanted = routes(self._ledger.log(), self.product, self.chain, self._targets()).releases()
        except (DeltaError, OSError, RetailError, ValueError):  # it is read again, and said, at the next poll
            return True
        return release.release_id in {newest.release_id for newest in wanted}

    def _last_good(
        self, wanted: Release, log: Sequence[Release], have: Mapping[str, Live[Model]]
    ) -> Live[Model] | None:
        """The newest version that answered before the `wanted` one and can be loaded; None where there is none."""
        refused, polls = self.refused, self._polls_since_refusal
        for release in earlier(log, self.product, self.chain):
            live = self._take(release, have, instead_of=wanted)
            if live is not None:
                logger.error("%s %s answers, the last good version", self.product, release.version)
                self.refused, self._polls_since_refusal = refused, polls
                return live
        self.refused = refused
        return None

    def _refuse(self, release: Release, error: BaseException) -> None:
        reason = error.what if isinstance(error, RetailError) else f"{type(error).__name__}: {error}"
        serving = self.current.release.version if self.current else "nothing"
        self.refused = Refusal(release.version, reason)
        self.refusals += 1
        self._polls_since_refusal = 0
        logger.error("%s %s is refused, %s stays: %s", self.product, release.version, serving, error)

    def _open(self, release: Release, same: Live[Model] | None, given_up: Event) -> Live[Model]:
        if same is not None:
            return Live(release, same.manifest, same.model, same.loaded_at)
        folder = self._opened(release.version, lambda: given_up.is_set() or self._closing.is_set())
        manifest = self._store.manifest(self.product, release.version)
        return Live(release, manifest, self._load(folder, manifest))

    def stop_loading(self) -> None:
        """Gives up what is being loaded; what is loaded still answers."""
        self._closing.set()

    def close(self) -> None:
        """Ends the loading threads; what is loaded still answers."""
        self.stop_loading()
        self._loader.shutdown(wait=True, cancel_futures=True)
