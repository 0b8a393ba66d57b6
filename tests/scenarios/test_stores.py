"""Three stores behind lines that are cut: they answer, take releases afterwards, and every decision arrives once."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import urlsplit

import pytest

from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.stores.centre import Tokens, folder_of, store_reports
from retail_assets.stores.status import StoreStatus
from tests.scenarios.lines import new_line
from tests.scenarios.stores import UP_WITHIN_S, Shopper, Store
from tests.services.centre import centre_of, environment_of
from tests.services.harness import eventually
from tests.services.releases import live_version, promote, variation

PADDING_BYTES = 3_000_000
RATE_KB_S = 1000.0
Retail = Callable[..., "CompletedProcess[str]"]


@dataclass
class Chain:
    """A centre and its three stores with a shopper in each."""

    home: Home
    stores: list[Store]
    shoppers: list[Shopper]


@pytest.fixture(scope="module")
def chain(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("chain")
    shutil.copytree(tiny_home, folder / "centre")
    home = Home.at(folder / "centre")
    skus = dict(reversed(InputBook.read(Lake.at(home.lake)).rows.select(["store_id", "sku"]).to_pandas().to_numpy()))
    tokens = Tokens(folder_of(environment_of(home)))
    lines = [new_line(number) for number in range(3)]
    with centre_of(home, host="0.0.0.0") as url:
        port = urlsplit(url).port or 0
        stores = [
            Store(store_id, folder / store_id, line, port, tokens.issue(f"store-{store_id}"))
            for store_id, line in zip(sorted(skus)[:3], lines, strict=True)
        ]
        shoppers = [Shopper(store, skus[store.store_id]) for store in stores]
        try:
            for store in stores:
                store.start(rate=RATE_KB_S)
            for shopper in shoppers:
                shopper.start()
            for shopper in shoppers:
                assert shopper.gets_answers(1), shopper.store.log()
            yield Chain(home, stores, shoppers)
        finally:
            for shopper in shoppers:
                if shopper.is_alive():
                    shopper.stop()
            for store in stores:
                store.kill()
            for line in lines:
                line.close()


def padded(home: Home, seed: int) -> str:
    """A version whose files take a while over the line."""
    version = variation(home, "pricing", seed)
    store = ModelStore.at(home.models)
    folder, manifest = store.path("pricing", version), store.manifest("pricing", version)
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    return store.save("pricing", files | {"padding.txt": secrets.token_bytes(PADDING_BYTES)}, manifest)


def logged(home: Home, ids: set[str]) -> list[str]:
    """The decisions of services at the centre, from the first of `ids` on."""
    lake = Lake.at(home.lake)
    if not lake.exists("decisions", "pricing"):
        return []
    table = lake.scan("decisions", "pricing")
    return lake.query(f"select decision_id from {table} where mode = 'service' and decision_id >= '{min(ids)}'")[
        "decision_id"
    ].to_pylist()


def test_stores_outlive_their_lines_their_releases_and_a_kill(chain: Chain, retail: Retail) -> None:
    home, (first, second, third), (one, two, three) = chain.home, chain.stores, chain.shoppers
    old, new = live_version(home, "pricing"), variation(home, "pricing", seed=51)
    assert {shopper.version for shopper in chain.shoppers} == {old}

    for store in (first, second):
        store.line.cut()
    promote(home, "pricing", new)
    assert three.sees(new), third.log()
    for shopper in (one, two):
        assert shopper.gets_answers(100)
        assert shopper.version == old, "it cannot know of the release, and goes on"

    for store in (first, second):
        store.line.restore()
    for shopper in (one, two):
        assert shopper.sees(new), shopper.store.log()

    retail(home.root, "rollback", "pricing", "--target", first.target, "--yes")
    assert one.sees(old), first.log()
    assert two.gets_answers(50) and three.gets_answers(50)
    assert (two.version, three.version) == (new, new), "the rollback of one store is its own affair"

    large = padded(home, seed=52)
    promote(home, "pricing", large)
    assert eventually(lambda: second.partial_bytes() > PADDING_BYTES // 4, within=UP_WITHIN_S), second.log()
    second.kill()
    had = second.partial_bytes()
    assert 0 < had < PADDING_BYTES
    second.start()
    assert two.sees(large), second.log()
    assert three.sees(large), third.log()
    assert one.version == old

    def said(store: Store) -> StoreStatus | None:
        heard = {report.target: report.status for report in store_reports(environment_of(home))}
        return heard[store.target]

    assert eventually(lambda: bool((s := said(second)) and s.resumed_bytes >= had), within=60, every=0.5)
    assert eventually(lambda: bool((s := said(first)) and s.services["pricing"].version == old), within=60, every=0.5)
    for shopper in chain.shoppers:
        shopper.stop()
    everything = environment_of(home)
    assert eventually(lambda: {r.health for r in store_reports(everything)} == {"ok"}, within=60, every=0.5)
    reports = json.loads(retail(home.root, "stores", "--json").stdout)
    assert [(report["target"], report["health"]) for report in reports] == [(s.target, "ok") for s in chain.stores]

    for store in chain.stores:
        store.terminate()
    for store in chain.stores:
        store.stop()
    answered = {decision for shopper in chain.shoppers for decision, _ in shopper.answered}
    assert eventually(lambda: answered <= set(logged(home, answered)), within=120, every=1)
    rows = logged(home, answered)
    assert len(rows) == len(set(rows)), "no decision arrives twice"
    unanswered = two.statuses[0]
    assert len(rows) - len(answered) <= unanswered
    assert (one.statuses[0], three.statuses[0]) == (0, 0), "a line that is cut fails no request"
