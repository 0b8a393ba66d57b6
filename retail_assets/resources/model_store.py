"""The model store: BentoML's own folder layout, read without importing BentoML, verified byte by byte.

A model is `<home>/models/<product>/<version>/` with its files, `manifest.json` and BentoML's `model.yaml`.
"""

import os
import shutil
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import Manifest, sha256

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

        The folder appears by one rename: a save that is killed leaves nothing that looks like a model.
        Raises ModelStoreError for another product's manifest, no files, or a file type that could run code on load.
        """
        if manifest.product != product:
            raise ModelStoreError(f"the manifest is of {manifest.product!r}, not of {product!r}")
        _refuse_names(files)
        sealed = manifest.sealed(files)
        if sealed.version not in self.versions(product):
            self._write(sealed, {**files, MANIFEST: sealed.model_dump_json(indent=2).encode()})
        self.path(product, sealed.version)
        return sealed.version

    def versions(self, product: str) -> list[str]:
        """Every stored version of `product`, oldest first by `created_at`; empty where there is none."""
        folders = [f.parent for f in self._folder(product).glob(f"*/{MANIFEST}")]
        return [f.name for f in sorted(folders, key=lambda f: (_read_manifest(f).created_at, f.name))]

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
            actual = sha256((folder / name).read_bytes())
            if actual != hashed:
                raise ModelStoreError(
                    f"{name} of {product} {version} was changed: sha256 is {actual}, the manifest says {hashed}",
                    where=str(folder / name),
                    todo="restore the folder from a backup, or train again",
                )
        return folder

    def _folder(self, product: str) -> Path:
        return self.home / "models" / product

    def _write(self, manifest: Manifest, files: dict[str, bytes]) -> None:
        self._folder("").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=self.home) as staging:
            staged = _create_in_bentoml(Path(staging), manifest, files)
            target = self._folder(manifest.product) / manifest.version
            target.parent.mkdir(exist_ok=True)
            if target.exists() and not (target / MANIFEST).exists():
                shutil.rmtree(target)
            try:
                staged.rename(target)
            except OSError:  # the same version was saved by somebody else in this moment
                if not (target / MANIFEST).exists():
                    raise
                return
            latest = Path(staging) / "latest"
            latest.write_text(manifest.version)
            latest.replace(target.parent / "latest")


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


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except ValidationError as error:
        raise ModelStoreError(f"{MANIFEST} cannot be read: {error}", where=str(folder / MANIFEST)) from error
