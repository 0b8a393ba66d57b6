"""A service follows the ledger: it swaps, refuses what it cannot trust, and keeps the last good version."""

import gc
import shutil
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from retail_assets.core.background import Every
from retail_assets.core.manifest import Manifest
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import Release, releases_schema
from retail_assets.releases.targets import Targets
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from retail_assets.serving.live import RETRY_REFUSED_EVERY, LiveModel, NothingLive
from tests.services.harness import eventually


class Loaded:
    """The least a model can be: text of a file."""

    def __init__(self, text: str) -> None:
        self.text = text


class Shop:
    """A ledger, a store and a follower of both."""

    def __init__(self, root: Path) -> None:
        self.ledger = Ledger(Lake.at(root / "lake"))
        self.store = ModelStore.at(root / "models")
        self.targets = Targets(regions={"238": "US", "7": "DE"})
        self.live = LiveModel("pricing", self.ledger, self.store, self.load, targets=lambda: self.targets)

    @staticmethod
    def load(folder: Path, manifest: Manifest) -> Loaded:
        text = (folder / "model.json").read_text()
        if text == "broken":
            raise ZeroDivisionError("no elasticity")
        return Loaded(text)

    def train(self, text: str) -> str:
        day = date(2026, 11, 8)
        manifest = Manifest(
            product="pricing",
            created_at=datetime(2026, 11, 8, tzinfo=UTC),
            gold={},
            feature_service="price_response",
            features=[],
            git_commit="0" * 40,
            config={},
            seed=7,
            metrics={},
            train_from=day,
            train_until=day,
            rows=1,
        )
        return self.store.save("pricing", {"model.json": text.encode()}, manifest)

    def release(self, text: str) -> str:
        version = self.train(text)
        self.ledger.promote("pricing", version, by="test", reason="test")
        self.live.poll()
        return version

    @property
    def serving(self) -> str | None:
        return self.live.current.model.text if self.live.current else None

    def damage(self, version: str) -> Path:
        path = self.store.home / "models" / "pricing" / version / "model.json"
        path.write_text(path.read_text() + " ")
        return path


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_nothing_is_live_before_the_first_release(shop: Shop) -> None:
    shop.live.poll()
    with pytest.raises(NothingLive, match="no version of pricing is live on cloud"):
        shop.live.require()


def test_a_release_and_a_rollback_take_over_in_place(shop: Shop) -> None:
    first = shop.release("a")
    second = shop.release("b")
    assert (shop.serving, shop.live.require().release.version) == ("b", second)
    shop.ledger.rollback("pricing", by="test", reason="worse")
    shop.live.poll()
    assert (shop.serving, shop.live.require().release.version) == ("a", first)
    assert shop.live.swaps == 3


def test_the_old_version_is_freed_once_no_request_holds_it(shop: Shop) -> None:
    shop.release("a")
    request = shop.live.require()
    old = weakref.ref(request.model)
    shop.release("b")
    assert old() is request.model, "a request that began with a version ends with it"
    del request
    gc.collect()
    assert old() is None


@pytest.mark.parametrize("fault", ["changed byte", "missing folder", "fails to load"])
def test_a_version_that_cannot_be_trusted_is_refused_and_the_old_one_stays(shop: Shop, fault: str) -> None:
    shop.release("a")
    version = shop.train("broken" if fault == "fails to load" else "b")
    if fault == "changed byte":
        shop.damage(version)
    if fault == "missing folder":
        shutil.rmtree(shop.store.home / "models" / "pricing" / version)
    shop.ledger.promote("pricing", version, by="test", reason="test")
    shop.live.poll()
    assert (shop.serving, shop.live.swaps, shop.live.refusals) == ("a", 1, 1)
    assert shop.live.refused is not None and shop.live.refused.version == version
    shop.release("c")
    assert (shop.serving, shop.live.refused) == ("c", None)


def test_a_refused_first_version_says_so(shop: Shop) -> None:
    version = shop.release("broken")
    with pytest.raises(NothingLive, match=f"{version} is released but could not be loaded: ZeroDivisionError"):
        shop.live.require()


def test_a_repaired_version_is_taken_at_a_later_poll(shop: Shop) -> None:
    shop.release("a")
    version = shop.train("b")
    path = shop.damage(version)
    shop.ledger.promote("pricing", version, by="test", reason="test")
    shop.live.poll()
    path.write_text("b")
    for _ in range(RETRY_REFUSED_EVERY):
        shop.live.poll()
    assert (shop.serving, shop.live.refusals) == ("b", 1)


def test_a_ledger_that_cannot_be_read_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.release("a")
    log = tmp_path / "lake" / "ops" / "releases" / "_delta_log"
    for commit in log.glob("*.json"):
        commit.write_text("not json")
    shop.live.poll()
    assert shop.serving == "a"


def test_a_released_again_version_is_not_loaded_twice(shop: Shop) -> None:
    version = shop.release("a")
    model = shop.live.require().model
    shop.ledger.promote("pricing", version, by="test", reason="again")
    shop.live.poll()
    assert shop.live.require().model is model
    assert shop.live.require().release.reason == "again"


def in_store(shop: Shop, store_id: str) -> str:
    return shop.live.require(store_id).model.text


def test_one_store_goes_back_and_the_others_stay(shop: Shop) -> None:
    shop.release("a")
    shop.release("b")
    old = weakref.ref(shop.live.require().model)
    shop.ledger.rollback("pricing", by="test", reason="odd", target="store-238", wider=["region-US", "cloud"])
    shop.live.poll()
    assert (in_store(shop, "238"), in_store(shop, "7"), in_store(shop, "new")) == ("a", "b", "b")
    assert list(shop.live.exceptions()) == ["238"]
    shop.release("c")
    gc.collect()
    assert (in_store(shop, "238"), in_store(shop, "7"), old()) == ("a", "c", None)
    shop.ledger.follow("pricing", by="test", reason="over", target="store-238", wider=["region-US", "cloud"])
    shop.live.poll()
    assert (in_store(shop, "238"), shop.live.exceptions()) == ("c", {})


