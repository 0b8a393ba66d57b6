"""The model store: BentoML's own folder layout, read without importing BentoML, verified byte by byte.

A model is `<home>/models/<product>/<version>/` with its files, `manifest.json` and BentoML's `model.yaml`.
"""

import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import Manifest, sha256
from retail_assets.resources import durable

logger = logging.getLogger(__name__)
MANIFEST = "manifest.json"
BENTOML_FILE = "model.yaml"
SUFFIXES = (".txt", ".json", ".safetensors")


class ModelStoreError(RetailError):
    """A model that is not there, is not the one its manifest describes, or may not be stored."""


class ModelStore(BaseModel):
    """Saves and reads models below one BentoML home (BENTOML_HOME). Touches no file until it is asked to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path

    @classmethod
    def at(cls, path: Path | str) -> "ModelStore":
        """The store whose BentoML home is `path`."""
        return cls(home=Path(path))

    def save(self, product: str, files: dict[str, bytes], manifest: Manifest) -> str:
        """Stores `files` (name to content) with `manifest` and returns the version; a version that is there is kept.

        The folder appears by one rename when all of it is on disk: a save that is killed, or a power cut, leaves
        nothing that looks like a model. A stored version of which a byte or the manifest is damaged is replaced.
        Raises ModelStoreError for another product's manifest, no files, or a file type that could run code on load.
        """
        if manifest.product != product:
            raise ModelStoreError(f"the manifest is of {manifest.product!r}, not of {product!r}")
        _refuse_names(files)
        sealed = manifest.sealed(files)
        if not self._is_whole(product, sealed.version):
            self._write(sealed, {**files, MANIFEST: sealed.model_dump_json(indent=2).encode()})
        self.path(product, sealed.version)
        return sealed.version

    def versions(self, product: str) -> list[str]:
        """Every stored version of `product`, oldest first by `created_at`; empty where there is none.

        One whose manifest cannot be read is passed over, named in the log and in `unreadable`.
        """
        found: list[tuple[Manifest, str]] = []
        for folder, read in self._manifests(product):
            if isinstance(read, Manifest):
                found.append((read, folder.name))
            else:
                logger.warning("%s %s is passed over: %s", product, folder.name, read.what)
        return [name for _, name in sorted(found, key=lambda one: (one[0].created_at, one[1]))]

    def unreadable(self, product: str) -> dict[str, str]:
        """The stored versions of `product` whose manifest cannot be read, and why."""
        read = self._manifests(product)
        return {folder.name: error.what for folder, error in read if isinstance(error, ModelStoreError)}

    def products(self) -> list[str]:
        """Products with at least one stored version, sorted."""
        return sorted({f.parent.parent.name for f in self._folder("").glob(f"*/*/{MANIFEST}")})

    def manifest(self, product: str, version: str) -> Manifest:
        """The manifest of a stored version; raises ModelStoreError when it is missing, unreadable or altered."""
        folder = self._folder(product) / version
        if not (folder / MANIFEST).is_file():
            raise ModelStoreError(
                f"the model store has no {product} {version}",
                where=str(folder),
                todo=f"stored versions: {', '.join(self.versions(product)) or 'none'}",
            )
        manifest = _read_manifest(folder)
        if (manifest.product, manifest.version) != (product, version) or manifest.content_version() != version:
            raise ModelStoreError(
                f"{MANIFEST} of {product} {version} was changed: its content hashes to {manifest.content_version()}",
                where=str(folder / MANIFEST),
                todo="restore the folder from a backup, or train again",
            )
        return manifest

    def path(self, product: str, version: str) -> Path:
        """The folder of a stored version after every byte in it was checked against the manifest.

        Raises ModelStoreError that names the file and both hashes when a byte changed, a file is missing or was added.
        """
        folder = self._folder(product) / version
        expected = self.manifest(product, version).files
        found = {f.name for f in folder.iterdir()} - {MANIFEST, BENTOML_FILE}
        for name in sorted(found ^ set(expected)):
            state = "is not in the manifest" if name in found else "is missing"
            raise ModelStoreError(f"{name} of {product} {version} {state}", where=str(folder / name))
        for name, hashed in expected.items():
            actual = sha256(_content(folder / name))
            if actual != hashed:
                raise ModelStoreError(
                    f"{name} of {product} {version} was changed: sha256 is {actual}, the manifest says {hashed}",
                    where=str(folder / name),
                    todo="restore the folder from a backup, or train again",
                )
        return folder

    def _folder(self, product: str) -> Path:
        return self.home / "models" / product

    def _manifests(self, product: str) -> Iterator[tuple[Path, "Manifest | ModelStoreError"]]:
        for file in sorted(self._folder(product).glob(f"*/{MANIFEST}")):
            try:
                yield file.parent, _read_manifest(file.parent)
            except ModelStoreError as error:
                yield file.parent, error

    def _is_whole(self, product: str, version: str) -> bool:
        try:
            return self.path(product, version).is_dir()
        except ModelStoreError:
            return False

    def _write(self, manifest: Manifest, files: dict[str, bytes]) -> None:
        self._folder("").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=self.home) as staging:
            staged = _create_in_bentoml(Path(staging), manifest, files)
            target = self._folder(manifest.product) / manifest.version
            target.parent.mkdir(exist_ok=True)
            if target.exists() and not self._is_whole(manifest.product, manifest.version):
                target.rename(Path(staging) / "damaged")
            try:
                durable.move_in(staged, target)
            except OSError:  # the same version was saved by somebody else in this moment
                if not self._is_whole(manifest.product, manifest.version):
                    raise
                return
            durable.write(target.parent / "latest", manifest.version)


def _create_in_bentoml(store: Path, manifest: Manifest, files: dict[str, bytes]) -> Path:
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    import bentoml
    from bentoml._internal.models import ModelStore as BentoStore
    from bentoml.models import ModelContext

    labels = {"git_commit": manifest.git_commit, "train_until": manifest.train_until.isoformat()}
    with bentoml.models.create(
        f"{manifest.product}:{manifest.version}",
        labels=labels,
        context=ModelContext(framework_name="retail-assets", framework_versions={}),
        _model_store=BentoStore(store),
    ) as model:
        for name, content in files.items():
            Path(model.path_of(name)).write_bytes(content)
    return store / manifest.product / manifest.version


def _refuse_names(files: dict[str, bytes]) -> None:
    if not files:
        raise ModelStoreError("a model without files cannot be stored")
    for name in files:
        if Path(name).name != name or name in (MANIFEST, BENTOML_FILE) or Path(name).suffix not in SUFFIXES:
            raise ModelStoreError(
                f"{name!r} cannot be stored in a model",
                todo=f"use a plain file name that ends in {', '.join(SUFFIXES)} and is not {MANIFEST}",
            )


def _content(file: Path) -> bytes:
    """The bytes of a plain file: what would be waited for without an end (a pipe) is no file of a model."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ModelStoreError(f"{file.name} is no plain file", where=str(file), todo="restore it, or train again")
        return file.read_bytes()
    except OSError as error:
        raise ModelStoreError(f"{file.name} cannot be read: {error.strerror}", where=str(file)) from error


def _read_manifest(folder: Path) -> Manifest:
    file = folder / MANIFEST
    content = _content(file)
    if not content.strip(b"\0 \n"):
        raise ModelStoreError(
            f"{MANIFEST} of {folder.parent.name} {folder.name} is empty: a power cut may have caught it",
            where=str(file),
            todo="restore the folder from a backup, or train again",
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelStoreError(
            f"{MANIFEST} of {folder.parent.name} {folder.name} cannot be read: {field + ': ' if field else ''}"
            f"{first['msg']}",
            where=str(file),
            todo="restore the folder from a backup, or train again",
        ) from error
