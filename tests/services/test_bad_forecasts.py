"""A forecaster that goes wrong in front of customers takes itself back, in a real service under real traffic."""

from retail_assets.forecasting.model import DemandForecaster
from retail_assets.releases.canary_watch import BY
from retail_assets.releases.traffic_split import in_share
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.services.harness import eventually, serving
from tests.services.releases import ledger, live_version

WITHIN_S = 60.0  # of traffic, from a bad canary to its rollback
LOWEST_FACTOR = 0.2  # of what a series sells on such a weekday: far below what the live version forecasts
EACH = 40


def hopeless(home: Home) -> str:
    """Stores a version that forecasts a fifth of what is usual."""
    store, version = ModelStore.at(home.models), live_version(home, "forecasting")
    model = DemandForecaster.load(store.path("forecasting", version))
    spec = model.spec.model_copy(update={"largest_factor": LOWEST_FACTOR})
    manifest = store.manifest("forecasting", version)
    return store.save("forecasting", DemandForecaster(model.booster, spec).files(), manifest)


def test_a_canary_that_forecasts_far_too_little_is_withdrawn_by_itself(tiny_copy: Home) -> None:
    home, lake = tiny_copy, Lake.at(tiny_copy.lake)
    old, bad = live_version(home, "forecasting"), hopeless(home)
    rows = lake.query(
        f"""select store_id, list(distinct sku order by sku)[:{EACH}] as skus from {lake.scan("gold", "forecasts")}
            group by store_id order by store_id"""
    ).to_pylist()
    asked = {row["store_id"]: row["skus"] for row in rows}
    with serving("forecasting", home) as served:
        assert eventually(served.ready, within=60)
        canary = ledger(home).canary("forecasting", bad, 0.9, by="ann", reason="try it")
        drawn = {store for store in asked if in_share(canary, store)}
        reached: set[str] = set()

        def rolled_back() -> bool:
            versions: set[str] = set()
            for store, skus in asked.items():
                for sku in skus:
                    reply = served.client.post("/forecast", json={"store_id": store, "sku": sku})
                    assert reply.status_code == 200, reply.text
                    versions.add(reply.json()["model_version"])
                    if reply.json()["model_version"] == bad:
                        reached.add(store)
            return not ledger(home).trials() and versions == {old}

        assert eventually(rolled_back, within=WITHIN_S), served.log()
        assert reached and reached <= drawn, "it answered in stores that it had drawn, and nowhere else"
        row = ledger(home).log()[-1]
        assert (row.action, row.by, row.version) == ("withdraw", BY, old)
        print(f"from the bad canary to its withdrawal: {(row.at - canary.at).total_seconds():.1f} s: {row.reason}")
        assert served.metrics()['retail_canaries_withdrawn{product="forecasting"}'] == 1.0
