"""The models behind a price: when each went live, by whom and by which gates, and what it was trained on."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.core.manifest import Manifest
from retail_assets.provenance.snapshots import Snapshots
from retail_assets.releases.rows import CLOUD, LIVE_ACTIONS, TRIALS, Release, release_of
from retail_assets.releases.targets import REGION, SEGMENT, STORE
from retail_assets.resources.model_store import ModelStore, ModelStoreError


class Training(BaseModel):
    """What a version was made of: gold tables with Delta versions, the window of days, configuration, metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created_at: datetime
    gold: dict[str, int]
    train_from: date
    train_until: date
    rows: int
    features: list[str]
    feature_service: str
    config: dict[str, Any]
    seed: int
    metrics: dict[str, float | None]
    git_commit: str
    files: dict[str, str]
    libraries: dict[str, str]


class ModelStory(BaseModel):
    """One model version. `missing` says why its manifest cannot be shown; `replaced_at` when another went live.

    `target` is where it was released: the cloud, a region, a segment of stores, or one store.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str
    version: str
    live_since: datetime | None
    released_by: str | None
    action: str | None
    target: str | None
    reason: str | None
    gates: list[dict[str, Any]]
    replaced_at: datetime | None
    replaced_by: str | None
    training: Training | None
    missing: str | None


@dataclass(frozen=True)
class Place:
    """A store and its country, which say what releases can answer there."""

    store_id: str
    country: str

    def has(self, target: str) -> bool:
        """Whether a release to `target` may answer here. Which stores a segment had then is not recorded: it may."""
        own = (CLOUD, f"{REGION}{self.country}", f"{STORE}{self.store_id}")
        return target in own or target.startswith(SEGMENT)


def read_releases(reader: Snapshots) -> list[Release]:
    """The whole release ledger, oldest first; empty before the first release."""
    version = reader.newest("ops", "releases")
    rows = [] if version is None else reader.rows("ops", "releases", version, "true")
    return sorted((release_of(row) for row in rows), key=lambda r: (r.at, r.release_id))


def model_story(
    log: list[Release], store: ModelStore, product: str, version: str, at: datetime, place: Place
) -> ModelStory:
    """The story of `version` as it answered in `place` at the instant `at`; `log` is the whole release ledger."""
    rows = [r for r in log if r.product == product and place.has(r.target)]
    released = [r for r in rows if r.action in (*LIVE_ACTIONS, *TRIALS)]
    mine = next((r for r in reversed(released) if r.version == version and r.at <= at), None)
    after = None if mine is None else next((r for r in rows if _replaces(r, mine)), None)
    training, missing = _training(store, product, version)
    return ModelStory(
        product=product,
        version=version,
        live_since=mine.at if mine else None,
        released_by=mine.by if mine else None,
        action=mine.action if mine else None,
        target=mine.target if mine else None,
        reason=mine.reason if mine else None,
        gates=_gates(rows, version, at),
        replaced_at=after.at if after else None,
        replaced_by=f"{after.version} ({after.action} by {after.by})" if after else None,
        training=training,
        missing=missing,
    )


def _replaces(release: Release, mine: Release) -> bool:
    newer = release.at > mine.at and release.target == mine.target
    return newer and release.version != mine.version and release.action not in TRIALS


def _training(store: ModelStore, product: str, version: str) -> tuple[Training | None, str | None]:
    try:
        manifest = store.manifest(product, version)
    except ModelStoreError as error:
        return None, str(error)
    return _of_manifest(manifest), None


def _of_manifest(manifest: Manifest) -> Training:
    known = manifest.model_dump(include=set(Training.model_fields))
    metrics = {name: None if value != value else value for name, value in manifest.metrics.items()}
    return Training(**known | {"metrics": metrics})


def _gates(released: list[Release], version: str, at: datetime) -> list[dict[str, Any]]:
    """The comparisons of the newest gate report of `version`; a rollback has none of its own."""
    reports = [r.gate_report for r in released if r.version == version and r.at <= at and r.gate_report]
    return list(json.loads(reports[-1])["comparisons"]) if reports else []
