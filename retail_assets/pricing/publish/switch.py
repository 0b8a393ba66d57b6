"""The kill switch: who stopped price changes of the chain, a store or a category. `ops/price_switch`, append-only."""

from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from retail_assets.core.errors import RetailError
from retail_assets.releases.rows import release_id
from retail_assets.resources.lake import Lake

TABLE = "price_switch"
Scope = Literal["chain", "store", "category"]
KNOWN_FROM = {"store": ("dim_store", "store_id"), "category": ("dim_product", "category")}


class SwitchError(RetailError):
    """A stop of something that does not exist, or a resume of something that is not stopped."""


class Turn(BaseModel):
    """One row: somebody stopped or resumed price changes of `name` (empty for the chain)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turn_id: str = Field(default_factory=release_id)
    scope: Scope
    name: str = ""
    action: Literal["stop", "resume"]
    by: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def place(self) -> str:
        """What is stopped, for people."""
        return "the chain" if self.scope == "chain" else f"{self.scope} {self.name}"


SCHEMA = pa.schema(
    [pa.field(n, pa.timestamp("us", tz="UTC") if n == "at" else pa.string(), nullable=False) for n in Turn.model_fields]
)


class Stops(BaseModel):
    """What is stopped at one moment."""

    model_config = ConfigDict(frozen=True)

    turns: tuple[Turn, ...] = ()

    def stop_of(self, store_id: str, category: str | None) -> Turn | None:
        """The stop that holds for an item, the widest first."""
        names = {"chain": "", "store": store_id, "category": category}
        order = ("chain", "store", "category")
        found = [turn for turn in self.turns if names[turn.scope] == turn.name]
        return min(found, key=lambda turn: order.index(turn.scope), default=None)

    def store_stop(self, store_id: str) -> Turn | None:
        """The stop of the store or of the chain."""
        return next((t for t in self.turns if t.scope == "chain" or (t.scope, t.name) == ("store", store_id)), None)

    @property
    def categories(self) -> list[str]:
        """The categories that are stopped, sorted."""
        return sorted(turn.name for turn in self.turns if turn.scope == "category")


def turns(lake: Lake) -> list[Turn]:
    """Every row, oldest first."""
    if not lake.exists("ops", TABLE):
        return []
    rows = [Turn.model_validate(row) for row in lake.read("ops", TABLE).to_pylist()]
    return sorted(rows, key=lambda turn: (turn.at, turn.turn_id))


def stopped(lake: Lake) -> Stops:
    """What is stopped now: the newest row of each place, where that is a stop."""
    newest = {(turn.scope, turn.name): turn for turn in turns(lake)}
    return Stops(turns=tuple(newest[key] for key in sorted(newest) if newest[key].action == "stop"))


def turn(lake: Lake, action: Literal["stop", "resume"], scope: Scope, name: str, *, by: str, reason: str) -> Turn:
    """Appends a stop or a resume and returns it; stopping twice is recorded twice.

    Raises SwitchError for a store or category that gold does not know, and for a resume of what is not stopped.
    """
    if not by.strip() or not reason.strip():
        raise SwitchError("a stop and a resume need who and why", todo="give --by and --reason")
    if action == "resume" and (scope, name) not in {(t.scope, t.name) for t in stopped(lake).turns}:
        place = "the chain" if scope == "chain" else f"{scope} {name}"
        raise SwitchError(f"{place} is not stopped", todo="see `retail prices stopped`")
    if action == "stop":
        _require_known(lake, scope, name)
    row = Turn(scope=scope, name=name, action=action, by=by, reason=reason)
    lake.append("ops", TABLE, pa.Table.from_pylist([row.model_dump()], schema=SCHEMA))
    return row


def _require_known(lake: Lake, scope: Scope, name: str) -> None:
    if scope == "chain":
        return
    table, column = KNOWN_FROM[scope]
    known = set(lake.read("gold", table, [column])[column].to_pylist())
    if name not in known:
        raise SwitchError(f"there is no {scope} {name!r}", where=f"gold/{table}", todo="check the spelling")
