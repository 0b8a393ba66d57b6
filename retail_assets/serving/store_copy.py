"""A store's own copy of what it answers from: fetched piece by piece, checked by hash, put in place whole.

What serves is never touched before everything new is on this disk and checked, so a line that is cut at any moment, and
a process that is killed at any moment, leave the last good copy. What was fetched by then is not fetched again.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.environments import Environment
from retail_assets.resources.model_store import MANIFEST
from retail_assets.serving.ledger import Release, live_rows, releases_schema, trial_rows
from retail_assets.serving.store_bundle import Blob, Bundle, CarriedModel, CarriedTable, StoreError
from retail_assets.serving.store_link import Link

logger = logging.getLogger(__name__)

PART_BYTES = 256 << 10
LOOK_AGAIN_S = 1.0
ATTEMPTS = 3
OLD_FILES_HOURS = 1


class Superseded(Exception):
    """While a bundle was fetched the centre came to want another one."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.etag)
        self.bundle = bundle


class StoreCopy:
    """The local copy below the home of a store."""

    def __init__(self, environment: Environment, link: Link, most_bytes_per_s: float | None = None) -> None:
        """`most_bytes_per_s` leaves the rest of a weak line to the tills."""
        self.fetching: str | None = None
        self.fetched_bytes = self.resumed_bytes = 0
        self._lake = environment.lake
        self._models = environment.home.models
        self._link = link
        self._folder = environment.home.root / "store"
        self._incoming = self._folder / "incoming"
        self._state_file = self._folder / "copy.json"
        self._rate = most_bytes_per_s
        self._looked_at = 0.0

    @property
    def etag(self) -> str | None:
        """The bundle that is in place whole; None before the first."""
        found: str | None = self._state().get("etag")
        return found

    def take(self, bundle: Bundle) -> None:
        """Brings the copy to `bundle`: models first, then the ledger that names them, then the tables.

        Raises LineDown or StoreError when a file cannot be had, Superseded when the centre wants something else by now;
        the next call goes on where this one stopped.
        """
        for model in bundle.models:
            self._take_model(bundle, model)
        self._take_ledger(bundle)
        applied: dict[str, str] = self._state().get("tables", {})
        wanted = {f"{table.layer}/{table.name}": table for table in bundle.tables}
        new = {key: table for key, table in wanted.items() if applied.get(key) != table.blob.sha256}
        files = {key: self._fetch(bundle, table.blob, key) for key, table in new.items()}
        for key, table in new.items():
            self._put_table(table, files[key])
            applied = applied | {key: table.blob.sha256}
            self._remember(tables=applied)
        self._remember(etag=bundle.etag, tables={key: table.blob.sha256 for key, table in wanted.items()})
        self.fetching = None
        self._tidy(bundle)

    def _take_model(self, bundle: Bundle, model: CarriedModel) -> None:
        target = self._models / "models" / model.product / model.version
        if (target / MANIFEST).exists():
            return
        staged = self._incoming / f"{model.product}-{model.version}"
        shutil.rmtree(staged, ignore_errors=True)
        files = {name: self._fetch(bundle, blob, f"{model.product} {model.version}") for name, blob in
                 sorted(model.files.items())}  # fmt: skip
        staged.mkdir(parents=True)
        for name, path in files.items():
            shutil.copyfile(path, staged / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        staged.rename(target)
        logger.info("%s %s is here", model.product, model.version)

    def _take_ledger(self, bundle: Bundle) -> None:
        """Replaces the rows, when they are others, in one commit that the services notice."""
        ids = [release.release_id for release in bundle.releases]
        if not ids or self._state().get("releases") == ids[-1:] + [len(ids)]:
            return
        rows = pa.Table.from_pylist([release.model_dump() for release in bundle.releases], schema=releases_schema())
        self._lake.overwrite("ops", "releases", rows)
        self._remember(releases=ids[-1:] + [len(ids)])
        _say(bundle.releases[-1])

    def _put_table(self, table: CarriedTable, file: Path) -> None:
        self._lake.overwrite(table.layer, table.name, pq.read_table(file, partitioning=None), table.partition_by)
        old = self._lake.open(table.layer, table.name)
        old.vacuum(retention_hours=OLD_FILES_HOURS, enforce_retention_duration=False, dry_run=False)

    def _fetch(self, bundle: Bundle, blob: Blob, what: str) -> Path:
        """The file of a blob, whole and checked; raises StoreError when it keeps coming with another hash."""
        self.fetching = what
        self._incoming.mkdir(parents=True, exist_ok=True)
        path = self._incoming / blob.sha256
        for _ in range(ATTEMPTS):
            if path.exists():
                return path
            partial = path.with_suffix(".partial")
            self._fetch_parts(bundle, blob, partial)
            if _sha256(partial) == blob.sha256:
                partial.replace(path)
                return path
            logger.error("%s arrived with another hash than %s and is fetched anew", what, blob.sha256[:12])
            partial.unlink()
        raise StoreError(
            f"{what} arrived {ATTEMPTS} times with another hash than {blob.sha256[:12]}",
            todo="something on the line, or a disk, changes bytes; what was here stays",
        )

    def _fetch_parts(self, bundle: Bundle, blob: Blob, partial: Path) -> None:
        have = partial.stat().st_size if partial.exists() else 0
        if have > blob.size:
            partial.unlink()
            have = 0
        self.resumed_bytes += have
        with partial.open("ab") as file:
            while have < blob.size:
                started = time.monotonic()
                self._look_again(bundle)
                part = self._link.part(blob, have, PART_BYTES)
                if not part:
                    raise StoreError(f"the centre has {have} of {blob.size} bytes of {blob.sha256[:12]}")
                file.write(part)
                file.flush()
                have += len(part)
                self.fetched_bytes += len(part)
                if self._rate:
                    time.sleep(max(len(part) / self._rate - (time.monotonic() - started), 0))
            os.fsync(file.fileno())

    def _look_again(self, bundle: Bundle) -> None:
        """A rollback must not wait behind a long transfer."""
        if time.monotonic() - self._looked_at < LOOK_AGAIN_S:
            return
        newer = self._link.bundle(bundle.etag, wait_s=0)
        self._looked_at = time.monotonic()
        if newer is not None:
            raise Superseded(newer)

    def _tidy(self, bundle: Bundle) -> None:
        """Deletes versions that the store cannot need any more, and files that were fetched for them."""
        for path in self._incoming.glob("*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        kept = {(model.product, model.version) for model in bundle.models}
        named = {(r.product, r.version) for r in [*live_rows(bundle.releases), *trial_rows(bundle.releases)]}
        for folder in self._models.glob("models/*/*"):
            if folder.is_dir() and (folder.parent.name, folder.name) not in kept | named:
                shutil.rmtree(folder)

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._state_file.read_bytes()) if self._state_file.is_file() else {}
        return found

    def _remember(self, **changes: Any) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._state_file.with_suffix(".partial")
        with partial.open("w") as file:
            file.write(json.dumps(self._state() | changes, indent=1, sort_keys=True))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._state_file)


def _say(release: Release) -> None:
    logger.info("%s on %s: %s by %s, %s", release.product, release.target, release.action, release.by, release.version)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
