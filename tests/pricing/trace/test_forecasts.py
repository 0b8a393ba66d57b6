"""The forecast behind a price is made again by the recorded version, from the features as they were known."""

import json
import math
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from retail_assets.features.store import FeatureStore
from retail_assets.pricing.trace.document import Trace
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.provenance.forecasts import (
    DECIDED_AFTER,
    TIME_TO_LIVE,
    ForecastFeatures,
    compared,
    read_features,
)
from retail_assets.provenance.records import published_by
from retail_assets.provenance.retention import named_versions
from retail_assets.provenance.snapshots import Snapshots
from retail_assets.resources.environments import Environment, Home
from retail_assets.resources.lake import Lake
from tests.pricing.trace.conftest import environment_of, sample_ids

DAY = date(2026, 1, 2)


def test_the_recorded_version_forecasts_the_same_again(environment: Environment) -> None:
    replays = [trace_price(environment, name, replay=True).replay for name in sample_ids(environment.lake, 8)]
    forecasts = [replay.forecast for replay in replays if replay]
    assert [f.equal for f in forecasts if f] == [True] * 8
    assert {f.days for f in forecasts if f} == {28}


def test_features_are_those_that_feast_gives_the_forecaster(environment: Environment, trace: Trace) -> None:
    versions = trace.forecast_from
    origin = trace.table("forecasts")[0]["origin_date"]
    store = FeatureStore.at(environment.home, environment.lake)
    pinned = {name: versions[name] for name in store.gold_versions("demand_forecast")}
    rows = store.training_set("demand_forecast", origin, origin, version=pinned).to_pylist()
    names = store.features("demand_forecast")
    with Snapshots(environment.lake) as reader:
        for row in rows[:: len(rows) // 20]:
            found = read_features(reader, versions, row["store_id"], row["sku"], origin)
            assert found is not None
            assert found.day == row["business_date"]
            assert {name: found.values().get(name) for name in names} == {name: row[name] for name in names}


def test_the_rules_of_what_was_known_are_those_of_the_feature_repository() -> None:
    from feature_repo.feature_views import product_demand, store_activity, store_product_demand
    from retail_assets.features.registry import repository
    from retail_assets.features.training import decided_after_hours

    assert {view.ttl for view in (product_demand, store_activity, store_product_demand)} == {TIME_TO_LIVE}
    assert decided_after_hours(repository().service("demand_forecast")) == DECIDED_AFTER.total_seconds() / 3600


def test_a_trace_shows_the_features_of_the_forecast_and_their_day(trace: Trace) -> None:
    shown = trace.forecast_features
    assert isinstance(shown, ForecastFeatures)
    assert set(shown.tables) == set(shown.versions) == {"feat_store_product_daily", "feat_store", "feat_product"}
    assert shown.days["feat_store_product_daily"] == shown.day
    assert math.isfinite(shown.values()["units_mean_28"])


@pytest.mark.parametrize(("change", "equal"), [(0.0, True), (1e-15, True), (1e-6, False), (float("nan"), False)])
def test_the_last_digit_may_differ_and_no_more(change: float, equal: bool) -> None:
    rows = [{"target_date": DAY, "mean": 0.5, "q05": 0.0, "q95": 2.0}]
    found = compared("v", rows, [{"mean": 0.5 + change, "q05": 0.0, "q95": 2.0}])
    assert found.equal is equal
    assert (f"mean of {DAY}" in found.verdict) is not equal


def test_a_tampered_feature_is_where_the_replay_differs(tiny_copy: Home, decision_id: str) -> None:
    there = environment_of(tiny_copy.root)
    trace = trace_price(there, decision_id)
    _double(there, "feat_store_product_daily", trace)
    replay = trace_price(there, decision_id, replay=True).replay
    assert replay is not None
    assert replay.verdict.startswith("differs at the forecast: ")
    assert trace.models[1].version in replay.verdict


def test_a_deleted_forecaster_is_named_and_the_price_is_decided_again_from_its_forecast(
    tiny_copy: Home, decision_id: str
) -> None:
    there = environment_of(tiny_copy.root)
    version = trace_price(there, decision_id).models[1].version
    (tiny_copy.models / "models" / "forecasting" / version).rename(tiny_copy.root / "gone")
    told = trace_price(there, decision_id, replay=True)
    assert told.replay is not None
    assert told.replay.equal
    assert told.replay.forecast is not None
    assert told.replay.forecast.equal is None
    assert f"its forecast was not made again: the model store has no forecasting {version}" in told.replay.verdict
    assert "the model store has no forecasting" in str(told.models[1].missing)


def test_what_a_forecast_was_made_from_is_kept_as_long_as_its_decisions(environment: Environment) -> None:
    named = named_versions(environment.lake, 35)
    assert {"feat_store_product_daily", "feat_store", "feat_product"} <= {name for _, name, _ in named}


def test_a_forecast_is_made_from_what_its_own_commit_says_and_not_the_newest_one(lake: Lake) -> None:
    rows = pa.table({"business_date": [DAY], "mean": [1.0]})
    for number in (1, 2, 3):
        lake.overwrite_days("gold", "forecasts", rows, [DAY], {"gold": json.dumps({"feat_store": number})})
        lake.open("gold", "forecasts").optimize.compact()
    said = [json.loads(published_by(lake, "forecasts", version)["gold"])["feat_store"] for version in range(3)]
    assert said == [1, 2, 3]


def _double(environment: Environment, table: str, trace: Trace) -> None:
    """Doubles the recent mean of the traced item in the files of a feature table, behind the back of Delta."""
    for uri in environment.lake.open("gold", table).file_uris():
        path = Path(uri)
        found = pq.ParquetFile(path).read()
        hit = pc.and_(pc.equal(found["store_id"], trace.store_id), pc.equal(found["sku"], trace.sku))
        if not pc.any(hit).as_py():
            continue
        for name in ("units_mean_7", "units_mean_28", "units_mean_56"):
            changed = pc.if_else(hit, pc.multiply(found[name], pa.scalar(2.0)), found[name])
            found = found.set_column(found.schema.get_field_index(name), name, changed)
        pq.write_table(found, path)
