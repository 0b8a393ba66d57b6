"""A feature store over a lake of its own."""

import pytest

from retail_assets.features.store import FeatureStore
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake


@pytest.fixture
def features(home: Home, lake: Lake) -> FeatureStore:
    """The feature store of an empty home, online in SQLite."""
    return FeatureStore(root=home.root, folder=home.features, lake=lake)
