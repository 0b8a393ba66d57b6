"""Disks that go bad and lines that lead elsewhere: none of it needs a person at night."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retail_assets.decisions.rows import new_decision_id
from retail_assets.decisions.spool import SegmentRefused
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.stores.agent import StoreAgent
from retail_assets.stores.bundle import Blob
from retail_assets.stores.copy import StoreCopy
from retail_assets.stores.link import LineDown, Link, NotTheCentre
from retail_assets.stores.status import StoreStatus
from tests.services.harness import eventually, free_port
from tests.services.store_place import Place, segment

WITHIN_S = 60.0
WRITER = "decision-log/0b1b2b3b-0000-4000-8000-00000000000{}"


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


def test_what_no_bundle_names_any_more_does_not_keep_a_store_asking(fresh: Place) -> None:
    copy = fresh.copied()
    copy._remember(on_disk=copy._state()["on_disk"] | {"table:gold/of_old_code": {"gone.parquet": "0" * 64}})
    again = StoreCopy(fresh.environment(), fresh.link())
    assert again.look_through() == ("table:gold/of_old_code",)
    assert again.tag is None
    again.take(fresh.bundle(fresh.link()))
    assert again.tag == copy.tag
    assert StoreCopy(fresh.environment(), fresh.link()).look_through() == ()


@pytest.mark.parametrize("table", ["gold/dim_product", "ops/releases", "decisions/pricing"])
def test_a_copy_that_is_forgotten_beside_a_torn_table_is_made_anew(fresh: Place, table: str) -> None:
    fresh.copied()
    lake, (layer, name) = Lake.at(fresh.home.lake), table.split("/")
    rows = lake.open(layer, name).to_pyarrow_table().num_rows
    (fresh.home.root / "store" / "copy.json").unlink()
    harm(sorted((fresh.home.lake / table / "_delta_log").glob("*.json"))[-1], "no bytes")
    assert fresh.copied().tag is not None
    assert lake.open(layer, name).to_pyarrow_table().num_rows == rows


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
