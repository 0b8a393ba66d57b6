"""Serving: every value with its age, and nothing that is older than its time to live."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.features.errors import FeatureError
from retail_assets.features.registry import repository
from retail_assets.features.store import FeatureStore
from tests.feature_gold import DAY, day_end, row, write_all

KEY = {"store_id": "S1", "sku": "P1"}
NEW = {"store_id": "S1", "sku": "P2"}
END = day_end(DAY)
TTL = repository().view("store_product_demand").ttl or timedelta(0)


@pytest.fixture
def served(features: FeatureStore) -> FeatureStore:
    """P1 is as new as gold is; P2 is two days older; store and product P1 are known, product P2 is not."""
    write_all(
        features.lake,
        store_product_demand=[
            row(KEY, units_mean_7=1.5, units_mean_28=None, days_since_sale=3),
            row(NEW, DAY - timedelta(days=2), units_mean_7=9.0),
        ],
        store_activity=[row({"store_id": "S1"}, store_units_mean_7=70.0)],
        product_demand=[row({"sku": "P1"}, product_stores_28=4)],
    )
    features.apply()
    features.materialise()
    return features


def test_values_come_with_their_age(served: FeatureStore) -> None:
    (got,) = served.online("demand_forecast", [KEY], at=END + timedelta(hours=12))
    assert got.keys == KEY
    assert (got.values["units_mean_7"], got.values["days_since_sale"], got.values["product_stores_28"]) == (1.5, 3, 4)
    assert got.values["units_mean_28"] is None, "a null is served as a null"
    assert list(got.values) == served.features("demand_forecast")
    assert (got.age_seconds, got.event_timestamp) == (12 * 3600.0, END)
    assert not got.stale
    assert not got.missing


def test_a_value_is_served_to_the_last_second_of_its_time_to_live(served: FeatureStore) -> None:
    (last,) = served.online("demand_forecast", [KEY], at=END + TTL)
    (gone,) = served.online("demand_forecast", [KEY], at=END + TTL + timedelta(seconds=1))
    assert last.values["units_mean_7"] == 1.5
    assert gone.values["units_mean_7"] is None
    assert gone.stale
    assert gone.stale_views == ["store_product_demand", "store_activity", "product_demand"]
    assert gone.age_seconds == TTL.total_seconds() + 1, "the age is reported although the value is not"


def test_only_the_view_that_is_too_old_is_withheld(served: FeatureStore) -> None:
    (got,) = served.online("demand_forecast", [NEW], at=END + TTL - timedelta(days=1))
    assert got.stale_views == ["store_product_demand"]
    assert got.values["units_mean_7"] is None
    assert got.values["store_units_mean_7"] == 70.0
    assert got.missing_views == ["product_demand"]


def test_a_value_from_the_future_is_withheld(served: FeatureStore) -> None:
    (got,) = served.online("demand_forecast", [KEY], at=END - timedelta(hours=1))
    assert got.stale
    assert set(got.values.values()) == {None}
    assert got.beliefs["store_activity"].reason == "not yet known"


def test_an_unknown_key_is_missing_and_not_stale(served: FeatureStore) -> None:
    (got,) = served.online("demand_forecast", [{"store_id": "nowhere", "sku": "nothing"}], at=END)
    assert got.missing
    assert not got.stale
    assert (got.age_seconds, got.event_timestamp, set(got.values.values())) == (None, None, {None})


def test_keys_are_answered_in_their_order_and_as_often_as_asked(served: FeatureStore) -> None:
    unknown = {"store_id": "S9", "sku": "P9"}
    got = served.online("demand_forecast", [NEW, KEY, unknown, KEY], at=END + timedelta(hours=1))
    assert [r.values["units_mean_7"] for r in got] == [9.0, 1.5, None, 1.5]
    assert served.online("demand_forecast", [], at=END) == []


def test_now_is_the_moment_unless_one_is_given(served: FeatureStore) -> None:
    (got,) = served.online("demand_forecast", [KEY])
    expected = (datetime.now(UTC) - END).total_seconds()
    assert got.age_seconds == pytest.approx(expected, abs=60)


def test_the_clock_of_gold_can_stand_in_for_now(served: FeatureStore) -> None:
    assert served.knowledge_time() == END + timedelta(hours=12)


@pytest.mark.parametrize("key", [{"store_id": "S1"}, {"store_id": "S1", "sku": ""}, {}])
def test_a_key_that_lacks_a_column_is_refused(served: FeatureStore, key: dict[str, str]) -> None:
    with pytest.raises(FeatureError, match="demand_forecast needs"):
        served.online("demand_forecast", [KEY, key], at=END)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seconds=st.integers(-10 * 86400, 30 * 86400))
def test_at_no_moment_is_a_value_served_outside_its_life(served: FeatureStore, seconds: int) -> None:
    moment = END + timedelta(seconds=seconds)
    for got in served.online("demand_forecast", [KEY, NEW], at=moment):
        for view in repository().service("demand_forecast").feature_view_projections:
            present = any(got.values[f.name] is not None for f in view.features)
            stored = got.event_timestamps.get(view.name)
            alive = stored is not None and timedelta(0) <= moment - stored <= TTL
            assert present == alive
