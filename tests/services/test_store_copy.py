"""A store's copy against a real centre: what it holds, how it is fetched, and what the centre refuses."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.decisions.rows import new_decision_id
from retail_assets.forecasting.answers import ForecastDesk
from retail_assets.pricing.answers import PriceDesk
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.stores.bundle import Blob, StoreError
from retail_assets.stores.centre import Tokens, folder_of
from retail_assets.stores.copy import StoreCopy, Superseded
from retail_assets.stores.link import LineDown, Link
from retail_assets.stores.status import Statuses, StoreStatus
from tests.services.centre import environment_of
from tests.services.harness import eventually, free_port
from tests.services.releases import damage, ledger, live_version, variation
from tests.services.store_place import Place, segment

WITHIN_S = 60.0
NO_TIME = ("decision_id", "decided_at", "feature_age_s")


def answers(desk: PriceDesk | ForecastDesk, store_id: str, skus: list[str]) -> list[dict[str, Any]]:
    """What a desk says of a store's SKUs, without what is new each time."""
    desk.runtime.start()
    try:
        made = [desk.price(store_id, s) if isinstance(desk, PriceDesk) else desk.forecast(store_id, s, 7) for s in skus]
    finally:
        desk.runtime.close()
    return [{name: value for name, value in answer.items() if name not in NO_TIME} for answer in made]


