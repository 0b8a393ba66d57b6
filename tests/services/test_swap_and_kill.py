"""A running service follows the ledger, refuses what it cannot trust, and survives kill -9."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest

from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.services.harness import Served, eventually, serving
from tests.services.releases import damage, ledger, live_version, promote, variation

NOTICED_WITHIN_S = 15.0
MAX_UNANSWERED = 10
"""Requests that two kills may cut: those in the air, and connections that broke before the next worker took them."""
Retail = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def question(tiny_home: Path) -> dict[str, str]:
    """One store-SKU that has a price."""
    return InputBook.read(Lake.at(tiny_home / "lake")).rows.select(["store_id", "sku"]).to_pylist()[0]


@pytest.fixture(scope="module")
def elsewhere(tiny_home: Path, question: dict[str, str]) -> dict[str, str]:
    """One that has a price in another store."""
    rows = InputBook.read(Lake.at(tiny_home / "lake")).rows.select(["store_id", "sku"]).to_pylist()
    return next(row for row in rows if row["store_id"] != question["store_id"])


@pytest.fixture(scope="module")
def released(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A pricing service on a home whose ledger tests may append to."""
    root = tmp_path_factory.mktemp("released") / "home"
    shutil.copytree(tiny_home, root)
    with serving("pricing", Home.at(root)) as served:
        yield served