def test_a_canary_that_cannot_be_loaded_leaves_its_stores_where_they_were(shop: Shop) -> None:
    shop.release("a")
    for text, expected in (("broken", "a"), ("b", "b")):
        shop.ledger.canary("pricing", shop.train(text), 1.0, by="test", reason="try")
        shop.live.poll()
        assert (in_store(shop, "238"), in_store(shop, "7"), shop.serving) == (expected, expected, "a")
    assert (shop.live.refused, shop.live.refusals) == (None, 1)
    shop.ledger.withdraw("pricing", by="test", reason="enough")
    shop.live.poll()
    assert in_store(shop, "238") == "a"


def test_a_shadow_is_loaded_and_never_answers(shop: Shop) -> None:
    shop.release("a")
    shop.ledger.shadow("pricing", shop.train("s"), by="test", reason="look", target="region-US", wider=["cloud"])
    shop.live.poll()
    assert (in_store(shop, "238"), shop.serving) == ("a", "a")
    assert [s.model.text for s in shop.live.shadows("238")] == ["s"]
    assert shop.live.shadows("7") == shop.live.shadows("new") == ()


def test_a_loop_outlives_what_it_calls() -> None:
    calls, enough = [0], threading.Event()

    def fail() -> None:
        calls[0] += 1
        if calls[0] == 3:
            enough.set()
        raise KeyError("gone")

    loop = Every(0.001, fail, "test")
    loop.start()
    assert enough.wait(10)
    loop.stop()
    assert loop.failures >= 3


def held(shop: Shop, wait: threading.Event) -> LiveModel[Loaded]:
    """A follower whose look at a version named `held` takes until it is given up."""

    def opened(version: str, stopped: Callable[[], bool]) -> Path:
        folder = shop.store.path("pricing", version)
        if (folder / "model.json").read_text() == "held":
            wait.set()
            assert eventually(stopped, within=60), "nobody gave it up"
            raise ModelStoreError("given up")
        return folder

    return LiveModel("pricing", shop.ledger, shop.store, shop.load, targets=lambda: shop.targets, opened=opened)


def test_a_version_that_holds_its_loader_does_not_hold_the_ledger(shop: Shop) -> None:
    looked_at = threading.Event()
    live = held(shop, looked_at)
    first, bad = shop.train("a"), shop.train("held")
    shop.ledger.promote("pricing", first, by="test", reason="test")
    live.poll()
    shop.ledger.promote("pricing", bad, by="test", reason="test")
    following = threading.Thread(target=live.poll)
    following.start()
    assert looked_at.wait(30)
    assert live.require().model.text == "a", "what serves goes on meanwhile"
    shop.ledger.rollback("pricing", by="test", reason="it hangs")
    following.join(30)
    assert not following.is_alive()
    live.poll()
    assert (live.require().release.action, live.require().model.text, live.refused) == ("rollback", "a", None)
    live.close()


def test_another_products_release_gives_up_nothing(shop: Shop) -> None:
    looked_at = threading.Event()
    live = held(shop, looked_at)
    shop.ledger.promote("pricing", shop.train("held"), by="test", reason="test")
    following = threading.Thread(target=live.poll)
    following.start()
    assert looked_at.wait(30)
    shop.ledger.promote("forecasting", "0" * 12, by="test", reason="another product")
    following.join(1.0)
    assert following.is_alive(), "it is still wanted"
    live.close()
    following.join(30)
    assert not following.is_alive(), "who stops does not wait for a version"


@pytest.mark.parametrize("faults", [1, 2])
def test_a_process_that_starts_with_a_bad_release_answers_with_the_last_good_version(shop: Shop, faults: int) -> None:
    good = shop.release("a")
    for number in range(faults):
        bad = shop.train("broken" + " " * number)
        shop.damage(bad)
        shop.ledger.promote("pricing", bad, by="test", reason="bad")
    fresh = LiveModel("pricing", shop.ledger, shop.store, shop.load)
    fresh.poll()
    assert (fresh.require().release.version, fresh.require().model.text) == (good, "a")
    assert fresh.refused is not None and fresh.refused.version == bad, "the released one is named"
    better = shop.train("c")
    shop.ledger.promote("pricing", better, by="test", reason="repaired")
    fresh.poll()
    assert (fresh.require().release.version, fresh.refused) == (better, None)


def test_what_newer_code_wrote_into_the_ledger_changes_nothing(shop: Shop) -> None:
    shop.release("a")
    shop.ledger.canary("pricing", shop.train("b"), 1.0, by="test", reason="try")
    shop.live.poll()
    newer(shop.ledger, Release(product="pricing", version=shop.train("c"), action="freeze", by="test", reason="new"))
    shop.live.poll()
    assert (shop.serving, in_store(shop, "238")) == ("a", "b")
    last = shop.release("d")
    assert shop.serving == "d" and shop.live.require().release.version == last


def newer(ledger: Ledger, release: Release) -> None:
    """Appends a row as newer code would, with an action and a column that this code does not know."""
    rows = pa.Table.from_pylist([release.model_dump()], schema=releases_schema())
    rows = rows.append_column("until", pa.array(["tomorrow"]))
    write_deltalake(ledger.lake.open("ops", "releases"), rows, mode="append", schema_mode="merge")
