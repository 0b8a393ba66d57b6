"""Appends a batch of decisions to `decisions/pricing` once: a batch that is decided again adds nothing.

Where other inputs, another model or another policy give another decision for a day that was decided before, the new
row points at the one it corrects.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.decisions.rows import DECISION_SCHEMA
from retail_assets.pricing.response.model import PRODUCT
from retail_assets.resources.lake import Lake

CONTENT_AT = 13  # where the part of a batch decision id begins that follows from its content


@dataclass(frozen=True)
class Appended:
    """What an append did: rows offered, rows that were new, and the table's Delta version after it."""

    offered: int
    added: int
    version: int


def batch_state(gold: dict[str, int], model_version: str, policy_hash: str, code_version: str) -> str:
    """A name for everything a batch depends on; equal states give equal batches."""
    document = json.dumps([gold, model_version, policy_hash, code_version], sort_keys=True)
    return "pricing-batch-" + hashlib.sha256(document.encode()).hexdigest()[:32]


def is_decided(lake: Lake, state: str) -> bool:
    """Whether the batch of `state` was appended before."""
    if not lake.exists("decisions", PRODUCT):
        return False
    return lake.open("decisions", PRODUCT).transaction_version(state) is not None


def stands(lake: Lake, business_date: date, policy_hash: str, versions: Callable[[str], str | None]) -> bool:
    """Whether the newest batch decisions of a date are, in every store, of this policy and of `versions(store_id)`.

    They are not where a store decided with another version since, and then went back.
    """
    rows = lake.query(
        f"""select store_id, arg_max(model_version, "at") as version, arg_max(policy_hash, "at") as policy
            from {lake.scan("decisions", PRODUCT)}
            where business_date = date '{business_date.isoformat()}' and mode = 'batch' group by store_id"""
    ).to_pylist()
    return all(row["policy"] == policy_hash and versions(row["store_id"]) in (None, row["version"]) for row in rows)


def append_batch(lake: Lake, rows: Iterator[pa.RecordBatch], business_date: date, state: str) -> Appended:
    """Appends the rows that do not stand in the table yet, in one commit that remembers `state`.

    A row of a store-SKU that has a batch decision for this date already names the newest of them in `corrects`. A
    decision that was made before and replaced since is appended again, its id one millisecond on.
    """
    lake.ensure("decisions", PRODUCT, DECISION_SCHEMA, partition_by=["business_date"])
    known = _known(lake, business_date)
    counts = {"offered": 0, "added": 0}

    def fresh() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            new = known.correcting(batch) if len(known.ids) else batch
            counts["offered"] += batch.num_rows
            counts["added"] += new.num_rows
            yield new

    _append(lake, fresh(), state)
    return Appended(counts["offered"], counts["added"], lake.open("decisions", PRODUCT).version())


def append_one(lake: Lake, row: Mapping[str, Any]) -> None:
    """Appends one decision row, under its id once."""
    lake.ensure("decisions", PRODUCT, DECISION_SCHEMA, partition_by=["business_date"])
    _append(lake, iter(pa.Table.from_pylist([dict(row)], DECISION_SCHEMA).to_batches()), row["decision_id"])


def _append(lake: Lake, rows: Iterator[pa.RecordBatch], state: str) -> None:
    from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

    write_deltalake(
        lake.open("decisions", PRODUCT),
        pa.RecordBatchReader.from_batches(DECISION_SCHEMA, rows),
        mode="append",
        schema_mode="merge",
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
        commit_properties=CommitProperties(app_transactions=[Transaction(state, 1)]),
    )


@dataclass(frozen=True)
class _Known:
    """Batch decisions of one date, newest first; `keys` are their store and SKU in one text."""

    ids: pa.Array
    keys: pa.Array

    def correcting(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of `batch` that do not stand, each with the newest known row of its store-SKU as `corrects`."""
        newest = self.ids.take(pc.index_in(_key(batch["store_id"], batch["sku"]), value_set=self.keys))
        fresh = pc.fill_null(pc.not_equal(_content(newest), _content(batch["decision_id"])), True)
        new = batch.filter(fresh)
        new = new.set_column(new.schema.get_field_index("decision_id"), "decision_id", self._unused(new["decision_id"]))
        return new.set_column(new.schema.get_field_index("corrects"), "corrects", newest.filter(fresh))

    def _unused(self, ids: pa.Array) -> pa.Array:
        """`ids`, those of a content that is known moved on by a millisecond for each time it was decided."""
        known = _content(self.ids)
        if not pc.any(pc.is_in(_content(ids), value_set=known)).as_py():
            return ids
        times = Counter(known.to_pylist())
        return pa.array([_later(decision_id, times[decision_id[CONTENT_AT:]]) for decision_id in ids.to_pylist()])


def _known(lake: Lake, business_date: date) -> _Known:
    rows = lake.query(
        f"""select decision_id, store_id, sku from {lake.scan("decisions", PRODUCT)}
            where business_date = date '{business_date.isoformat()}' and mode = 'batch'
            order by "at" desc, decision_id desc"""
    ).combine_chunks()
    ids, stores, skus = (_whole(rows[name]) for name in ("decision_id", "store_id", "sku"))
    return _Known(ids, _key(stores, skus))


def _content(ids: pa.Array) -> pa.Array:
    """The part of batch decision ids that follows from inputs, model and policy; the rest is the business date."""
    return pc.utf8_slice_codeunits(ids, CONTENT_AT)


def _later(decision_id: str, milliseconds: int) -> str:
    instant = f"{int(decision_id[:8] + decision_id[9:13], 16) + milliseconds:012x}"
    return f"{instant[:8]}-{instant[8:]}{decision_id[CONTENT_AT:]}"


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.array([], column.type)


def _key(stores: pa.Array, skus: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(stores, skus, "\x1f")
