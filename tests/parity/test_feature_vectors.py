"""Vectors in a service's memory are what Feast answers online, key by key, at any age."""

from datetime import timedelta

import numpy as np
import pytest

from retail_assets.features.errors import FeatureError
from retail_assets.features.registry import repository
from retail_assets.features.store import FeatureStore
from retail_assets.features.vectors import FeatureVectors
from tests.feature_gold import DAY, day_end, row, write_all, write_view
from tests.parity.test_online_parity import VIEW, random_rows

SERVICE = "demand_forecast"
UNKNOWN = {"store_id": "S1", "sku": "nobody sells it"}


@pytest.fixture
def vectors(features: FeatureStore) -> FeatureVectors:
    """Vectors of 300 random keys, and the same keys materialised into a real online store."""
    rows = random_rows(11, 300)
    write_all(
        features.lake,
        store_product_demand=rows,
        store_activity=[row({"store_id": f"S{n}"}, DAY, store_units_mean_7=1.5 * n) for n in range(6)],
        product_demand=[row({"sku": f"P{n:05d}"}, DAY, product_stores_28=2**60 + n) for n in range(0, 300, 2)],
    )
    features.apply()
    features.materialise()
    found = FeatureVectors(features, SERVICE)
    found.poll()
    return found


def keys() -> list[dict[str, str]]:
    """Every key and one that nobody knows."""
    return [{"store_id": f"S{n % 7}", "sku": f"P{n:05d}"} for n in range(300)] + [UNKNOWN]


def test_they_equal_what_feast_answers_at_any_age(features: FeatureStore, vectors: FeatureVectors) -> None:
    for age in (timedelta(hours=-50), timedelta(hours=12), timedelta(days=6), timedelta(days=40)):
        moment = day_end(DAY) + age
        assert vectors.online(keys(), at=moment) == features.online(SERVICE, keys(), at=moment)


def test_the_matrix_has_the_same_numbers(features: FeatureStore, vectors: FeatureVectors) -> None:
    stored = features.online(SERVICE, keys(), at=day_end(DAY) + timedelta(days=3))
    expected = [[np.nan if r.values[name] is None else r.values[name] for name in vectors.features()] for r in stored]
    np.testing.assert_array_equal(vectors.matrix(keys()), np.array(expected, float))


def test_a_corrected_row_is_taken_at_the_next_look(features: FeatureStore, vectors: FeatureVectors) -> None:
    key, moment = {"store_id": "S0", "sku": "P00000"}, day_end(DAY) + timedelta(days=3)
    write_view(features.lake, VIEW, [row(key, DAY + timedelta(days=2), units_mean_28=123.0)])
    features.materialise()
    vectors.poll()
    assert vectors.online([key], at=moment)[0].values["units_mean_28"] == 123.0
    assert vectors.online([key], at=moment) == features.online(SERVICE, [key], at=moment)


def test_before_gold_exists_there_are_none(features: FeatureStore) -> None:
    vectors = FeatureVectors(features, SERVICE)
    vectors.poll()
    assert not vectors.ready


def test_a_key_without_a_column_is_named(vectors: FeatureVectors) -> None:
    with pytest.raises(FeatureError, match="needs sku"):
        vectors.online([{"store_id": "S1"}])


def test_integers_and_their_order_follow_the_service(vectors: FeatureVectors) -> None:
    wanted = [f.name for p in repository().service(SERVICE).feature_view_projections for f in p.features]
    assert vectors.features() == wanted
