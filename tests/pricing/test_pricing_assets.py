"""The assets and their checks on a real ephemeral instance: once, again, and with decisions that must be stopped."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from retail_assets.core.manifest import Manifest
from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.pricing import assets, checks
from retail_assets.pricing.answers import PriceDesk
from retail_assets.pricing.commands import prices
from retail_assets.pricing.config import PricingConfig
from retail_assets.pricing.publish import assets as publication_assets
from retail_assets.pricing.publish.approval import settle
from retail_assets.pricing.publish.price_files import write_price_files
from retail_assets.pricing.publish.publication import publications, published_prices
from retail_assets.pricing.publish.waiting import batches
from retail_assets.pricing.response.model import PriceModel
from retail_assets.pricing.response.training import (
    gold_versions,
    is_due,
    newest_day,
    recorded_config,
    save,
    train,
)
from retail_assets.releases.assets import RELEASED
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.traffic_split import in_share
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.catalogue import UnknownKey
from tests.pricing.test_price_inputs import rewrite
from tests.services.releases import variation

NODES = [*assets.ASSETS, *RELEASED, *checks.CHECKS]


def refresh(home: Home) -> dg.ExecuteInProcessResult:
    """Trains, releases and decides in `home`, and runs the checks."""
    resources = {"lake": Lake.at(home.lake), "model_store": ModelStore.at(home.models), "home": home}
    return dg.materialize(NODES, resources=resources, raise_on_error=False)


def checked(home: Home) -> dict[str, bool]:
    """Runs the checks alone."""
    resources = {"lake": Lake.at(home.lake), "model_store": ModelStore.at(home.models), "home": home}
    only = dg.AssetSelection.all_asset_checks()
    return passed(dg.materialize(NODES, resources=resources, raise_on_error=False, selection=only))


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, plant: Callable[..., object]
) -> tuple[Home, dg.ExecuteInProcessResult]:
    """A home that was refreshed once, to read or to copy, and what that run said."""
    home = Home.at(tmp_path_factory.mktemp("refreshed"))
    plant(Lake.at(home.lake), skus=12, stores=2, days=112)
    result = refresh(home)
    approve(home)
    return home, result


def approve(home: Home) -> None:
    """A person looks at the first batch and publishes it."""
    lake = Lake.at(home.lake)
    for batch in batches(lake):
        settle(lake, "approve", batch.batch_id, None, by="maria", reason="looked at")
    write_price_files(lake, home)


@pytest.fixture
def refreshed(first: tuple[Home, dg.ExecuteInProcessResult], home: Home) -> Home:
    """A copy of a refreshed home."""
    shutil.copytree(first[0].root, home.root)
    return home


@pytest.fixture
def decided(refreshed: Home) -> Lake:
    """The lake of a copy of a refreshed home."""
    return Lake.at(refreshed.lake)


def metadata(result: dg.ExecuteInProcessResult, *key: str) -> dict[str, object]:
    events = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(list(key))]
    return {name: value.value for name, value in events[0].materialization.metadata.items()}


def passed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_a_day_is_trained_released_and_decided(first: tuple[Home, dg.ExecuteInProcessResult]) -> None:
    _, result = first
    assert result.success
    assert all(passed(result).values())
    assert len(passed(result)) == 9
    report = metadata(result, "pricing", "response_report")
    assert all(str(report[name]).startswith("![") for name in ("demand_curves", "elasticities"))
    assert all(len(str(report[name])) < 150_000 for name in ("demand_curves", "elasticities"))
    decided = metadata(result, "pricing", "price_decisions")
    assert (decided["dagster/row_count"], decided["new_rows"], decided["listed"]) == (24, 24, 24)
    assert "becomes" in str(decided["example"])
    assert (decided["explored"], decided["explored_share"]) == (0, 0.0)


def test_what_is_done_is_not_done_again(refreshed: Home) -> None:
    lake = Lake.at(refreshed.lake)
    version = lake.version("decisions", "pricing")
    again = refresh(refreshed)
    for name in ("demand_response_model", "response_report", "price_decisions"):
        assert metadata(again, "pricing", name)["status"] == "unchanged"
    assert lake.version("decisions", "pricing") == version
    assert len(ModelStore.at(refreshed.models).versions("pricing")) == 1


def test_the_same_gold_under_another_version_is_not_published_again(refreshed: Home, decided: Lake) -> None:
    """Gold that was lost and built again has new versions: whether a day is decided is asked of its decisions."""
    count = f"select count(*) from {decided.scan('decisions', 'pricing')}"
    before = decided.query(count).to_pylist()
    published, batch = publications(decided), batches(decided)
    files = {path: path.stat().st_mtime_ns for path in refreshed.outbox.rglob("*") if path.is_file()}
    for name in ("fct_sales_daily", "fct_price_history"):
        decided.overwrite("gold", name, decided.read("gold", name))
    again = refresh(refreshed)
    assert metadata(again, "pricing", "price_decisions")["new_rows"] == 0
    assert metadata(again, "pricing", "price_publications")["status"] == "the same prices as before"
    assert (decided.query(count).to_pylist(), publications(decided), batches(decided)) == (before, published, batch)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    once_more = refresh(refreshed)
    assert metadata(once_more, "pricing", "price_publications")["status"] == "unchanged"


def test_decisions_name_the_run_and_the_live_model(first: tuple[Home, dg.ExecuteInProcessResult]) -> None:
    home, result = first
    rows = Lake.at(home.lake).open("decisions", "pricing").to_pyarrow_table().to_pylist()
    assert {row["dagster_run_id"] for row in rows} == {result.run_id}
    assert {row["model_version"] for row in rows} == set(ModelStore.at(home.models).versions("pricing"))
    assert {row["mode"] for row in rows} == {"batch"}


def test_a_day_decided_again_with_other_inputs_points_at_what_it_corrects(refreshed: Home, decided: Lake) -> None:
    before = {r["sku"] + r["store_id"]: r for r in decided.open("decisions", "pricing").to_pyarrow_table().to_pylist()}
    assert {row["corrects"] for row in before.values()} == {None}
    costs = decided.open("gold", "fct_price_history")
    costs.update(predicate="sku = 'SKU-00003'", updates={"unit_cost": "unit_cost + 0.5"})
    refresh(refreshed)
    rows = decided.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    new = [row for row in rows if row["corrects"] is not None]
    assert {row["sku"] for row in new} == {"SKU-00003"}
    assert all(row["corrects"] == before[row["sku"] + row["store_id"]]["decision_id"] for row in new)
    assert json.loads(new[0]["gold_versions"])["fct_price_history"] == costs.version()
    assert decided.open("ops", "policies").to_pyarrow_table()["hash"].to_pylist() == [new[0]["policy_hash"]]


@pytest.fixture
def wide(config: PricingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A circuit breaker that nothing trips."""
    settings = config.model_dump()
    limits = dict.fromkeys(settings["publication"]["breaker"]["limits"], 1.0)
    settings["publication"]["breaker"] |= {"limits": limits, "minimum_batches": 50, "history": 60}
    monkeypatch.setattr(publication_assets, "load_config", lambda: PricingConfig.model_validate(settings))


