"""A store through the business days of its centre: decisions, releases, a rollback, a day missed, a restart.

RETAIL_STORE_DAYS sets how many days (3; the first is missed by the store, on the second it starts again).
"""

import json
import os
from collections.abc import Iterator

import pytest

from retail_assets.pricing.publish.publication import published_prices
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.stores.agent import StoreAgent
from retail_assets.stores.centre import Tokens, folder_of, store_reports
from retail_assets.stores.link import LineDown
from tests.scenarios.conftest import Retail, newest_day
from tests.services.centre import centre_of, environment_of
from tests.services.harness import eventually
from tests.services.releases import ledger, live_version, promote, variation

DAYS = int(os.environ.get("RETAIL_STORE_DAYS", "3"))
STORE = "US-001"
WITHIN_S = 120.0


@pytest.fixture
def centre(tiny_copy: Home) -> Iterator[str]:
    with centre_of(tiny_copy) as url:
        yield url


def agent_of(home: Home, url: str) -> StoreAgent:
    """The agent of the store, which has no services to look after."""
    return StoreAgent(environment_of(home, url), f"store-{STORE}", {}, say=lambda _: None)


def next_day(home: Home, retail: Retail) -> None:
    """The files of one more day arrive at the centre, and the whole graph runs."""
    days = json.loads((home.truth / "manifest.json").read_text())["days"]
    before = newest_day(Lake.at(home.lake))
    retail(home.root, "sample", "--scale", "tiny", "--days", str(days + 1))
    retail(home.root, "run", "--json")
    assert newest_day(Lake.at(home.lake)) > before


def takes(agent: StoreAgent, centre: Home) -> None:
    """The store takes what its centre has now, and says so."""

    def there() -> bool:
        agent._follow()
        agent._tell()
        return {report.health for report in store_reports(environment_of(centre))} == {"ok"}

    assert eventually(there, within=WITHIN_S, every=0.5), store_reports(environment_of(centre))


def held(lake: Lake) -> dict[str, list[object]]:
    """What a store needs of the day: the prices of its shelf, the decisions behind them, its newest forecasts."""
    prices = published_prices(lake, STORE).sort_by("sku")
    ids = prices["decision_id"].to_pylist()
    table = lake.scan("decisions", "pricing")
    known = lake.query(f"select decision_id from {table} where store_id = '{STORE}'")["decision_id"].to_pylist()
    newest = f"select max(origin_date) as d from {lake.scan('gold', 'forecasts')} where store_id = '{STORE}'"
    return {
        "skus": prices["sku"].to_pylist(),
        "prices": prices["price"].to_pylist(),
        "decisions": sorted(set(ids) & set(known)),
        "forecast from": lake.query(newest)["d"].to_pylist(),
    }


@pytest.mark.slow
def test_every_business_day_arrives_in_the_store(
    tiny_copy: Home, tmp_path_factory: pytest.TempPathFactory, centre: str, retail: Retail
) -> None:
    store = Home.at(tmp_path_factory.mktemp("store"))
    (store.root / "store.token").write_text(Tokens(folder_of(environment_of(tiny_copy))).issue(f"store-{STORE}"))
    agent = agent_of(store, centre)
    agent.first_copy()
    old, decided = live_version(tiny_copy, "pricing"), list[object]()
    for day in range(1, DAYS + 1):
        next_day(tiny_copy, retail)
        if day % 4 == 1 and day < DAYS:
            continue  # the line is cut on this day
        if day % 4 == 2:
            agent.close()
            agent = agent_of(store, centre)
            agent.first_copy()
            promote(tiny_copy, "pricing", variation(tiny_copy, "pricing", seed=60 + day))
        if day % 4 == 3:
            ledger(tiny_copy).rollback("pricing", by="test", reason="test", to=old)
        takes(agent, tiny_copy)
        mine, theirs = Lake.at(store.lake), Lake.at(tiny_copy.lake)
        assert held(mine) == held(theirs), f"day {day}"
        assert ledger(store).log()[-1] == next(
            row for row in reversed(ledger(tiny_copy).log()) if row.target in ("cloud", "region-US", f"store-{STORE}")
        )
        assert held(mine)["forecast from"] == [newest_day(theirs)]
        decided += held(mine)["decisions"]
    assert len(set(decided)) > len(held(Lake.at(store.lake))["decisions"]), "new prices arrived on some of the days"
    agent.close()
    with pytest.raises(LineDown):
        agent_of(store, "http://127.0.0.1:9")._following.bundle(None)
