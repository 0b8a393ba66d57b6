"""When everything has to be built, and when nothing: a wrong answer is stale gold or a wasted hour."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from retail_assets import cli
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.held_days import write_held_days
from retail_assets.warehouse import manifest, plan, state
from retail_assets.warehouse.errors import WarehouseError
from retail_assets.warehouse.plan import days_with_data, make_plan
from retail_assets.warehouse.retail_calendar import write_calendar
from tests.warehouse import bronze


@pytest.fixture
def stocked(lake: Lake) -> Lake:
    bronze.fill(lake, 3)
    write_held_days(lake)
    write_calendar(lake)
    return lake


def remember(lake: Lake, home: Home, /, **changes: Any) -> None:
    """As if a build had just ended, but for `changes`."""
    first = make_plan(lake, home, full=True)
    home.warehouse.parent.mkdir(parents=True, exist_ok=True)
    home.warehouse.touch()
    inputs = {"code_hash": first.code_hash, "lake": first.lake, "bronze": first.bronze}
    state.write(home, state.BuildState(**{"complete": True, "full": True} | inputs | changes))


def test_the_first_build_is_a_full_one(stocked: Lake, home: Home) -> None:
    found = make_plan(stocked, home)
    assert (found.mode, found.reason) == ("full", "there is no DuckDB file")
    assert found.variables()["days"] == []
    assert set(found.bronze) == {*bronze.COLUMNS, "held_days", "retail_calendar"}


def test_without_news_nothing_is_built(stocked: Lake, home: Home) -> None:
    remember(stocked, home)
    assert make_plan(stocked, home).mode == "unchanged"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code_hash": "other"}, "the dbt code changed"),
        ({"lake": "other"}, "the DuckDB file was built from another lake"),
        ({"complete": False}, "a full build did not end"),
    ],
)
def test_other_code_another_lake_and_a_broken_build_mean_everything(
    changes: dict[str, Any], reason: str, stocked: Lake, home: Home
) -> None:
    remember(stocked, home, **changes)
    found = make_plan(stocked, home)
    assert (found.mode, found.reason) == ("full", reason)


def test_bronze_that_went_back_means_everything(stocked: Lake, home: Home) -> None:
    found = make_plan(stocked, home)
    remember(stocked, home, bronze=found.bronze | {"payments": found.bronze["payments"] + 1})
    assert make_plan(stocked, home).reason == "bronze is older than what was built from it"


def test_a_missing_duckdb_file_means_everything(stocked: Lake, home: Home) -> None:
    remember(stocked, home)
    home.warehouse.unlink()
    assert make_plan(stocked, home).mode == "full"


def test_a_store_that_moves_means_everything(stocked: Lake, home: Home) -> None:
    remember(stocked, home)
    moved = {"store_id": "US-001", "country": "CA", "currency": "CAD", "business_date": bronze.START}
    bronze.append(stocked, "stores", [moved], delivered=datetime(2026, 2, 1, tzinfo=UTC))
    assert make_plan(stocked, home).reason == "a store appeared or moved"


def test_days_of_a_broken_increment_are_built_again_with_what_came_since(stocked: Lake, home: Home) -> None:
    day = bronze.START
    remember(stocked, home, complete=False, full=False, unfinished={"fct_sales_daily": [day]})
    bronze.append(stocked, "pos_lines", [bronze.sale(day + timedelta(days=2), receipt_id="new")])
    found = make_plan(stocked, home)
    assert found.reason == "a build did not end"
    assert found.days["fct_sales_daily"] == [day, day + timedelta(days=2)]


def test_new_products_alone_rebuild_no_day(stocked: Lake, home: Home) -> None:
    remember(stocked, home)
    bronze.append(stocked, "products", [{"sku": "SKU-9", "country": "UK", "business_date": bronze.START}])
    found = make_plan(stocked, home)
    assert (found.mode, found.all_days) == ("days", [])
    assert found.variables()["days"]["fct_sales_daily"] == [], "an empty mapping would mean every day to dbt"


def test_too_many_days_mean_everything(stocked: Lake, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(stocked, home)
    days = [bronze.START + timedelta(days=n) for n in range(3)]
    monkeypatch.setattr(plan, "MOST_DAYS", 10)
    assert make_plan(stocked, home, days=days).mode == "days"
    monkeypatch.setattr(plan, "MOST_DAYS", 2)
    assert make_plan(stocked, home, days=days).mode == "full"


def test_asked_for_days_are_built_though_nothing_changed(stocked: Lake, home: Home) -> None:
    remember(stocked, home)
    found = make_plan(stocked, home, days=[bronze.START])
    assert (found.mode, found.reason) == ("days", "asked for")
    assert found.days["fct_sales_daily"] == found.days["fct_baskets"] == [bronze.START]
    assert make_plan(stocked, home, full=True).mode == "full"


def test_a_missing_bronze_table_is_named(lake: Lake, home: Home) -> None:
    bronze.create(lake)
    with pytest.raises(WarehouseError, match="bronze has no table held_days, retail_calendar"):
        make_plan(lake, home)


def test_a_missing_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="make setup"):
        manifest.load_manifest(tmp_path / "manifest.json")


def test_the_state_survives_a_round_trip_and_half_a_write(home: Home, stocked: Lake) -> None:
    remember(stocked, home, pending={"fct_sales_daily": state.Pending(days=(bronze.START,))})
    before = state.read(home)
    (home.warehouse.parent / "build.1.tmp").write_text(json.dumps({"complete": True})[:5])
    assert state.read(home) == before


def test_days_that_are_asked_for_are_cut_to_those_with_data(lake: Lake) -> None:
    bronze.create(lake)
    with pytest.raises(WarehouseError, match="from 2026-01-01 to 2026-01-01: there are no data yet"):
        days_with_data(lake, date(2026, 1, 1), date(2026, 1, 1))
    first, last = bronze.START, bronze.START + timedelta(days=3)
    bronze.append(lake, "pos_lines", [bronze.sale(first), bronze.sale(last)])
    every = [first + timedelta(days=n) for n in range(4)]
    assert days_with_data(lake, date.min, date.max) == every
    assert days_with_data(lake, first, first) == [first]
    assert days_with_data(lake, every[2], date.max) == every[2:]
    for beyond in (date.max, last + timedelta(days=1)):
        with pytest.raises(WarehouseError, match=f"the data are of {first} to {last}"):
            days_with_data(lake, beyond, date.max)


def test_whoever_asks_for_days_without_data_is_told(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    bronze.create(lake)
    bronze.append(lake, "pos_lines", [bronze.sale(bronze.START)])
    environment = cast(Environment, SimpleNamespace(lake=lake))
    assert cli._days(environment, date.min, date.max) == [bronze.START]
    assert f"no data before or after {bronze.START} to {bronze.START}: only these days" in capsys.readouterr().err
    assert cli._days(environment, bronze.START, bronze.START) == [bronze.START]
    assert capsys.readouterr().err == ""


def test_days_without_data_before_anything_was_imported(lake: Lake) -> None:
    with pytest.raises(WarehouseError, match="bronze has no table"):
        days_with_data(lake, date.min, date.max)
