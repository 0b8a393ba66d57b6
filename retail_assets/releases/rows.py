"""Rows of the release ledger and what follows from them: what is live, what is tried, what one can go back to. Pure."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, get_args

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Action = Literal["promote", "canary", "shadow", "rollback", "pin", "unpin", "follow", "withdraw"]
ACTIONS: tuple[str, ...] = get_args(Action)
LIVE_ACTIONS = ("promote", "rollback", "pin", "unpin")
FOLLOW: Literal["follow"] = "follow"
TRIALS = ("canary", "shadow")
CLOUD = "cloud"


def release_id() -> str:
    """32 hex characters that sort by the millisecond of their making (48 bits of time, 80 bits of chance)."""
    return f"{int(datetime.now(UTC).timestamp() * 1000):012x}{secrets.token_hex(10)}"


class Release(BaseModel):
    """One row of the ledger. `previous` is the version that answered before it; `share` is its share of traffic.

    `run_id` is the Dagster run that made it, None where a person or a service did. An `action` that is not one of
    ACTIONS was written by newer code: it is shown as unknown and changes nothing here, what is live stays live.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release_id: str = Field(default_factory=release_id)
    product: str
    target: str = CLOUD
    version: str
    action: str
    share: float = Field(default=1.0, ge=0.0, le=1.0)
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    by: str
    reason: str
    previous: str | None = None
    gate_report: str | None = None
    run_id: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether this code knows what the action does."""
        return self.action in ACTIONS

    @property
    def shown_action(self) -> str:
        """The action for people: one of newer code says that it is unknown here."""
        return self.action if self.is_known else f"unknown ({self.action})"


def live_rows(log: Sequence[Release]) -> list[Release]:
    """The rows of `log` (oldest first) that are live at its end, sorted by product and target."""
    newest = {(r.product, r.target): r for r in log if r.action in (*LIVE_ACTIONS, FOLLOW)}
    return [newest[key] for key in sorted(newest) if newest[key].action != FOLLOW]


def trial_rows(log: Sequence[Release]) -> list[Release]:
    """The canaries and shadows that run at the end of `log` (oldest first), sorted by product, target and kind.

    A newer one of its kind, a withdrawal, and any other release of the same target end a trial; an unknown action does
    not.
    """
    running: dict[tuple[str, str, str], Release] = {}
    for release in log:
        if release.action in TRIALS:
            running[release.product, release.target, release.action] = release
        elif release.is_known:
            for kind in TRIALS:
                running.pop((release.product, release.target, kind), None)
    return [running[key] for key in sorted(running)]


def answering(log: Sequence[Release], product: str, chain: Sequence[str]) -> list[Release]:
    """The rows that decided, one after the other, what the first target of `chain` answered with, oldest first.

    Those of wider targets count until the target got its first release of its own.
    """
    rows = [r for r in log if (r.product, r.target) == (product, chain[0]) and r.action in (*LIVE_ACTIONS, FOLLOW)]
    ended = max((place for place, r in enumerate(rows) if r.action == FOLLOW), default=-1)
    own = rows[ended + 1 :]
    wider = answering(log, product, chain[1:]) if len(chain) > 1 else []
    return [r for r in wider if not own or r.at <= own[0].at] + own


def versions_of(rows: Sequence[Release]) -> list[str]:
    """The versions one can go back through, oldest first, the live one last; a rollback takes back what it undid."""
    versions: list[str] = []
    for release in rows:
        if release.action == "rollback" and release.version in versions[:-1]:
            newest = max(place for place, version in enumerate(versions[:-1]) if version == release.version)
            del versions[newest + 1 :]
        elif versions[-1:] != [release.version]:
            versions.append(release.version)
    return versions


@lru_cache(maxsize=1)
def releases_schema() -> pa.Schema:
    """The Arrow schema of `ops/releases`."""
    text, instant = pa.string(), pa.timestamp("us", tz="UTC")
    special = {"share": pa.float64(), "at": instant}
    optional = ("previous", "gate_report", "run_id")
    return pa.schema([pa.field(n, special.get(n, text), nullable=n in optional) for n in Release.model_fields])


def release_of(row: Mapping[str, Any]) -> Release:
    """A row of the ledger; columns that newer code added are left out, as stores run older code for a while."""
    return Release.model_validate({name: row[name] for name in Release.model_fields if name in row})
