"""A batch that decides row by row what the newest batch decided is that batch: it is not published a second time.

Gold that was built anew (its files were lost, or what it is built with was deleted) has other versions and the same
rows. A batch is named by those versions, so its name is new; whether its prices are is asked of the lake.
"""

from datetime import date

import pyarrow as pa

from retail_assets.pricing.publish.publication import (
    PROPOSALS,
    PUBLICATIONS,
    batch_id_of,
    is_correction,
    publications,
)
from retail_assets.resources.lake import Lake

SAME = ("store_id", "sku", "decision_id", "price", "model_version", "held_back")


def newest_batch(lake: Lake) -> str | None:
    """The batch of models that was recorded last; None before the first."""
    first = {row.batch_id: row.at for row in reversed(publications(lake)) if not is_correction(row.batch_id)}
    return max(first, key=lambda batch_id: (first[batch_id], batch_id), default=None)


def repeats_newest(lake: Lake, proposals: pa.Table, business_date: date) -> str | None:
    """The newest batch, where `proposals` (PROPOSAL_SCHEMA, one business date) are its rows; else None."""
    newest = newest_batch(lake)
    if newest is None or not lake.exists("ops", PROPOSALS):
        return None
    there = lake.open("ops", PROPOSALS).to_pyarrow_dataset().schema.names
    if not set(SAME) <= set(there):
        return None  # recorded before all of these were: nothing says that they are the same
    columns = ", ".join(SAME)
    day = business_date.isoformat()
    recorded = f"""(select {columns} from {lake.scan("ops", PROPOSALS)}
                    where business_date = date '{day}' and batch_id = '{newest}')"""
    with lake.connect() as connection:
        connection.register("offered", proposals.select(SAME))
        found = connection.execute(
            f"""select (select count(*) from {recorded}) = (select count(*) from offered)
                   and not exists (from {recorded} except from offered)
                   and not exists (from offered except from {recorded})"""
        ).fetchone()
    return newest if found is not None and found[0] and proposals.num_rows else None


def note_repeat(lake: Lake, state: str, newest: str) -> None:
    """Remembers, by a commit without rows, that the batch of `state` is the batch `newest`."""
    from deltalake import CommitProperties, Transaction, write_deltalake

    table = lake.open("ops", PUBLICATIONS)
    nothing = pa.schema(table.schema().to_arrow()).empty_table()
    commit = CommitProperties(app_transactions=[Transaction(_name(state, newest), 1)])
    write_deltalake(table, nothing, mode="append", commit_properties=commit)


def is_noted(lake: Lake, state: str) -> bool:
    """Whether the batch of `state` was found to be the one that is the newest now."""
    newest = newest_batch(lake)
    if newest is None:
        return False
    return lake.open("ops", PUBLICATIONS).transaction_version(_name(state, newest)) is not None


def _name(state: str, newest: str) -> str:
    return f"{batch_id_of(state)}-repeats-{newest}"