def test_each_store_is_decided_by_its_version_and_goes_back(wide: None, refreshed: Home, decided: Lake) -> None:
    old = variation(refreshed, "pricing", 1)
    Ledger(decided).promote("pricing", old, by="ann", reason="a first batch under a wide breaker")
    assert refresh(refreshed).success
    before, new = published(decided), variation(refreshed, "pricing", 60)
    there = {"by": "ann", "target": "store-DE-001", "wider": ("region-DE", "cloud")}
    Ledger(decided).promote("pricing", new, reason="try it there", **there)
    result = refresh(refreshed)
    assert result.success
    made = metadata(result, "pricing", "price_decisions")
    assert (made["dagster/row_count"], made["new_rows"]) == (24, 12)
    now = published(decided)
    assert {store_id: row["model_version"] for (store_id, _), row in now.items()} == {"US-000": old, "DE-001": new}
    changed = {key for key in now if now[key]["price"] != before[key]["price"]}
    assert changed and {store_id for store_id, _ in changed} == {"DE-001"}
    assert {row["decision_id"] for row in now.values()} == set(newest(decided).values())
    assert metadata(refresh(refreshed), "pricing", "price_decisions")["status"] == "unchanged"

    Ledger(decided).follow("pricing", by="ann", reason="no", target="store-DE-001", wider=("region-DE", "cloud"))
    result = refresh(refreshed)
    assert metadata(result, "pricing", "price_decisions")["new_rows"] == 12
    back = published(decided)
    assert {key: row["price"] for key, row in back.items()} == {key: row["price"] for key, row in before.items()}
    assert {row["decision_id"] for row in back.values()} == set(newest(decided).values())
    again = refresh(refreshed)
    for name in ("price_decisions", "price_publications"):
        assert metadata(again, "pricing", name)["status"] == "unchanged"


