"""What was not meant to leave the house must not, and what went wrong must leave the last good price in place."""

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from retail_assets.core.manifest import Manifest
from retail_assets.pricing.config import PricingConfig, PublicationConfig
from retail_assets.pricing.decide.batches import decide_rows
from retail_assets.pricing.decide.decisions import Provenance
from retail_assets.pricing.decide.gold_inputs import gold_versions, read_inputs
from retail_assets.pricing.decide.log import append_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.approval import settle
from retail_assets.pricing.publish.breaker import NUMBERS
from retail_assets.pricing.publish.checks import circuit_breaker_holds, prices_at_the_till_are_right
from retail_assets.pricing.publish.first_batches import FIRST
from retail_assets.pricing.publish.gate import Gate
from retail_assets.pricing.publish.price_files import COLUMNS, write_price_files
from retail_assets.pricing.publish.publication import (
    ALERTS,
    BATCHES,
    PROPOSALS,
    PUBLICATIONS,
    PublicationError,
    batch_id_of,
    current_publications,
    earlier_numbers,
    first_status,
    publications,
    published_prices,
)
from retail_assets.pricing.publish.publishing import Published, publish
from retail_assets.pricing.publish.switch import SwitchError, stopped, turn, turns
from retail_assets.pricing.response.model import PriceModel
from retail_assets.releases.assignment import Share
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.pricing.conftest import model_with
from tests.pricing.test_exploration import exploring

US, DE = "US-000", "DE-001"


@dataclass
class Shop:
    """A small retailer whose batches are decided one after the other."""

    lake: Lake
    rulebook: Rulebook
    config: PublicationConfig
    batches: int = 0
    code: str = "3"

    def batch(self, elasticity: float = -2.5, looked_at: bool = True, **config: Any) -> Published:
        """Decides and publishes a batch with one elasticity for every SKU; a person approves the first ones."""
        self.batches += 1
        model = self.model(elasticity)
        inputs = read_inputs(self.lake, gold_versions(self.lake))
        state = f"pricing-batch-{self.batches:012d}aaaa"
        provenance = Provenance(datetime.now(UTC), "batch", "run", "commit")
        append_batch(self.lake, decide_rows(model, self.rulebook, inputs.rows, provenance), inputs.business_date, state)
        settings = PublicationConfig.model_validate(self.config.model_dump() | config)
        models, shares = {model.version: model}, [Share(model.version, "champion", inputs.rows)]
        kinds, day = {model.version: manifest_of(self.code)}, inputs.business_date
        done = publish(self.lake, models, kinds, shares, self.rulebook, day, state, settings, "run")
        waiting = [row for row in done.publications if row.status == "pending" and row.reason.startswith(FIRST)]
        for row in waiting:
            if looked_at and settings.mode_of(row.store_id) == "automatic":
                settle(self.lake, "approve", row.batch_id, row.store_id, by="engine", reason="looked at")
        return done

    def model(self, elasticity: float) -> PriceModel:
        """A model of its own version for each batch."""
        known = {f"SKU-{i:05d}": elasticity for i in range(12)}
        sold = [{"store_id": s, "sku": k, "units_per_day": 3.0, "price": 5.0} for s in (US, DE) for k in known]
        return replace(model_with(known), version=f"model-{self.batches}", base=pa.Table.from_pylist(sold))

    def prices(self, store_id: str) -> dict[str, Decimal]:
        """The published prices of a store."""
        rows = published_prices(self.lake, store_id).to_pylist()
        return {row["sku"]: row["price"] for row in rows}

    def status(self, batch: Published) -> dict[str, str]:
        """What became of a batch in each store."""
        return {row.store_id: row.status for row in current_publications(self.lake) if row.batch_id == batch.batch_id}


def manifest_of(code: str = "3") -> Manifest:
    """What a model store knows of a version of that code."""
    return Manifest(
        product="pricing", created_at=datetime(2026, 1, 1, tzinfo=UTC), gold={}, feature_service="", features=[],
        git_commit="", config={"code_version": code}, seed=7, metrics={}, train_from=date(2025, 1, 1),
        train_until=date(2026, 1, 1), rows=1,
    )  # fmt: skip


WIDE = dict.fromkeys(NUMBERS, 1.0) | {"promised_gain": 2.0}


