"""What waits for a person: each batch with what it would do, so that whoever approves it knows what they sign."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from retail_assets.pricing.publish.paid import NEAR_10, NEAR_30
from retail_assets.pricing.publish.publication import (
    BATCHES,
    HELD_BACK,
    PROPOSAL_SCHEMA,
    PROPOSALS,
    Publication,
    PublicationError,
    Status,
    current_publications,
)
from retail_assets.resources.lake import Lake

WAITS: tuple[Status, ...] = ("pending", "stopped", "withheld")
LARGEST = 5
SHOWN_STORES = 6

COUNTS = """
select count(*)::bigint as prices, count(*) filter (price <> previous_price)::bigint as changed,
       avg(price / previous_price - 1)::double as mean_change, min(price / previous_price - 1)::double as largest_cut,
       max(price / previous_price - 1)::double as largest_raise
from mine where held_back is null
"""
MOVES = """
select store_id, sku, previous_price, price, currency from mine
where held_back is null and price <> previous_price
order by abs(price / previous_price - 1) desc, store_id, sku limit {largest}
"""


class Move(BaseModel):
    """One proposed price beside the one in force, as decimal text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_id: str
    sku: str
    previous_price: str
    price: str
    currency: str


class WaitingBatch(BaseModel):
    """A batch and what it does where it has one `status`: relative changes (0.1: 10 %), shares of revenue (0 to 1).

    `held_back` counts the prices that approving it does not publish, by the reason; the other figures are without them.
    `mean_change_revenue`, `near_paid_10` and `near_paid_30` are of the whole batch, None where they were not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_id: str
    business_date: date
    status: Status
    stores: list[str]
    by: str
    reason: str
    prices: int
    changed: int
    mean_change: float | None
    largest_cut: float | None
    largest_raise: float | None
    mean_change_revenue: float | None
    near_paid_10: float | None
    near_paid_30: float | None
    assumed_cost: int
    held_back: dict[str, int]
    largest: list[Move]


def batches(lake: Lake, every: bool = False) -> list[WaitingBatch]:
    """The batches that wait, oldest first; with `every` all that were decided."""
    groups: dict[tuple[str, Status, str, str], list[Publication]] = {}
    for row in current_publications(lake):
        if every or row.status in WAITS:
            groups.setdefault((row.batch_id, row.status, row.by, row.reason), []).append(row)
    return [_told(lake, rows) for rows in groups.values()]


def proposals_of(lake: Lake, batch_id: str, store_id: str | None = None, sku: str | None = None) -> pa.Table:
    """What a batch proposes: PROPOSAL_SCHEMA, sorted. Raises PublicationError for a batch that nobody decided."""
    days = {row.business_date for row in current_publications(lake) if row.batch_id == batch_id}
    if not days:
        raise PublicationError(f"there is no batch {batch_id!r}", todo="see `retail prices pending --all`")
    with lake.connect() as connection:
        found = connection.execute(
            f"""select * from {lake.scan("ops", PROPOSALS)}
                where business_date = $day and batch_id = $batch and ($store is null or store_id = $store)
                  and ($sku is null or sku = $sku) order by store_id, sku""",
            {"day": min(days), "batch": batch_id, "store": store_id, "sku": sku},
        ).to_arrow_table()
    absent = [name for name in PROPOSAL_SCHEMA.names if name not in found.column_names]
    for name in absent:  # batches from before it was recorded
        found = found.append_column(name, pa.nulls(found.num_rows, PROPOSAL_SCHEMA.field(name).type))
    return found.select(PROPOSAL_SCHEMA.names)


def _told(lake: Lake, rows: Sequence[Publication]) -> WaitingBatch:
    first, stores = rows[0], sorted(row.store_id for row in rows)
    return WaitingBatch(
        batch_id=first.batch_id,
        business_date=first.business_date,
        status=first.status,
        stores=stores,
        by=first.by,
        reason=first.reason,
        **_numbers(lake, first.batch_id),
        **_proposed(lake, first, stores),
    )


def _numbers(lake: Lake, batch_id: str) -> dict[str, Any]:
    there = lake.open("ops", BATCHES).to_pyarrow_dataset().schema.names
    wanted = ("mean_change_revenue", NEAR_10, NEAR_30, "assumed_cost")
    names = [f'{name if name in there else "null"} as "{name}"' for name in wanted]
    rows = lake.query(
        f"""select {", ".join(names)} from {lake.scan("ops", BATCHES)} where batch_id = '{batch_id}' limit 1"""
    ).to_pylist()
    found: dict[str, Any] = rows[0] if rows else dict.fromkeys(wanted)
    return {name: None if value != value else value for name, value in found.items()} | {
        "assumed_cost": found["assumed_cost"] or 0
    }


def _proposed(lake: Lake, batch: Publication, stores: Sequence[str]) -> dict[str, Any]:
    there = lake.open("ops", PROPOSALS).to_pyarrow_dataset().schema.names
    held = "held_back" if "held_back" in there else "null::varchar"
    with lake.connect() as connection:
        connection.execute(
            f"""create temp table mine as select store_id, sku, previous_price, price, currency, {held} as held_back
                from {lake.scan("ops", PROPOSALS)}
                where business_date = $day and batch_id = $batch and list_contains($stores, store_id)""",
            {"day": batch.business_date, "batch": batch.batch_id, "stores": list(stores)},
        )
        counts = connection.execute(COUNTS).to_arrow_table().to_pylist()[0]
        moves = connection.execute(MOVES.format(largest=LARGEST)).to_arrow_table().to_pylist()
        held_back = dict(
            connection.execute(
                "select held_back, count(*) from mine where held_back is not null group by 1 order by 1"
            ).fetchall()
        )
    moved = [Move(**{name: str(value) for name, value in move.items()}) for move in moves]
    return counts | {"held_back": held_back, "largest": moved}


def told(batch: WaitingBatch) -> list[str]:
    """A batch in lines: what it does, how sure that is, and what a person can do."""
    stores = batch.stores[:SHOWN_STORES] + ["..."] * (len(batch.stores) > SHOWN_STORES)
    count = f"{len(batch.stores)} store{'s' * (len(batch.stores) != 1)}"
    lines = [
        f"{batch.batch_id} of {batch.business_date}: {batch.status} in {count} ({', '.join(stores)}), {batch.by}: "
        f"{batch.reason}",
        _changes(batch),
    ]
    if batch.near_paid_10 is not None and batch.near_paid_30 is not None:
        lines.append(
            f"  against what was paid of late: {batch.near_paid_10:.0%} of revenue within 10 %, "
            f"{batch.near_paid_30:.0%} within 30 %"
        )
    lines += [f"  {line}" for line in notes(batch.held_back, batch.assumed_cost)]
    lines += [f"  {m.store_id} {m.sku}: {m.previous_price} -> {m.price} {m.currency}" for m in batch.largest]
    return [*lines, *_what_to_do(batch)]


def _changes(batch: WaitingBatch) -> str:
    if not batch.changed or batch.mean_change is None:
        return f"  {batch.prices:,} prices, none changes"
    by_revenue = "" if batch.mean_change_revenue is None else f" ({batch.mean_change_revenue:+.1%} by revenue)"
    return (
        f"  {batch.prices:,} prices, {batch.changed:,} change: {batch.mean_change:+.1%} on average{by_revenue}, "
        f"from {batch.largest_cut:+.1%} to {batch.largest_raise:+.1%}; the largest:"
    )


def notes(held_back: dict[str, int], assumed_cost: int) -> list[str]:
    """What a batch does not publish, and on what it only assumes its costs."""
    lines = [f"{count:,} held back: {HELD_BACK[why]}" for why, count in held_back.items()]
    if "cost_unknown" in held_back:
        lines.append(
            "to price what has no cost: deliver unit_cost in the price list, or set assumed_margin in "
            "configs/pricing.yaml"
        )
    if assumed_cost:
        lines.append(f"{assumed_cost:,} priced on an assumed cost: assumed_margin in configs/pricing.yaml")
    return lines


def _what_to_do(batch: WaitingBatch) -> list[str]:
    ways = {
        "pending": f"retail prices approve {batch.batch_id} --by YOU",
        "withheld": f"retail prices release {batch.batch_id} --by YOU --reason WHY",
        "stopped": "retail prices resume, then approve",
    }
    if batch.status not in ways:
        return []
    return [
        f"  every price: `retail prices --batch {batch.batch_id}`",
        f"  publish: `{ways[batch.status]}`; refuse: `retail prices reject {batch.batch_id} --by YOU --reason WHY`",
    ]
