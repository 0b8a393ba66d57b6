"""What a store needs to answer by itself, as one document: releases, models and tables, each file named by its hash.

A bundle is a pure function of the lake, the model store and the target: the same state gives the same bytes, so that a
store fetches only what is new to it.
"""

import json
from functools import cached_property
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import sha256
from retail_assets.serving.ledger import Release

Sha256 = Field(pattern="^[0-9a-f]{64}$")
Name = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)


class StoreError(RetailError):
    """A store that is not known or not allowed, a line that is down, or a copy that is not what was promised."""


class Blob(BaseModel):
    """The content of a file: its sha256 and its length in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Sha256
    size: int = Field(ge=0)

    @classmethod
    def of(cls, content: bytes) -> "Blob":
        """The blob that `content` is."""
        return cls(sha256=sha256(content), size=len(content))


class CarriedTable(BaseModel):
    """A table of the store's lake as one Parquet file; it replaces what the store has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str = Name
    name: str = Name
    partition_by: tuple[str, ...] = ()
    blob: Blob


class CarriedModel(BaseModel):
    """A stored version: every file of its folder in the model store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str = Name
    version: str = Name
    files: dict[str, Blob]


class TableName(NamedTuple):
    """Where a table lives in a lake."""

    layer: str
    name: str


class Bundle(BaseModel):
    """Everything one store holds. `releases` are the ledger's rows of its target and of those it follows, oldest first.

    `models` are the versions that it answers with, asks in the shadow, or can go back to without its line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    releases: tuple[Release, ...]
    models: tuple[CarriedModel, ...]
    tables: tuple[CarriedTable, ...]

    @cached_property
    def etag(self) -> str:
        """A name for exactly this content."""
        return sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode())[:32]

    def blobs(self) -> dict[str, Blob]:
        """Every file by its hash."""
        found = [table.blob for table in self.tables]
        found += [blob for model in self.models for blob in model.files.values()]
        return {blob.sha256: blob for blob in found}
