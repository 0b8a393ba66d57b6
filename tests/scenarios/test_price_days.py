"""Days on which a category manager calls, on the real graph: from files that land to prices that leave the house.

One day brings it all: costs that rise, a competitor that undercuts, a shelf that is empty. Then a model goes wild.
"""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from retail_assets.pricing import assets, checks
from retail_assets.pricing.decide.explain import explain_lines
from retail_assets.pricing.publish.gate import Gate
from retail_assets.pricing.publish.publication import current_publications, published_prices
from retail_assets.pricing.response.model import PriceModel
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.releases.assets import RELEASED
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.scenarios.conftest import Retail, files_by_day, newest_day, one, rewritten_days

STORE = "US-001"
LEARNT = 0.021  # a little more than a policy asks of an item, which one day more does not change
DEARER, FAR_DEARER = Decimal("1.12"), Decimal("1.9")
UNDERCUT, DUMPED = Decimal("0.76"), Decimal("0.4")
Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class HardDay:
    """A home after the day, which SKUs each thing happened to, and the decisions of STORE before and after by SKU."""

    home: Home
    happened: dict[str, list[str]]
    before: Rows
    after: Rows
    price_file: Path
    status: dict[str, Any]

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return Lake.at(self.home.lake)

    @property
    def environment(self) -> Environment:
        """What a command works on."""
        return Environment(name="test", home=self.home, lake=self.lake)

    def told(self, what: str) -> list[dict[str, Any]]:
        """Decisions of the SKUs that something happened to, but for those that rest during a promotion."""
        rows = [self.after[sku] for sku in self.happened[what]]
        return [row for row in rows if not json.loads(row["inputs"])["on_promotion"]]


def decisions(lake: Lake, day: date) -> Rows:
    """The newest batch decisions of STORE for a business date, by SKU."""
    sql = f"""select * from {lake.scan("decisions", "pricing")}
              where mode = 'batch' and store_id = '{STORE}' and business_date = '{day}' order by sku, "at" """
    return {row["sku"]: row for row in lake.query(sql).to_pylist()}


@pytest.fixture(scope="module")
def hard_day(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory, retail: Retail) -> HardDay:
    """A day arrives at a copy of the tiny home; its files are changed before they are read."""
    home = Home.at(tmp_path_factory.mktemp("hard_day") / "home")
    shutil.copytree(tiny_home, home.root)
    lake = Lake.at(home.lake)
    last = newest_day(lake)
    day, before = last + timedelta(days=1), decisions(lake, last)
    happened = choose(before)
    landed = set(home.landing.rglob("*"))
    days = json.loads((home.truth / "manifest.json").read_text())["days"]
    retail(home.root, "sample", "--scale", "tiny", "--days", str(days + 1))
    for path in sorted(set(home.landing.rglob("*")) - landed):
        empty_shelf(path, happened["sold out"])
    listed = {sku: row["previous_price"] for sku, row in before.items()}
    costs = {sku: Decimal(json.loads(before[sku]["output"])["cost"]) / 100 for sku in before}
    price_file = home.landing / "prices" / f"prices_US_{day:%Y%m%d}_d{day:%Y%m%d}T060000Z.csv"
    shock = [(sku, costs[sku] * DEARER) for sku in happened["costs rose"]]
    shock += [(sku, costs[sku] * FAR_DEARER) for sku in happened["costs exploded"]]
    lines = [f"US,{sku},{day},{listed[sku]:.2f},{cost:.2f},USD" for sku, cost in shock]
    price_file.write_text("\n".join(["country,sku,effective_on,list_price,unit_cost,currency", *lines]) + "\n")
    war = [(sku, listed[sku] * UNDERCUT) for sku in happened["undercut"]]
    war += [(sku, listed[sku] * DUMPED) for sku in happened["dumped"]]
    lines = [f"US,Newcomer,{sku},{day},{price:.2f},USD" for sku, price in war]
    rivals = home.landing / "competitor_prices" / f"competitor_US_{day:%Y%m%d}_d{day:%Y%m%d}T060000Z.csv"
    rivals.write_text("\n".join(["country,competitor,sku,observed_on,price,currency", *lines]) + "\n")
    status = json.loads(retail(home.root, "run", "--json").stdout)
    return HardDay(home, happened, before, decisions(lake, day), price_file, status)