def test_a_canary_decides_in_the_stores_it_has_drawn(refreshed: Home, decided: Lake) -> None:
    new = variation(refreshed, "pricing", 60)
    Ledger(decided).canary("pricing", new, 0.5, by="ann", reason="try it")
    assert refresh(refreshed).success
    drawn = {store_id for store_id in ("US-000", "DE-001") if in_share(Ledger(decided).trials()[0], store_id)}
    rows = [
        row for row in decided.open("decisions", "pricing").to_pyarrow_table().to_pylist() if row["arm"] == "canary"
    ]
    assert {row["store_id"] for row in rows} == drawn
    assert {row["model_version"] for row in rows} <= {new}


def published(lake: Lake) -> dict[tuple[str, str], dict[str, Any]]:
    """The published price of each store-SKU."""
    return {(row["store_id"], row["sku"]): row for row in published_prices(lake).to_pylist()}


def newest(lake: Lake) -> dict[tuple[str, str], str]:
    """The id of the newest decision of each store-SKU."""
    rows = lake.open("decisions", "pricing").to_pyarrow_table().sort_by([("at", "ascending")]).to_pylist()
    return {(row["store_id"], row["sku"]): row["decision_id"] for row in rows}


def test_without_a_live_model_nothing_is_decided(planted: Callable, lake: Lake, home: Home) -> None:
    planted()
    resources = {"lake": lake, "model_store": ModelStore.at(home.models)}
    result = dg.materialize([assets.price_decisions], resources=resources)
    assert metadata(result, "pricing", "price_decisions")["status"] == "no pricing model is live"
    assert not lake.exists("decisions", "pricing")


def forge(lake: Lake, **changes: object) -> None:
    """Appends a later decision of the first row with these columns changed."""
    row = lake.open("decisions", "pricing").to_pyarrow_table().to_pylist()[0]
    forged = row | {"decision_id": "ffffffff-forged", "at": datetime.now(UTC) + timedelta(hours=1)} | changes
    table = pa.Table.from_pylist([forged], DECISION_SCHEMA)
    lake.append("decisions", "pricing", table, partition_by=["business_date"])


def trail(lake: Lake) -> list[dict[str, object]]:
    text = lake.open("decisions", "pricing").to_pyarrow_table()["guardrails"][0].as_py()
    lines: list[dict[str, object]] = json.loads(text)
    return lines


def test_checks_stop_what_must_not_reach_a_shelf(refreshed: Home, decided: Lake) -> None:
    output = json.loads(decided.open("decisions", "pricing").to_pyarrow_table()["output"][0].as_py())
    cheap = trail(decided)
    cheap[-1]["after"] = 1
    changed = json.dumps(output | {"outcome": "changed"})
    forge(decided, price=Decimal("0.01"), guardrails=json.dumps(cheap), output=changed)
    found = checked(refreshed)
    assert not found["margin_floor_holds"]
    assert not found["max_change_holds"]
    assert found["trail_is_complete"]


