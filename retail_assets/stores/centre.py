"""The centre's side of the line: what each store should hold, its files, and the decisions and words it sends."""

import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from retail_assets.core.manifest import sha256
from retail_assets.features.store import FeatureStore
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import Release, answering, versions_of
from retail_assets.releases.targets import STORE, Targets
from retail_assets.releases.traffic_split import routes
from retail_assets.resources import durable
from retail_assets.resources.environments import Environment
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from retail_assets.resources.table_versions import Versions
from retail_assets.stores.bundle import Blob, Bundle, CarriedModel, CarriedTable, StoreError, TableName
from retail_assets.stores.keys import CentreKeys, SignedBundle
from retail_assets.stores.landing import LandedDecisions, set_aside
from retail_assets.stores.numbers import BundleNumbers
from retail_assets.stores.status import Statuses, StoreReport, StoreStatus, Wanted, report
from retail_assets.stores.tables import CentreTables, parquet

logger = logging.getLogger(__name__)

KEPT_VERSIONS = 3
KEPT_BLOB_DAYS = 7
TOKENS = "tokens.json"
NUMBERS = "bundles"


def folder_of(environment: Environment) -> Path:
    """Where a centre keeps what it knows of its stores."""
    return environment.home.root / "stores"


class Tokens:
    """One token per store, of which only the sha256 is kept. A new one replaces the old: that is how one is revoked.

    A token is a secret and, behind a dot, the public key of the centre, by which the store knows its bundles.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / TOKENS
        self._keys = CentreKeys(folder)

    def issue(self, target: str) -> str:
        """Makes a token for a store and returns it: the only time it can be seen."""
        token = f"{secrets.token_urlsafe(32)}.{self._keys.public}"
        self._write(self._read() | {target: sha256(token.encode())})
        return token

    def revoke(self, target: str) -> None:
        """Takes a store's token away. Raises StoreError where it has none."""
        known = self._read()
        if known.pop(target, None) is None:
            raise StoreError(f"{target} has no token", todo="see `retail stores`")
        self._write(known)

    def allows(self, target: str, token: str) -> bool:
        """Whether `token` is the one of `target`."""
        return hmac.compare_digest(self._read().get(target, ""), sha256(token.encode()))

    def targets(self) -> list[str]:
        """The stores that have a token."""
        return sorted(self._read())

    def _read(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._file.read_text()) if self._file.is_file() else {}
        return found

    def _write(self, known: dict[str, str]) -> None:
        durable.write(self._file, json.dumps(known, indent=1, sort_keys=True), mode=0o600)


