"""The pricing service over real HTTP: what it refuses, what it answers, and that it answers as the batch decided."""

import json
from typing import Any

import pyarrow.compute as pc
import pytest

from bento.pricing.schemas import MAX_BATCH, PriceAnswer, PricesAnswer
from retail_assets.pricing.answers import PriceDesk
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.pricing.publish.approval import settle
from retail_assets.pricing.publish.publication import current_publications
from retail_assets.pricing.publish.switch import turn
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.serving.catalogue import NotListed
from retail_assets.serving.runtime import GoldGone
from retail_assets.serving.service_app import NoAnswer
from tests.services.harness import Served, eventually
from tests.services.releases import live_version

COMPARED = ("inputs", "model_version", "policy_hash", "guardrails", "output", "price", "currency", "previous_price")


@pytest.fixture(scope="session")
def listed(served_home: Home) -> list[dict[str, str]]:
    """Every store-SKU that has a price, as request bodies."""
    return InputBook.read(Lake.at(served_home.lake)).rows.select(["store_id", "sku"]).to_pylist()


def decisions(home: Home, where: str) -> list[dict[str, Any]]:
    """Rows of decisions/pricing."""
    lake = Lake.at(home.lake)
    return lake.query(f"select * from {lake.scan('decisions', 'pricing')} where {where}").to_pylist()


def test_it_is_alive_ready_and_says_which_version_answers(pricing: Served, served_home: Home) -> None:
    assert pricing.client.get("/livez").status_code == 200
    assert pricing.ready()
    version = pricing.client.get("/version").json()
    assert version["version"] == live_version(served_home, "pricing")
    assert (version["target"], version["refused"]) == ("cloud", None)


def test_one_price_is_answered_as_published(pricing: Served, listed: list[dict[str, str]]) -> None:
    response = pricing.client.post("/price", json=listed[0])
    assert response.status_code == 200
    answer = PriceAnswer.model_validate_json(response.content)
    assert (answer.store_id, answer.sku) == (listed[0]["store_id"], listed[0]["sku"])
    assert answer.price > 0
    assert answer.reasons
    assert not answer.fallback


def test_prices_equal_the_batch_decisions_on_the_same_inputs(
    pricing: Served, served_home: Home, listed: list[dict[str, str]]
) -> None:
    answers: list[PriceAnswer] = []
    for start in range(0, len(listed), MAX_BATCH):
        response = pricing.client.post("/prices", json={"items": listed[start : start + MAX_BATCH]})
        found = PricesAnswer.model_validate_json(response.content)
        assert not found.problems
        answers += found.prices
    assert [{"store_id": a.store_id, "sku": a.sku} for a in answers] == listed
    ids = {answer.decision_id for answer in answers}
    assert len(ids) == len(answers)
    since = min(ids)
    assert eventually(
        lambda: len(decisions(served_home, f"mode <> 'batch' and decision_id >= '{since}'")) >= len(ids), within=30
    )
    logged = {r["decision_id"]: r for r in decisions(served_home, f"mode <> 'batch' and decision_id >= '{since}'")}
    day = answers[0].business_date.isoformat()
    batch = {
        (row["store_id"], row["sku"]): row
        for row in sorted(decisions(served_home, f"mode = 'batch' and business_date = '{day}'"), key=lambda r: r["at"])
    }
    for answer in answers:
        row, decided = logged[answer.decision_id], batch[answer.store_id, answer.sku]
        assert answer.price == decided["price"]
        assert {name: _read(row[name]) for name in COMPARED} == {name: _read(decided[name]) for name in COMPARED}


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value


