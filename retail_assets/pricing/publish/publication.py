"""Which decided prices leave the house. Decisions stay as they are; what happens to a batch is rows of its own.

- `ops/price_batches`: the numbers of each batch by scope and what the circuit breaker said of them.
- `ops/price_alerts`: one row per number that tripped it.
- `ops/price_proposals`: the price that a batch decided for each store-SKU, with its decision id and model version, and
  why it stays in the house whatever becomes of the batch (`held_back`): its rules are in conflict, or its cost is not
  known.
- `ops/price_publications`: what became of a batch in each store; the newest row counts.

The published price of a store-SKU is that of the newest batch whose newest row says `published`, so that every way of
not publishing leaves the last good price in place. All tables are append-only.
"""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from retail_assets.core.errors import RetailError
from retail_assets.pricing.config import Mode
from retail_assets.pricing.publish.breaker import NUMBERS, Finding, Numbers
from retail_assets.pricing.publish.paid import NEAR_10, NEAR_30
from retail_assets.pricing.publish.switch import stopped
from retail_assets.releases.rows import release_id
from retail_assets.resources.lake import Lake

logger = logging.getLogger(__name__)

BATCHES, ALERTS, PROPOSALS, PUBLICATIONS = "price_batches", "price_alerts", "price_proposals", "price_publications"
LOOK_BACK_DAYS = 90
BREAKER = "circuit breaker"
CORRECTION = "fix-"  # how the id of a batch begins that is one price which a person corrected

Status = Literal["shadow", "pending", "published", "withheld", "stopped", "rejected", "withdrawn"]
TEXT, INSTANT, MONEY = pa.string(), pa.timestamp("us", tz="UTC"), pa.decimal128(12, 2)
BATCH_SCHEMA = pa.schema(
    [
        *(pa.field(n, TEXT) for n in ("batch_id", "model_version", "policy_hash", "dagster_run_id")),
        *(pa.field(n, pa.date32()) for n in ("business_date", "effective_from")),
        pa.field("at", INSTANT),
        pa.field("tripped", pa.bool_()),
        pa.field("scope", TEXT),
        *(pa.field(n, pa.int64()) for n in ("rows", "planned", "assumed_cost")),
        *(pa.field(n, pa.float64()) for n in (*NUMBERS, NEAR_10, NEAR_30)),
    ]
)
ALERT_SCHEMA = pa.schema(
    [
        *(pa.field(n, TEXT) for n in ("batch_id", "scope", "number", "kind", "words")),
        *(pa.field(n, pa.float64()) for n in ("value", "low", "high")),
        pa.field("business_date", pa.date32()),
        pa.field("at", INSTANT),
    ]
)
PROPOSAL_SCHEMA = pa.schema(
    [
        *(pa.field(n, TEXT) for n in ("batch_id", "store_id", "sku", "category", "decision_id", "currency")),
        *(pa.field(n, MONEY) for n in ("price", "previous_price")),
        *(pa.field(n, pa.date32()) for n in ("effective_from", "business_date")),
        pa.field("model_version", TEXT),
        pa.field("held_back", TEXT),
    ]
)
HELD_BACK = {
    "conflict": "two rules cannot both hold: a person has to decide",
    "cost_unknown": "its cost is not known",
}
"""Why a decided price is published by no mode and no approval of its batch."""


class PublicationError(RetailError):
    """An approval, rejection or release of something that is not waiting for it."""


