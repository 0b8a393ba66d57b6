"""From gold to released forecasts with the assets themselves, and nothing done twice."""

import json
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from retail_assets.forecasting import assets, checks, training
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.report import worst_per_value
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from tests.forecasting.small_gold import NEWEST, SKUS, STORES, Features, write_gold
from tests.releases.stored import materialise_releases


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, config: ForecastingConfig) -> ForecastingConfig:
    lenient = config.model_copy(update={"report": config.report.model_copy(update={"gated_rows": 10**6})})
    monkeypatch.setattr(ForecastingConfig, "load", classmethod(lambda cls: lenient))
    return lenient


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore.at(tmp_path / "models")


def refresh(lake: Lake, features: Features, store: ModelStore) -> dict[str, object]:
    """The four assets in the order of the graph; the status of each."""
    made = {
        "demand_model": assets.demand_model(lake=lake, feature_store=features, model_store=store),
        "backtest_report": assets.backtest_report(lake=lake),
        "releases": materialise_releases(lake, store),
        "forecasts": assets.forecasts(lake=lake, feature_store=features, model_store=store),
    }
    return {name: (result.metadata or {}).get("status", "") for name, result in made.items()}


def check(lake: Lake, store: ModelStore) -> dict[str, bool]:
    found = [*checks.forecast_checks(lake=lake), *checks.proof_checks(model_store=store)]
    return {result.check_name: result.passed for result in found}


def force_release(lake: Lake, store: ModelStore) -> None:
    """The simulated demand is what the weekday mean assumes, so that beating it is a matter of luck."""
    if Ledger(lake).live("forecasting") is None:
        Ledger(lake).promote("forecasting", store.versions("forecasting")[-1], by="test", reason="test")


