"""Each online store that Feast can be given, for real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from retail_assets.features.store import FeatureStore
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.feature_gold import running_redis


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a redis-server of this module's own."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with running_redis(folder) as connection:
        yield connection


@pytest.fixture(params=["sqlite", "redis"])
def features(request: pytest.FixtureRequest, home: Home, lake: Lake) -> Iterator[FeatureStore]:
    """An empty feature store with each online store; Redis is emptied before."""
    if request.param == "sqlite":
        yield FeatureStore.at(home, lake)
        return
    import redis

    connection = request.getfixturevalue("redis_server")
    host, port = connection.split(":")
    with redis.Redis(host=host, port=int(port)) as client:
        client.flushall()
    yield FeatureStore.at(home, lake, redis=connection)
