"""Feast over the gold of a home, SQLite or Redis online, opened on first use: importing Feast takes seconds."""

import os
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    import feast

    from retail_assets.resources.environments import Home

SERVED_WITHIN_S = 0.25
CONFIGURATION = Path(__file__).resolve().parents[2] / "feature_repo" / "feature_store.yaml"


class FeatureStoreConnection(BaseModel):
    """Where the feature store of one home is, and Feast's own store there.

    `redis` is a connection string in Feast's form (`host:port,db=0,password=...`); without one the online store is
    a SQLite file in `folder`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    folder: Path
    lake: Lake
    redis: str | None = None
    _opened: "dict[str, feast.FeatureStore]" = PrivateAttr(default_factory=dict)

    @classmethod
    def at(cls, home: "Home", lake: Lake, redis: str | None = None) -> Self:
        """The store of `home` over the gold of `lake`; online in `redis`, or RETAIL_REDIS, or SQLite. Opens nothing."""
        return cls(root=home.root, folder=home.features, lake=lake, redis=redis or os.environ.get("RETAIL_REDIS"))

    def for_serving(self, within_s: float = SERVED_WITHIN_S) -> Self:
        """The same store for a service: Redis must answer `within_s`, unless the connection string says otherwise.

        A store that hangs must not hold a service longer than one that is gone.
        """
        if self.redis is None:
            return self
        missing = [name for name in ("socket_timeout", "socket_connect_timeout") if f"{name}=" not in self.redis]
        redis = ",".join([self.redis, *(f"{name}={within_s}" for name in missing)])
        return type(self)(root=self.root, folder=self.folder, lake=self.lake, redis=redis)

    @property
    def online_target(self) -> str:
        """Which online store this is, without its password: part of the state of materialisation."""
        return f"redis {self.redis.split(',')[0]}" if self.redis else "sqlite"

    def configuration(self, versions: Mapping[str, int] | None = None) -> dict[str, Any]:
        """feature_store.yaml with this home's places filled in."""
        import yaml

        places = {"RETAIL_HOME": str(self.root), "RETAIL_LAKE": self.lake.uri}
        loaded: dict[str, Any] = yaml.safe_load(Template(CONFIGURATION.read_text()).substitute(places))
        loaded["offline_store"] |= {"storage_options": self.lake.storage_options, "versions": dict(versions or {})}
        if self.redis:
            # Feast's Redis store drops a write whose event time it already has: a corrected row would never arrive.
            loaded["online_store"] = {"type": "redis", "connection_string": self.redis, "skip_dedup": True}
        return loaded

    def open(self, versions: Mapping[str, int] | None = None) -> "feast.FeatureStore":
        """Feast's own store, reading the newest version of gold or the pinned `versions`."""
        import feast

        if versions:
            return feast.FeatureStore(config=feast.RepoConfig(**self.configuration(versions)))
        if "newest" not in self._opened:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._opened["newest"] = feast.FeatureStore(config=feast.RepoConfig(**self.configuration()))
        return self._opened["newest"]