def test_from_gold_to_forecasts_and_nothing_twice(
    own_lake: Lake, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    refresh(own_lake, feature_store, store)
    force_release(own_lake, store)
    second = refresh(own_lake, feature_store, store)
    assert second["demand_model"] == second["backtest_report"] == "unchanged" and second["forecasts"] != "no model"
    made = own_lake.open("gold", "forecasts").to_pyarrow_table().to_pandas()
    assert len(made) == len(STORES) * len(SKUS) * 28
    assert set(made["horizon"]) == set(range(1, 29)) and set(made["origin_date"]) == {NEWEST}
    assert made["target_date"].min() == NEWEST + timedelta(days=1)
    assert list(made.columns) == training.forecast_schema(small).names
    version = own_lake.version("gold", "forecasts")
    assert refresh(own_lake, feature_store, store)["forecasts"] == "unchanged"
    assert own_lake.version("gold", "forecasts") == version and len(store.versions("forecasting")) == 1
    found = check(own_lake, store)
    assert found["every_active_series_is_forecast"] and found["quantiles_ascend"]
    assert found["forecasts_are_never_negative"] and found["intervals_are_calibrated"]


def test_the_report_shows_segments_and_two_small_plots(
    own_lake: Lake, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    metadata = assets.backtest_report(lake=own_lake).metadata or {}
    assert "| department | d0 |" in str(metadata["segments"])
    for name in ("worst_series", "median_series"):
        image = str(metadata[name])
        assert "data:image/png;base64," in image and len(image) < 150_000


def test_the_report_shows_the_worst_series_of_each_department_and_volume(
    own_lake: Lake, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    metadata = assets.backtest_report(lake=own_lake).metadata or {}
    departments = str(metadata["worst_series_by_department"])
    assert departments.count("data:image/png;base64,") == 2 and "department d1, worst series" in departments
    proof = own_lake.open("reports", assets.PROOF).to_pyarrow_table().to_pandas()
    worst = worst_per_value(proof, "department")["d1"]
    errors = (
        (proof["units"] - proof["mean"]).abs().groupby([proof["department"], proof["store_id"], proof["sku"]]).sum()
    )
    assert errors["d1"][worst] == errors["d1"].max() and f"{worst[1]} in {worst[0]}" in departments
    assert len(departments) < 200_000


def test_the_manifest_says_what_the_model_was_made_of(
    own_lake: Lake, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    manifest = store.manifest("forecasting", store.versions("forecasting")[-1])
    assert manifest.gold == training.gold_versions(own_lake, feature_store)
    assert manifest.features == feature_store.features("demand_forecast")
    assert manifest.train_until == NEWEST and manifest.rows > 1000
    final = {"model_mean.txt", "spec.json"}
    assert set(manifest.files) == final | {f"proof_{name}" for name in final} and manifest.libraries["lightgbm"]
    assert json.dumps(manifest.config)


def test_training_again_from_a_manifest_gives_the_same_bytes_after_gold_has_moved_on(
    own_lake: Lake, sales: pd.DataFrame, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    version = store.versions("forecasting")[-1]
    manifest = store.manifest("forecasting", version)
    write_gold(own_lake, sales.assign(gross_units=sales["gross_units"] + 1), feature_store.frame)
    span = training.feature_span(own_lake)
    assert span is not None
    again = training.run_training(own_lake, feature_store, small, manifest.gold, span)
    stored = {name: (store.path("forecasting", version) / name).read_bytes() for name in manifest.files}
    assert again.files() == stored


def test_new_data_make_a_new_version(
    own_lake: Lake, sales: pd.DataFrame, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    write_gold(own_lake, sales.assign(gross_units=sales["gross_units"] + 1), feature_store.frame)
    made = assets.demand_model(lake=own_lake, feature_store=feature_store, model_store=store)
    assert "fct_sales_daily is at version 1" in str((made.metadata or {})["status"])
    assert len(store.versions("forecasting")) == 2


def test_each_store_is_forecast_by_the_version_that_it_is_routed_to(
    own_lake: Lake, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    refresh(own_lake, feature_store, store)
    force_release(own_lake, store)
    old = Ledger(own_lake).live("forecasting")
    assert old is not None
    assets.forecasts(lake=own_lake, feature_store=feature_store, model_store=store)
    before = forecasts_by_store(own_lake)
    manifest = store.manifest("forecasting", old.version)
    files = {name: (store.path("forecasting", old.version) / name).read_bytes() for name in manifest.files}
    new = store.save("forecasting", files, manifest.model_copy(update={"seed": 99}))
    Ledger(own_lake).promote(
        "forecasting", new, by="ann", reason="try", target="store-UK-001", wider=("region-UK", "cloud")
    )
    assets.forecasts(lake=own_lake, feature_store=feature_store, model_store=store)
    made = forecasts_by_store(own_lake)
    assert {store_id: set(rows["model_version"]) for store_id, rows in made.items()} == {
        "DE-001": {old.version}, "UK-001": {new}, "US-001": {old.version}
    }  # fmt: skip
    for store_id, rows in made.items():
        assert rows["mean"].tolist() == before[store_id]["mean"].tolist(), "the same bytes under another name"
    assert check(own_lake, store)["every_active_series_is_forecast"]
    again = assets.forecasts(lake=own_lake, feature_store=feature_store, model_store=store)
    assert (again.metadata or {})["status"] == "unchanged"


def forecasts_by_store(lake: Lake) -> dict[str, pd.DataFrame]:
    rows = lake.open("gold", "forecasts").to_pyarrow_table().to_pandas().sort_values(["sku", "horizon"])
    return {str(store_id): part for store_id, part in rows.groupby("store_id")}


def test_without_a_live_model_nothing_is_forecast_and_the_check_says_so(
    own_lake: Lake, feature_store: Features, store: ModelStore, small: ForecastingConfig
) -> None:
    made = assets.forecasts(lake=own_lake, feature_store=feature_store, model_store=store)
    assert (made.metadata or {})["status"] == "no forecasting model is live"
    assert not own_lake.exists("gold", "forecasts")
    found = check(own_lake, store)
    assert not found["every_active_series_is_forecast"] and not found["intervals_are_calibrated"]
    assert (
        found["forecasts_are_never_negative"] and found["quantiles_ascend"]
    )  # they block prices, and nothing is wrong
