"""What the private DuckDB file holds, and which of it is not yet in gold.

The record lies beside the DuckDB file and is replaced in one step, always last: whatever dies before that is repeated.
Whoever deletes either file gets a full build.
"""

import logging
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from retail_assets.resources import durable
from retail_assets.resources.environments import Home

logger = logging.getLogger(__name__)
NAME = "build.json"


class Pending(BaseModel):
    """Days of a mart that were built and wait to be published; `whole` means all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    whole: bool = False
    days: tuple[date, ...] = ()

    def add(self, other: "Pending") -> "Pending":
        """Both of them."""
        whole = self.whole or other.whole
        return Pending(whole=whole, days=() if whole else tuple(sorted({*self.days, *other.days})))

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return not self.whole and not self.days


class BuildState(BaseModel):
    """The inputs of what is in the DuckDB file.

    `complete` is false from before dbt starts until after it succeeded: the file then holds a mixture, `full` when
    everything was being built, else on the `unfinished` days of each model. `bronze` is the Delta version of each table
    by name, `lake` the identity of those tables. `digests` stand for the rows of marts that were published whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    complete: bool
    full: bool
    code_hash: str
    lake: str
    bronze: dict[str, int]
    unfinished: dict[str, list[date]] = {}
    pending: dict[str, Pending] = {}
    digests: dict[str, str] = {}


def path(home: Home) -> Path:
    """Where the record of `home` lies."""
    return home.warehouse.parent / NAME


def read(home: Home) -> BuildState | None:
    """The record, or None where there is none, one that cannot be read, or no DuckDB file it could describe."""
    if not (path(home).exists() and home.warehouse.exists()):
        return None
    try:
        return BuildState.model_validate_json(path(home).read_bytes())
    except ValidationError as error:
        logger.warning("%s cannot be read, so everything is built: %s", path(home), str(error).splitlines()[0])
        return None


def write(home: Home, state: BuildState) -> None:
    """Replaces the record in one step."""
    durable.write(path(home), state.model_dump_json(indent=1))


def published(home: Home, mart: str, digest: str | None = None) -> None:
    """Notes that nothing of `mart` waits any more, and the digest of what gold holds now."""
    state = read(home)
    if state is None:
        return
    left = {name: pending for name, pending in state.pending.items() if name != mart}
    digests = state.digests | ({mart: digest} if digest else {})
    write(home, state.model_copy(update={"pending": left, "digests": digests}))
