"""The definitions of feature_repo as one repository, their digest, and their registration in a home."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retail_assets.features.errors import FeatureError

if TYPE_CHECKING:
    import feast


@dataclass(frozen=True)
class Repository:
    """Everything feature_repo defines."""

    entities: "tuple[feast.Entity, ...]"
    views: "tuple[feast.FeatureView, ...]"
    services: "tuple[feast.FeatureService, ...]"

    def view(self, name: str) -> "feast.FeatureView":
        """The view of that name; raises FeatureError for an unknown one."""
        return _named(self.views, name, "feature view")

    def service(self, name: str) -> "feast.FeatureService":
        """The service of that name; raises FeatureError for an unknown one."""
        return _named(self.services, name, "feature service")

    def digest(self) -> str:
        """A sha256 that changes with any definition and with nothing else."""
        parts = []
        definitions: list[Any] = [*self.entities, *self.views, *self.services]
        for definition in definitions:
            proto = definition.to_proto()
            proto.ClearField("meta")
            parts.append(proto.SerializeToString(deterministic=True).hex())
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def repository() -> Repository:
    """The definitions, imported once per process."""
    from feature_repo.entities import ENTITIES
    from feature_repo.feature_services import FEATURE_SERVICES
    from feature_repo.feature_views import FEATURE_VIEWS

    return Repository(tuple(ENTITIES), tuple(FEATURE_VIEWS), tuple(FEATURE_SERVICES))


def apply(store: "feast.FeatureStore", folder: Path) -> bool:
    """Registers the definitions, drops views and services that are gone; False when nothing had changed.

    `folder` is the home's feature folder, where the digest of what was applied last is kept.
    """
    known = folder / "definitions.sha256"
    wanted = repository()
    digest = wanted.digest()
    if (folder / "registry.db").exists() and known.exists() and known.read_text() == digest:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    store.apply(
        [*wanted.entities, *wanted.views, *wanted.services], objects_to_delete=_gone(store, wanted), partial=False
    )
    known.write_text(digest)
    return True


def gold_table(view: "feast.FeatureView") -> str:
    """The gold table that `view` reads."""
    return str(view.tags["gold_table"])


def _gone(store: "feast.FeatureStore", wanted: Repository) -> list:
    kept_views = {view.name for view in wanted.views}
    kept_services = {service.name for service in wanted.services}
    return [view for view in store.list_feature_views() if view.name not in kept_views] + [
        service for service in store.list_feature_services() if service.name not in kept_services
    ]


def _named(definitions: tuple, name: str, kind: str) -> Any:
    for definition in definitions:
        if definition.name == name:
            return definition
    names = ", ".join(definition.name for definition in definitions)
    raise FeatureError(f"{name!r} is not a {kind}", where="feature_repo", todo=f"use one of {names}")