def test_a_standing_price_in_breach_is_counted_and_does_not_stop(refreshed: Home, decided: Lake) -> None:
    row = decided.open("decisions", "pricing").to_pyarrow_table().to_pylist()[0]
    output = json.loads(row["output"]) | {"outcome": "conflict", "cost": 10_000}
    standing = trail(decided)
    standing[-1]["after"] = standing[0]["before"]
    forge(decided, price=row["previous_price"], guardrails=json.dumps(standing), output=json.dumps(output))
    result = refresh(refreshed)
    assert passed(result)["margin_floor_holds"]
    check = next(c for c in result.get_asset_check_evaluations() if c.check_name == "margin_floor_holds")
    assert check.metadata["standing_prices_in_breach"].value == 1


@pytest.mark.parametrize("damage", ["missing rule", "no words", "wrong end", "wrong start"])
def test_an_incomplete_trail_is_stopped(refreshed: Home, decided: Lake, damage: str) -> None:
    lines = trail(decided)
    if damage == "missing rule":
        del lines[3]
    elif damage == "no words":
        lines[2]["words"] = ""
    else:
        line, end = (lines[-1], "after") if damage == "wrong end" else (lines[0], "before")
        line[end] = 12345
    forge(decided, guardrails=json.dumps(lines))
    assert not checked(refreshed)["trail_is_complete"]


def test_a_price_that_moved_too_far_within_a_week_is_stopped(refreshed: Home, decided: Lake) -> None:
    output = json.loads(decided.open("decisions", "pricing").to_pyarrow_table()["output"][0].as_py())
    lines: list[Any] = trail(decided)
    week = next(line for line in lines if line["rule"] == "max_change_week")
    week["numbers"] |= {"week_price": int(lines[0]["before"] * 0.6), "change_bp": 1500}
    lines[-1]["after"] = lines[0]["before"]
    price = Decimal(lines[0]["before"]) / 100
    forge(decided, price=price, guardrails=json.dumps(lines), output=json.dumps(output | {"outcome": "changed"}))
    found = checked(refreshed)
    assert not found["max_change_week_holds"]
    assert found["max_change_holds"]


def test_an_open_store_without_decisions_is_named(refreshed: Home, decided: Lake) -> None:
    decisions = decided.open("decisions", "pricing")
    decisions.alter.set_table_properties({"delta.appendOnly": "false"})
    decisions.delete("store_id = 'DE-001'")
    result = refresh(refreshed)
    check = next(c for c in result.get_asset_check_evaluations() if c.check_name == "every_listed_item_has_a_price")
    assert not check.passed
    assert check.metadata["stores_without_decisions"].value == ["DE-001"]


def test_a_batch_is_published_with_its_files(first: tuple[Home, dg.ExecuteInProcessResult]) -> None:
    home, result = first
    published = metadata(result, "pricing", "price_publications")
    assert (published["status"], published["stores"]) == ("pending", {"pending": 2})
    assert published["rows"] == 24
    assert metadata(result, "pricing", "price_files")["files"] == 0, "the first batch waits for a person"
    assert len(list(home.outbox.glob("prices/*/*.csv"))) == 2, "who has approved it since"


def test_a_failed_blocking_check_keeps_the_batch_in_the_house(refreshed: Home, decided: Lake) -> None:
    before = decided.version("ops", "price_publications")
    lines = trail(decided)
    del lines[3]
    forge(decided, guardrails=json.dumps(lines))
    decided.overwrite("gold", "dim_promotion", decided.open("gold", "dim_promotion").to_pyarrow_table().slice(1))
    result = refresh(refreshed)
    assert not result.success
    assert decided.version("ops", "price_publications") == before


