"""A hostile version with the right hash is released: real services name it and answer with the last good one."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.faults.models import MODEL_FILE, with_sizes
from retail_assets.pricing.response.model import PriceModel
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.services.harness import Served, eventually, serving
from tests.services.releases import ledger, live_version, promote

WITHIN_S = 120


def circular(files: dict[str, bytes]) -> dict[str, bytes]:
    """A forecaster of which the first node of the first tree is its own child: LightGBM itself would never answer."""
    text = re.sub(r"^left_child=\S+", "left_child=0", files[MODEL_FILE].decode(), count=1, flags=re.MULTILINE)
    return files | {MODEL_FILE: with_sizes(text).encode()}


def stored(home: Home, product: str) -> str:
    """Stores a version that must not answer, made of the live one: a circular tree, or prices that raise demand."""
    store, version = ModelStore.at(home.models), live_version(home, product)
    manifest = store.manifest(product, version)
    files = {name: (store.path(product, version) / name).read_bytes() for name in manifest.files}
    if product == "forecasting":
        return store.save(product, circular(files), manifest)
    model = PriceModel.load(store.path(product, version))
    table = model.table.copy()
    table[:, [0, 2, 3]] = np.abs(table[:, [0, 3, 2]])
    return store.save(product, replace(model, table=table).files(), manifest)


def ask(served: Served, product: str, store_id: str, sku: str) -> str:
    path = {"forecasting": "/forecast", "pricing": "/price"}[product]
    reply = served.client.post(path, json={"store_id": store_id, "sku": sku})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["model_version"])


@pytest.mark.parametrize(
    ("product", "said"),
    [("forecasting", "not every node and leaf is the child of one node"), ("pricing", "not below zero")],
)
def test_a_hostile_release_is_named_and_the_last_good_version_answers(tiny_copy: Home, product: str, said: str) -> None:
    home, lake = tiny_copy, Lake.at(tiny_copy.lake)
    table = {"forecasting": "gold/forecasts", "pricing": "decisions/pricing"}[product].split("/")
    row = lake.query(f"select store_id, sku from {lake.scan(*table)} order by 1, 2 limit 1").to_pylist()[0]
    asked, good, bad = (product, row["store_id"], row["sku"]), live_version(home, product), stored(home, product)

    def refused(served: Served) -> str | None:
        found = served.client.get("/version").json()["refused"]
        return found and f"{found['version']}: {found['reason']}"

    with serving(product, home) as served:
        assert eventually(served.ready, within=WITHIN_S), served.log()
        before = ask(served, *asked)
        promote(home, product, bad)
        assert eventually(lambda: refused(served) is not None, within=WITHIN_S), served.log()
        assert bad in str(refused(served)) and said in str(refused(served))
        assert served.client.get("/version").json()["version"] == good
        assert ask(served, *asked) == before
        assert served.metrics()[f'retail_model_refused{{product="{product}"}}'] == 1.0
        assert f"{product} {bad} is refused" in served.log()
    with serving(product, home) as served:
        assert eventually(served.ready, within=WITHIN_S), served.log()
        assert served.client.get("/version").json()["version"] == good, "who starts anew answers with it as well"
        assert bad in str(refused(served)) and ask(served, *asked) == before
        ledger(home).rollback(product, by="test", reason="bad")
        assert eventually(lambda: refused(served) is None, within=WITHIN_S), served.log()
        assert ask(served, *asked) == before
