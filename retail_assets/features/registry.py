"""The definitions of feature_repo as one repository, their digest, and their registration in a home."""

import hashlib
import importlib
import importlib.util
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retail_assets.features.errors import FeatureError
from retail_assets.resources import durable
from retail_assets.resources.environments import PROJECT_ROOT

if TYPE_CHECKING:
    import feast

STAMPS = {"createdTimestamp", "lastUpdatedTimestamp"}


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
        from google.protobuf.json_format import MessageToDict

        definitions: list[Any] = [*self.entities, *self.views, *self.services]
        content = [_without_times(MessageToDict(definition.to_proto())) for definition in definitions]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache
def repository() -> Repository:
    """The definitions, imported once per process."""
    _make_importable()
    entities = importlib.import_module("feature_repo.entities").ENTITIES
    views = importlib.import_module("feature_repo.feature_views").FEATURE_VIEWS
    services = importlib.import_module("feature_repo.feature_services").FEATURE_SERVICES
    return Repository(tuple(entities), tuple(views), tuple(services))


def _make_importable() -> None:
    """feature_repo is a folder of the project beside the package, where Feast's command line expects it."""
    if importlib.util.find_spec("feature_repo") is None:
        folder = PROJECT_ROOT / "feature_repo"
        spec = importlib.util.spec_from_file_location(
            "feature_repo", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None:
            raise FeatureError("the feature definitions cannot be imported", where=str(folder))
        sys.modules["feature_repo"] = importlib.util.module_from_spec(spec)


def apply(store: "feast.FeatureStore", folder: Path) -> bool:
    """Registers the definitions, drops views and services that are gone; False when nothing had changed.

    `folder` is the home's feature folder, where the digest of what was applied last is kept.
    """
    known = folder / "definitions.sha256"
    wanted = repository()
    digest = wanted.digest()
    if _is_registered(store, folder) and known.exists() and known.read_text() == digest:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    store.apply(
        [*wanted.entities, *wanted.views, *wanted.services], objects_to_delete=_gone(store, wanted), partial=False
    )
    durable.write(known, digest)
    return True


def gold_table(view: "feast.FeatureView") -> str:
    """The gold table that `view` reads."""
    return str(view.tags["gold_table"])


def _without_times(content: Any) -> Any:
    """Feast stamps every object, and those inside it, with the moment it was made or used."""
    if isinstance(content, dict):
        return {key: _without_times(value) for key, value in content.items() if key not in STAMPS}
    return [_without_times(value) for value in content] if isinstance(content, list) else content


def _is_registered(store: "feast.FeatureStore", folder: Path) -> bool:
    """Whether the registry is there, and the SQLite tables that registering makes (Redis needs none)."""
    online = store.config.online_store
    registry = folder / "registry.db"
    return registry.exists() and registry.stat().st_size > 0 and (online.type != "sqlite" or Path(online.path).exists())


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