class Traffic(threading.Thread):
    """Asks the same question again and again; keeps the id and version of each answer, and other statuses."""

    def __init__(self, served: Served, question: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.answered: list[tuple[str, str]] = []
        self.statuses: Counter[int] = Counter()
        self._client = httpx.Client(base_url=served.spec.url or "", timeout=60)
        self._question = question
        self._enough = threading.Event()

    def run(self) -> None:
        """The loop; a connection that is cut is a request without an answer."""
        while not self._enough.is_set():
            try:
                response = self._client.post("/price", json=self._question)
            except httpx.TransportError:
                self.statuses[0] += 1
                continue
            self.statuses[response.status_code] += 1
            if response.status_code == 200:
                answer = response.json()
                self.answered.append((answer["decision_id"], answer["model_version"]))

    def gets_answers(self, count: int) -> bool:
        """Whether so many more answers come within a minute."""
        wanted = len(self.answered) + count
        return eventually(lambda: len(self.answered) >= wanted, within=60)

    def stop(self) -> None:
        """Ends the loop."""
        self._enough.set()
        self.join()
        self._client.close()


@contextmanager
def traffic(served: Served, question: dict[str, str]) -> Iterator[Traffic]:
    """Questions in the background while the block runs."""
    asking = Traffic(served, question)
    asking.start()
    try:
        yield asking
    finally:
        asking.stop()


def answers_with(served: Served, question: dict[str, str], version: str) -> bool:
    """Whether the service answers with that version now."""
    return bool(served.client.post("/price", json=question).json().get("model_version") == version)


def logged_ids(home: Home, since: str) -> list[str]:
    """Decision ids of services in the lake, from the id `since` on."""
    lake = Lake.at(home.lake)
    rows = lake.query(
        f"""select decision_id from {lake.scan("decisions", "pricing")}
            where mode = 'service' and decision_id >= '{since}'"""
    )
    return rows["decision_id"].to_pylist()


def test_a_release_and_a_rollback_are_noticed_and_no_request_fails(released: Served, question: dict[str, str]) -> None:
    home = released.home
    first, second = live_version(home, "pricing"), variation(home, "pricing", seed=11)
    with traffic(released, question) as asking:
        assert asking.gets_answers(1)
        promote(home, "pricing", second)
        assert eventually(lambda: answers_with(released, question, second), within=NOTICED_WITHIN_S)
        assert released.client.get("/version").json()["previous"] == first
        assert asking.gets_answers(10)
        ledger(home).rollback("pricing", by="test", reason="worse")
        assert eventually(lambda: answers_with(released, question, first), within=NOTICED_WITHIN_S)
        assert asking.gets_answers(10)
    assert set(asking.statuses) == {200}
    versions = [version for _, version in asking.answered]
    assert {first, second} == set(versions)
    changes = sum(a != b for a, b in zip(versions, versions[1:], strict=False))
    assert changes == 2, "each swap happens once, between two requests"


def test_swaps_one_after_the_other_fail_no_request(released: Served, question: dict[str, str]) -> None:
    home, swaps = released.home, 'retail_model_swaps{product="pricing"}'
    versions, before = (live_version(home, "pricing"), variation(home, "pricing", seed=14)), released.metrics()[swaps]
    with traffic(released, question) as asking:
        for number in range(6):
            promote(home, "pricing", versions[(number + 1) % 2])
            assert eventually(
                lambda number=number: answers_with(released, question, versions[(number + 1) % 2]),  # type: ignore[misc]
                within=NOTICED_WITHIN_S,
            )
    assert set(asking.statuses) == {200}
    assert released.metrics()[swaps] == before + 6


def test_one_store_goes_back_alone(
    released: Served, question: dict[str, str], elsewhere: dict[str, str], retail: Retail
) -> None:
    home, store = released.home, f"store-{question['store_id']}"
    first, second = live_version(home, "pricing"), variation(home, "pricing", seed=13)
    promote(home, "pricing", second)
    with serving("pricing", home, {"RETAIL_TARGET": store}) as served:
        assert served.client.get("/version").json()["target"] == store
        assert eventually(lambda: answers_with(served, question, second), within=NOTICED_WITHIN_S)
        assert eventually(lambda: answers_with(released, question, second), within=NOTICED_WITHIN_S)
        retail(
            home.root, "rollback", "pricing", "--target", store, "--yes", "--by", "manager", "--reason", "odd prices"
        )
        assert eventually(lambda: answers_with(served, question, first), within=NOTICED_WITHIN_S)
        assert eventually(lambda: answers_with(released, question, first), within=NOTICED_WITHIN_S), (
            "the cloud knows it"
        )
        assert answers_with(released, elsewhere, second)
        who = json.loads(retail(home.root, "models", "--target", store, "--json").stdout)
        assert [(r["target"], r["by"]) for r in who if r["product"] == "pricing"] == [(store, "manager")]
        retail(home.root, "follow", "pricing", "--target", store, "--yes")
        assert eventually(lambda: answers_with(served, question, second), within=NOTICED_WITHIN_S)
    retail(home.root, "rollback", "pricing", "--yes")
    assert eventually(lambda: answers_with(released, question, first), within=NOTICED_WITHIN_S)


def test_a_canary_and_a_shadow_run_beside_the_version_that_answers(
    released: Served, question: dict[str, str], retail: Retail
) -> None:
    home, target = released.home, f"store-{question['store_id']}"
    first, canary, shadow = live_version(home, "pricing"), *(variation(home, "pricing", seed) for seed in (21, 22))
    retail(home.root, "shadow", "pricing", shadow, "--yes")
    retail(home.root, "promote", "pricing", canary, "--canary", "100%", "--target", target, "--yes", "--force",
           "--reason", "a test of routing")  # fmt: skip
    assert eventually(lambda: answers_with(released, question, canary), within=NOTICED_WITHIN_S)
    said = released.client.get("/version").json()
    assert (said["version"], said["stores"][question["store_id"]]["action"]) == (first, "canary")
    retail(home.root, "withdraw", "pricing", "--target", target, "--yes")
    assert eventually(lambda: answers_with(released, question, first), within=NOTICED_WITHIN_S)
    assert eventually(lambda: logged_modes(home, shadow) == {"shadow"}, within=30)
    assert released.metrics()['retail_shadow_failures{product="pricing"}'] == 0
    retail(home.root, "withdraw", "pricing", "--yes")


def logged_modes(home: Home, version: str) -> set[str]:
    """The modes of the decisions that a version made."""
    lake = Lake.at(home.lake)
    rows = lake.query(
        f"select distinct mode from {lake.scan('decisions', 'pricing')} where model_version = '{version}'"
    )
    return set(rows["mode"].to_pylist())


def test_a_corrupted_version_is_refused_and_the_old_one_answers(released: Served, question: dict[str, str]) -> None:
    home, refusals = released.home, 'retail_model_refusals{product="pricing"}'
    good, bad = live_version(home, "pricing"), variation(home, "pricing", seed=12)
    damage(home, "pricing", bad)
    before = released.metrics()[refusals]
    promote(home, "pricing", bad)
    assert eventually(lambda: released.client.get("/version").json()["refused"] is not None, within=NOTICED_WITHIN_S)
    refused = released.client.get("/version").json()["refused"]
    assert (refused["version"], "was changed" in refused["reason"]) == (bad, True)
    assert answers_with(released, question, good)
    assert released.ready()
    assert released.metrics()[refusals] == before + 1
    assert f"pricing {bad} is refused, {good} stays" in released.log()
    promote(home, "pricing", good)
    assert eventually(lambda: released.client.get("/version").json()["refused"] is None, within=NOTICED_WITHIN_S)


def test_before_the_first_release_it_stays_up_and_says_why(tiny_copy: Home, question: dict[str, str]) -> None:
    version = live_version(tiny_copy, "pricing")
    shutil.rmtree(tiny_copy.lake / "ops" / "releases")
    (tiny_copy.lake / "ops" / "releases.journal.jsonl").unlink()  # not lost: there never was one
    with serving("pricing", tiny_copy) as served:
        assert served.client.get("/readyz").status_code == 503
        response = served.client.post("/price", json=question)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert response.json()["detail"] == "no version of pricing is live on cloud"
        assert served.client.get("/version").json()["version"] is None
        promote(tiny_copy, "pricing", version)
        assert eventually(served.ready, within=NOTICED_WITHIN_S)
        assert answers_with(served, question, version)


def test_a_home_without_any_data_still_gets_a_service(home: Home) -> None:
    with serving("pricing", home) as served:
        response = served.client.post("/price", json={"store_id": "UK-001", "sku": "SKU-00001"})
        assert response.status_code == 503
        assert "Traceback" not in served.log()


def test_kill_9_under_traffic_loses_and_doubles_no_decision(tiny_copy: Home, question: dict[str, str]) -> None:
    with serving("pricing", tiny_copy) as served:
        with traffic(served, question) as asking:
            for _ in range(2):
                assert asking.gets_answers(200)
                served.worker().kill()
                assert asking.gets_answers(50)
        assert served.metrics()['retail_decision_log_recovered_rows{product="pricing"}'] > 0
    answered = [decision_id for decision_id, _ in asking.answered]
    in_lake = logged_ids(tiny_copy, since=min(answered))
    assert len(in_lake) == len(set(in_lake))
    assert set(answered) <= set(in_lake)
    unanswered = asking.statuses[0]
    assert len(in_lake) - len(answered) <= unanswered, "a request that got no answer may be in the log, once"
    assert unanswered <= MAX_UNANSWERED, "each kill cuts few requests: the next worker takes those that wait"


def test_sigterm_moves_every_decision_to_the_lake(tiny_copy: Home, question: dict[str, str]) -> None:
    with serving("pricing", tiny_copy) as served:
        answered = {served.client.post("/price", json=question).json()["decision_id"] for _ in range(20)}
    assert sorted(logged_ids(tiny_copy, since=min(answered))) == sorted(answered)
    assert not list((tiny_copy.root / "spool").rglob("*.jsonl"))


def test_a_service_whose_supervisor_is_killed_does_not_linger(tiny_copy: Home) -> None:
    with serving("pricing", tiny_copy) as served:
        worker = served.worker()
        served.process.kill()
        assert eventually(lambda: not worker.is_running(), within=20)
