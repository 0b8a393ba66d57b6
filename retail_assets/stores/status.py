"""What a store says of itself, kept at the centre: health, version, latency and failures, the newest word of each.

Instants of a store are by its own clock; how long it has been silent is by the centre's.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from retail_assets.resources import durable
from retail_assets.stores.numbers import Behind

logger = logging.getLogger(__name__)

SILENT_AFTER_S = 120.0
CLOCK_OFF_S = 60.0
TABLE = "store_status"

Count = Annotated[int, Field(ge=0, lt=2**63)]
Health = Literal["ok", "behind", "degraded", "silent", "unknown"]


class ServiceStatus(BaseModel):
    """One service of a store. Latencies are of all answers since its start, counted in the buckets of its histogram."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # a store may run newer code than its centre

    up: bool = False
    ready: bool = False
    version: str | None = None
    action: str | None = None
    released_at: AwareDatetime | None = None
    refused: str | None = None
    requests: Count = 0
    errors: Count = 0
    fallbacks: Count = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    waiting_decisions: Count = 0
    refused_segments: Count = 0


class StoreStatus(BaseModel):
    """One word of a store. `etag` names the bundle it holds, `failures` counts failed exchanges since its start.

    `broken` is what it found changed on its own disk and is fetching anew.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    started_at: AwareDatetime
    etag: str | None = None
    taken_at: AwareDatetime | None = None
    fetching: str | None = None
    fetched_bytes: Count = 0
    resumed_bytes: Count = 0
    failures: Count = 0
    last_failure: str | None = None
    broken: tuple[str, ...] = ()
    services: dict[str, ServiceStatus] = {}


class StoreReport(BaseModel):
    """A store as the centre sees it: its last word, when that came, and what follows from both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    health: Health
    reasons: tuple[str, ...]
    heard_at: AwareDatetime | None = None
    silent_s: float | None = None
    clock_off_s: float | None = None
    behind_versions: int = 0
    behind_s: float | None = None
    status: StoreStatus | None = None


class Wanted(NamedTuple):
    """What the centre knows of a store besides its word.

    Each product's version by the ledger, how far its copy is behind, and why segments of it were set aside.
    """

    versions: Mapping[str, str | None]
    behind: Behind | None = None
    set_aside: Sequence[str] = ()


