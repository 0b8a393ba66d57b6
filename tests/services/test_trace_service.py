"""GET /trace over real HTTP: the same document as the command, clear refusals. Keys: test_guarded_services.py."""

import threading

import pytest

from retail_assets.pricing.trace.answers import TooManyTraces, TraceDesk
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from tests.services.harness import Served, eventually


@pytest.fixture(scope="module")
def decision_id(served_home: Home) -> str:
    """A batch decision."""
    lake = Lake.at(served_home.lake)
    sql = f"select decision_id from {lake.scan('decisions', 'pricing')} where mode = 'batch' order by 1 limit 1"
    found: str = lake.query(sql)["decision_id"][0].as_py()
    return found


def test_the_service_says_what_the_command_says(pricing: Served, served_home: Home, decision_id: str) -> None:
    response = pricing.client.get(f"/trace/{decision_id}", params={"replay": True})
    assert response.status_code == 200
    there = Environment(name="test", home=served_home, lake=Lake.at(served_home.lake))
    expected = trace_price(there, decision_id, replay=True).model_dump(mode="json")
    once = {"seconds": 0, "replay": None}
    assert response.json() | once == expected | once
    assert response.json()["replay"]["verdict"] == expected["replay"]["verdict"]
    assert response.json()["replay"]["equal"] is True


def test_a_price_of_the_service_is_traced_once_it_is_in_the_lake(pricing: Served, served_home: Home) -> None:
    lake = Lake.at(served_home.lake)
    sql = f"select store_id, sku from {lake.scan('decisions', 'pricing')} where mode = 'batch' order by all limit 1"
    asked = pricing.client.post("/price", json=lake.query(sql).to_pylist()[0]).json()
    url = f"/trace/{asked['decision_id']}"
    assert eventually(lambda: pricing.client.get(url).status_code == 200, within=60, every=0.5)
    trace = pricing.client.get(url, params={"replay": True}).json()
    assert (trace["mode"], trace["price"]) == ("service", asked["price"])
    assert trace["replay"]["equal"] is True


def test_a_browser_gets_the_page(pricing: Served, decision_id: str) -> None:
    shown = pricing.client.get(f"/trace/{decision_id}", headers={"Accept": "text/html,application/xhtml+xml"})
    assert shown.status_code == 200
    assert shown.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert decision_id in shown.text
    assert shown.text.startswith("<!doctype html>")


def test_an_unknown_decision_is_not_found(pricing: Served) -> None:
    response = pricing.client.get("/trace/01a1b874-6c00-7cac-a220-ee2fa5f10fea")
    assert response.status_code == 404
    assert "there is no price decision" in response.json()["detail"]


def test_a_caller_leaves_places_to_others(served_home: Home, decision_id: str) -> None:
    desk = TraceDesk(Environment(name="test", home=served_home, lake=Lake.at(served_home.lake)), waiting=3)
    with desk._one_at_a_time:
        waiting = [threading.Thread(target=desk.trace, args=(decision_id, False, "greedy")) for _ in range(2)]
        for thread in waiting:
            thread.start()
        assert eventually(lambda: desk._of_callers["greedy"] == 2, within=20)
        with pytest.raises(TooManyTraces):
            desk.trace(decision_id, False, "greedy")
        waiting.append(threading.Thread(target=desk.trace, args=(decision_id, False, "other")))
        waiting[-1].start()
        assert eventually(lambda: desk._of_callers["other"] == 1, within=20)
    for thread in waiting:
        thread.join()
    assert not desk._of_callers


def test_no_more_traces_wait_than_may(served_home: Home, decision_id: str) -> None:
    desk = TraceDesk(Environment(name="test", home=served_home, lake=Lake.at(served_home.lake)), waiting=1)
    with desk._one_at_a_time:
        waiting = threading.Thread(target=desk.trace, args=(decision_id, False))
        waiting.start()
        assert eventually(lambda: desk._places._value == 1, within=20)
        assert desk._places.acquire(blocking=False)
        with pytest.raises(TooManyTraces):
            desk.trace(decision_id, False)
        desk._places.release()
    waiting.join()
    assert desk.trace(decision_id, False)["decision_id"] == decision_id
