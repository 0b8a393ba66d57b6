"""What a store needs to answer by itself, as one document: releases, models and tables, each file named by its hash.

What a bundle names is a pure function of the lake, the model store and the target: the same state gives the same bytes,
so that a store fetches only what is new to it. Its number says which of two is the newer.
"""

import json
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from retail_assets.core.errors import RetailError
from retail_assets.core.manifest import sha256
from retail_assets.releases.rows import Release, release_of

Sha256 = Field(pattern="^[0-9a-f]{64}$")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)]
"""A plain name: of one file or folder, never a way to another."""
MOST_BLOB_BYTES = 8 << 30


class StoreError(RetailError):
    """A store that is not known or not allowed, a line that is down, or a copy that is not what was promised."""


class Blob(BaseModel):
    """The content of a file: its sha256 and its length in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Sha256
    size: int = Field(ge=0, le=MOST_BLOB_BYTES)

    @classmethod
    def of(cls, content: bytes) -> "Blob":
        """The blob that `content` is."""
        return cls(sha256=sha256(content), size=len(content))


class CarriedTable(BaseModel):
    """A table of the store's lake as one Parquet file; it replaces what the store has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: Literal["gold", "ops", "decisions"]
    name: Name
    partition_by: tuple[Name, ...] = ()
    blob: Blob


class CarriedModel(BaseModel):
    """A stored version: every file of its folder in the model store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: Name
    version: Name
    files: dict[Name, Blob]


class TableName(NamedTuple):
    """Where a table lives in a lake."""

    layer: str
    name: str


def _known_columns(row: object) -> object:
    """A row of the ledger without the columns that newer code added."""
    return release_of(row) if isinstance(row, dict) else row


class Bundle(BaseModel):
    """Everything one store holds. `releases` are the ledger's rows of its target and of those it follows, oldest first.

    `models` are the versions that it answers with, asks in the shadow, or can go back to without its line. `number`
    only ever rises for a store, `made_at` is when the centre first wanted this, `name` is what the centre calls it: a
    store of older code, which leaves out what it does not know, would compute another one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    number: int = Field(default=0, ge=0, lt=2**63)
    made_at: AwareDatetime | None = None
    name: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    releases: tuple[Annotated[Release, BeforeValidator(_known_columns)], ...]
    models: tuple[CarriedModel, ...]
    tables: tuple[CarriedTable, ...]

    @cached_property
    def etag(self) -> str:
        """A name for exactly this content, whatever its number."""
        if self.name is not None:
            return self.name
        content = self.model_dump(mode="json", exclude={"number", "made_at", "name"})
        return sha256(json.dumps(content, sort_keys=True).encode())[:32]

    @property
    def tag(self) -> str:
        """A name for this content at its place in the order."""
        return f"{self.etag}.{self.number}"

    def blobs(self) -> dict[str, Blob]:
        """Every file by its hash."""
        found = [table.blob for table in self.tables]
        found += [blob for model in self.models for blob in model.files.values()]
        return {blob.sha256: blob for blob in found}