def test_a_listed_item_without_a_decision_is_seen(refreshed: Home, decided: Lake) -> None:
    decisions = decided.open("decisions", "pricing")
    decisions.alter.set_table_properties({"delta.appendOnly": "false"})
    decisions.delete("sku = 'SKU-00004'")
    assert not checked(refreshed)["every_listed_item_has_a_price"]


def test_checks_of_an_empty_home_pass(planted: Callable[..., object], home: Home) -> None:
    planted()
    found = checked(home)
    assert len(found) == 9
    assert all(found.values())


def manifest(shipped: PricingConfig, **changes: object) -> Manifest:
    made = Manifest(
        product="pricing", created_at=datetime(2026, 1, 1, tzinfo=UTC), gold={"fct_sales_daily": 3},
        feature_service="", features=[], git_commit="", config=recorded_config(shipped), seed=7, metrics={},
        train_from=date(2025, 1, 1), train_until=date(2026, 1, 10), rows=1,
    )  # fmt: skip
    return made.model_copy(update=changes)


@pytest.mark.parametrize(
    ("gold", "until", "due"),
    [
        ({"fct_sales_daily": 3}, date(2026, 1, 10), False),
        ({"fct_sales_daily": 3}, date(2026, 3, 1), False),
        ({"fct_sales_daily": 4}, date(2026, 1, 10), False),
        ({"fct_sales_daily": 4}, date(2026, 1, 16), False),
        ({"fct_sales_daily": 4}, date(2026, 1, 17), True),
        ({"fct_sales_daily": 4}, date(2026, 1, 9), True),
    ],
)
def test_training_is_due_after_a_week_of_new_data(
    config: PricingConfig, gold: dict[str, int], until: date, due: bool
) -> None:
    assert is_due(manifest(config), recorded_config(config), gold, until, config) is due


def test_training_is_due_when_code_or_configuration_changed(config: PricingConfig) -> None:
    changed = recorded_config(config) | {"code_version": "0"}
    assert is_due(manifest(config, config=changed), recorded_config(config), {}, date(2026, 1, 10), config)


def test_the_same_training_gives_the_same_bytes(planted: Callable, config: PricingConfig, home: Home) -> None:
    lake = planted().lake
    gold, until = gold_versions(lake), newest_day(lake)
    assert until is not None
    first, second = (train(lake, config, gold, until) for _ in range(2))
    assert first.model.files() == second.model.files()
    store = ModelStore.at(home.models)
    versions = [save(t, config, store, datetime(2026, 6, day, tzinfo=UTC), "c") for day, t in ((1, first), (2, second))]
    assert versions[0] == versions[1]