@pytest.mark.parametrize(
    ("body", "field", "kind"),
    [
        ({"store_id": "UK-001"}, "sku", "missing"),
        ({"store_id": "UK-001", "sku": ""}, "sku", "string_too_short"),
        ({"store_id": 7, "sku": "SKU-00001"}, "store_id", "string_type"),
        ({"store_id": "UK-001", "sku": None}, "sku", "string_type"),
        ({"store_id": "UK-001", "sku": "x" * 65}, "sku", "string_too_long"),
        ({"store_id": "UK-001", "sku": "SKU-00001", "price": 1}, "price", "extra_forbidden"),
        ([], "body", "model_attributes_type"),
    ],
)
def test_a_broken_request_is_422_and_names_the_field(pricing: Served, body: Any, field: str, kind: str) -> None:
    response = pricing.client.post("/price", json=body)
    assert response.status_code == 422
    assert (response.json()["detail"][0]["loc"][-1], response.json()["detail"][0]["type"]) == (field, kind)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"store_id": NaN}'])
def test_what_is_not_json_is_422(pricing: Served, content: bytes) -> None:
    response = pricing.client.post("/price", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_a_batch_of_the_wrong_size_is_422(pricing: Served, listed: list[dict[str, str]], count: int) -> None:
    response = pricing.client.post("/prices", json={"items": (listed * (count // len(listed) + 1))[:count]})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "items"]


@pytest.mark.parametrize("unknown", [("store_id",), ("sku",), ("store_id", "sku")])
def test_an_unknown_store_or_sku_is_404_and_named(
    pricing: Served, listed: list[dict[str, str]], unknown: tuple[str, ...]
) -> None:
    response = pricing.client.post("/price", json=listed[0] | dict.fromkeys(unknown, "ZZ-404"))
    assert response.status_code == 404
    assert response.json()["unknown"] == dict.fromkeys(unknown, "ZZ-404")


def test_a_sku_that_the_store_does_not_sell_is_404(
    pricing: Served, served_home: Home, listed: list[dict[str, str]]
) -> None:
    lake = Lake.at(served_home.lake)
    sold = {(pair["store_id"], pair["sku"]) for pair in listed}
    pairs = lake.query(
        f"select store_id, sku from {lake.scan('gold', 'dim_store')}, {lake.scan('gold', 'dim_product')}"
    )
    unsold = next(pair for pair in pairs.to_pylist() if (pair["store_id"], pair["sku"]) not in sold)
    response = pricing.client.post("/price", json=unsold)
    assert (response.status_code, response.json()["unknown"]) == (404, unsold)
    assert "does not list" in response.json()["detail"]


def _unsold_in(home: Home, store_id: str) -> str:
    """A SKU that a store does not list."""
    lake = Lake.at(home.lake)
    sold = InputBook.read(lake).rows.filter(pc.field("store_id") == store_id)["sku"].to_pylist()
    skus = lake.query(f"select sku from {lake.scan('gold', 'dim_product')} order by sku")["sku"].to_pylist()
    return str(next(sku for sku in skus if sku not in sold))


def test_a_batch_answers_what_it_can_and_names_the_rest(pricing: Served, listed: list[dict[str, str]]) -> None:
    stranger = listed[1] | {"sku": "ZZ-404"}
    response = pricing.client.post("/prices", json={"items": [listed[0], stranger, listed[2]]})
    answer = PricesAnswer.model_validate_json(response.content)
    assert [price.sku for price in answer.prices] == [listed[0]["sku"], listed[2]["sku"]]
    assert [(p.sku, p.status) for p in answer.problems] == [("ZZ-404", 404)]


def test_get_on_a_decision_route_is_405(pricing: Served) -> None:
    assert pricing.client.get("/price").status_code == 405


def test_metrics_count_what_was_answered(pricing: Served, served_home: Home, listed: list[dict[str, str]]) -> None:
    good, bad = (f'retail_requests_total{{product="pricing",route="/price",status="{s}"}}' for s in (200, 422))
    before = pricing.metrics()
    for _ in range(3):
        pricing.client.post("/price", json=listed[0])
    pricing.client.post("/price", json={})
    after = pricing.metrics()
    assert after[good] - before.get(good, 0) == 3
    assert after[bad] - before.get(bad, 0) == 1
    live = live_version(served_home, "pricing")
    made = f'retail_decisions_total{{arm="champion",product="pricing",version="{live}"}}'
    assert after[made] - before.get(made, 0) == 3
    assert after[f'retail_model_info{{product="pricing",target="cloud",version="{live}"}}'] == 1
    assert after['retail_request_seconds_count{product="pricing"}'] > 3
    assert after['retail_decision_log_failures{product="pricing"}'] == 0


def test_the_openapi_document_shows_the_errors(pricing: Served) -> None:
    document = pricing.client.get("/openapi.json").json()
    assert {"200", "404", "422", "503"} <= document["paths"]["/price"]["post"]["responses"].keys()


class TestFallback:
    """A desk that may not answer a new decision answers the last published price, and says so."""

    @pytest.fixture
    def desk(self, tiny_copy: Home) -> PriceDesk:
        desk = PriceDesk(Environment(name="test", home=tiny_copy, lake=Lake.at(tiny_copy.lake)))
        desk.runtime.start()
        return desk

    def grow_old(self, desk: PriceDesk, days: int) -> None:
        assert desk.clock.newest_day is not None
        desk.clock.newest_day = desk.clock.newest_day.fromordinal(desk.clock.newest_day.toordinal() + days)

    def test_old_inputs_fall_back_to_the_batch_price(self, desk: PriceDesk, tiny_copy: Home) -> None:
        row = decisions(tiny_copy, "mode = 'batch' order by \"at\" desc, decision_id limit 1")[0]
        fresh = desk.price(row["store_id"], row["sku"])
        self.grow_old(desk, 4)
        old = desk.price(row["store_id"], row["sku"])
        desk.runtime.close()
        assert (fresh["fallback"], old["fallback"]) == (False, True)
        assert "4 days old" in old["fallback_reason"]
        assert old["price"] == str(row["price"])
        assert 'retail_fallbacks_total{product="pricing",why="stale"} 1.0' in desk.runtime.metrics.text()
        assert [r["mode"] for r in decisions(tiny_copy, f"decision_id = '{old['decision_id']}'")] == ["fallback"]

    def test_without_a_batch_price_there_is_no_answer(self, desk: PriceDesk, tiny_copy: Home) -> None:
        row = decisions(tiny_copy, "mode = 'batch' limit 1")[0]
        table = Lake.at(tiny_copy.lake).open("decisions", "pricing")
        table.alter.set_table_properties({"delta.appendOnly": "false"})
        table.delete()
        self.grow_old(desk, 4)
        with pytest.raises(NoAnswer, match="no published price to fall back to"):
            desk.price(row["store_id"], row["sku"])
        desk.runtime.close()

    def test_a_stop_is_heeded_until_it_is_resumed(self, desk: PriceDesk, tiny_copy: Home) -> None:
        row = decisions(tiny_copy, "mode = 'batch' order by \"at\" desc, decision_id limit 1")[0]
        turn(Lake.at(tiny_copy.lake), "stop", "store", row["store_id"], by="maria", reason="wrong labels")
        desk._refresh()
        held = desk.price(row["store_id"], row["sku"])
        turn(Lake.at(tiny_copy.lake), "resume", "store", row["store_id"], by="maria", reason="corrected")
        desk._refresh()
        fresh = desk.price(row["store_id"], row["sku"])
        desk.runtime.close()
        assert (held["fallback"], held["price"], fresh["fallback"]) == (True, str(row["price"]), False)
        assert held["fallback_reason"] == f"store {row['store_id']} was stopped by maria: wrong labels"

    def test_a_withdrawn_batch_is_not_answered_any_more(self, desk: PriceDesk, tiny_copy: Home) -> None:
        lake = Lake.at(tiny_copy.lake)
        published = current_publications(lake)[0]
        row = decisions(tiny_copy, f"mode = 'batch' and store_id = '{published.store_id}' limit 1")[0]
        settle(lake, "reject", published.batch_id, published.store_id, by="maria", reason="wrong")
        desk._refresh()
        with pytest.raises(NoAnswer, match="its newest prices were withdrawn, and no published price"):
            desk.price(row["store_id"], row["sku"])
        with pytest.raises(NotListed):  # a price of theirs was never to be had, whatever is published
            desk.price(row["store_id"], _unsold_in(tiny_copy, row["store_id"]))
        desk.runtime.close()

    def test_inputs_at_the_limit_are_still_used(self, desk: PriceDesk, tiny_copy: Home) -> None:
        row = decisions(tiny_copy, "mode = 'batch' limit 1")[0]
        self.grow_old(desk, 3)
        assert not desk.price(row["store_id"], row["sku"])["fallback"]
        desk.runtime.close()

    def test_a_late_question_gets_the_last_good_price(self, desk: PriceDesk, tiny_copy: Home) -> None:
        """After new gold every price is to be decided again: when time is short, those decided before still hold."""
        row, other = decisions(tiny_copy, "mode = 'batch' order by \"at\" desc, decision_id limit 2")
        fresh = desk.price(row["store_id"], row["sku"])
        assert not desk.price(row["store_id"], row["sku"], late=True)["fallback"], "it is remembered: no time is needed"
        desk._book = InputBook.read(Lake.at(tiny_copy.lake))
        late = desk.price(row["store_id"], row["sku"], late=True)
        assert (late["fallback"], late["price"]) == (True, fresh["price"])
        assert late["decision_id"] != fresh["decision_id"]
        assert "more to do than time" in late["fallback_reason"]
        assert not desk.price(other["store_id"], other["sku"], late=True)["fallback"], "nothing is known: it is decided"
        self.grow_old(desk, 3)
        assert desk.price(row["store_id"], row["sku"], late=True)["fallback"], "as old as inputs may be"
        desk.runtime.close()
        assert 'retail_fallbacks_total{product="pricing",why="busy"} 2.0' in desk.runtime.metrics.text()
        assert [r["mode"] for r in decisions(tiny_copy, f"decision_id = '{late['decision_id']}'")] == ["fallback"]

    def test_a_lake_that_is_away_changes_no_price_and_its_age_is_told(self, desk: PriceDesk, tiny_copy: Home) -> None:
        row = decisions(tiny_copy, "mode = 'batch' order by \"at\" desc, decision_id limit 1")[0]
        stopped = decisions(tiny_copy, f"mode = 'batch' and store_id <> '{row['store_id']}' limit 1")[0]
        turn(Lake.at(tiny_copy.lake), "stop", "store", stopped["store_id"], by="maria", reason="not to be forgotten")
        desk._refresh()
        before, gate = desk.price(row["store_id"], row["sku"]), desk._published
        away = tiny_copy.lake.rename(tiny_copy.root / "away")
        with pytest.raises(GoldGone):
            desk.runtime._refresh()
        desk.runtime.refreshed_at -= 3600
        during, table = desk.price(row["store_id"], row["sku"]), desk.runtime.live._table
        desk.runtime.live.poll()
        assert desk.runtime.live._table is table, "a ledger that is away takes no store its release"
        desk.runtime.log._try_to_ship()
        assert not tiny_copy.lake.exists(), "a lake made anew would hide what it is given when the real one returns"
        assert desk.runtime.log.backlog.failures == 1
        away.rename(tiny_copy.lake)
        desk.runtime._refresh()
        after = desk.price(row["store_id"], row["sku"])
        desk.runtime.close()
        assert before["price"] == during["price"] == after["price"]
        assert desk._published is gate
        assert (before["cache_age_s"], after["cache_age_s"]) == (None, None)
        assert 3600 <= during["cache_age_s"] < 3700
        assert not during["fallback"]
        ids = [answer["decision_id"] for answer in (before, during, after)]
        assert len(decisions(tiny_copy, f"decision_id in {tuple(ids)}")) == 3
