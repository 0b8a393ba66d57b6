"""Which decisions are in the log already: a decision is its id and its content, whatever segment brings it, how often.

The ids sort by time, so that a look for new ones reads no file of the log but the newest.
"""

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.decisions.rows import DECISION_SCHEMA

if TYPE_CHECKING:
    from deltalake import DeltaTable

ID, DAY = "decision_id", "business_date"


class News(NamedTuple):
    """Rows of a segment that the log does not have, and those whose id stands for another decision there."""

    rows: pa.Table
    contradicting: pa.Table


def stored(table: "DeltaTable", rows: pa.Table) -> pa.Table:
    """The rows of the log (DECISION_SCHEMA) that have an id of `rows`."""
    if not rows.num_rows:
        return rows
    dataset = table.to_pyarrow_dataset()
    ids, days = rows[ID].unique(), rows[DAY].unique()
    low, high = pc.min_max(ids).values()
    where = pc.field(DAY).isin(days) & (pc.field(ID) >= low) & (pc.field(ID) <= high)
    found = dataset.to_table(columns=[ID], filter=where)
    if not pc.any(pc.is_in(found[ID], ids)).as_py():
        return DECISION_SCHEMA.empty_table()
    known = [name for name in DECISION_SCHEMA.names if name in dataset.schema.names]
    return _as_decisions(dataset.to_table(columns=known, filter=where & pc.field(ID).isin(ids)))


def news(rows: pa.Table, known: pa.Table) -> News:
    """What of `rows` is new beside `known` rows of the log; of rows with one id the first counts."""
    ids = [*known[ID].to_pylist(), *rows[ID].to_pylist()]
    if len(set(ids)) == len(ids):
        return News(rows, rows.slice(0, 0))
    seen = {row[ID]: row for row in known.to_pylist()}
    new, other = [], []
    for place, row in enumerate(rows.to_pylist()):
        before = seen.setdefault(row[ID], row)
        if before is row:
            new.append(place)
        elif before != row:
            other.append(place)
    return News(rows.take(pa.array(new, pa.int64())), rows.take(pa.array(other, pa.int64())))


def _as_decisions(table: pa.Table) -> pa.Table:
    """Rows of a log that was made before some columns were, with all of them."""
    for field in DECISION_SCHEMA:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(DECISION_SCHEMA.names).cast(DECISION_SCHEMA)