def gap(sku: str, column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Puts `value` into a column of one SKU."""
    return lambda frame: frame.assign(**{column: frame[column].where(frame["sku"] != sku, value)})


def test_bad_input_invents_no_price_in_batch_service_and_command(
    refreshed: Home, decided: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cost, no competitor, less than nothing in stock, another currency, and names that nobody knows."""
    published = {row["sku"]: row["price"] for row in published_prices(decided, "US-000").to_pylist()}
    rewrite(decided, "fct_price_history", gap("SKU-00002", "unit_cost", None))
    rewrite(decided, "fct_sales_daily", gap("SKU-00003", "competitor_price", None))
    rewrite(decided, "fct_sales_daily", gap("SKU-00004", "on_hand", -7))
    rewrite(decided, "fct_price_history", gap("SKU-00005", "currency", "CHF"))
    rewrite(decided, "dim_promotion", lambda promotions: promotions.iloc[:0])
    result = refresh(refreshed)
    rows = decided.open("decisions", "pricing").to_pyarrow_table().to_pylist()
    batch = {r["sku"]: r for r in rows if r["dagster_run_id"] == result.run_id and r["store_id"] == "US-000"}
    check = next(c for c in result.get_asset_check_evaluations() if c.check_name == "every_listed_item_has_a_price")
    assert not check.passed
    assert check.metadata["without_a_known_price"].value == ["DE-001 SKU-00005", "US-000 SKU-00005"]
    desk = PriceDesk(Environment(name="test", home=refreshed, lake=decided))
    desk.runtime.start()
    service = {sku: desk.price("US-000", sku) for sku in ("SKU-00002", "SKU-00003", "SKU-00004")}
    with pytest.raises(UnknownKey) as unpriced:
        desk.price("US-000", "SKU-00005")
    assert unpriced.value.what == "store 'US-000' does not list SKU 'SKU-00005', or has no price for it"
    for store_id, sku in (("ZZ-404", "SKU-00001"), ("US-000", "ZZ-404")):
        with pytest.raises(UnknownKey, match="ZZ-404"):
            desk.price(store_id, sku)
    desk.runtime.close()
    for sku in ("SKU-00003", "SKU-00004"):
        assert service[sku]["price"] == str(batch[sku]["price"]), "the service says what the batch says"
    assert batch["SKU-00002"]["price"] == batch["SKU-00002"]["previous_price"]
    assert service["SKU-00002"]["price"] == str(published["SKU-00002"]), "what has no known cost keeps its last price"
    assert service["SKU-00002"]["fallback_reason"] == "no new price: its cost is not known"
    now = {row["sku"]: row for row in published_prices(decided, "US-000").to_pylist()}
    assert now["SKU-00002"]["price"] == published["SKU-00002"]
    assert now["SKU-00002"]["business_date"] == batch["SKU-00002"]["business_date"]
    trails = {sku: json.loads(batch[sku]["guardrails"]) for sku in service}
    band = next(line for line in trails["SKU-00003"] if line["rule"] == "competitor_band")
    assert (band["status"], band["words"]) == ("not_applicable", "no recent price of a competitor is known")
    assert json.loads(batch["SKU-00004"]["inputs"])["on_hand"]["value"] == -7
    assert "SKU-00005" not in batch
    monkeypatch.setenv("RETAIL_HOME", str(refreshed.root))
    monkeypatch.setenv("RETAIL_ENV", "test")
    shown = CliRunner().invoke(prices, ["--store", "US-000", "--sku", "SKU-00005", "--json"])
    assert [Decimal(row["price"]) for row in json.loads(shown.stdout)] == [published["SKU-00005"]], "the last good one"


def test_a_live_model_that_was_deleted_decides_nothing_and_is_named(refreshed: Home, decided: Lake) -> None:
    version = ModelStore.at(refreshed.models).versions("pricing")[-1]
    before = {name: decided.version(*name) for name in (("decisions", "pricing"), ("ops", "price_publications"))}
    published = published_prices(decided)
    shutil.rmtree(refreshed.models / "models" / "pricing" / version)
    rewrite(decided, "dim_promotion", lambda promotions: promotions.iloc[:0])
    resources = {"lake": decided, "model_store": ModelStore.at(refreshed.models), "home": refreshed}
    result = dg.materialize([assets.price_decisions], resources=resources, raise_on_error=False)
    failure = result.failure_data_for_node("pricing__price_decisions")
    assert failure is not None
    assert f"the model store has no pricing {version}" in str(failure.error)
    assert {name: decided.version(*name) for name in before} == before
    assert published_prices(decided) == published


@pytest.mark.parametrize("damage", [np.nan, -np.inf, 0.0, 0.3])
def test_a_model_whose_elasticities_are_not_finite_and_negative_fails_its_check(refreshed: Home, damage: float) -> None:
    store = ModelStore.at(refreshed.models)
    version = store.versions("pricing")[-1]
    model = PriceModel.load(store.path("pricing", version))
    assert checks.elasticities_are_negative(model_store=store).passed
    model.table[3, [0, 2, 3]] = damage
    later = store.manifest("pricing", version).model_copy(
        update={"created_at": datetime.now(UTC) + timedelta(days=1), "files": {}, "version": ""}
    )
    store.save("pricing", model.files(), later)
    found = checks.elasticities_are_negative(model_store=store)
    assert not found.passed
    assert found.metadata["wrong"].value == ["SKU-00003"]
