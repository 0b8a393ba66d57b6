"""A canary that goes wrong in front of customers takes itself back, in a real service under real traffic."""

from retail_assets.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.serving.arms import in_share
from retail_assets.serving.canary_watch import BY
from tests.services.harness import Served, eventually, serving
from tests.services.releases import ledger, live_version, variation

WITHIN_S = 60.0  # of traffic, from a bad canary to its rollback
WILD, MILD = 150, 3  # percent more elastic than the champion: prices fall to what the guardrails allow, or hardly move

Answered = dict[str, set[str]]


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


def test_a_wild_canary_is_withdrawn_by_itself_and_a_mild_one_is_not(tiny_copy: Home) -> None:
    old, asked = live_version(tiny_copy, "pricing"), items(tiny_copy)
    wild, mild = variation(tiny_copy, "pricing", WILD), variation(tiny_copy, "pricing", MILD)
    with serving("pricing", tiny_copy) as served:
        assert eventually(served.ready, within=60)
        canary = ledger(tiny_copy).canary("pricing", wild, 0.9, by="ann", reason="try it")
        drawn = {store for store in asked if in_share(canary, store)}
        reached: set[str] = set()

        def rolled_back() -> bool:
            answered = ask(served, asked)
            reached.update(store for store, versions in answered.items() if wild in versions)
            return not ledger(tiny_copy).trials() and answered == {store: {old} for store in asked}

        assert eventually(rolled_back, within=WITHIN_S), served.log()
        assert reached == drawn, "customers met it, and only in the stores that it had drawn"
        row = ledger(tiny_copy).log()[-1]
        assert (row.action, row.by, row.version) == ("withdraw", BY, old)
        assert row.reason.startswith(f"{wild}: answers moved")
        print(f"from the bad canary to its withdrawal: {(row.at - canary.at).total_seconds():.1f} s")
        assert f"canary pricing {wild} is withdrawn" in served.log()

        gentle = ledger(tiny_copy).canary("pricing", mild, 0.9, by="ann", reason="try another")
        drawn = {store for store in asked if in_share(gentle, store)}
        assert eventually(lambda: ask(served, asked) == {s: {mild if s in drawn else old} for s in asked}, within=60)
        for _ in range(40):
            ask(served, asked)
        assert [trial.release_id for trial in ledger(tiny_copy).trials()] == [gentle.release_id]
        assert served.metrics()['retail_canaries_withdrawn{product="pricing"}'] == 1.0
    lake = Lake.at(tiny_copy.lake)
    rows = lake.query(
        f"""select arm, list_distinct(list(model_version)) as versions, min(latency_ms) as least
            from {lake.scan("decisions", "pricing")} where mode = 'service' group by arm order by arm"""
    ).to_pylist()
    assert [(row["arm"], set(row["versions"])) for row in rows] == [("canary", {wild, mild}), ("champion", {old})]
    assert all(row["least"] > 0 for row in rows)
