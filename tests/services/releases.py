"""Versions to release in tests: variations of the live models of a completed home."""

from dataclasses import replace
from datetime import timedelta

from retail_assets.pricing.response.model import PriceModel
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore


def ledger(home: Home) -> Ledger:
    """The release ledger of a home."""
    return Ledger(Lake.at(home.lake))


def live_version(home: Home, product: str) -> str:
    """What the ledger says is live."""
    release = ledger(home).live(product)
    assert release is not None, f"no {product} is live in {home.root}"
    return release.version


def variation(home: Home, product: str, seed: int) -> str:
    """Stores a version of the live model: other elasticities for pricing, the same forecaster otherwise.

    It is older than the live one, so that a refresh does not take it for the newest.
    """
    store, version = ModelStore.at(home.models), live_version(home, product)
    manifest = store.manifest(product, version)
    created_at = manifest.created_at - timedelta(seconds=seed)
    files = {name: (store.path(product, version) / name).read_bytes() for name in manifest.files}
    if product == "pricing":
        model = PriceModel.load(store.path(product, version))
        files = replace(model, table=model.table * (1 + seed / 100)).files()
    return store.save(product, files, manifest.model_copy(update={"seed": seed, "created_at": created_at}))


def promote(home: Home, product: str, version: str) -> None:
    """Makes a version live."""
    ledger(home).promote(product, version, by="test", reason="test")


def damage(home: Home, product: str, version: str) -> None:
    """Changes one byte of a stored version."""
    folder = ModelStore.at(home.models).path(product, version)
    victim = next(f for f in sorted(folder.iterdir()) if f.name not in ("manifest.json", "model.yaml"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
