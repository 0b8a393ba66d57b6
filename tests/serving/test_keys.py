"""Keys: only hashes are kept, and what is wrong, old or taken back opens nothing."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.resources.environments import Home, UnavailableEnvironment, workers
from retail_assets.serving.config import Rate, ServingConfig
from retail_assets.serving.gateway import keys as keys_module
from retail_assets.serving.gateway.bind_guard import ExposedError, is_loopback, require_keys
from retail_assets.serving.gateway.keys import KeyFileError, KeyRing, KeyStore

CONFIG = ServingConfig.load_file()


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys.json")


@pytest.fixture
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring that looks at its file with each request instead of each second."""
    monkeypatch.setattr(keys_module, "LOOK_EVERY_S", -1.0)


def bearer(secret: str) -> bytes:
    """The header of a key."""
    return f"Bearer {secret}".encode()


def test_a_key_is_found_by_what_was_shown_and_kept_as_a_hash(store: KeyStore) -> None:
    made, secret = store.add("checkout", frozenset({"price"}), CONFIG)
    caller = KeyRing(store.path).find(bearer(secret))
    assert caller is not None and caller.key == made
    assert caller.key.rate == CONFIG.rate
    text = store.path.read_text()
    assert secret not in text and secret.split("_", 2)[2] not in text
    assert store.path.stat().st_mode & 0o077 == 0


def basic(name: str, secret: str) -> bytes:
    """The header that a browser makes of a name and a password."""
    return b"Basic " + base64.b64encode(f"{name}:{secret}".encode())


@pytest.mark.parametrize("name", ["", "anyone", "Zoë"])
def test_a_browser_sends_the_key_as_password_of_any_name(store: KeyStore, name: str) -> None:
    made, secret = store.add("auditor", frozenset({"trace"}), CONFIG)
    ring = KeyRing(store.path)
    caller = ring.find(basic(name, secret))
    assert caller is not None and caller.key == made
    assert ring.find(basic(secret, name)) is None, "the key is the password, not the name"
    assert ring.find(basic(name, secret + "x")) is None
    assert ring.find(basic(name, secret)[:-2]) is None


@pytest.mark.parametrize(
    "change", [str.upper, lambda s: s[:-1], lambda s: s + "x", lambda s: s[:-1] + ("A" if s[-1] != "A" else "B"),
               lambda s: s.replace("rk_", "rk-"), lambda s: "",
               lambda s: s + "\n" + s, lambda s: "rk_000000000000" + s[15:]],
)  # fmt: skip
def test_a_changed_key_opens_nothing(store: KeyStore, change) -> None:  # type: ignore[no-untyped-def]
    _, secret = store.add("checkout", frozenset({"price"}), CONFIG)
    ring = KeyRing(store.path)
    assert ring.find(bearer(change(secret))) is None
    assert ring.find(secret.encode()) is None, "not a bearer token"
    assert ring.find(b"Basic " + secret.encode()) is None
    assert ring.find(None) is None


@given(st.binary(max_size=200))
def test_whatever_is_sent_opens_nothing_and_breaks_nothing(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    store = KeyStore(tmp_path_factory.getbasetemp() / "any-keys.json")
    if not store.path.exists():
        store.add("checkout", frozenset({"price"}), CONFIG)
    ring = KeyRing(store.path)
    assert ring.find(junk) is None
    assert ring.find(b"Bearer " + junk) is None
    assert ring.find(b"Basic " + junk) is None


@pytest.mark.usefixtures("looks_each_time")
def test_a_running_ring_learns_new_revoked_and_expired_keys(store: KeyStore) -> None:
    ring = KeyRing(store.path)
    assert not ring.asks_for_keys(), "no key was ever made"
    made, secret = store.add("checkout", frozenset({"price"}), CONFIG)
    assert ring.asks_for_keys()
    assert ring.find(bearer(secret)) is not None
    store.revoke(made.id)
    assert ring.asks_for_keys(), "the last key taken back does not open the service"
    assert ring.find(bearer(secret)) is None
    old, expired = store.add("till", frozenset({"price"}), CONFIG, days=1)
    past = old.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=1)})
    store._write((past,))
    assert ring.asks_for_keys()
    assert ring.find(bearer(expired)) is None
    assert past.state(datetime.now(UTC)) == "expired"