def choose(before: Rows) -> dict[str, list[str]]:
    """SKUs that nothing else stands in the way of: no family, a cost, inside every rule.

    An empty shelf can be that of any; to answer the other things a model must have learnt something of an item.
    """
    plain: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
    for sku, row in before.items():
        inputs, output = json.loads(row["inputs"]), json.loads(row["output"])
        bound = inputs["family_low"] is not None or inputs["family_high"] is not None or output["broken"]
        if not (bound or inputs["on_promotion"]) and output["cost_source"] == "recorded":
            plain[output["weight"] >= LEARNT].append((-(inputs["base_demand"]["value"] or 0.0), sku))
    learnt, others = ([sku for _, sku in sorted(plain[known])] for known in (True, False))
    groups = ("costs rose", "costs exploded", "undercut", "dumped")
    found = {name: learnt[place :: len(groups)][:4] for place, name in enumerate(groups)}
    found["sold out"] = others[:4]
    assert all(found.values()), f"too few plain items to tell a story of: {found}"
    return found


def empty_shelf(path: Path, skus: list[str]) -> None:
    """Takes SKUs off the shelf of STORE in a stock or till file of the day."""
    if not path.is_file() or path.suffix != ".csv" or not {"stock", STORE} & set(path.parts):
        return
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    if "on_hand" in rows[0]:
        for row in rows:
            row["on_hand"] = "0" if row["store_id"] == STORE and row["sku"] in skus else row["on_hand"]
    elif "receipt_id" in rows[0]:
        rows = [row for row in rows if row["sku"] not in skus]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())


def line(row: dict[str, Any], rule: str) -> dict[str, Any]:
    """A line of the trail."""
    found: dict[str, Any] = next(step for step in json.loads(row["guardrails"]) if step["rule"] == rule)
    return found


def outcome(row: dict[str, Any]) -> str:
    """What a decision came to."""
    return str(json.loads(row["output"])["outcome"])


def leaves_margin(row: dict[str, Any]) -> bool:
    """Whether a price leaves the floor above its cost."""
    floor, price, cost = line(row, "margin_floor")["numbers"]["floor_bp"], row["price"] * 100, _cost(row)
    return (price - cost) * 10_000 >= floor * price


def _cost(row: dict[str, Any]) -> int:
    return int(json.loads(row["output"])["cost"])


def sales_by_day(lake: Lake) -> dict[str, set[str]]:
    """The Parquet files of each business date of the sales mart, by names that copies of a home share."""
    found = files_by_day(lake, "fct_sales_daily")
    return {day: {uri.split("/fct_sales_daily/")[1] for uri in uris} for day, uris in found.items()}


def test_a_day_that_arrives_touches_no_other_and_is_forecast_and_priced(hard_day: HardDay, tiny_home: Path) -> None:
    lake, before = hard_day.lake, Lake.at(Home.at(tiny_home).lake)
    last, day = newest_day(before), newest_day(lake)
    assert (day - last).days == 1
    changed = rewritten_days(sales_by_day(before), sales_by_day(lake))
    touched = one(
        lake,
        f"""select list(distinct d::varchar) from (select unnest(business_dates) d from {lake.scan("ops", "loads")}
            where delivered_at > TIMESTAMP '{last} 00:00' + INTERVAL 1 DAY)""",
    )
    assert str(day) in changed
    assert changed <= set(touched), "days were rebuilt that no new file touched"
    forecasts = {mart["mart"]: mart for mart in hard_day.status["marts"]}["forecasts"]
    assert forecasts["newest"] == str(day)
    assert hard_day.status["prices"]["business_date"] == str(day)


