"""Whom a store believes: signed bundles with plain names, never an old one."""

import base64
import json
import shutil
from pathlib import Path

import httpx
import pytest

from retail_assets.stores.bundle import Blob, Bundle, CarriedModel, CarriedTable, StoreError
from retail_assets.stores.keys import BUNDLE, CentreKeys, NotTrusted, Trust
from retail_assets.stores.numbers import BundleNumbers
from tests.services.harness import eventually
from tests.services.releases import ledger
from tests.services.store_place import Place

WITHIN_S = 60.0
WRITER = "decision-log/0b1b2b3b-0000-4000-8000-00000000000{}"


NAMES = ["../x", "/etc/cron.d/x", "a/b", "..", ".", "", ".hidden", "a\\b", "a\0b", "x" * 121, "a b", "ü", "a\n", "CON:"]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_a_bundle_are_plain(name: str) -> None:
    blob = Blob(sha256="0" * 64, size=1)
    with pytest.raises(ValueError, match="files"):
        CarriedModel(product="pricing", version="abc", files={name: blob})
    with pytest.raises(ValueError, match="product"):
        CarriedModel(product=name, version="abc", files={})
    with pytest.raises(ValueError, match="version"):
        CarriedModel(product="pricing", version=name, files={})
    with pytest.raises(ValueError, match="name"):
        CarriedTable(layer="gold", name=name, blob=blob)
    with pytest.raises(ValueError, match="partition_by"):
        CarriedTable(layer="gold", name="x", partition_by=(name,), blob=blob)


def some_bundle(number: int = 5, target: str = "store-1") -> Bundle:
    """An empty bundle."""
    return Bundle(target=target, number=number, releases=(), models=(), tables=())


def sent(keys: CentreKeys, bundle: Bundle) -> bytes:
    """A bundle as it goes over the line."""
    return keys.sign(bundle).model_dump_json().encode()


def test_a_bundle_is_believed_only_as_it_was_signed_and_never_an_old_one(tmp_path: Path) -> None:
    keys, other = CentreKeys(tmp_path / "centre"), CentreKeys(tmp_path / "other")
    token, store = f"secret.{keys.public}", tmp_path / "store"
    trust = Trust(token, store)
    assert trust.open(sent(keys, some_bundle(5)), "store-1").number == 5
    changed = json.loads(sent(keys, some_bundle(6)))
    changed["bundle"] = changed["bundle"].replace('"number":6', '"number":7')
    for document, why in [
        (json.dumps(changed).encode(), "is not signed by its centre"),
        (sent(other, some_bundle(6)), "a centre that this store does not know"),
        (sent(keys, some_bundle(6, "store-2")), "was given the bundle of store-2"),
        (sent(keys, some_bundle(4)), "an old bundle: number 4, and it has had 5"),
        (b"<html>", "no signed bundle"),
        (b"{}", "no signed bundle"),
    ]:
        for believer in (trust, Trust(token, store)):
            with pytest.raises(NotTrusted, match=why):
                believer.open(document, "store-1")
    assert Trust(token, store).open(sent(keys, some_bundle(6)), "store-1").number == 6
    with pytest.raises(StoreError, match="names no key of its centre"):
        Trust("an-older-token", store).open(sent(keys, some_bundle(6)), "store-1")
    (store / "trust.json").write_bytes(b"\0" * 100)
    assert Trust(token, store).open(sent(keys, some_bundle(6)), "store-1").number == 6


