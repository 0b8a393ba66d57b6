"""The feature store of a home: Feast over gold, SQLite or Redis online. Feast takes seconds to import: on first use."""

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, PrivateAttr

from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    import feast

    from retail_assets.environments import Home
    from retail_assets.features.materialise import Materialised
    from retail_assets.features.online import OnlineRow

SERVED_WITHIN_S = 0.25
CONFIGURATION = Path(__file__).resolve().parents[2] / "feature_repo" / "feature_store.yaml"


class FeatureStore(BaseModel):
    """Feature definitions, training sets and online features of one home.

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
    def at(cls, home: "Home", lake: Lake, redis: str | None = None) -> "FeatureStore":
        """The store of `home` over the gold of `lake`; online in `redis`, or RETAIL_REDIS, or SQLite. Opens nothing."""
        return cls(root=home.root, folder=home.features, lake=lake, redis=redis or os.environ.get("RETAIL_REDIS"))

    def for_serving(self, within_s: float = SERVED_WITHIN_S) -> "FeatureStore":
        """The same store for a service: Redis must answer `within_s`, unless the connection string says otherwise.

        A store that hangs must not hold a service longer than one that is gone.
        """
        if self.redis is None:
            return self
        missing = [name for name in ("socket_timeout", "socket_connect_timeout") if f"{name}=" not in self.redis]
        redis = ",".join([self.redis, *(f"{name}={within_s}" for name in missing)])
        return FeatureStore(root=self.root, folder=self.folder, lake=self.lake, redis=redis)

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

    def apply(self) -> bool:
        """Registers the definitions of feature_repo; False when they were registered already."""
        from retail_assets.features import registry

        return registry.apply(self.open(), self.folder)

    def materialise(self) -> "list[Materialised]":
        """Brings the online store up to gold, writing only what changed; one result per view."""
        from retail_assets.features import materialise

        return materialise.materialise(self)

    def training_set(
        self,
        service: str,
        start: date,
        end: date,
        *,
        version: int | Mapping[str, int] | None = None,
        days: Collection[date] | None = None,
        names: Collection[str] | None = None,
    ) -> pa.Table:
        """Point-in-time correct rows of `service` from `start` to `end` or of `days`; see features/training.py."""
        from retail_assets.features import training

        return training.training_set(self, service, start, end, version, days, names)

    def online(self, service: str, keys: Sequence[Mapping[str, str]], at: datetime | None = None) -> "list[OnlineRow]":
        """The features of `keys` that may still be believed at `at` (default: now); see features/online.py."""
        from retail_assets.features import online

        return online.online(self, service, keys, at)

    def features(self, service: str) -> list[str]:
        """The feature columns of `service`, in order."""
        from retail_assets.features import training
        from retail_assets.features.registry import repository

        return training.feature_names(repository().service(service))

    def gold_versions(self, service: str) -> dict[str, int]:
        """The newest Delta version of each gold table behind `service`."""
        from retail_assets.features import training
        from retail_assets.features.registry import repository

        return training.gold_versions(self, repository().service(service))

    def knowledge_time(self, service: str = "demand_forecast") -> datetime:
        """The newest instant at which a decision of `service` could be taken on what gold knows."""
        from retail_assets.features import online

        return online.knowledge_time(self, service)