@pytest.fixture
def shop(planted: Callable, rulebook: Rulebook, config: PricingConfig) -> Shop:
    """Limits so wide that only what a test narrows can trip."""
    settings = config.publication.model_dump()
    settings["breaker"] |= {"limits": WIDE, "minimum_batches": 50, "history": 60}
    settings["paid"] |= {"within_10": 0.0, "within_30": 0.0}
    return Shop(planted().lake, rulebook, PublicationConfig.model_validate(settings))


TIGHT = WIDE | {"changed": 0.01, "mean_change": 0.0001}


def tight(shop: Shop) -> dict[str, Any]:
    return {"breaker": shop.config.model_dump()["breaker"] | {"limits": TIGHT}}


@pytest.mark.parametrize(
    ("mode", "tripped", "stop", "status"),
    [
        ("automatic", False, False, "published"),
        ("approve", False, False, "pending"),
        ("shadow", False, False, "shadow"),
        ("automatic", True, False, "withheld"),
        ("approve", True, True, "withheld"),
        ("automatic", False, True, "stopped"),
        ("approve", False, True, "stopped"),
        ("shadow", True, True, "shadow"),
    ],
)
def test_what_becomes_of_a_batch_by_itself(mode: Any, tripped: bool, stop: bool, status: str) -> None:
    assert first_status(mode, tripped, stop) == status


def test_an_automatic_store_publishes_what_was_decided(shop: Shop) -> None:
    done = shop.batch()
    assert shop.status(done) == {US: "published", DE: "published"}
    decided = shop.lake.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    published = published_prices(shop.lake).to_pylist()
    assert {r["decision_id"]: r["price"] for r in published} == {r["decision_id"]: r["price"] for r in decided}
    assert {r["effective_from"].toordinal() - r["business_date"].toordinal() for r in published} == {1}


def test_a_shadow_store_publishes_nothing_and_an_approving_one_waits(shop: Shop) -> None:
    done = shop.batch(stores={US: "shadow", DE: "approve"})
    assert shop.status(done) == {US: "shadow", DE: "pending"}
    assert shop.prices(US) == shop.prices(DE) == {}
    for action in ("approve", "reject", "release"):
        with pytest.raises(PublicationError, match="shadow"):
            settle(shop.lake, action, done.batch_id, US, by="eve", reason="try")  # type: ignore[arg-type]
    made = settle(shop.lake, "approve", done.batch_id, DE, by="maria", reason="")
    assert [(row.store_id, row.status, row.by) for row in made] == [(DE, "published", "maria")]
    assert len(shop.prices(DE)) == 12


def test_a_rejected_batch_leaves_the_last_good_prices(shop: Shop) -> None:
    shop.batch(-3.5)
    good = shop.prices(DE)
    done = shop.batch(-1.2, mode="approve")
    settle(shop.lake, "reject", done.batch_id, DE, by="maria", reason="too dear")
    assert shop.prices(DE) == good
    with pytest.raises(PublicationError, match="rejected: there is nothing to approve"):
        settle(shop.lake, "approve", done.batch_id, DE, by="maria", reason="")
    assert shop.status(done) == {US: "pending", DE: "rejected"}