@pytest.mark.usefixtures("looks_each_time")
def test_a_file_that_breaks_or_vanishes_lets_nobody_in(store: KeyStore) -> None:
    _, secret = store.add("checkout", frozenset({"price"}), CONFIG)
    good, ring = store.path.read_bytes(), KeyRing(store.path)
    for broken in (good[: len(good) // 2], b"", b"[]", b'{"keys": [{"id": 1}]}'):
        store.path.write_bytes(broken)
        assert ring.asks_for_keys() and ring.broken is not None
        assert ring.find(bearer(secret)) is None
        with pytest.raises(KeyFileError, match="cannot be read"):
            store.all()
    store.path.unlink()
    assert ring.asks_for_keys() and ring.find(bearer(secret)) is None
    store.path.write_bytes(good)
    assert ring.asks_for_keys() and ring.broken is None
    assert ring.find(bearer(secret)) is not None


@pytest.mark.usefixtures("looks_each_time")
def test_another_key_does_not_refill_a_bucket(store: KeyStore) -> None:
    _, secret = store.add("checkout", frozenset({"price"}), CONFIG, rate=Rate(per_second=0.01, burst=1))
    ring = KeyRing(store.path)
    caller = ring.find(bearer(secret))
    assert caller is not None and caller.bucket.take(1.0) == 0
    store.add("till", frozenset({"price"}), CONFIG)
    assert ring.asks_for_keys()
    caller = ring.find(bearer(secret))
    assert caller is not None and caller.bucket.take(1.0) > 0


def test_an_unknown_scope_and_no_scope_are_refused(store: KeyStore) -> None:
    for scopes in (frozenset({"price", "prize"}), frozenset[str]()):
        with pytest.raises(KeyFileError, match="scope"):
            store.add("checkout", scopes, CONFIG)
    assert not store.path.exists()


def test_an_unknown_key_cannot_be_revoked(store: KeyStore) -> None:
    store.add("checkout", frozenset({"price"}), CONFIG)
    with pytest.raises(KeyFileError, match="there is no key 123"):
        store.revoke("123")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "::1%lo"])
def test_loopback_needs_no_keys(store: KeyStore, host: str) -> None:
    assert is_loopback(host)
    require_keys([host], store.path)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "localhost.example.org", "", "127.0.0.1.nip.io"]
)
def test_any_other_address_needs_a_key_that_was_made(store: KeyStore, host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ExposedError, match="without asking for keys") as refused:
        require_keys(["127.0.0.1", host], store.path)
    assert "retail keys add" in str(refused.value)
    store.add("checkout", frozenset({"price"}), CONFIG)
    require_keys(["127.0.0.1", host], store.path)


def test_the_limits_must_make_sense() -> None:
    raw = json.loads(CONFIG.model_dump_json())
    for name, value in (("late_s", 9.0), ("shed_s", 100.0), ("body_bytes", 0), ("deadline_s", float("nan"))):
        with pytest.raises(ValueError):
            ServingConfig.model_validate(raw | {"load": raw["load"] | {name: value}})


def test_the_command_makes_lists_and_ends_keys(home: Home, retail: Callable[..., "CompletedProcess[str]"]) -> None:
    said = retail(home.root, "keys", "add", "till", "--scope", "price", "--rate", "5", "--days", "30", "--json")
    made = json.loads(said.stdout)
    caller = KeyRing(home.root / "keys.json").find(bearer(made["key"]))
    assert caller is not None and caller.key.rate == Rate(per_second=5, burst=10)
    assert "sha256" not in made
    assert made["id"] in retail(home.root, "keys", "revoke", made["id"], "--yes").stdout
    listed = retail(home.root, "keys", "list", "--json").stdout
    assert made["key"] not in listed
    assert [key["state"] for key in json.loads(listed)] == ["revoked"]
    refused = retail(home.root, "keys", "add", "till", "--scope", "prize", check=False)
    assert (refused.returncode, "scopes are forecast, metrics, price, trace" in refused.stderr) == (1, True)


@pytest.mark.parametrize("stated", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, stated: str) -> None:
    monkeypatch.setenv("RETAIL_WORKERS", stated)
    with pytest.raises(UnavailableEnvironment, match="RETAIL_WORKERS"):
        workers()
    monkeypatch.delenv("RETAIL_WORKERS")
    assert workers() == 1
