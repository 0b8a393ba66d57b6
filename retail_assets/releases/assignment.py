"""Which version a batch answers with in each store: the same routes as a service follows, for every store at once."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.markdown import table
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.releases.last_good import with_last_good
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import CLOUD, Release
from retail_assets.releases.targets import Targets
from retail_assets.releases.traffic_split import Arm, Routes, arm_of, routes
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore, ModelStoreError

logger = logging.getLogger(__name__)
Model = TypeVar("Model")


@dataclass(frozen=True)
class Share:
    """The rows of a batch that one version answers, as one arm."""

    version: str
    arm: Arm
    rows: pa.Table


@dataclass(frozen=True)
class Assignment:
    """The release of each store, taken from the ledger once so that a whole batch sees the same.

    `refused` are the released versions that another one answers for, and why.
    """

    product: str
    routes: Routes
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def sound(cls, lake: Lake, product: str, store: ModelStore) -> "Assignment":
        """As `now`, with the last good version wherever the released one may not be loaded; `refused` says why.

        A version is asked in a process of its own, once (resources/model_proof.py): a second or two. Raises
        ModelStoreError where versions are released and none of them may be loaded.
        """
        targets, log = Targets.of(lake, ReleaseConfig.load().segments), Ledger(lake).log()
        refused: dict[str, str] = {}

        def good(release: Release) -> bool:
            try:
                return proven(store, product, release.version).is_dir()
            except ModelStoreError as error:
                refused[release.version] = error.what
                logger.error("%s %s answers nothing: %s", product, release.version, error)
                return False

        wanted = routes(log, product, (CLOUD,), targets)
        made = cls(product, with_last_good(wanted, log, product, (CLOUD,), targets, good), refused)
        if refused and not made.versions:
            whys = "; ".join(refused.values())
            raise ModelStoreError(f"no released version of {product} may be loaded: {whys}", todo="train again")
        return made

    @classmethod
    def now(cls, lake: Lake, product: str) -> "Assignment":
        """From the ledger as it is; what answers in a store that gold does not know is what the cloud answers.

        Raises ReleasesLost where the ledger is older than it was: a version that was replaced must not decide again.
        """
        log = Ledger(lake).whole_log()
        targets = Targets.of(lake, ReleaseConfig.load().segments)
        return cls(product, routes(log, product, (CLOUD,), targets))

    def of(self, store_id: str) -> Release | None:
        """The release that answers in a store, None where nothing does."""
        return self.routes.of(store_id)

    def version_of(self, store_id: str) -> str | None:
        """The version that answers in a store, None where nothing does."""
        release = self.of(store_id)
        return release.version if release else None

    @property
    def versions(self) -> list[str]:
        """Every version that answers somewhere, sorted; empty before the first release."""
        default = [self.routes.default] if self.routes.default else []
        return sorted({release.version for release in [*default, *self.routes.stores.values()]})

    @property
    def name(self) -> str:
        """A text that is equal where every store answers with the same version: the version where there is only one."""
        default = self.routes.default.version if self.routes.default else None
        others = {store: r.version for store, r in sorted(self.routes.stores.items()) if r.version != default}
        return default if default and not others else json.dumps([default, others])

    def load(self, store: ModelStore, load: Callable[[Path], Model]) -> dict[str, Model]:
        """Every version that answers somewhere, loaded after its bytes were checked.

        Raises ModelStoreError where one was changed or is gone: a batch is made whole or not at all.
        """
        return {version: load(store.path(self.product, version)) for version in self.versions}

    def shares(self, rows: pa.Table) -> list[Share]:
        """`rows` (with a column store_id) by version and arm, each in its order; rows without a release are left out.

        Where one version answers everywhere this is `rows` itself.
        """
        stores: dict[tuple[str, Arm], list[str]] = {}
        for store in sorted(pc.unique(rows["store_id"]).to_pylist()):
            release = self.of(store)
            if release is not None:
                stores.setdefault((release.version, arm_of(release)), []).append(store)
        everything = len(stores) == 1 and len(next(iter(stores.values()))) == len(pc.unique(rows["store_id"]))
        return [
            Share(version, arm, rows if everything else rows.filter(pc.is_in(rows["store_id"], pa.array(members))))
            for (version, arm), members in sorted(stores.items())
        ]


def share_table(shares: Sequence[Share]) -> str:
    """A markdown table: which version decided how many rows of how many stores, as which arm."""
    rows = ((s.version, s.arm, len(pc.unique(s.rows["store_id"])), s.rows.num_rows) for s in shares)
    return table(("version", "arm", "stores", "rows"), rows)
