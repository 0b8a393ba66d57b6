"""A store's own copy of what it answers from: fetched piece by piece, checked by hash, put in place whole.

What serves is never touched before everything new is on this disk and checked, so a line that is cut at any moment, and
a process that is killed at any moment, leave the last good copy. What was fetched by then is not fetched again. What is
in place is looked through now and then: a file whose bytes have changed on the disk is fetched anew.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.releases.rows import Release, live_rows, releases_schema, trial_rows
from retail_assets.resources import durable
from retail_assets.resources.damage import Damaged
from retail_assets.resources.environments import Environment
from retail_assets.resources.lake import Lake, LakeError
from retail_assets.stores.bundle import Blob, Bundle, CarriedModel, CarriedTable, StoreError
from retail_assets.stores.disk import changed, file_sha256, missing_bytes, settled
from retail_assets.stores.link import Link

logger = logging.getLogger(__name__)

PART_BYTES = 256 << 10
LOOK_AGAIN_S = 1.0
ATTEMPTS = 3
OLD_FILES_HOURS = 1
LEDGER = "ops/releases"


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
        self._home = environment.home
        self._models = environment.home.models
        self._link = link
        self._folder = environment.home.root / "store"
        self._incoming = self._folder / "incoming"
        self._state_file = self._folder / "copy.json"
        self._rate = most_bytes_per_s
        self._broken: frozenset[str] = frozenset()  # replaced, never changed: another thread tells of it
        self._known: dict[str, Any] | None = None
        self._looked_at = 0.0

    @property
    def etag(self) -> str | None:
        """The bundle that was put in place whole last; None before the first."""
        return self._told("etag")

    @property
    def tag(self) -> str | None:
        """What is in place as the centre knows it; None where something of it is broken or missing."""
        return None if self._broken else self._told("tag")

    @property
    def broken(self) -> tuple[str, ...]:
        """What is not what it was when it was put in place, and is to be fetched anew."""
        return tuple(sorted(self._broken))

    def look_through(self) -> tuple[str, ...]:
        """Reads everything that is in place and compares it with its hashes; returns what is `broken`."""
        state = self._state()
        for key, hashes in state.get("on_disk", {}).items():
            found = changed(self._place(key), hashes)
            if found is not None and key not in self._broken:
                logger.error("%s in this store is broken: %s is not what it was", key, found)
                self._broken |= {key}
        return self.broken

    def _place(self, key: str) -> Path:
        """The folder of a model or a table."""
        kind, _, name = key.partition(":")
        return self._models / "models" / name if kind == "model" else Path(self._lake.uri) / name

    def take(self, bundle: Bundle) -> None:
        """Brings the copy to `bundle`: models first, then the ledger that names them, then the tables.

        Raises LineDown or StoreError when a file cannot be had, Superseded when the centre wants something else by now;
        the next call goes on where this one stopped.
        """
        self._require_own_home()
        applied: dict[str, str] = self._state().get("tables", {})
        wanted = {f"{table.layer}/{table.name}": table for table in bundle.tables}
        new = {k: t for k, t in wanted.items() if applied.get(k) != t.blob.sha256 or f"table:{k}" in self._broken}
        models = [model for model in bundle.models if not self._has(model)]
        self._require_room(models, new.values())
        for model in models:
            self._take_model(bundle, model)
        self._take_ledger(bundle)
        files = {key: self._fetch(bundle, table.blob, key) for key, table in new.items()}
        for key, table in new.items():
            self._put_table(table, files[key])
            applied = applied | {key: table.blob.sha256}
            self._remember(tables=applied)
        self._remember(
            etag=bundle.etag,
            tag=bundle.tag,
            tables={key: table.blob.sha256 for key, table in wanted.items()},
            on_disk=self._hashes_of(bundle),
        )
        self._broken = frozenset()  # what was, and is in no bundle any more, cannot be mended and answers nothing
        self.fetching = None
        self._tidy(bundle)

    def _hashes_of(self, bundle: Bundle) -> dict[str, Any]:
        """Those of the hashes on disk that are of something in the bundle."""
        named = {f"model:{model.product}/{model.version}" for model in bundle.models}
        named |= {f"table:{table.layer}/{table.name}" for table in bundle.tables} | {f"table:{LEDGER}"}
        on_disk: dict[str, Any] = self._state().get("on_disk", {})
        return {key: hashes for key, hashes in on_disk.items() if key in named}

    def _require_own_home(self) -> None:
        """A copy replaces tables: in the home of a retailer it would replace what cannot be made again."""
        for layer in ("bronze", "quarantine"):
            if (Path(self._lake.uri) / layer).exists():
                raise StoreError(
                    "this is the home of a retailer, and a store's copy would replace its tables",
                    where=str(self._home.root),
                    todo="give the store an empty folder as RETAIL_HOME",
                )

    def _require_room(self, models: Iterable[CarriedModel], tables: Iterable[CarriedTable]) -> None:
        """A table takes its file and the same again where it is put; so does a model."""
        blobs = [blob for model in models for blob in model.files.values()] + [table.blob for table in tables]
        self._incoming.mkdir(parents=True, exist_ok=True)
        have = {path.name for path in self._incoming.iterdir()}
        missing = missing_bytes(self._incoming, [(1 if b.sha256 in have else 2) * b.size for b in blobs])
        if missing:
            raise StoreError(
                f"this disk has {missing >> 20:,} MiB too little for what is new",
                where=str(self._folder),
                todo="free space; the store answers from what it has until then",
            )

    def _has(self, model: CarriedModel) -> bool:
        """Whether a version is here as it should be; one that was here before the copy kept hashes is read now."""
        key = f"model:{model.product}/{model.version}"
        hashes = {name: blob.sha256 for name, blob in model.files.items()}
        if key in self._broken:
            return False
        if self._state().get("on_disk", {}).get(key) == hashes:
            return True
        if changed(self._place(key), hashes) is not None:
            return False
        self._keep_hashes(key, hashes)
        return True

    def _take_model(self, bundle: Bundle, model: CarriedModel) -> None:
        key = f"model:{model.product}/{model.version}"
        target = self._place(key)
        staged = self._incoming / f"{model.product}-{model.version}"
        shutil.rmtree(staged, ignore_errors=True)
        files = {name: self._fetch(bundle, blob, f"{model.product} {model.version}") for name, blob in
                 sorted(model.files.items())}  # fmt: skip
        staged.mkdir(parents=True)
        for name, path in files.items():
            shutil.copyfile(path, staged / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._move_away(target)
        durable.move_in(staged, target)
        self._keep_hashes(key, {name: blob.sha256 for name, blob in model.files.items()})
        logger.info("%s %s is here", model.product, model.version)

    def _take_ledger(self, bundle: Bundle) -> None:
        """Replaces the rows, when they are others, in one commit that the services notice."""
        ids = [release.release_id for release in bundle.releases]
        broken = f"table:{LEDGER}" in self._broken
        if not ids or (self._state().get("releases") == ids[-1:] + [len(ids)] and not broken):
            return
        rows = pa.Table.from_pylist([release.model_dump() for release in bundle.releases], schema=releases_schema())
        self._replace("ops", "releases", rows)
        self._remember(releases=ids[-1:] + [len(ids)])
        _say(bundle.releases[-1])

    def _put_table(self, table: CarriedTable, file: Path) -> None:
        self._replace(table.layer, table.name, pq.read_table(file, partitioning=None), table.partition_by)

    def _replace(self, layer: str, name: str, rows: pa.Table, partition_by: Sequence[str] = ()) -> None:
        """Puts `rows` in place of a table in one commit; one that is broken is made anew beside it and changes places.

        Decisions of a store's lake are the centre's, copied: here they may be replaced.
        """
        from deltalake.exceptions import DeltaError

        key = f"table:{layer}/{name}"
        if key not in self._broken:
            try:
                self._overwrite(layer, name, rows, partition_by)
            except (DeltaError, Damaged, LakeError) as error:
                logger.error("%s/%s of this store cannot be written, it is made anew: %s", layer, name, error)
                self._broken |= {key}
        if key in self._broken:
            self._make_anew(layer, name, rows, partition_by)
        self._keep_hashes(key, settled(self._place(key)))

    def _overwrite(self, layer: str, name: str, rows: pa.Table, partition_by: Sequence[str]) -> None:
        if layer == "decisions" and self._lake.exists(layer, name):
            self._lake.open(layer, name).alter.set_table_properties({"delta.appendOnly": "false"})
        self._lake.overwrite(layer, name, rows, partition_by)
        old = self._lake.open(layer, name)
        old.vacuum(retention_hours=OLD_FILES_HOURS, enforce_retention_duration=False, dry_run=False)

    def _make_anew(self, layer: str, name: str, rows: pa.Table, partition_by: Sequence[str]) -> None:
        beside, place = Lake.at(self._incoming / "anew"), self._place(f"table:{layer}/{name}")
        shutil.rmtree(beside.uri, ignore_errors=True)
        beside.overwrite(layer, name, rows, partition_by)
        place.parent.mkdir(parents=True, exist_ok=True)
        self._move_away(place)
        durable.move_in(Path(beside.table_uri(layer, name)), place)

    def _keep_hashes(self, key: str, hashes: Mapping[str, str]) -> None:
        self._remember(on_disk=self._state().get("on_disk", {}) | {key: dict(hashes)})
        self._broken -= {key}

    def _move_away(self, place: Path) -> None:
        """Out of the way; deleted with the other files of the transfer once everything is in place."""
        if place.exists():
            away = durable.hidden_beside(self._incoming / place.name)
            place.rename(away)

    def _fetch(self, bundle: Bundle, blob: Blob, what: str) -> Path:
        """The file of a blob, whole and checked; raises StoreError when it keeps coming with another hash."""
        self.fetching = what
        self._incoming.mkdir(parents=True, exist_ok=True)
        path = self._incoming / blob.sha256
        for _ in range(ATTEMPTS):
            if path.exists():
                if file_sha256(path) == blob.sha256:
                    return path
                path.unlink()
            partial = path.with_suffix(".partial")
            self._fetch_parts(bundle, blob, partial)
            if file_sha256(partial) == blob.sha256:
                partial.replace(path)
                durable.sync(self._incoming)
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
        newer = self._link.bundle(bundle.tag, wait_s=0)
        self._looked_at = time.monotonic()
        if newer is not None:
            raise Superseded(newer)

    def _tidy(self, bundle: Bundle) -> None:
        """Deletes versions that the store cannot need any more, and files that were fetched for them."""
        for path in self._incoming.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        kept = {(model.product, model.version) for model in bundle.models}
        named = {(r.product, r.version) for r in [*live_rows(bundle.releases), *trial_rows(bundle.releases)]}
        for folder in self._models.glob("models/*/*"):
            if folder.is_dir() and (folder.parent.name, folder.name) not in kept | named:
                shutil.rmtree(folder)

    def _told(self, name: str) -> str | None:
        found = self._state().get(name)
        return found if isinstance(found, str) else None

    def _state(self) -> dict[str, Any]:
        """What is in place; nothing where that was never written or cannot be read: then all of it is taken anew."""
        if self._known is None:
            try:
                found = json.loads(self._state_file.read_bytes())
            except FileNotFoundError:
                found = {}
            except (OSError, ValueError) as error:
                logger.error("%s cannot be read, the copy is fetched anew: %s", self._state_file, error)
                found = {}
            self._known = found if isinstance(found, dict) else {}
        return self._known

    def _remember(self, **changes: Any) -> None:
        known = self._state() | changes
        durable.write(self._state_file, json.dumps(known, indent=1, sort_keys=True))
        self._known = known


def _say(release: Release) -> None:
    logger.info("%s on %s: %s by %s, %s", release.product, release.target, release.action, release.by, release.version)