class Centre:
    """Answers stores from the home of the retailer. Safe to ask from several threads."""

    def __init__(self, environment: Environment, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called, in the thread that polls, when stores may have to hold something else."""
        self.tokens = Tokens(folder_of(environment))
        self.statuses = Statuses(folder_of(environment) / "status")
        self.landed = LandedDecisions(environment)
        self._keys = CentreKeys(folder_of(environment))
        self._numbers = BundleNumbers(folder_of(environment) / NUMBERS)
        self._lake = environment.lake
        self._ledger = Ledger(environment.lake)
        self._models = ModelStore.at(environment.home.models)
        self._features = FeatureStore.at(environment.home, environment.lake)
        self._config = ReleaseConfig.load()
        self._blobs = folder_of(environment) / "blobs"
        self._cut = CentreTables(self._features)
        self._sources: list[TableName] | None = None
        self._versions = Versions(environment.lake)
        self._seen: dict[TableName, int | None] = {}
        self._ledger_seen: int | None = None
        self._log: list[Release] = []
        self._targets = Targets(regions={})
        self._carried: dict[tuple[str, str], CarriedModel] = {}
        self._tables: dict[str, tuple[int, tuple[CarriedTable, ...]]] = {}
        self._state = 0
        self._changed = changed
        self._building = threading.Lock()

    def poll(self) -> None:
        """Looks whether something was released; a look at a ledger in a local lake is one file that is not there."""
        if not self._ledger.changed_since(self._ledger_seen):
            return
        version = self._ledger.version()
        if version != self._ledger_seen:
            self._log, self._ledger_seen = self._ledger.log(), version
            self._changed()

    def poll_tables(self) -> None:
        """Looks whether a table that stores carry has a new version."""
        if self._sources is None:
            self._sources = self._cut.sources()
        seen: dict[TableName, int | None] = {}
        for layer in dict.fromkeys(source.layer for source in self._sources):
            names = [source.name for source in self._sources if source.layer == layer]
            seen |= {TableName(layer, n): v for n, v in self._versions.of(layer, *names).items()}
        if seen != self._seen:
            self._targets, self._seen = Targets.of(self._lake, self._config.segments), seen
            self._state += 1
            self._changed()

    def bundle(self, target: str) -> Bundle:
        """What a store should hold now. Raises StoreError or LedgerError for what is not one."""
        if not target.startswith(STORE):
            raise StoreError(f"{target!r} is not a store", todo=f"a store is {STORE}<store id>")
        chain, log = self._targets.chain(target), self._log
        with self._building:
            tables = self._tables_of(target)
        models = []
        for product in self._config.products():
            wanted = [r.version for r in routes(log, product, chain, self._targets).releases()]
            earlier = versions_of(answering(log, product, chain))[-KEPT_VERSIONS:]
            models += [found for v in dict.fromkeys([*wanted, *earlier]) if (found := self._model(product, v))]
        releases = tuple(release for release in log if release.target in chain)
        wanted_now = Bundle(target=target, releases=releases, models=tuple(models), tables=tables)
        return self._numbers.numbered(wanted_now)

    def signed(self, bundle: Bundle) -> SignedBundle:
        """The bundle as its store will believe it."""
        return self._keys.sign(bundle)

    def _model(self, product: str, version: str) -> CarriedModel | None:
        """The files of a version; None for one that cannot be trusted: stores that are told to use it refuse it."""
        known = self._carried.get((product, version))
        if known is None:
            try:
                folder = self._models.path(product, version)
            except ModelStoreError as error:
                logger.error("%s %s is not given to stores: %s", product, version, error)
                return None
            files = {file.name: Blob.of(file.read_bytes()) for file in sorted(folder.iterdir())}
            known = self._carried[product, version] = CarriedModel(product=product, version=version, files=files)
        return known

    def _tables_of(self, target: str) -> tuple[CarriedTable, ...]:
        state = self._state
        known = self._tables.get(target)
        if known is not None and known[0] == state:
            return known[1]
        carried = []
        for name, rows in sorted(self._cut.of(target.removeprefix(STORE), self._seen).items()):
            content = parquet(rows)
            self._keep(content)
            by_day = ("business_date",) if name in self._cut.by_day else ()
            carried.append(CarriedTable(**name._asdict(), partition_by=by_day, blob=Blob.of(content)))
        self._tables[target] = (state, tuple(carried))
        return tuple(carried)

    def _keep(self, content: bytes) -> None:
        path = self._blobs / sha256(content)
        if path.exists():
            path.touch()
            return
        durable.write(path, content)

    def prune(self) -> None:
        """Deletes files of tables that no bundle has named for KEPT_BLOB_DAYS."""
        oldest = time.time() - KEPT_BLOB_DAYS * 86400
        kept = {table.blob.sha256 for _, tables in self._tables.values() for table in tables}
        for path in self._blobs.glob("*") if self._blobs.is_dir() else ():
            if path.name not in kept and path.stat().st_mtime < oldest:
                path.unlink()

    def file(self, target: str, wanted: str) -> Path:
        """The file of a blob that a store should hold. Raises StoreError for any other."""
        bundle = self.bundle(target)
        for model in bundle.models:
            for name, blob in model.files.items():
                if blob.sha256 == wanted:
                    return self._models.home / "models" / model.product / model.version / name
        if any(table.blob.sha256 == wanted for table in bundle.tables):
            return self._blobs / wanted
        raise StoreError(f"{target} is not to hold {wanted[:12]}", todo="ask for the bundle again")

    def hear(self, status: StoreStatus) -> None:
        """Keeps the word of a store."""
        self.statuses.put(status)


def wanted_versions(environment: Environment, targets: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """Target -> product -> the version that the ledger gives it."""
    config, rows = ReleaseConfig.load(), Ledger(environment.lake).log()
    known = Targets.of(environment.lake, config.segments)
    found: dict[str, dict[str, str | None]] = {}
    for target in targets:
        chain = known.chain(target) if target in known.all() else ()
        answers = {p: routes(rows, p, chain, known).default if chain else None for p in config.products()}
        found[target] = {product: release.version if release else None for product, release in answers.items()}
    return found


def store_reports(environment: Environment, now: datetime | None = None) -> list[StoreReport]:
    """Every store that has a token or ever called, by name, as it is now."""
    folder = folder_of(environment)
    statuses, tokens, numbers = Statuses(folder / "status"), Tokens(folder), BundleNumbers(folder / NUMBERS)
    targets = sorted({*statuses.targets(), *tokens.targets()})
    versions = wanted_versions(environment, targets) if targets else {}
    aside = set_aside(environment)
    moment = now or datetime.now(UTC)
    reports = []
    for target in targets:
        heard = statuses.get(target)
        behind = numbers.behind(target, heard.status.etag if heard is not None else None)
        wanted = Wanted(versions[target], behind, tuple(one.reason for one in aside if one.target == target))
        reports.append(report(target, heard, wanted, moment))
    return reports
