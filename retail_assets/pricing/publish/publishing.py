"""A decided batch on its way out: measured, judged by the circuit breaker, and published as each store's mode says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.manifest import Manifest
from retail_assets.pricing.config import PublicationConfig
from retail_assets.pricing.decide.columns import COST_SOURCES
from retail_assets.pricing.decide.policy import CONFLICT, Batch, decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.decide.shared_targets import with_shared_targets
from retail_assets.pricing.publish.breaker import Finding, Numbers, RowNumbers, judge, measure
from retail_assets.pricing.publish.first_batches import model_kind, waits_for_a_person
from retail_assets.pricing.publish.paid import NEAR_10, NEAR_30, NearPaid, judge_paid, near_paid
from retail_assets.pricing.publish.publication import (
    Publication,
    PublicationError,
    batch_id_of,
    earlier_numbers,
    publications,
    record_batch,
)
from retail_assets.pricing.publish.repeated import note_repeat, repeats_newest
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.releases.assignment import Share
from retail_assets.resources.lake import Lake

CHUNK_ROWS = 200_000
ASSUMED = COST_SOURCES.index("assumed_cost")
ONE_CENT = pa.scalar(Decimal("0.01"), pa.decimal128(2, 2))

DECIDED = """
select t.*, d.decision_id
from decided t
left join (
    select store_id, sku, model_version, price, decision_id from {decisions}
    where business_date = date '{day}' and mode = 'batch' and policy_hash = $policy
      and list_contains($models, model_version)
    qualify row_number() over (
        partition by store_id, sku, model_version, price order by "at" desc, decision_id desc) = 1
) d on d.store_id = t.store_id and d.sku = t.sku and d.price = t.price and d.model_version = t.model_version
order by t.store_id, t.sku
"""


@dataclass(frozen=True)
class Published:
    """What publishing a batch did: its id, its numbers, what tripped, and what became of it in each store.

    `held_back` counts those of its `rows` whose price stays in the house by the reason, `near` says how near the others
    are to what customers paid. `repeats`: its prices are those of the batch before, which stands.
    """

    batch_id: str
    numbers: Sequence[Numbers]
    findings: Sequence[Finding]
    publications: Sequence[Publication]
    near: NearPaid
    held_back: dict[str, int]
    rows: int
    repeats: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Stores by status."""
        statuses = [row.status for row in self.publications]
        return {status: statuses.count(status) for status in sorted(set(statuses))}


def publish(
    lake: Lake,
    models: Mapping[str, PriceModel],
    manifests: Mapping[str, Manifest],
    shares: Sequence[Share],
    rulebook: Rulebook,
    business_date: date,
    state: str,
    config: PublicationConfig,
    run_id: str | None,
) -> Published:
    """Publishes, or holds back, the batch that `state` names; its decisions are in `decisions/pricing`.

    `shares` are the inputs of the business date by the version that decides them, which is in `models`, with its
    manifest in `manifests`.
    Raises PublicationError when a price has no row there: what is not logged does not leave the house.
    """
    decided = [_decide_share(models[share.version], rulebook, share.rows) for share in shares]
    rows, prices = RowNumbers.joined([numbers for numbers, _ in decided]), pa.concat_tables([p for _, p in decided])
    numbers = measure(rows)
    near = near_paid(lake, prices.filter(pc.is_null(prices["held_back"])), business_date, config.paid)
    findings = (*judge(numbers, earlier_numbers(lake), config.breaker), *judge_paid(near, config.paid))
    batch_id, effective = batch_id_of(state), business_date + timedelta(days=1)
    batch = {
        "batch_id": batch_id,
        "model_version": ", ".join(sorted({share.version for share in shares})),
        "policy_hash": rulebook.policy_hash,
        "dagster_run_id": run_id,
        NEAR_10: near.within_10,
        NEAR_30: near.within_30,
        "assumed_cost": pc.sum(prices["assumed"]).as_py(),
        "business_date": business_date,
        "effective_from": effective,
        "at": datetime.now(UTC),
    }
    proposals = _with_decision_ids(lake, prices, batch)
    held = {row["values"]: row["counts"] for row in prices["held_back"].drop_null().value_counts().to_pylist()}
    if (same := repeats_newest(lake, proposals, business_date)) is not None:
        note_repeat(lake, state, same)
        return Published(same, numbers, findings, (), near, held, prices.num_rows, repeats=True)
    log, kinds = publications(lake), _kinds(shares, manifests)
    modes = {store_id: config.mode_of(store_id) for store_id in kinds}
    found = {store_id: waits_for_a_person(store_id, kind, log) for store_id, kind in kinds.items()}
    waits = {store_id: why for store_id, why in found.items() if why is not None}
    made = record_batch(lake, state, batch, numbers, findings, proposals, modes, waits, kinds)
    return Published(batch_id, numbers, findings, made, near, held, prices.num_rows)


