"""Offline and online agree to the last bit, in SQLite and in a real Redis, also after corrections."""

import math
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.features.parity import compare_with_gold
from retail_assets.features.registry import repository
from retail_assets.features.store import FeatureStore
from tests.feature_gold import DAY, day_end, row, write_all, write_view

VIEW = "store_product_demand"
KEY = {"store_id": "S1", "sku": "P1"}
FEATURES = {feature.name: str(feature.dtype) for feature in repository().view(VIEW).features}


def random_rows(seed: int, keys: int, days: int = 3) -> list[dict[str, Any]]:
    """Rows with every feature filled with doubles of any size, integers and nulls."""
    chance = random.Random(seed)

    def value(kind: str) -> float | int | None:
        if chance.random() < 0.1:
            return None
        return (
            chance.randrange(-(2**53), 2**53)
            if kind == "Int64"
            else chance.uniform(-1, 1) * 10.0 ** chance.randrange(-9, 9)
        )

    return [
        row(
            {"store_id": f"S{n % 7}", "sku": f"P{n:05d}"},
            DAY + timedelta(days=chance.randrange(days)),
            **{name: value(kind) for name, kind in FEATURES.items()},
        )
        for n in range(keys)
    ]


def test_a_thousand_random_keys_are_equal(features: FeatureStore) -> None:
    write_all(features.lake, store_product_demand=random_rows(1, 1200))
    features.apply()
    features.materialise()
    found = compare_with_gold(features, keys=1000, seed=5)
    assert found.compared[VIEW] == 1000
    assert found.different == 0, found.examples


def test_a_corrected_row_with_the_same_time_arrives(features: FeatureStore) -> None:
    """Feast's Redis store drops a write whose event time it already has, unless it is told not to."""
    write_all(features.lake, store_product_demand=[row(KEY, units_mean_7=1.0)])
    features.apply()
    features.materialise()
    write_view(features.lake, VIEW, [row(KEY, created_hours=40, units_mean_7=2.0)])
    assert [done.rows for done in features.materialise() if done.view == VIEW] == [1]
    assert compare_with_gold(features, 10, 1).passed
    (got,) = features.online("price_response", [KEY], at=day_end(DAY) + timedelta(hours=1))
    assert got.values["units_mean_28"] is None
    (got,) = features.online("demand_forecast", [KEY], at=day_end(DAY) + timedelta(hours=1))
    assert got.values["units_mean_7"] == 2.0


def test_a_value_that_became_null_is_null(features: FeatureStore) -> None:
    write_all(features.lake, store_product_demand=[row(KEY, units_mean_7=1.0, on_hand=4.0)])
    features.apply()
    features.materialise()
    write_view(features.lake, VIEW, [row(KEY, units_mean_7=1.0, on_hand=None)])
    features.materialise()
    (got,) = features.online("demand_forecast", [KEY], at=day_end(DAY))
    assert (got.values["units_mean_7"], got.values["on_hand"]) == (1.0, None)


def test_the_training_row_of_the_newest_day_is_what_is_served(features: FeatureStore) -> None:
    rows = random_rows(2, 50, days=1)
    write_all(features.lake, store_product_demand=rows)
    features.apply()
    features.materialise()
    offline = features.training_set("demand_forecast", DAY, DAY).sort_by("sku").to_pylist()
    keys = [{"store_id": r["store_id"], "sku": r["sku"]} for r in offline]
    online = features.online("demand_forecast", keys, at=day_end(DAY) + timedelta(hours=12))
    assert [got.values for got in online] == [
        {name: r[name] for name in got.values} for got, r in zip(online, offline, strict=True)
    ]


def test_an_emptied_online_store_is_noticed_and_filled(features: FeatureStore) -> None:
    write_all(features.lake, store_product_demand=random_rows(3, 30))
    features.apply()
    features.materialise()
    if features.redis is None:
        (features.folder / "online.db").unlink()
        features = FeatureStore(root=features.root, folder=features.folder, lake=features.lake)
        features.apply()
    else:
        import redis

        host, port = features.redis.split(":")
        with redis.Redis(host=host, port=int(port)) as client:
            client.flushall()
    assert {done.view: done.mode for done in features.materialise()}[VIEW] == "full"
    assert compare_with_gold(features, 30, 1).passed


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.floats(allow_nan=False), count=st.integers(-(2**63), 2**63 - 1))
def test_any_number_survives(features: FeatureStore, value: float, count: int) -> None:
    import pandas as pd

    features.apply()
    frame = pd.DataFrame([dict.fromkeys(FEATURES) | row(KEY, units_mean_7=value)])
    frame["active_days_56"] = pd.array([count], dtype="Int64")
    features.open().write_to_online_store(VIEW, frame)
    (got,) = features.online("demand_forecast", [KEY], at=day_end(DAY))
    served = got.values["units_mean_7"]
    assert isinstance(served, float)
    assert (served, math.copysign(1, served)) == (value, math.copysign(1, value))
    assert got.values["active_days_56"] == count


@pytest.mark.parametrize("name", [view.name for view in repository().views])
def test_every_view_makes_the_round_trip(features: FeatureStore, name: str) -> None:
    view = repository().view(name)
    keys = {column.name: "k1" for column in view.entity_columns}
    numbers = {f.name: 7 if str(f.dtype) == "Int64" else 0.1 for f in view.features}
    write_all(features.lake, **{name: [row(keys, **numbers)]})
    features.apply()
    features.materialise()
    found = compare_with_gold(features, 10, 1)
    assert found.compared[name] == 1
    assert found.passed, found.examples