def test_a_store_answers_from_its_copy_as_the_cloud_does(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = place.copied()
    assert copy.etag is not None
    book = InputBook.read(Lake.at(place.home.lake))
    skus = book.rows["sku"].to_pylist()
    assert set(book.rows["store_id"].to_pylist()) == {place.store_id}
    assert len(skus) > 10
    cloud, store = environment_of(place.centre), place.environment()
    monkeypatch.setenv("RETAIL_STORE_TOKEN", place.token)
    for desk in (PriceDesk, ForecastDesk):
        expected = answers(desk(cloud), place.store_id, skus)
        monkeypatch.setenv("RETAIL_TARGET", place.target)
        found = answers(desk(store), place.store_id, skus)
        assert [one for one, other in zip(found, expected, strict=True) if one != other] == []
        monkeypatch.delenv("RETAIL_TARGET")
    logged = Lake.at(place.centre.lake)
    table = logged.scan("decisions", "pricing")
    sent = f"select count(*) as n from {table} where mode = 'service' and store_id = '{place.store_id}'"
    assert eventually(lambda: logged.query(sent)["n"][0].as_py() == 2 * len(skus), within=WITHIN_S, every=0.5)
    assert (
        not Lake.at(place.home.lake)
        .query(f"select 1 from {Lake.at(place.home.lake).scan('decisions', 'pricing')} where mode = 'service'")
        .num_rows
    ), "what the store decides is kept at the centre"


def test_nothing_is_fetched_twice(place: Place) -> None:
    place.copied()
    again = place.copied()
    assert (again.fetched_bytes, again.resumed_bytes) == (0, 0)


def test_a_transfer_goes_on_where_it_was_cut(fresh: Place) -> None:
    link = fresh.link()
    bundle = fresh.bundle(link)
    blob = max((b for model in bundle.models for b in model.files.values()), key=lambda b: b.size)
    half = fresh.link().part(blob, 0, blob.size // 2)
    incoming = fresh.home.root / "store" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{blob.sha256}.partial").write_bytes(half)
    copy = fresh.copied()
    assert copy.resumed_bytes == len(half)
    for model in bundle.models:
        ModelStore.at(fresh.home.models).path(model.product, model.version)


def test_bytes_that_were_changed_are_fetched_anew(fresh: Place) -> None:
    bundle = fresh.bundle(fresh.link())
    blob = max(bundle.blobs().values(), key=lambda b: b.size)
    incoming = fresh.home.root / "store" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{blob.sha256}.partial").write_bytes(b"\0" * (blob.size // 2))
    copy = fresh.copied()
    assert copy.etag is not None
    assert copy.fetched_bytes >= blob.size


def test_a_file_that_never_arrives_right_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.copied().etag
    link = place.link()
    copy = StoreCopy(place.environment(), link)
    bundle = place.bundle(link)
    content = b"not what was promised"
    model = bundle.models[0]
    broken = model.model_copy(update={"version": "f" * 12, "files": {"model.json": Blob.of(content)}})
    monkeypatch.setattr(link, "part", lambda *_: b"x" * len(content))
    monkeypatch.setattr(link, "bundle", lambda *_, **__: None)
    with pytest.raises(StoreError, match="arrived 3 times with another hash"):
        copy.take(bundle.model_copy(update={"models": (*bundle.models, broken)}))
    assert copy.etag == before
    assert not (place.home.models / "models" / model.product / ("f" * 12)).exists()


def test_a_rollback_overtakes_a_long_transfer(fresh: Place) -> None:
    home, product = fresh.centre, "pricing"
    fresh.copied()
    version, before = variation(home, product, seed=41), live_version(home, product)
    ledger(home).promote(product, version, by="test", reason="test", target=fresh.target, wider=["cloud"])
    link = fresh.link()
    slow = StoreCopy(fresh.environment(), link, most_bytes_per_s=1.0)
    assert eventually(lambda: any(m.version == version for m in fresh.bundle(link).models), within=WITHIN_S)
    bundle = fresh.bundle(link)
    ledger(home).rollback(product, by="test", reason="test", target=fresh.target, wider=["cloud"])
    assert eventually(lambda: fresh.bundle(link).etag != bundle.etag, within=WITHIN_S)
    with pytest.raises(Superseded) as newer:
        slow.take(bundle)
    assert newer.value.bundle.releases[-1].version == before


def test_a_version_that_was_damaged_at_the_centre_is_not_given_out(place: Place) -> None:
    version = variation(place.centre, "pricing", seed=42)
    damage(place.centre, "pricing", version)
    good = live_version(place.centre, "pricing")
    ledger(place.centre).promote("pricing", version, by="test", reason="test", target=place.target, wider=["cloud"])
    link = place.link()
    assert eventually(lambda: place.bundle(link).releases[-1].version == version, within=WITHIN_S)
    place.copied()
    carried = {model.version for model in place.bundle(link).models}
    assert version not in carried
    assert good in carried
    ledger(place.centre).rollback("pricing", by="test", reason="test", target=place.target, wider=["cloud"])


def test_waiting_for_news_ends_with_the_news(place: Place) -> None:
    link = place.link()
    assert eventually(lambda: link.bundle(place.bundle(link).tag, wait_s=1) is None, within=WITHIN_S)
    seen = place.bundle(link).tag
    ledger(place.centre).pin("pricing", by="test", reason="test", target=place.target, wider=["cloud"])
    found = link.bundle(seen, wait_s=30)
    assert found is not None and found.releases[-1].action == "pin"
    ledger(place.centre).unpin("pricing", by="test", reason="test", target=place.target)


def test_a_segment_that_comes_again_adds_nothing(place: Place) -> None:
    ids, writer = [new_decision_id() for _ in range(5)], "decision-log/0b1b2b3b-0000-4000-8000-000000000000"
    lake = Lake.at(place.centre.lake)
    listed = ", ".join(f"'{one}'" for one in ids)

    def logged() -> int:
        sql = f"select count(*) as n from {lake.scan('decisions', 'pricing')} where decision_id in ({listed})"
        return int(lake.query(sql)["n"][0].as_py())

    link, rows = place.link(), segment(place.store_id, ids)
    for number in (1, 2, 1, 2):
        link.send("pricing", rows[:3] if number == 1 else rows[3:], writer, number)
    assert eventually(lambda: logged() == 5, within=WITHIN_S, every=0.5)
    link.send("pricing", rows[3:], writer, 2)
    link.send("pricing", segment(place.store_id, [new_decision_id()]), writer, 3)
    landed = place.centre.root / "spool" / "stores" / "pricing"
    assert eventually(lambda: not list(landed.rglob("*.parquet")), within=WITHIN_S)
    assert logged() == 5


@pytest.mark.parametrize(
    ("what", "store_id"), [("another store's rows", "ZZ-9"), ("no Parquet file", None), ("other columns", "")]
)
def test_a_segment_that_is_not_its_own_is_refused(place: Place, what: str, store_id: str | None) -> None:
    body = io.BytesIO()
    if store_id:
        pq.write_table(segment(store_id, ["x"]), body)
    elif store_id == "":
        pq.write_table(pa.table({"a": [1]}), body)
    url = f"{place.url}/v1/stores/{place.target}/decisions/pricing/0b1b2b3b-0000-4000-8000-000000000001/1"
    headers = {"Authorization": f"Bearer {place.token}"}
    response = httpx.put(url, content=body.getvalue() or b"no", headers=headers)
    assert response.status_code == 422, what
    assert place.target in response.json()["detail"]


ROUTES = [
    ("GET", "/bundle"),
    ("GET", f"/files/{'0' * 64}"),
    ("PUT", "/decisions/pricing/0b1b2b3b-0000-4000-8000-000000000001/1"),
    ("PUT", "/status"),
]


@pytest.mark.parametrize(("method", "route"), ROUTES)
@pytest.mark.parametrize("token", [None, "wrong", "of another store"])
def test_every_route_needs_the_stores_own_token(place: Place, method: str, route: str, token: str | None) -> None:
    if token == "of another store":
        token = Tokens(folder_of(environment_of(place.centre))).issue("store-elsewhere")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = httpx.request(method, f"{place.url}/v1/stores/{place.target}{route}", headers=headers)
    assert response.status_code == 401


def test_an_unknown_store_and_a_file_of_nobody_are_named(place: Place) -> None:
    token = Tokens(folder_of(environment_of(place.centre))).issue("store-nowhere")
    with pytest.raises(StoreError, match="404.*store-nowhere"):
        Link(place.url, "store-nowhere", token).bundle(None, wait_s=0)
    with pytest.raises(StoreError, match="is not to hold 000000000000"):
        place.link().part(Blob(sha256="0" * 64, size=10), 0, 10)


def test_a_revoked_token_opens_nothing(fresh: Place) -> None:
    tokens = Tokens(folder_of(environment_of(fresh.centre)))
    link = Link(fresh.url, "store-elsewhere", tokens.issue("store-elsewhere"))
    tokens.revoke("store-elsewhere")
    with pytest.raises(StoreError, match="401"):
        link.bundle(None, wait_s=0)


def test_a_line_that_is_down_is_said_to_be(tmp_path: Path) -> None:
    link = Link(f"http://127.0.0.1:{free_port()}", "store-1", "token")
    with pytest.raises(LineDown, match="cannot be reached"):
        link.bundle(None, wait_s=0)


def test_the_word_of_a_store_arrives(place: Place) -> None:
    status = StoreStatus(target=place.target, started_at=datetime.now(UTC), fetched_bytes=7)
    place.link().tell(status)
    heard = Statuses(folder_of(environment_of(place.centre)) / "status").get(place.target)
    assert heard is not None and heard.status == status
    elsewhere = status.model_copy(update={"target": "store-elsewhere"})
    with pytest.raises(StoreError, match="speaks for"):
        place.link().tell(elsewhere)


def test_the_same_state_gives_the_same_bundle(place: Place) -> None:
    first, second = place.bundle(place.link()), place.bundle(place.link())
    assert first.etag == second.etag
    assert re.fullmatch("[0-9a-f]{32}", first.etag)
    assert np.all([blob.size > 0 for blob in first.blobs().values()])
    assert json.loads(first.model_dump_json())["target"] == place.target
