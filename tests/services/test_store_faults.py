"""What may happen to a store and its line: none of it loses or doubles anything, or needs a person at night."""

import base64
import io
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.decision_rows import DECISION_SCHEMA, new_decision_id
from retail_assets.serving.decision_spool import SegmentRefused, WentBackwards
from retail_assets.serving.store_agent import StoreAgent
from retail_assets.serving.store_bundle import Blob, Bundle, CarriedModel, CarriedTable, StoreError
from retail_assets.serving.store_centre import store_reports
from retail_assets.serving.store_copy import StoreCopy
from retail_assets.serving.store_keys import CentreKeys, NotTrusted, Trust
from retail_assets.serving.store_landing import checked, set_aside
from retail_assets.serving.store_link import LineDown, Link, NotTheCentre
from retail_assets.serving.store_numbers import BundleNumbers
from retail_assets.serving.store_status import StoreStatus
from tests.services.centre import centre_of, environment_of
from tests.services.harness import eventually, free_port
from tests.services.releases import ledger
from tests.services.test_store_copy import Place, segment

WITHIN_S = 60.0
WRITER = "decision-log/0b1b2b3b-0000-4000-8000-00000000000{}"


@pytest.fixture(scope="module")
def centre_home(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("centre") / "home"
    shutil.copytree(tiny_home, root)
    return Home.at(root)


@pytest.fixture(scope="module")
def place(centre_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with centre_of(centre_home) as url:
        yield Place(centre_home, url, tmp_path_factory.mktemp("store") / "home")


@pytest.fixture
def fresh(place: Place, tmp_path: Path) -> Place:
    """The same store with an empty disk."""
    return Place(place.centre, place.url, tmp_path / "fresh", place.token)


def count(lake: Lake, ids: list[str]) -> list[str]:
    """Those of the decisions that the lake has, as often as it has them."""
    listed = ", ".join(f"'{one}'" for one in ids)
    sql = f"select decision_id from {lake.scan('decisions', 'pricing')} where decision_id in ({listed})"
    return sorted(lake.query(sql)["decision_id"].to_pylist())


# ---------------------------------------------------------------------------------------------- day after day


def test_every_day_arrives_also_what_a_store_has_decisions_of(place: Place) -> None:
    """The table of decisions is append-only where it is made; a copy of it is replaced like the others."""
    copy, centre = place.copied(), Lake.at(place.centre.lake)
    mine = Lake.at(place.home.lake)
    before = mine.open("decisions", "pricing").to_pyarrow_table().num_rows
    assert before > 0, "the store holds the decisions behind its published prices"
    for day in range(3):
        table = mine.open("decisions", "pricing").to_pyarrow_table().slice(0, before - 1 - day)
        file = io.BytesIO()
        pq.write_table(table, file)
        blob = Blob.of(file.getvalue())
        carried = CarriedTable(layer="decisions", name="pricing", partition_by=("business_date",), blob=blob)
        link = place.link()
        bundle = place.bundle(link)
        others = tuple(table for table in bundle.tables if table.layer != "decisions")
        (place.home.root / "store" / "incoming").mkdir(parents=True, exist_ok=True)
        (place.home.root / "store" / "incoming" / blob.sha256).write_bytes(file.getvalue())
        copy.take(bundle.model_copy(update={"tables": (*others, carried)}))
        assert mine.open("decisions", "pricing").to_pyarrow_table().num_rows == before - 1 - day
    assert centre.open("decisions", "pricing").metadata().configuration["delta.appendOnly"] == "true"
    place.copied()
    assert mine.open("decisions", "pricing").to_pyarrow_table().num_rows == before


def test_a_store_that_is_behind_is_not_called_ok(place: Place) -> None:
    def said() -> Any:
        copy = StoreCopy(place.environment(), place.link())
        status = StoreStatus(target=place.target, started_at=datetime.now(UTC), etag=copy.etag)
        place.link().tell(status)
        return next(one for one in store_reports(environment_of(place.centre)) if one.target == place.target)

    place.copied()
    assert (said().health, said().behind_versions) == ("ok", 0)
    ledger(place.centre).pin("pricing", by="test", reason="test", target=place.target, wider=["cloud"])
    seen = StoreCopy(place.environment(), place.link()).tag
    assert eventually(lambda: place.bundle(place.link()).tag != seen, within=WITHIN_S)
    found = said()
    assert (found.health, found.behind_versions) == ("behind", 1)
    assert 0 <= found.behind_s < WITHIN_S + 5
    assert "its copy is 1 state behind, for" in found.reasons[0]
    ledger(place.centre).unpin("pricing", by="test", reason="test", target=place.target)
    place.copied()
    assert said().health == "ok"


def test_the_home_of_a_retailer_is_not_replaced_by_a_copy(place: Place) -> None:
    link = place.link()
    copy = StoreCopy(environment_of(place.centre, place.url), link)
    versions = {name: Lake.at(place.centre.lake).version("gold", name) for name in ("dim_store", "dim_product")}
    with pytest.raises(StoreError, match="this is the home of a retailer"):
        copy.take(place.bundle(link))
    assert versions == {name: Lake.at(place.centre.lake).version("gold", name) for name in versions}


# ---------------------------------------------------------------------------------------------- who speaks


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


# ---------------------------------------------------------------------------------------------- decisions


def put(place: Place, number: str, content: bytes, writer: str = WRITER.format(1)) -> httpx.Response:
    """Sends a segment past our own client."""
    url = f"{place.url}/v1/stores/{place.target}/decisions/pricing/{writer.removeprefix('decision-log/')}/{number}"
    return httpx.put(url, content=content, headers={"Authorization": f"Bearer {place.token}"}, timeout=60)


def as_file(rows: pa.Table) -> bytes:
    """A table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(rows, file)
    return file.getvalue()


@pytest.mark.parametrize("number", ["0", "-1", "1e3", "1" + "0" * 30, "9" * 13, "²", "1.0", "nan", "%00", "+1"])
def test_numbers_that_are_none_are_refused_at_the_door(place: Place, number: str) -> None:
    response = put(place, number, as_file(segment(place.store_id, [new_decision_id()])))
    assert response.status_code == 422, response.text


def hostile_segments(store_id: str) -> dict[str, tuple[bytes, str]]:
    """Segments of a store that no store writes, and what is said of them."""
    good = segment(store_id, [new_decision_id() for _ in range(3)])

    def but(column: str, values: list[Any], kind: pa.DataType | None = None) -> bytes:
        field = DECISION_SCHEMA.field(column)
        array = pa.array(values, kind or field.type)
        return as_file(good.set_column(good.column_names.index(column), field.with_type(array.type), array))

    text = "x" * 1_000_000
    wide = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array([text]))
    many = segment(store_id, [new_decision_id()]).take(pa.array([0] * 1_000))
    bomb = many.set_column(many.column_names.index("inputs"), "inputs", wide.cast(pa.string()))
    days = [date(2020, 1, 1) + timedelta(days=day) for day in range(1_000)]
    scattered = many.set_column(many.column_names.index("business_date"), "business_date", pa.array(days))
    return {
        "an id that is none": (but("decision_id", ["x", "y", "z"]), "no UUID"),
        "no id": (but("decision_id", [None] * 3), "no UUID"),
        "an id of a way out": (but("decision_id", ["../../../../../../../../../../etc/passwd"] * 3), "no UUID"),
        "no day": (but("business_date", [None] * 3), "business date None"),
        "a day of old": (but("business_date", [date(1, 1, 1)] * 3), "business date 0001-01-01"),
        "a day to come": (but("business_date", [date(9999, 1, 1)] * 3), "business date 9999-01-01"),
        "a folder a row": (as_file(scattered), "1,000 business dates"),
        "another type": (but("price", [1.5, 2.5, 3.5], pa.float64()), "other columns"),
        "a column more": (as_file(good.append_column("more", pa.array([1, 2, 3]))), "other columns"),
        "a column less": (as_file(good.drop_columns(["sku"])), "other columns"),
        "a gigabyte in a kilobyte": (as_file(bomb), "bytes, at most"),
        "half a file": (as_file(good)[:-100], "not a Parquet file"),
        "zeros": (b"\0" * 4096, "not a Parquet file"),
        "nothing": (b"", "not a Parquet file"),
    }


@pytest.mark.parametrize("kind", hostile_segments("US-001"))
def test_what_no_store_writes_is_refused_at_the_door_and_hurts_nobody(place: Place, kind: str) -> None:
    content, why = hostile_segments(place.store_id)[kind]
    assert len(content) < 3_000_000
    response = put(place, "1", content)
    assert response.status_code == 422
    assert why in response.json()["detail"]


def test_a_segment_that_cannot_be_moved_is_set_aside_and_the_others_go_on(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    lake, ids = Lake.at(place.centre.lake), [new_decision_id() for _ in range(3)]
    folder = place.centre.root / "spool" / "stores" / "pricing" / "0b1b2b3b-0000-4000-8000-000000000002"
    folder.mkdir(parents=True, exist_ok=True)
    torn = folder / f"{7:012d}.parquet"
    torn.write_bytes(as_file(segment(place.store_id, ids[:1]))[:-9] + b"\0" * 9)
    place.link().send("pricing", segment(place.store_id, ids[1:]), WRITER.format(3), 1)
    assert eventually(lambda: count(lake, ids) == sorted(ids[1:]), within=WITHIN_S, every=0.5)
    assert eventually(lambda: not torn.exists(), within=WITHIN_S)
    aside = set_aside(environment_of(place.centre))
    assert [one.file.exists() for one in aside] == [True]
    assert "cannot be read any more" in aside[0].reason
    assert "is set aside in" in caplog.text
    for path in aside[0].file.parent.iterdir():
        path.unlink()


def test_a_store_that_went_backwards_begins_a_new_stream_and_loses_nothing(place: Place) -> None:
    lake, ids = Lake.at(place.centre.lake), [new_decision_id() for _ in range(6)]
    link, writer = place.link(), WRITER.format(4)
    for number in (1, 2):
        link.send("pricing", segment(place.store_id, ids[number - 1 : number]), writer, number)
    rows = segment(place.store_id, ids[2:3])
    for _ in range(2):  # as long as it waits here, and once it is in the lake
        with pytest.raises(WentBackwards, match="up to 2, and now sends other rows as 2"):
            link.send("pricing", rows, writer, 2)
        assert eventually(lambda: count(lake, ids[:2]) == sorted(ids[:2]), within=WITHIN_S, every=0.5)
    link.send("pricing", rows, WRITER.format(5), 2)
    assert eventually(lambda: count(lake, ids[:3]) == sorted(ids[:3]), within=WITHIN_S, every=0.5)


def test_a_copied_store_sends_a_decision_twice_and_it_is_there_once(place: Place) -> None:
    lake, rows = Lake.at(place.centre.lake), segment(place.store_id, [new_decision_id() for _ in range(4)])
    ids, link = rows["decision_id"].to_pylist(), place.link()
    link.send("pricing", rows, WRITER.format(6), 1)
    link.send("pricing", rows.slice(1), WRITER.format(7), 1)
    assert eventually(lambda: count(lake, ids) == sorted(ids), within=WITHIN_S, every=0.5)
    link.send("pricing", rows, WRITER.format(8), 9)
    more = segment(place.store_id, [new_decision_id()])
    link.send("pricing", more, WRITER.format(8), 10)
    assert eventually(lambda: len(count(lake, more["decision_id"].to_pylist())) == 1, within=WITHIN_S, every=0.5)
    assert count(lake, ids) == sorted(ids)


def test_an_id_that_stands_for_another_decision_is_kept_aside_and_named(place: Place) -> None:
    lake, rows = Lake.at(place.centre.lake), segment(place.store_id, [new_decision_id() for _ in range(2)])
    ids, link = rows["decision_id"].to_pylist(), place.link()
    link.send("pricing", rows.slice(0, 1), WRITER.format(9), 1)
    assert eventually(lambda: len(count(lake, ids)) == 1, within=WITHIN_S, every=0.5)
    other = rows.set_column(rows.column_names.index("sku"), "sku", pa.array(["OTHER", "S"]))
    link.send("pricing", other, WRITER.format(9), 2)
    assert eventually(lambda: count(lake, ids) == sorted(ids), within=WITHIN_S, every=0.5)
    aside = set_aside(environment_of(place.centre))
    assert [(one.target, "1 of its decisions" in one.reason) for one in aside] == [(place.target, True)]
    reports = {one.target: one for one in store_reports(environment_of(place.centre))}
    assert any("set aside at the centre" in reason for reason in reports[place.target].reasons) or (
        reports[place.target].health == "unknown"
    )
    for path in aside[0].file.parent.iterdir():
        path.unlink()


def test_a_good_segment_is_read_as_it_was_written(place: Place) -> None:
    rows = segment(place.store_id, [new_decision_id() for _ in range(5)])
    assert checked(as_file(rows), place.target, "pricing").equals(rows)


# ---------------------------------------------------------------------------------------------- disks and lines


def victims(home: Home) -> dict[str, Path]:
    """A file of each kind that a store has in place."""
    gold = sorted((home.lake / "gold").glob("*/**/*.parquet"), key=lambda path: path.stat().st_size)
    model = sorted(path for path in (home.models / "models").glob("*/*/*") if path.name != "manifest.json")
    return {
        "a table": gold[-1],
        "its log": next((home.lake / "gold").glob("dim_product/_delta_log/*.json")),
        "the ledger": sorted((home.lake / "ops" / "releases").glob("*.parquet"))[-1],
        "the ledger's log": sorted((home.lake / "ops" / "releases" / "_delta_log").glob("*.json"))[-1],
        "a model": max(model, key=lambda path: path.stat().st_size),
        "a manifest": next((home.models / "models").glob("*/*/manifest.json")),
        "what it remembers": home.root / "store" / "copy.json",
        "what it trusts": home.root / "store" / "trust.json",
    }


def harm(path: Path, how: str) -> None:
    """Does to a file what disks do."""
    content = bytearray(path.read_bytes())
    if how == "a flipped bit":
        content[len(content) // 2] ^= 4
    elif how == "zeros":
        content[:] = b"\0" * len(content)
    elif how == "no bytes":
        content.clear()
    path.write_bytes(content)
    if how == "gone":
        path.unlink()


@pytest.mark.parametrize("how", ["a flipped bit", "zeros", "no bytes", "gone"])
def test_what_breaks_on_a_stores_disk_is_fetched_again_by_itself(fresh: Place, how: str) -> None:
    agent = agent_of(fresh)
    agent.first_copy()
    good = {name: path.read_bytes() for name, path in victims(fresh.home).items() if "remembers" not in name}
    gold = {name: Lake.at(fresh.home.lake).open("gold", name).to_pyarrow_table() for name in gold_tables(fresh.home)}
    for name, path in victims(fresh.home).items():
        harm(path, how)
        agent = agent_of(fresh)
        agent.first_copy()
        assert agent.copy.broken == (), name
        after = victims(fresh.home)
        if name in ("a model", "a manifest"):
            assert after[name].read_bytes() == good[name], name
    for name, rows in gold.items():
        again = Lake.at(fresh.home.lake).open("gold", name).to_pyarrow_table()
        order = [(column, "ascending") for column in rows.column_names]
        assert again.sort_by(order).equals(rows.sort_by(order)), name
    bundle = fresh.bundle(fresh.link())
    for model in bundle.models:
        ModelStore.at(fresh.home.models).path(model.product, model.version)
    assert agent.copy.etag == bundle.etag
    agent.close()


def agent_of(place: Place) -> StoreAgent:
    """The agent of a store without services, whose token is in its home."""
    place.home.root.mkdir(parents=True, exist_ok=True)
    (place.home.root / "store.token").write_text(place.token)
    return StoreAgent(place.environment(), place.target, {}, say=lambda _: None)


def gold_tables(home: Home) -> list[str]:
    """The gold tables of a store."""
    return Lake.at(home.lake).tables("gold")


def test_a_broken_copy_answers_on_while_the_line_is_cut(fresh: Place) -> None:
    agent = agent_of(fresh)
    agent.first_copy()
    agent.close()
    harm(victims(fresh.home)["a model"], "a flipped bit")
    alone = Place(fresh.centre, f"http://127.0.0.1:{free_port()}", fresh.home.root, fresh.token)
    cut = agent_of(alone)
    cut.first_copy()
    assert cut.copy.etag is not None
    assert cut.status().etag is None and len(cut.status().broken) == 1
    cut.close()


PORTAL = b"<!doctype html><html><title>Welcome to our guest network</title>Accept the terms</html>"


class _Portal(BaseHTTPRequestHandler):
    status, location = 200, None

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PORTAL)))
        self.end_headers()
        self.wfile.write(PORTAL)

    do_GET = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def portal(status: int, location: str | None = None) -> Iterator[str]:
    """A captive portal, which answers everything in its own way."""
    handler = type("Portal", (_Portal,), {"status": status, "location": location})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "location"), [(200, None), (302, "http://portal.example/"), (403, None), (511, None)]
)
def test_a_captive_portal_is_not_the_centre(place: Place, tmp_path: Path, status: int, location: str | None) -> None:
    with portal(status, location) as url:
        link = Link(url, place.target, place.token)
        for exchange in (
            lambda: link.bundle(None, wait_s=0),
            lambda: link.part(Blob(sha256="0" * 64, size=10), 0, 10),
            lambda: link.send("pricing", segment(place.store_id, [new_decision_id()]), WRITER.format(1), 1),
            lambda: link.tell(StoreStatus(target=place.target, started_at=datetime.now(UTC))),
        ):
            with pytest.raises(LineDown):
                exchange()
        link.close()
        said: list[str] = []
        behind = Place(place.centre, url, tmp_path / "portal", place.token)
        agent = agent_of(behind)
        agent._say = said.append
        waiting = threading.Thread(target=agent.first_copy)
        waiting.start()
        assert eventually(lambda: bool(said), within=WITHIN_S)
        agent.close()
        waiting.join(WITHIN_S)
        assert "it waits for its first copy" in said[0]
        if status != 511:
            assert "what answers is not the centre" in said[0] and "Welcome" in said[0]


def test_decisions_stay_here_until_the_centre_itself_takes_them(place: Place) -> None:
    rows = segment(place.store_id, [new_decision_id()])
    with portal(200) as url, pytest.raises(NotTheCentre):
        Link(url, place.target, place.token).send("pricing", rows, WRITER.format(1), 1)
    with pytest.raises(SegmentRefused, match="rows of another store_id"):
        place.link().send("pricing", segment("ELSEWHERE", [new_decision_id()]), WRITER.format(1), 1)
