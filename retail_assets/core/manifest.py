"""What a model was made of: enough to make it again, and to notice that one byte of it has changed."""

import hashlib
import json
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, ConfigDict

VERSION_LENGTH = 12


class Manifest(BaseModel):
    """The record beside a model's files.

    `gold` maps a gold table to its Delta version, `files` a file name to its sha256, `libraries` a package to its
    version. `metrics` may hold NaN: a metric that could not be computed is recorded, and fails every gate.
    `version` and `files` are filled by `sealed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    product: str
    version: str = ""
    created_at: datetime
    gold: dict[str, int]
    feature_service: str
    features: list[str]
    git_commit: str
    config: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    train_from: date
    train_until: date
    rows: int
    files: dict[str, str] = {}
    libraries: dict[str, str] = {}

    def content_version(self) -> str:
        """12 hex characters that name everything here except `version` and `created_at`: same training, same name."""
        content = json.loads(self.model_dump_json(exclude={"version", "created_at"}))
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(canonical.encode())[:VERSION_LENGTH]

    def sealed(self, files: dict[str, bytes]) -> "Manifest":
        """This manifest with the hashes of `files` (name to content) and the version that follows from all of it."""
        hashed = self.model_copy(update={"files": {name: sha256(files[name]) for name in sorted(files)}})
        return hashed.model_copy(update={"version": hashed.content_version()})


def sha256(content: bytes) -> str:
    """The sha256 of `content` in 64 hex characters."""
    return hashlib.sha256(content).hexdigest()


def installed(*packages: str) -> dict[str, str]:
    """The installed version of each package, "absent" for one that is not installed."""
    return {name: _installed_version(name) for name in sorted(packages)}


def _installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
