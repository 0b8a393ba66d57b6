"""The feature store of a home: what may be asked of it. Each answer is written in a file of its own."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from retail_assets.features.connection import FeatureStoreConnection

if TYPE_CHECKING:
    from retail_assets.features.materialise import Materialised
    from retail_assets.features.online import OnlineRow


class FeatureStore(FeatureStoreConnection):
    """Feature definitions, training sets and online features of one home."""

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