def test_costs_that_rise_are_passed_on_by_steps_or_the_price_stays_and_says_why(hard_day: HardDay) -> None:
    rows = hard_day.told("costs rose")
    assert rows
    for row in rows:
        assert _cost(row) > _cost(hard_day.before[row["sku"]])
        assert row["price"] >= row["previous_price"], "a dearer item does not get cheaper"
        assert leaves_margin(row) or outcome(row) == "conflict"
        assert f"a unit costs {_cost(row) / 100:.2f}" in line(row, "objective")["words"]
    assert any(row["price"] > row["previous_price"] for row in rows)


def test_costs_beyond_one_step_change_no_price_and_are_reported(hard_day: HardDay) -> None:
    rows = hard_day.told("costs exploded")
    assert rows
    for row in rows:
        floor = line(row, "margin_floor")
        if floor["low"] <= line(row, "max_change")["high"]:
            continue  # the margin was so large that one step is enough
        assert (outcome(row), row["price"]) == ("conflict", row["previous_price"])
        assert (floor["status"], floor["against"]) == ("conflict", "max_change")
        assert "a person has to decide" in explain_lines(row)[-1]
    assert any(outcome(row) == "conflict" for row in rows)


def test_a_competitor_that_undercuts_is_followed_to_the_edge_of_the_band_and_no_further(hard_day: HardDay) -> None:
    rows = hard_day.told("undercut")
    assert rows
    for row in rows:
        band = line(row, "competitor_band")
        assert band["numbers"]["competitor"] == round(hard_day.before[row["sku"]]["previous_price"] * 100 * UNDERCUT)
        if outcome(row) == "changed":
            assert row["price"] * 100 <= band["high"]
            assert leaves_margin(row)
        else:
            assert outcome(row) == "conflict"
    assert any(outcome(row) == "changed" and row["price"] < row["previous_price"] for row in rows)


def test_a_competitor_that_dumps_is_not_raced_to_the_bottom(hard_day: HardDay) -> None:
    rows = hard_day.told("dumped")
    assert rows
    for row in rows:
        assert (outcome(row), row["price"]) == ("conflict", row["previous_price"])
        assert line(row, "competitor_band")["status"] == "conflict"
        assert "the competitor's" in line(row, "competitor_band")["words"]


def test_an_empty_shelf_is_not_read_as_demand_that_is_gone(hard_day: HardDay) -> None:
    for sku in hard_day.happened["sold out"]:
        before, after = (json.loads(rows[sku]["inputs"]) for rows in (hard_day.before, hard_day.after))
        assert after["on_hand"]["value"] == 0
        assert after["base_demand"]["value"] > 0.6 * before["base_demand"]["value"]
    for row in hard_day.told("sold out"):
        assert row["price"] >= row["previous_price"], "what is not there gets no cheaper"
        assert line(row, "out_of_stock")["numbers"]["on_hand"] == 0


def test_the_day_is_published_with_one_price_per_item_and_a_file_per_store(hard_day: HardDay) -> None:
    newest = {row.store_id: row for row in current_publications(hard_day.lake)}
    assert {row.status for row in newest.values()} == {"published"}
    prices = {row["sku"]: row["price"] for row in published_prices(hard_day.lake, STORE).to_pylist()}
    decided = {sku: row["price"] for sku, row in hard_day.after.items() if outcome(row) != "conflict"}
    assert {sku: price for sku, price in prices.items() if sku in decided} == decided
    earlier = {sku: row["price"] for sku, row in hard_day.before.items()}
    disputed = set(prices) - set(decided)
    assert disputed, "what two rules cannot agree on"
    assert {sku: prices[sku] for sku in disputed} == {sku: earlier[sku] for sku in disputed}, (
        "keeps its last good price"
    )
    for store_id in newest:
        assert len(list(hard_day.home.outbox.glob(f"prices/*/{store_id}.csv"))) >= 1


def test_a_disputed_price_leads_to_the_line_of_the_cost_that_raised_it_and_replays(hard_day: HardDay) -> None:
    disputed = next(row for row in hard_day.told("costs rose") if row["price"] > row["previous_price"])
    trace = trace_price(hard_day.environment, store_id=STORE, sku=disputed["sku"], replay=True)
    assert trace.decision_id == disputed["decision_id"]
    assert trace.replay is not None
    assert trace.replay.equal, trace.replay.verdict
    assert trace.sums_agree
    cost = f"{_cost(disputed) / 100:.2f}"
    assert any(f"a unit costs {cost}" in words for words in trace.words)
    listed = next(rows.rows for rows in trace.raw if rows.table == "price_list")
    raised = [row for row in listed if row["file"].endswith(hard_day.price_file.name)]
    assert len(raised) == 1
    written = hard_day.price_file.read_text().splitlines()[raised[0]["line"] - 1]
    assert written.split(",")[1:5:3] == [disputed["sku"], cost]