def test_a_tripped_breaker_publishes_nothing_and_says_which_number(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.batch(-3.5)
    good = {store: shop.prices(store) for store in (US, DE)}
    done = shop.batch(-1.2, **tight(shop))
    assert shop.status(done) == {US: "withheld", DE: "withheld"}
    assert {store: shop.prices(store) for store in (US, DE)} == good
    alerts = shop.lake.open("ops", ALERTS).to_pyarrow_table().to_pylist()
    assert {a["batch_id"] for a in alerts} == {done.batch_id}
    assert {a["number"] for a in alerts} == {"changed", "mean_change"}
    assert all(a["value"] > a["high"] or a["value"] < a["low"] for a in alerts)
    assert f"price batch {done.batch_id} is not published: chain: the mean change of prices is" in caplog.text


def test_a_tripped_batch_is_released_by_a_person_who_says_why(shop: Shop) -> None:
    done = shop.batch(**tight(shop))
    for by, reason in (("", "fine"), ("maria", " ")):
        with pytest.raises(PublicationError, match="needs a"):
            settle(shop.lake, "release", done.batch_id, None, by=by, reason=reason)
    with pytest.raises(PublicationError, match="nothing to approve"):
        settle(shop.lake, "approve", done.batch_id, None, by="maria", reason="looks right")
    made = settle(shop.lake, "release", done.batch_id, None, by="maria", reason="cost shock of coffee")
    assert {(row.store_id, row.status, row.reason) for row in made} == {
        (store, "published", "cost shock of coffee") for store in (US, DE)
    }
    assert len(shop.prices(US)) == 12


def test_only_good_batches_say_what_is_usual(shop: Shop) -> None:
    shop.batch(-2.5)
    bad = shop.batch(-1.2, **tight(shop))
    assert len(earlier_numbers(shop.lake)["chain"]) == 1
    settle(shop.lake, "release", bad.batch_id, DE, by="maria", reason="right after all")
    assert len(earlier_numbers(shop.lake)["chain"]) == 2


def test_batches_recorded_before_a_number_existed_are_still_read_and_added_to(shop: Shop) -> None:
    shop.batch(-2.5)
    old = shop.lake.open("ops", BATCHES).to_pyarrow_table().drop(["promised_gain"])
    shutil.rmtree(shop.lake.table_uri("ops", BATCHES))
    shop.lake.append("ops", BATCHES, old)
    assert math.isnan(earlier_numbers(shop.lake)["chain"][0].promised_gain)
    shop.batch(-2.5)
    chain = earlier_numbers(shop.lake)["chain"]
    assert [math.isfinite(numbers.promised_gain) for numbers in chain] == [False, True]


def test_a_withdrawn_batch_brings_the_last_good_prices_back(shop: Shop) -> None:
    shop.batch(-3.5)
    good = shop.prices(US)
    done = shop.batch(-1.2)
    assert shop.prices(US) != good
    settle(shop.lake, "reject", done.batch_id, US, by="maria", reason="customers complain")
    assert shop.prices(US) == good
    assert shop.status(done) == {US: "withdrawn", DE: "published"}


def test_an_older_batch_does_not_replace_a_newer_one(shop: Shop) -> None:
    old = shop.batch(-3.5, mode="approve")
    shop.batch(-1.2)
    with pytest.raises(PublicationError, match="which is newer"):
        settle(shop.lake, "approve", old.batch_id, US, by="maria", reason="")


@pytest.mark.parametrize(("batch", "store"), [("no-such-batch", None), (None, "ZZ-404")])
def test_an_unknown_batch_or_store_is_named(shop: Shop, batch: str | None, store: str | None) -> None:
    done = shop.batch(mode="approve")
    with pytest.raises(PublicationError, match=store or "no-such-batch"):
        settle(shop.lake, "approve", batch or done.batch_id, store, by="maria", reason="")


def test_nothing_to_answer_in_an_empty_lake(lake: Lake) -> None:
    with pytest.raises(PublicationError, match="retail run"):
        settle(lake, "approve", "x", None, by="maria", reason="")
    assert published_prices(lake).num_rows == 0
    assert publications(lake) == []
    assert Gate.read(lake).why_not(US, None) is None


def test_a_batch_is_recorded_once(shop: Shop) -> None:
    shop.batch()
    counts = {name: shop.lake.open("ops", name).count() for name in (BATCHES, PROPOSALS, PUBLICATIONS)}
    shop.batches -= 1
    again = shop.batch()
    assert {name: shop.lake.open("ops", name).count() for name in counts} == counts
    assert again.batch_id == batch_id_of("pricing-batch-000000000001aaaa")


def test_what_is_not_logged_is_not_published(shop: Shop) -> None:
    inputs = read_inputs(shop.lake, gold_versions(shop.lake))
    shop.batch()
    other = replace(shop.model(-2.5), version="never decided")
    with pytest.raises(PublicationError, match="24 prices of .* are not in decisions/pricing"):
        shares, day = [Share(other.version, "champion", inputs.rows)], inputs.business_date
        models, kinds = {other.version: other}, {other.version: manifest_of()}
        publish(shop.lake, models, kinds, shares, shop.rulebook, day, "pricing-batch-x", shop.config, None)


def test_a_stopped_store_keeps_its_prices_and_the_other_goes_on(shop: Shop) -> None:
    shop.batch(-3.5)
    good = {store: shop.prices(store) for store in (US, DE)}
    turn(shop.lake, "stop", "store", US, by="maria", reason="wrong labels")
    done = shop.batch(-1.2)
    assert shop.status(done) == {US: "stopped", DE: "published"}
    assert shop.prices(US) == good[US]
    assert shop.prices(DE) != good[DE]
    with pytest.raises(PublicationError, match="store US-000 was stopped by maria: wrong labels"):
        settle(shop.lake, "approve", done.batch_id, US, by="maria", reason="")
    turn(shop.lake, "resume", "store", US, by="maria", reason="labels printed")
    settle(shop.lake, "approve", done.batch_id, US, by="maria", reason="")
    assert shop.prices(US) != good[US]


def test_a_stopped_chain_publishes_nowhere(shop: Shop) -> None:
    shop.batch(-3.5)
    good = {store: shop.prices(store) for store in (US, DE)}
    turn(shop.lake, "stop", "chain", "", by="ceo", reason="strike")
    assert set(shop.status(shop.batch(-1.2)).values()) == {"stopped"}
    assert {store: shop.prices(store) for store in (US, DE)} == good


def test_a_stopped_category_keeps_its_prices_in_every_store(shop: Shop) -> None:
    shop.batch(-3.5)
    good = shop.prices(US)
    turn(shop.lake, "stop", "category", "category-1", by="maria", reason="court order")
    shop.batch(-1.2)
    now = shop.prices(US)
    stopped_skus = {f"SKU-{i:05d}" for i in range(12) if i % 4 == 1}
    assert all(now[sku] == good[sku] for sku in stopped_skus)
    assert any(now[sku] != good[sku] for sku in set(now) - stopped_skus)
    assert Gate.read(shop.lake).why_not(US, "category-1") == "category category-1 was stopped by maria: court order"
    assert Gate.read(shop.lake).why_not(US, "category-2") is None


def test_a_stop_holds_for_prices_that_explore_too(shop: Shop, config: PricingConfig) -> None:
    shop.batch(-3.5)
    good = shop.prices(US)
    shop.rulebook = exploring(config, share=0.9)
    turn(shop.lake, "stop", "category", "category-1", by="maria", reason="court order")
    shop.batch(-2.5)
    rows = shop.lake.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    tried = {r["sku"] for r in rows if r["model_version"] == "model-2" and "exploration:" in r["guardrails"]}
    stopped_skus = {f"SKU-{i:05d}" for i in range(12) if i % 4 == 1}
    assert tried & stopped_skus, "explored, but not published"
    now = shop.prices(US)
    assert {sku: now[sku] for sku in stopped_skus} == {sku: good[sku] for sku in stopped_skus}
    assert any(now[sku] != good[sku] for sku in tried - stopped_skus)
    assert "court order" in str(Gate.read(shop.lake).why_not(US, "category-1"))
    turn(shop.lake, "stop", "chain", "", by="ceo", reason="strike")
    shop.batch(-1.5)
    assert shop.prices(US) == now


def test_the_switch_is_a_log_of_who_and_why(shop: Shop) -> None:
    turn(shop.lake, "stop", "chain", "", by="ceo", reason="strike")
    turn(shop.lake, "stop", "store", DE, by="maria", reason="fire")
    turn(shop.lake, "resume", "chain", "", by="ceo", reason="over")
    assert [(t.scope, t.name, t.by) for t in stopped(shop.lake).turns] == [("store", DE, "maria")]
    assert [t.action for t in turns(shop.lake)] == ["stop", "stop", "resume"]


@pytest.mark.parametrize(
    ("action", "scope", "name", "by", "says"),
    [
        ("stop", "store", "ZZ-404", "maria", "there is no store 'ZZ-404'"),
        ("stop", "category", "unicorns", "maria", "there is no category 'unicorns'"),
        ("resume", "chain", "", "maria", "the chain is not stopped"),
        ("stop", "chain", "", " ", "who and why"),
    ],
)
def test_a_turn_of_the_switch_that_makes_no_sense_is_refused(
    shop: Shop, action: Any, scope: Any, name: str, by: str, says: str
) -> None:
    with pytest.raises(SwitchError, match=says):
        turn(shop.lake, action, scope, name, by=by, reason="why")


@pytest.mark.parametrize(
    ("mode", "says"), [("shadow", "in the shadow"), ("approve", "wait for a person"), ("automatic", None)]
)
def test_a_service_is_told_whether_new_prices_may_be_answered(shop: Shop, mode: str, says: str | None) -> None:
    shop.batch(mode=mode)
    told = Gate.read(shop.lake).why_not(US, "category-0")
    assert told is None if says is None else says in str(told)


def test_a_service_is_told_about_the_newest_batch(shop: Shop) -> None:
    old = shop.batch(mode="approve")
    new = shop.batch(-1.4, mode="approve")
    settle(shop.lake, "reject", old.batch_id, US, by="maria", reason="old")
    assert "wait for a person" in str(Gate.read(shop.lake).why_not(US, None))
    settle(shop.lake, "approve", new.batch_id, US, by="maria", reason="")
    assert Gate.read(shop.lake).why_not(US, None) is None


def read_file(home: Home, store_id: str) -> tuple[Path, list[dict[str, str]], dict[str, Any]]:
    path = next(home.outbox.glob(f"prices/*/{store_id}.csv"))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return path, rows, json.loads(path.with_suffix(".json").read_text())


def test_a_price_file_holds_the_published_prices_and_says_what_it_is(shop: Shop, home: Home) -> None:
    done = shop.batch()
    files = write_price_files(shop.lake, home)
    assert {(f.store_id, f.rows, f.written) for f in files} == {(US, 12, True), (DE, 12, True)}
    path, rows, document = read_file(home, US)
    assert {row["sku"]: Decimal(row["price"]) for row in rows} == shop.prices(US)
    assert list(rows[0]) == list(COLUMNS)
    assert path.parent.name == rows[0]["effective_from"]
    assert document["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (document["rows"], document["currencies"]) == (12, ["USD"])
    assert [(b["batch_id"], b["model_version"]) for b in document["batches"]] == [(done.batch_id, "model-1")]
    assert not list(path.parent.glob(".*"))


def test_an_unchanged_price_file_is_not_written_again_and_a_damaged_one_is(shop: Shop, home: Home) -> None:
    shop.batch()
    write_price_files(shop.lake, home)
    assert not any(file.written for file in write_price_files(shop.lake, home))
    path, *_ = read_file(home, US)
    good = path.read_bytes()
    path.write_bytes(good[:-20])
    assert [file.store_id for file in write_price_files(shop.lake, home) if file.written] == [US]
    assert path.read_bytes() == good


def test_stores_without_published_prices_get_no_file(shop: Shop, home: Home) -> None:
    shop.batch(stores={US: "shadow", DE: "approve"})
    assert write_price_files(shop.lake, home) == []
    assert not home.outbox.exists()


def test_a_withdrawn_batch_takes_its_file_with_it_or_brings_the_old_one_back(shop: Shop, home: Home) -> None:
    first = shop.batch(-3.5)
    write_price_files(shop.lake, home)
    path, *_ = read_file(home, US)
    good = path.read_bytes()
    second = shop.batch(-1.2)
    write_price_files(shop.lake, home)
    assert path.read_bytes() != good
    settle(shop.lake, "reject", second.batch_id, US, by="maria", reason="wrong")
    write_price_files(shop.lake, home, US)
    assert path.read_bytes() == good
    settle(shop.lake, "reject", first.batch_id, US, by="maria", reason="wrong as well")
    write_price_files(shop.lake, home, US)
    assert not path.exists()
    assert not path.with_suffix(".json").exists()


def test_every_table_is_append_only(shop: Shop) -> None:
    done = shop.batch(mode="approve")
    settle(shop.lake, "approve", done.batch_id, None, by="maria", reason="")
    turn(shop.lake, "stop", "chain", "", by="ceo", reason="strike")
    for name in (BATCHES, PROPOSALS, PUBLICATIONS, "price_switch"):
        modes = {entry.get("operationParameters", {}).get("mode") for entry in shop.lake.open("ops", name).history()}
        assert modes <= {"Append", "ErrorIfExists", "Ignore"}


def test_the_check_fails_while_a_batch_is_withheld(shop: Shop) -> None:
    done = shop.batch(**tight(shop))
    failed = circuit_breaker_holds(lake=shop.lake)
    assert not failed.passed
    assert failed.metadata["withheld_in"].value == [DE, US]
    assert any("mean change" in words for words in failed.metadata["tripped"].value)
    settle(shop.lake, "release", done.batch_id, None, by="maria", reason="seen")
    assert circuit_breaker_holds(lake=shop.lake).passed


@pytest.mark.parametrize(("share", "passed"), [(0.02, True), (0.021, False)])
def test_the_check_of_the_till_fails_above_its_limit(lake: Lake, share: float, passed: bool) -> None:
    lake.overwrite("reports", "price_integrity", pa.table({"store_id": [US, DE], "wrong_share_listed": [share, 0.0]}))
    found = prices_at_the_till_are_right(lake=lake)
    assert found.passed is passed
    assert found.metadata["wrong_shares"].value == ({} if passed else {US: share})


def test_checks_of_an_empty_lake_pass(lake: Lake) -> None:
    assert circuit_breaker_holds(lake=lake).passed
    assert prices_at_the_till_are_right(lake=lake).passed