def _kinds(shares: Sequence[Share], manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """The kind of model that decides in each store; in words, where several versions do."""
    found: dict[str, set[str]] = {}
    for share in shares:
        for store_id in share.rows["store_id"].unique().to_pylist():
            found.setdefault(store_id, set()).add(model_kind(manifests[share.version]))
    return {store_id: ", ".join(sorted(kinds)) for store_id, kinds in found.items()}


def _decide_share(model: PriceModel, rulebook: Rulebook, rows: pa.Table) -> tuple[RowNumbers, pa.Table]:
    """The numbers of every row and its price; the same prices as the decisions, as deciding is pure."""
    inputs = with_shared_targets(model, rulebook, rows)
    parts, prices = [], []
    for start in range(0, inputs.num_rows, CHUNK_ROWS):
        chunk = inputs.slice(start, CHUNK_ROWS).combine_chunks()
        batch = decide_batch(model, rulebook, chunk)
        parts.append(RowNumbers.of(batch, chunk))
        scale = np.where(batch.digits == 2, 1, 100)
        columns: dict[str, Any] = {name: chunk[name] for name in ("store_id", "sku", "category", "currency")}
        columns |= {"model_version": pa.array([model.version] * chunk.num_rows)}
        columns |= {"price": _money(batch.price * scale), "previous_price": _money(batch.previous * scale)}
        columns |= {"held_back": held_back(batch), "assumed": pa.array(batch.cost_source == ASSUMED)}
        prices.append(pa.table(columns))
    return RowNumbers.joined(parts), pa.concat_tables(prices)


def held_back(batch: Batch) -> pa.Array:
    """Why each price stays in the house (HELD_BACK), null where it may leave it."""
    unknown = (batch.cost_source == COST_SOURCES.index("unknown")) & ~batch.asked
    reasons = np.select([batch.outcome == CONFLICT, unknown], ["conflict", "cost_unknown"], "")
    return pc.if_else(pc.equal(reasons, ""), pa.scalar(None, pa.string()), pa.array(reasons, pa.string()))


def _money(cents: "np.ndarray[Any, np.dtype[np.int64]]") -> pa.Array:
    """Hundredths as DECIMAL(12, 2), exactly."""
    return pc.multiply(pa.array(cents).cast(pa.decimal128(19, 0)), ONE_CENT).cast(pa.decimal128(12, 2))


def _with_decision_ids(lake: Lake, prices: pa.Table, batch: Mapping[str, Any]) -> pa.Table:
    day = batch["business_date"].isoformat()
    with lake.connect() as connection:
        connection.register("decided", prices)
        found = connection.execute(
            DECIDED.format(decisions=lake.scan("decisions", PRODUCT), day=day),
            {"models": prices["model_version"].unique().to_pylist(), "policy": batch["policy_hash"]},
        ).to_arrow_table()
    missing = found["decision_id"].null_count
    if missing:
        raise PublicationError(
            f"{missing} prices of {day} are not in decisions/pricing", todo="materialise pricing/price_decisions first"
        )
    constant = {name: batch[name] for name in ("batch_id", "effective_from", "business_date")}
    for name, value in constant.items():
        found = found.append_column(name, pa.array([value] * found.num_rows))
    return found
