"""The version a service answers with: whatever the ledger says is live, swapped in place.

A new version is loaded and checked beside the one that serves, then takes over by one assignment; requests that
began with the old one end with it, after which it is freed. A version that cannot be loaded is refused and the old
one stays.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from deltalake.exceptions import DeltaError

from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import Manifest
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.ledger import CLOUD, Ledger, Release

logger = logging.getLogger(__name__)
Model = TypeVar("Model")

POLL_EVERY_S = 1.0
RETRY_REFUSED_EVERY = 30


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


class LiveModel(Generic[Model]):
    """Follows the ledger for one product and target. Reading `current` is one attribute access and never blocks."""

    def __init__(
        self,
        product: str,
        ledger: Ledger,
        store: ModelStore,
        load: Callable[[Path, Manifest], Model],
        chain: Sequence[str] = (CLOUD,),
    ) -> None:
        """`chain` is the target of this process and the wider ones it follows, the most specific first.

        `load` gets a folder whose bytes were checked against its manifest, and may raise anything to refuse it.
        """
        self.product = product
        self.chain = tuple(chain)
        self.current: Live[Model] | None = None
        self.refused: Refusal | None = None
        self.swaps = 0
        self.refusals = 0
        self.ledger_read_at: datetime | None = None
        self._ledger = ledger
        self._store = store
        self._load = load
        self._seen: int | None = None
        self._polls_since_refusal = 0
        self._loader = ThreadPoolExecutor(1, thread_name_prefix=f"load-{product}")

    @property
    def target(self) -> str:
        """The target of this process."""
        return self.chain[0]

    def require(self) -> Live[Model]:
        """What is live; raises NothingLive when there is nothing to answer with."""
        if self.current is not None:
            return self.current
        if self.refused is not None:
            raise NothingLive(
                f"{self.product} {self.refused.version} is released but could not be loaded: {self.refused.reason}",
                todo=f"repair it or roll back: `retail models` shows what is live on {self.target}",
            )
        raise NothingLive(
            f"no version of {self.product} is live on {self.target}",
            todo="train and release one: `retail run`",
        )

    def poll(self) -> None:
        """Reads the ledger once and swaps when it names another version; keeps what serves when it cannot be read."""
        self._polls_since_refusal += 1
        try:
            version = self._ledger.version()
            if version == self._seen and not self._retry_is_due():
                return
            release = self._ledger.answers(self.product, self.chain)
        except (DeltaError, OSError, RetailError) as error:
            logger.error("the release ledger cannot be read, %s stays as it is: %s", self.product, error)
            return
        self._seen = version
        self.ledger_read_at = datetime.now(UTC)
        if release is not None and (self.current is None or release.release_id != self.current.release.release_id):
            self._take(release)

    def _retry_is_due(self) -> bool:
        return self.refused is not None and self._polls_since_refusal >= RETRY_REFUSED_EVERY

    def _take(self, release: Release) -> None:
        """Loads in a thread of its own, whose outcome is looked at whatever it is: the old version must survive it."""
        loading = self._loader.submit(self._open, release)
        error = loading.exception()
        if error is not None:
            self._refuse(release, error)
            return
        before, self.current = self.current, loading.result()
        self.refused = None
        self.swaps += 1
        logger.info(
            "%s answers with %s (%s by %s, before: %s)",
            self.product,
            release.version,
            release.action,
            release.by,
            before.release.version if before else "nothing",
        )

    def _refuse(self, release: Release, error: BaseException) -> None:
        reason = error.what if isinstance(error, RetailError) else f"{type(error).__name__}: {error}"
        serving = self.current.release.version if self.current else "nothing"
        self.refused = Refusal(release.version, reason)
        self.refusals += 1
        self._polls_since_refusal = 0
        logger.error("%s %s is refused, %s stays: %s", self.product, release.version, serving, error)

    def _open(self, release: Release) -> Live[Model]:
        same = self.current
        if same is not None and same.release.version == release.version:
            return Live(release, same.manifest, same.model, same.loaded_at)
        folder = self._store.path(self.product, release.version)
        manifest = self._store.manifest(self.product, release.version)
        return Live(release, manifest, self._load(folder, manifest))

    def close(self) -> None:
        """Ends the loading thread; `current` still answers."""
        self._loader.shutdown(wait=True)