@pytest.fixture
def gone_wild(hard_day: HardDay, tmp_path: Path) -> HardDay:
    """A copy in which a model whose elasticities are six times too large was put live, and prices were decided."""
    home = Home.at(tmp_path / "home")
    shutil.copytree(hard_day.home.root, home.root)
    there = replace(hard_day, home=home)
    store, ledger = ModelStore.at(home.models), Ledger(there.lake)
    live = ledger.live("pricing")
    assert live
    model = PriceModel.load(store.path("pricing", live.version))
    for table in (model.table, model.local.table):
        table[:, [0, 2, 3]] *= 6
    manifest = store.manifest("pricing", live.version)
    wild = store.save("pricing", model.files(), manifest.model_copy(update={"seed": 13, "files": {}, "version": ""}))
    ledger.promote("pricing", wild, by="eve", reason="looks good to me")
    decide_again(home)
    return there


def decide_again(home: Home) -> None:
    """Decides and publishes with what is live, as the graph does, and runs the checks."""
    nodes = [assets.price_decisions, *assets.PUBLICATION_ASSETS, *checks.CHECKS]
    resources = {"lake": Lake.at(home.lake), "model_store": ModelStore.at(home.models), "home": home}
    chosen = dg.AssetSelection.assets(assets.price_decisions, *assets.PUBLICATION_ASSETS)
    dg.materialize([*nodes, *RELEASED, *assets.ASSETS[:2]], resources=resources, selection=chosen, raise_on_error=False)


def files_of(home: Home) -> dict[str, bytes]:
    """The price files."""
    return {str(p.relative_to(home.outbox)): p.read_bytes() for p in sorted(home.outbox.rglob("*.csv"))}


def test_a_model_gone_wild_reaches_no_shelf_and_a_rollback_ends_it(
    hard_day: HardDay, gone_wild: HardDay, retail: Callable[..., Any]
) -> None:
    lake = gone_wild.lake
    batch = max(current_publications(lake), key=lambda row: row.at).batch_id
    mine = [row for row in current_publications(lake) if row.batch_id == batch]
    assert {(row.status, row.by) for row in mine} == {("withheld", "circuit breaker")}
    assert published_prices(lake).select(["price", "decision_id"]) == published_prices(hard_day.lake).select(
        ["price", "decision_id"]
    )
    assert files_of(gone_wild.home) == files_of(hard_day.home)
    assert str(Gate.read(lake).why_not(STORE, None)).startswith("the circuit breaker holds")
    told = retail(gone_wild.home.root, "prices", "pending").stdout
    assert f"{batch} of {newest_day(lake)}: withheld in " in told
    assert "circuit breaker: chain: " in told
    live = Ledger(lake).live("pricing")
    assert live
    wild = decisions(lake, newest_day(lake))
    assert {row["model_version"] for row in wild.values()} == {live.version}, "what was decided is on record"
    assert {row["corrects"] for row in wild.values()} == {row["decision_id"] for row in hard_day.after.values()}
    Ledger(lake).rollback("pricing", by="maria", reason="the model promises too much")
    retail(gone_wild.home.root, "prices", "reject", batch, "--by", "maria", "--reason", "the model promises too much")
    assert {r.status for r in current_publications(lake) if r.batch_id == batch} == {"rejected"}
    disputed = next(row for row in hard_day.told("costs rose") if row["price"] > row["previous_price"])
    trace = trace_price(gone_wild.environment, disputed["decision_id"], replay=True)
    assert trace.replay is not None
    assert trace.replay.equal, trace.replay.verdict
    assert np.isclose(float(trace.price), float(disputed["price"]))
