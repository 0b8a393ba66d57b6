"""A canary that goes wrong in front of customers takes itself back, in a real service under real traffic."""

from typing import Any

import pytest

from retail_assets.pricing.answers import PriceDesk
from retail_assets.pricing.decide.decisions import Decided
from retail_assets.pricing.publish.approval import settle
from retail_assets.pricing.publish.publication import current_publications
from retail_assets.pricing.response.model import PriceModel
from retail_assets.releases.canary_watch import BY
from retail_assets.releases.traffic_split import in_share
from retail_assets.resources.environments import Home, current
from retail_assets.resources.lake import Lake
from tests.services.harness import Served, eventually, serving
from tests.services.releases import ledger, live_version, variation

WITHIN_S = 60.0  # of traffic, from a bad canary to its rollback
WILD, MILD = 150, 3  # percent more elastic than the champion: prices fall to what the guardrails allow, or hardly move

Answered = dict[str, set[str]]


@pytest.fixture
def home(tiny_copy: Home) -> Home:
    """A home whose prices are published: a batch that the circuit breaker withheld is released."""
    lake = Lake.at(tiny_copy.lake)
    for batch_id in {row.batch_id for row in current_publications(lake) if row.status == "withheld"}:
        settle(lake, "release", batch_id, None, by="test", reason="its first prices")
    return tiny_copy


def items(home: Home) -> dict[str, list[str]]:
    """The priced SKUs of every store."""
    lake = Lake.at(home.lake)
    rows = lake.query(f"select distinct store_id, sku from {lake.scan('decisions', 'pricing')}").to_pylist()
    return {store: sorted(r["sku"] for r in rows if r["store_id"] == store) for store in {r["store_id"] for r in rows}}


def ask(served: Served, asked: dict[str, list[str]]) -> Answered:
    """One round of traffic, every item of every store: the versions that answered in each store."""
    found: Answered = {}
    for store, skus in asked.items():
        body = {"items": [{"store_id": store, "sku": sku} for sku in skus]}
        reply = served.client.post("/prices", json=body)
        assert reply.status_code == 200 and not reply.json()["problems"], reply.text
        found[store] = {price["model_version"] for price in reply.json()["prices"]}
    return found


def test_a_wild_canary_is_withdrawn_by_itself_and_a_mild_one_is_not(home: Home) -> None:
    old, asked = live_version(home, "pricing"), items(home)
    wild, mild = variation(home, "pricing", WILD), variation(home, "pricing", MILD)
    with serving("pricing", home) as served:
        assert eventually(served.ready, within=60)
        canary = ledger(home).canary("pricing", wild, 0.9, by="ann", reason="try it")
        drawn = {store for store in asked if in_share(canary, store)}
        reached: set[str] = set()

        def rolled_back() -> bool:
            answered = ask(served, asked)
            reached.update(store for store, versions in answered.items() if wild in versions)
            return not ledger(home).trials() and answered == {store: {old} for store in asked}

        assert eventually(rolled_back, within=WITHIN_S), served.log()
        assert reached == drawn, "customers met it, and only in the stores that it had drawn"
        row = ledger(home).log()[-1]
        assert (row.action, row.by, row.version) == ("withdraw", BY, old)
        assert row.reason.startswith(f"{wild}: answers moved")
        print(f"from the bad canary to its withdrawal: {(row.at - canary.at).total_seconds():.1f} s")
        assert f"canary pricing {wild} is withdrawn" in served.log()

        gentle = ledger(home).canary("pricing", mild, 0.9, by="ann", reason="try another")
        drawn = {store for store in asked if in_share(gentle, store)}
        assert eventually(lambda: ask(served, asked) == {s: {mild if s in drawn else old} for s in asked}, within=60)
        for _ in range(40):
            ask(served, asked)
        assert [trial.release_id for trial in ledger(home).trials()] == [gentle.release_id]
        assert served.metrics()['retail_canaries_withdrawn{product="pricing"}'] == 1.0
    lake = Lake.at(home.lake)
    rows = lake.query(
        f"""select arm, list_distinct(list(model_version)) as versions, min(latency_ms) as least
            from {lake.scan("decisions", "pricing")} where mode = 'service' group by arm order by arm"""
    ).to_pylist()
    assert [(row["arm"], set(row["versions"])) for row in rows] == [("canary", {wild, mild}), ("champion", {old})]
    assert all(row["least"] > 0 for row in rows)


def test_a_canary_that_cannot_answer_costs_no_answer_and_is_withdrawn(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIL_HOME", str(home.root))
    old, broken = live_version(home, "pricing"), variation(home, "pricing", MILD)
    desk = PriceDesk(current())
    for poll in (desk._refresh, desk.runtime.catalogue.poll, desk.runtime.live.poll):
        poll()
    ledger(home).canary("pricing", broken, 1.0, by="ann", reason="try it")
    desk.runtime.live.poll()
    store, skus = next(iter(items(home).items()))

    sound = Decided.of

    def decide(model: PriceModel, *arguments: Any) -> Decided:
        if model.version == broken:
            raise ZeroDivisionError("no elasticity")
        return sound(model, *arguments)

    monkeypatch.setattr("retail_assets.pricing.answers.Decided.of", decide)
    answered = [desk.price(store, sku)["model_version"] for sku in skus[:3]]
    assert answered == [old] * 3, "the champion answered instead"
    desk.runtime.watch.look()
    row = ledger(home).log()[-1]
    assert (row.action, row.by, row.reason.split(" (")[0]) == ("withdraw", BY, f"{broken}: 3 of 3 answers failed")
    desk.runtime.close()
    logged = Lake.at(home.lake).open("decisions", "pricing").to_pyarrow_table().to_pylist()
    assert [r["arm"] for r in logged if r["mode"] == "service"] == ["champion"] * 3
