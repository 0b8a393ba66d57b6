"""Why nothing new is live: what the gates refused (version, number against bound, since when, what to do), or why no
version could be trained at all.

`ops/release_refusals` is append-only: one row per version and set of gates that failed, and per reason not to train.
Whoever finds no model, forecast or price can say why without asking Dagster.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa
from deltalake.exceptions import DeltaError
from pydantic import AwareDatetime, BaseModel, ConfigDict

from retail_assets.core.errors import RetailError
from retail_assets.core.gates import Comparison, GateReport
from retail_assets.core.registry import products
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.policy import ReleaseDecision
from retail_assets.releases.rows import CLOUD, LIVE_ACTIONS, Release
from retail_assets.resources.lake import Lake, LakeError

logger = logging.getLogger(__name__)
TABLE = "release_refusals"
SCHEMA = pa.schema(
    [
        *(pa.field(n, pa.string()) for n in ("product", "target", "version", "live", "failed", "untrained", "run_id")),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)
TEXTS = {"failed": "[]", "untrained": "null"}
SETTINGS = "configs/releases.yaml"
ADVICE: Mapping[str, str] = {
    "data_age_days": "load newer data and run again",
    "answer_ms": "ask it on a faster machine",
    "size_mb": "train a smaller one",
    "manifest/*": "train it again: `retail run --retrain`",
    "reproducible/*": "train it again: `retail run --retrain`",
}
LOAD = "load more history and run again"


class Failed(BaseModel):
    """One comparison that a version did not pass: its value, or the bound at the gate's confidence, and the limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    side: str
    value: float | None
    limit: float | None
    bound: float | None
    reason: str


class Untrained(BaseModel):
    """Why nothing could be learnt, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    why: str
    todo: str


class RefusedVersion(BaseModel):
    """A version that its gates refused and that nobody released since. `live` is what answers instead, if anything.

    Without a `version` none could be trained: `untrained` holds why, and what to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str
    target: str
    version: str | None
    live: str | None
    at: AwareDatetime
    failed: list[Failed] = []
    untrained: Untrained | None = None
    run_id: str | None = None

    @property
    def what(self) -> str:
        """Which version, since when, and each number against its limit, in one sentence."""
        if self.untrained is not None:
            return (
                f"no version of {self.product} could be trained by {self.at:%Y-%m-%d %H:%M} UTC: {self.untrained.why}"
            )
        stays = f"{self.live} stays" if self.live else "nothing is live"
        reasons = "; ".join(failed.reason for failed in self.failed)
        return (
            f"{self.product} {self.version} was refused by its gates on {self.at:%Y-%m-%d %H:%M} UTC and {stays}: "
            f"{reasons}"
        )

    @property
    def todo(self) -> str:
        """What a person can do about it."""
        if self.untrained is not None:
            return self.untrained.todo
        ways = dict.fromkeys(_advice(self.product, failed.metric) for failed in self.failed)
        accept = f"`retail promote {self.product} {self.version} --force --reason WHY`"
        return f"{'; '.join(ways)}; or release it all the same: {accept}; the bounds are in {SETTINGS}: {self.product}"


def _advice(product: str, metric: str) -> str:
    known = (advice for pattern, advice in ADVICE.items() if fnmatchcase(metric, pattern))
    asked = products().get(product)
    return next(known, (asked.more_data if asked else None) or LOAD)


def record(lake: Lake, decision: ReleaseDecision, run_id: str | None = None, target: str = CLOUD) -> None:
    """Notes that a version was refused, once for the same failures."""
    if decision.outcome != "rejected" or decision.report is None:
        return
    failed = failures(decision.report)
    known = [row for row in _rows(lake) if (row.product, row.target, row.version) == _key(decision, target)]
    if known and [(f.metric, f.side) for f in known[-1].failed] == [(f.metric, f.side) for f in failed]:
        return
    _append(lake, decision.product, target, version=decision.version, live=decision.live, run_id=run_id,
            failed=json.dumps([f.model_dump() for f in failed]))  # fmt: skip


def record_untrained(lake: Lake, product: str, error: RetailError) -> None:
    """Notes that no version of a product could be trained, once for the same reason."""
    told = Untrained(why=error.what, todo=error.todo or "correct the cause and run again")
    known = [row for row in _rows(lake) if row.product == product]
    if not known or known[-1].untrained != told:
        _append(lake, product, CLOUD, untrained=told.model_dump_json())


def _append(lake: Lake, product: str, target: str, **values: str | None) -> None:
    row = {"product": product, "target": target, "at": datetime.now(UTC), **values}
    lake.ensure("ops", TABLE, SCHEMA)
    lake.append("ops", TABLE, pa.Table.from_pylist([row], schema=SCHEMA))


def failures(report: GateReport) -> list[Failed]:
    """The comparisons that failed, numbers that are none as None."""
    return [_failed(comparison) for comparison in report.comparisons if not comparison.passed]


def _failed(comparison: Comparison) -> Failed:
    def known(number: float | None) -> float | None:
        return number if number is not None and number == number and abs(number) != float("inf") else None

    return Failed(
        metric=comparison.metric,
        side=comparison.side,
        value=known(comparison.value),
        limit=known(comparison.limit),
        bound=known(comparison.bound),
        reason=comparison.reason,
    )


def _key(decision: ReleaseDecision, target: str) -> tuple[str, str, str]:
    return decision.product, target, decision.version


def standing(lake: Lake) -> list[RefusedVersion]:
    """The newest refusal of each product that stands: nothing of the product was released by gates or hand since."""
    newest: dict[str, RefusedVersion] = {}
    for row in _rows(lake):
        newest[row.product] = row
    log = Ledger(lake).log() if newest else []
    return [refusal for refusal in newest.values() if not _is_over(refusal, log)]


def of_product(lake: Lake, product: str) -> RefusedVersion | None:
    """The standing refusal of a product; None also where the lake cannot be read."""
    try:
        return next((refusal for refusal in standing(lake) if refusal.product == product), None)
    except (DeltaError, LakeError, OSError) as error:
        logger.error("the refusals of %s cannot be read: %s", product, error)
        return None


def explained(lake: Lake, product: str, otherwise: RetailError) -> RetailError:
    """`otherwise`; where the gates refused the product and nothing of it is live, an error of its kind that says so."""
    refusal = of_product(lake, product)
    if refusal is None or refusal.live is not None:
        return otherwise
    return type(otherwise)(refusal.what, where=otherwise.where, todo=refusal.todo)


def _is_over(refusal: RefusedVersion, log: Sequence[Release]) -> bool:
    """A rollback or a pin of another version leaves a refusal as it is; a release of any does not."""
    mine = [row for row in log if row.product == refusal.product and row.action in LIVE_ACTIONS]
    return any(row.at > refusal.at and (row.action == "promote" or row.version == refusal.version) for row in mine)


def _rows(lake: Lake) -> list[RefusedVersion]:
    """Every row, oldest first."""
    if not lake.exists("ops", TABLE):
        return []
    rows: list[dict[str, Any]] = lake.read("ops", TABLE).to_pylist()
    rows = [row | {name: json.loads(row[name] or empty) for name, empty in TEXTS.items()} for row in rows]
    found = [RefusedVersion(**row) for row in rows]
    return sorted(found, key=lambda row: row.at)