class Publication(BaseModel):
    """What became of a batch in a store. `stopped_categories` were stopped at that moment and kept their last price.

    `model_kind` is the kind of model that decided there (see first_batches), None where it was not recorded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    publication_id: str = Field(default_factory=release_id)
    batch_id: str
    business_date: date
    store_id: str
    status: Status
    stopped_categories: list[str] = []
    model_kind: str | None = None
    by: str = Field(min_length=1)
    reason: str
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


_KINDS = {"business_date": pa.date32(), "at": INSTANT, "stopped_categories": pa.list_(TEXT)}
PUBLICATION_SCHEMA = pa.schema([pa.field(n, _KINDS.get(n, TEXT)) for n in Publication.model_fields])


def first_status(mode: Mode, tripped: bool, stop: bool, waits: bool = False) -> Status:
    """What becomes of a batch in a store by itself: shadow stores never publish, and the breaker outranks the rest.

    `waits`: a person has to look first, whatever the mode.
    """
    if mode == "shadow":
        return "shadow"
    if tripped:
        return "withheld"
    if stop:
        return "stopped"
    return "published" if mode == "automatic" and not waits else "pending"


def record_batch(
    lake: Lake,
    state: str,
    batch: Mapping[str, Any],
    numbers: Sequence[Numbers],
    findings: Sequence[Finding],
    proposals: pa.Table,
    modes: Mapping[str, Mode],
    waits: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> list[Publication]:
    """Writes a judged batch and what becomes of it in each store; a batch that was recorded before adds nothing.

    `state` names the batch for good, `batch` holds the fields of BATCH_SCHEMA that all its rows share, `modes` the mode
    of each of its stores, `waits` why it waits for a person in some of them whatever the mode, `kinds` the kind of
    model that decided in each. The publications come last: a crash before them is made good by the next call.
    """
    shared = dict(batch) | {"tripped": bool(findings)}
    _append_once(lake, BATCHES, _rows([shared | asdict(n) for n in numbers], BATCH_SCHEMA), state)
    if findings:
        alerts = [shared | asdict(f) | {"words": f.words} for f in findings]
        _append_once(lake, ALERTS, _rows(alerts, ALERT_SCHEMA), state)
        for finding in findings:
            logger.error("price batch %s is not published: %s", shared["batch_id"], finding.words)
    _append_once(lake, PROPOSALS, proposals.select(PROPOSAL_SCHEMA.names).cast(PROPOSAL_SCHEMA), state, True)
    made = _first_publications(lake, shared, modes, findings, waits or {}, kinds or {})
    _append_once(lake, PUBLICATIONS, publication_rows(made), state)
    return made


def record_correction(
    lake: Lake, batch: Mapping[str, Any], numbers: Numbers, proposal: Mapping[str, Any], publication: Publication
) -> None:
    """Writes a corrected price as a batch of one that is published; a crash before the last write publishes nothing."""
    state = publication.batch_id
    _append_once(lake, BATCHES, _rows([dict(batch) | {"tripped": False} | asdict(numbers)], BATCH_SCHEMA), state)
    _append_once(lake, PROPOSALS, _rows([dict(proposal)], PROPOSAL_SCHEMA), state, True)
    _append_once(lake, PUBLICATIONS, publication_rows([publication]), state)


def corrections(lake: Lake) -> dict[tuple[str, str], Publication]:
    """The published correction of each store and SKU that is not older than the newest batch of models."""
    current = current_publications(lake)
    newest = max((row.business_date for row in current if not is_correction(row.batch_id)), default=date.min)
    good = {
        row.batch_id: row
        for row in current
        if row.status == "published" and is_correction(row.batch_id) and row.business_date >= newest
    }
    if not good:
        return {}
    rows = lake.query(
        f"""select batch_id, store_id, sku from {lake.scan("ops", PROPOSALS)}
            where business_date >= date '{newest.isoformat()}' and batch_id like '{CORRECTION}%' """
    ).to_pylist()
    order = {batch_id: place for place, batch_id in enumerate(good)}
    rows = sorted((row for row in rows if row["batch_id"] in good), key=lambda row: order[row["batch_id"]])
    return {(row["store_id"], row["sku"]): good[row["batch_id"]] for row in rows}


def is_correction(batch_id: str) -> bool:
    """Whether a batch is one price that a person corrected: it says nothing of the batches that models decide."""
    return batch_id.startswith(CORRECTION)


def is_recorded(lake: Lake, state: str) -> bool:
    """Whether what becomes of the batch of `state` was written."""
    return _was_appended(lake, PUBLICATIONS, state)


def state_to_record(lake: Lake, state: str) -> str | None:
    """The name to record the batch of `state` under; None where the newest batch is just that.

    A batch that another one has replaced since (a release that was rolled back) is recorded again, under a name of its
    own that follows from `state` and the number of times.
    """
    log = [row for row in publications(lake) if not is_correction(row.batch_id)] if is_recorded(lake, state) else []
    first = {row.batch_id: row.at for row in reversed(log)}
    newest = max(first, key=lambda batch_id: (first[batch_id], batch_id), default=None)
    name, times = state, 0
    while is_recorded(lake, name):
        if batch_id_of(name) == newest:
            return None
        times += 1
        name = "pricing-batch-" + hashlib.sha256(f"{state}|{times}".encode()).hexdigest()[:32]
    return name


def batch_id_of(state: str) -> str:
    """The short name of a batch that people type: 12 hex characters."""
    return state.rsplit("-", 1)[-1][:12]


def earlier_numbers(lake: Lake) -> dict[str, list[Numbers]]:
    """Numbers of good batches by scope, oldest first: those that passed, and those that a person released."""
    if not lake.exists("ops", BATCHES) or not lake.exists("ops", PUBLICATIONS):
        return {}
    there = lake.open("ops", BATCHES).to_pyarrow_dataset().schema.names
    names = [name if name in there else f"'nan'::double as {name}" for name in Numbers.__annotations__]
    rows = lake.query(
        f"""select {", ".join(names)} from {lake.scan("ops", BATCHES)}
            where batch_id not like '{CORRECTION}%' and (not tripped or batch_id in (
                select batch_id from {lake.scan("ops", PUBLICATIONS)} where status = 'published'))
            order by "at", batch_id"""
    ).to_pylist()
    found: dict[str, list[Numbers]] = {}
    for row in rows:
        known: dict[str, Any] = {name: math.nan if value is None else value for name, value in row.items()}
        found.setdefault(row["scope"], []).append(Numbers(**known))
    return found


def publications(lake: Lake) -> list[Publication]:
    """Every row, oldest first."""
    if not lake.exists("ops", PUBLICATIONS):
        return []
    return read_publications(lake.read("ops", PUBLICATIONS))


def current_publications(lake: Lake) -> list[Publication]:
    """What became of each batch in each store so far: the newest row of each, oldest batch first."""
    newest = {(row.batch_id, row.store_id): row for row in publications(lake)}
    return sorted(newest.values(), key=lambda row: (row.business_date, row.at, row.publication_id))


def published_prices(lake: Lake, store_id: str | None = None, sku: str | None = None) -> pa.Table:
    """The published price of each store-SKU: PROPOSAL_SCHEMA with `published_at` and `published_by`, sorted.

    What is held back is not among them; a correction counts before the batches of its business date. Looks back
    LOOK_BACK_DAYS business dates from the newest publication.
    """
    rows = [row for row in current_publications(lake) if row.status == "published"]
    rows = [row for row in rows if store_id in (None, row.store_id)]
    if not rows:
        added = [pa.field("published_at", INSTANT), pa.field("published_by", TEXT)]
        return pa.schema([*PROPOSAL_SCHEMA, *added]).empty_table()
    first = max(row.business_date for row in rows).toordinal() - LOOK_BACK_DAYS
    free = leaves_the_house(lake)
    with lake.connect() as connection:
        connection.register("good", publication_rows(rows))
        found = connection.execute(
            f"""select p.*, g."at" as published_at, g."by" as published_by
                from {lake.scan("ops", PROPOSALS)} p
                join good g on g.batch_id = p.batch_id and g.store_id = p.store_id
                where p.business_date > date '{date.fromordinal(first).isoformat()}'
                  and ($store is null or p.store_id = $store) and ($sku is null or p.sku = $sku)
                  and not list_contains(g.stopped_categories, coalesce(p.category, '')) and {free}
                qualify row_number() over (
                    partition by p.store_id, p.sku
                    order by p.business_date desc, p.batch_id like '{CORRECTION}%' desc, g."at" desc, p.decision_id) = 1
                order by p.store_id, p.sku""",
            {"store": store_id, "sku": sku},
        ).to_arrow_table()
    for name in ("model_version", "held_back"):  # proposals of before versions were told apart, and any was held back
        if name not in found.column_names:
            found = found.append_column(name, pa.nulls(found.num_rows, TEXT))
    return found


def leaves_the_house(lake: Lake) -> str:
    """The SQL condition on a proposal `p` that it is not held back; true in homes from before any was."""
    columns = lake.open("ops", PROPOSALS).to_pyarrow_dataset().schema.names
    return "p.held_back is null" if "held_back" in columns else "true"


def _first_publications(
    lake: Lake,
    batch: Mapping[str, Any],
    modes: Mapping[str, Mode],
    findings: Sequence[Finding],
    waits: Mapping[str, str],
    kinds: Mapping[str, str],
) -> list[Publication]:
    stops = stopped(lake)
    made = []
    for store_id, mode in sorted(modes.items()):
        stop = stops.store_stop(store_id)
        status = first_status(mode, bool(findings), stop is not None, store_id in waits)
        reason = f"mode {mode}"
        if status == "pending" and store_id in waits:
            reason = waits[store_id]
        if status == "withheld":
            reason = findings[0].words
        elif status == "stopped" and stop is not None:
            reason = f"{stop.place} was stopped by {stop.by}: {stop.reason}"
        made.append(
            Publication(
                batch_id=batch["batch_id"],
                business_date=batch["business_date"],
                store_id=store_id,
                status=status,
                stopped_categories=stops.categories,
                model_kind=kinds.get(store_id),
                by=BREAKER if status == "withheld" else stop.by if status == "stopped" and stop else "engine",
                reason=reason,
            )
        )
    return made


def _append_once(lake: Lake, name: str, rows: pa.Table, state: str, by_day: bool = False) -> None:
    from deltalake import CommitProperties, Transaction, write_deltalake

    if _was_appended(lake, name, state):
        return
    lake.ensure("ops", name, rows.schema, partition_by=["business_date"] if by_day else [])
    commit = CommitProperties(app_transactions=[Transaction(state, 1)])
    write_deltalake(lake.open("ops", name), rows, mode="append", schema_mode="merge", commit_properties=commit)


def _was_appended(lake: Lake, name: str, state: str) -> bool:
    return lake.exists("ops", name) and lake.open("ops", name).transaction_version(state) is not None


def _rows(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def publication_rows(rows: Sequence[Publication]) -> pa.Table:
    """Publications as a table of PUBLICATION_SCHEMA."""
    return _rows([row.model_dump() for row in rows], PUBLICATION_SCHEMA)


def read_publications(table: pa.Table) -> list[Publication]:
    """The rows of a table of PUBLICATION_SCHEMA, oldest first."""
    rows = [Publication.model_validate(row) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: (row.at, row.publication_id))