class Heard(BaseModel):
    """A word of a store and when it arrived, by the clock of the centre."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heard_at: AwareDatetime
    status: StoreStatus


def report(target: str, heard: Heard | None, wanted: Wanted, now: datetime) -> StoreReport:
    """The health of a store. Pure.

    `unknown`: it never called. `silent`: not heard for SILENT_AFTER_S, which says nothing of whether it answers.
    `degraded`: a service does not answer, has no model, refuses a version or has another one than it should, or some of
    its decisions cannot be taken. `behind`: it does not have what the centre wanted last. `ok`: it has.
    """
    if heard is None:
        return StoreReport(target=target, health="unknown", reasons=("it has never called",))
    silent = max((now - heard.heard_at).total_seconds(), 0.0)
    off = (heard.status.at - heard.heard_at).total_seconds()
    reasons = [*_faults(heard.status, wanted.versions), *_set_aside(wanted.set_aside)]
    health: Health = "degraded" if reasons else "ok"
    behind_s = None
    if wanted.behind is not None:
        behind_s = max((now - wanted.behind.since).total_seconds(), 0.0)
        reasons.append(_behind(wanted.behind.versions, behind_s, heard.status))
        health = "behind" if health == "ok" else health
    if abs(off) > CLOCK_OFF_S:
        reasons.append(f"its clock is {off:+.0f} s off")
    if silent > SILENT_AFTER_S:
        health = "silent"
        reasons.insert(0, f"not heard for {silent:.0f} s")
    return StoreReport(
        target=target, health=health, reasons=tuple(reasons), heard_at=heard.heard_at, silent_s=silent,
        clock_off_s=off, behind_versions=wanted.behind.versions if wanted.behind else 0, behind_s=behind_s,
        status=heard.status,
    )  # fmt: skip


def _behind(versions: int, seconds: float, status: StoreStatus) -> str:
    """How far a copy is behind, and what it says of why."""
    states = "1 state" if versions == 1 else f"{versions:,} states"
    parts = [f"its copy is {states} behind, for {seconds:.0f} s"]
    if status.broken:
        parts.append(f"it fetches anew what broke on its disk: {', '.join(status.broken)}")
    if status.last_failure is not None:
        parts.append(f"last failure: {status.last_failure}")
    return ", ".join(parts)


def _set_aside(reasons: Sequence[str]) -> list[str]:
    if not reasons:
        return []
    count = "a segment" if len(reasons) == 1 else f"{len(reasons):,} segments"
    return [f"{count} of its decisions {'is' if len(reasons) == 1 else 'are'} set aside at the centre: {reasons[-1]}"]


def _faults(status: StoreStatus, wanted: Mapping[str, str | None]) -> list[str]:
    faults = []
    for product, service in sorted(status.services.items()):
        should = wanted.get(product)
        if not service.up:
            faults.append(f"{product} does not answer")
        elif not service.ready:
            faults.append(f"{product} has no model")
        if service.refused is not None:
            faults.append(f"{product} refuses a version: {service.refused}")
        if service.refused_segments:
            faults.append(f"{product} keeps {service.refused_segments:,} segments that the centre refuses")
        if service.up and should is not None and service.version not in (None, should):
            faults.append(f"{product} has {service.version}, should have {should}")
    return faults


class Statuses:
    """The newest word of each store as a file of its own; a file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, status: StoreStatus, now: datetime | None = None) -> None:
        """Keeps what a store says, in place of what it said before."""
        heard = Heard(heard_at=now or datetime.now(UTC), status=status)
        durable.write(self._folder / f"{status.target}.json", heard.model_dump_json())

    def get(self, target: str) -> Heard | None:
        """The last word of a store; None when it never called, or what it said cannot be read any more."""
        file = self._folder / f"{target}.json"
        try:
            return Heard.model_validate_json(file.read_bytes()) if file.is_file() else None
        except ValidationError:
            logger.error("%s cannot be read: the next word of %s replaces it", file, target)
            return None

    def targets(self) -> list[str]:
        """Every store that ever called."""
        return sorted(file.stem for file in self._folder.glob("*.json")) if self._folder.is_dir() else []


STATUS_SCHEMA = pa.schema(
    [
        *(pa.field(n, pa.string()) for n in ("target", "health", "reasons", "product", "version", "etag", "refused")),
        *(pa.field(n, pa.timestamp("us", tz="UTC")) for n in ("at", "heard_at", "taken_at")),
        *(pa.field(n, pa.bool_()) for n in ("up", "ready")),
        *(pa.field(n, pa.float64()) for n in ("silent_s", "p50_ms", "p99_ms")),
        *(pa.field(n, pa.int64()) for n in ("requests", "errors", "fallbacks", "waiting_decisions", "failures")),
        ("behind_versions", pa.int64()),
        ("behind_s", pa.float64()),
    ]
)


def rows(reports: Sequence[StoreReport], at: datetime) -> pa.Table:
    """One row per store and service (STATUS_SCHEMA); a store without services has one row."""
    return pa.Table.from_pylist([row for found in reports for row in _rows(found, at)], schema=STATUS_SCHEMA)


def _rows(found: StoreReport, at: datetime) -> list[dict[str, Any]]:
    status = found.status
    shared = {
        "at": at,
        "target": found.target,
        "health": found.health,
        "reasons": "; ".join(found.reasons),
        "heard_at": found.heard_at,
        "silent_s": found.silent_s,
        "behind_versions": found.behind_versions,
        "behind_s": found.behind_s,
    }
    if status is None or not status.services:
        return [shared]
    shared |= {"etag": status.etag, "taken_at": status.taken_at, "failures": status.failures}
    kept = set(STATUS_SCHEMA.names)
    return [
        shared | {"product": product} | {n: v for n, v in service.model_dump().items() if n in kept}
        for product, service in sorted(status.services.items())
    ]