def test_stores_follow_a_new_key_and_forget_the_one_before(tmp_path: Path) -> None:
    keys = CentreKeys(tmp_path / "centre")
    old, first = (tmp_path / "centre" / "signing_keys.json").exists(), keys.public
    assert not old, "the key is made when it is first asked for"
    assert (tmp_path / "centre" / "signing_keys.json").stat().st_mode & 0o777 == 0o600
    token, store = f"secret.{first}", tmp_path / "store"
    assert Trust(token, store).open(sent(keys, some_bundle(1)), "store-1")
    shutil.copytree(tmp_path / "centre", tmp_path / "thief")
    assert keys.rotate() == keys.public != first
    keys.rotate()
    assert Trust(token, store).open(sent(keys, some_bundle(2)), "store-1").number == 2
    with pytest.raises(NotTrusted, match="does not know|not signed"):
        Trust(token, store).open(sent(CentreKeys(tmp_path / "thief"), some_bundle(3)), "store-1")
    forged = json.loads(sent(keys, some_bundle(3)))
    forged["keys"][1]["signature"] = base64.urlsafe_b64encode(b"\0" * 64).decode().rstrip("=")
    with pytest.raises(NotTrusted, match="not signed by the one before it"):
        Trust(token, tmp_path / "new").open(json.dumps(forged).encode(), "store-1")
    thief = CentreKeys(tmp_path / "thief")
    thief.rotate()
    assert Trust(token, tmp_path / "third").open(sent(thief, some_bundle(3)), "store-1"), "it knows the first key only"
    with pytest.raises(NotTrusted):
        Trust(f"secret.{keys.public}", tmp_path / "third").open(sent(thief, some_bundle(4)), "store-1")
    assert Trust(f"secret.{keys.public}", tmp_path / "third").open(sent(keys, some_bundle(1)), "store-1").number == 1


def test_a_bundle_that_is_played_again_removes_nothing(fresh: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    home, target = fresh.centre, fresh.target
    copy = fresh.copied()
    old = httpx.get(f"{fresh.url}/v1/stores/{target}/bundle", headers={"Authorization": f"Bearer {fresh.token}"})
    ledger(home).pin("pricing", by="test", reason="keep", target=target, wider=["cloud"])
    assert eventually(lambda: fresh.bundle(fresh.link()).releases[-1].action == "pin", within=WITHIN_S)
    copy = fresh.copied()
    link = fresh.link()
    monkeypatch.setattr(link, "_get", lambda *_, **__: old)
    with pytest.raises(NotTrusted, match="an old bundle"):
        link.bundle(copy.tag, wait_s=0)
    ledger(home).unpin("pricing", by="test", reason="test", target=target)


def test_numbers_rise_whatever_becomes_of_their_file(tmp_path: Path) -> None:
    def numbered(*releases: str) -> Bundle:
        models = tuple(CarriedModel(product="pricing", version=v, files={}) for v in releases)
        bundle = some_bundle(0).model_copy(update={"models": models})
        return BundleNumbers(tmp_path).numbered(bundle)

    first, again, second, back = numbered("a"), numbered("a"), numbered("b"), numbered("a")
    assert first == again
    assert first.number < second.number < back.number
    assert first.etag == back.etag != second.etag
    assert BundleNumbers(tmp_path).behind("store-1", second.etag) is not None
    assert BundleNumbers(tmp_path).behind("store-1", back.etag) is None
    never = BundleNumbers(tmp_path).behind("store-1", "of another time")
    assert never is not None and never.versions == 3
    (tmp_path / "store-1.json").write_bytes(b"\0" * 10)
    assert numbered("a").number > back.number


def test_a_store_of_older_code_knows_the_bundle_by_its_centres_name(tmp_path: Path) -> None:
    """What newer code added is left out; under a name of its own the store would ask again without end."""
    row = {"product": "pricing", "version": "v", "action": "promote", "by": "b", "reason": "r", "added": 1}
    keys = CentreKeys(tmp_path / "centre")
    newer = json.loads(some_bundle(3).model_dump_json()) | {"releases": [row], "also": {"x": 1}, "name": "a" * 32}
    signed = keys.sign(some_bundle(3)).model_dump() | {"bundle": json.dumps(newer)}
    text = signed["bundle"].encode()
    signed["signature"] = base64.urlsafe_b64encode(keys._load().sign(BUNDLE + text)).decode().rstrip("=")
    document = json.dumps(signed, default=str).encode()
    found = Trust(f"secret.{keys.public}", tmp_path / "store").open(document, "store-1")
    assert (found.tag, found.releases[0].action) == (f"{'a' * 32}.3", "promote")
