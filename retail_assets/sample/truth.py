"""What only an evaluation may know, written to truth/ as Parquet."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.sample.arrays import Bools, Floats, Ints
from retail_assets.sample.baskets import Till
from retail_assets.sample.demand import DemandDay
from retail_assets.sample.dialects import payment_ids, receipt_ids
from retail_assets.sample.events import Event
from retail_assets.sample.faults import Fault
from retail_assets.sample.fraud import DISPUTE, KINDS
from retail_assets.sample.outbox import Delivered
from retail_assets.sample.payments import Payments
from retail_assets.sample.returned import Returns
from retail_assets.sample.stock import StockDay
from retail_assets.sample.text import pick, strings
from retail_assets.sample.world import World

FLUSH_ROWS = 250_000


class ParquetStream:
    """Appends tables to one Parquet file in large row groups; the file appears whole when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.Table] = []

    def append(self, table: pa.Table) -> None:
        """Adds rows; all tables must have the schema of the first."""
        self._held.append(table)
        if sum(held.num_rows for held in self._held) >= FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables(self._held).unify_dictionaries().combine_chunks()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._held = []

    def close(self) -> None:
        """Writes what is left and gives the file its name."""
        if self._held:
            self._flush()
        if self._writer is not None:
            self._writer.close()
            self._temporary.replace(self._path)


def _dictionary(index: Ints, values: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), strings(values))


def demand_table(
    world: World, day: int, demand: DemandDay, stock: StockDay, cents: tuple[Ints, Ints], promoted: Bools
) -> pa.Table:
    """One row per listed (shop, SKU): demand before stock-outs, what was sold, and the controls that make it up.

    `cents` are list and paid prices, (country, SKU). control = log(mean_demand) - own elasticity * log_price.
    """
    shop, sku = np.nonzero(demand.listed)
    country = world.shops.country[shop]
    on = np.full(shop.size, np.datetime64(world.date_of(day)))

    def of(values: Floats | Ints, kind: type) -> pa.Array:
        return pa.array(values[shop, sku].astype(kind))

    return pa.table(
        {
            "store_id": _dictionary(shop, world.shops.ids),
            "sku": _dictionary(sku, world.skus.ids),
            "business_date": pa.array(on),
            "mean_demand": of(demand.mean, np.float32),
            "demand": of(demand.demand, np.int32),
            "sold": of(stock.sold, np.int32),
            "on_hand": of(stock.on_hand, np.int32),
            "list_cents": pa.array(cents[0][country, sku].astype(np.int32)),
            "paid_cents": pa.array(cents[1][country, sku].astype(np.int32)),
            "on_promotion": pa.array(promoted[country, sku]),
            "log_price": of(demand.log_price, np.float32),
            "control": of(demand.control, np.float32),
            "open": pa.array(world.open(day)[shop]),
        }
    )


def fraud_table(world: World, day: int, till: Till, payments: Payments) -> pa.Table:
    """One row per payment that is fraud or was disputed; every payment that is not here is good."""
    odd = np.flatnonzero(payments.kind >= 0)
    at = payments.receipt[odd]
    due = payments.chargeback_day[odd]
    reported = np.datetime64(world.config.first_day) + due.astype("timedelta64[D]")
    return pa.table(
        {
            "payment_id": payment_ids(receipt_ids(world, day, till.shop[at], till.number[at])),
            "kind": pick(strings(KINDS), payments.kind[odd]),
            "is_fraud": pa.array(payments.kind[odd] != DISPUTE),
            "chargeback_on": pa.array(np.where(due >= 0, reported, np.datetime64("NaT")).astype("datetime64[D]")),
        }
    )


def returns_table(world: World, day: int, till: Till, returned: Returns) -> pa.Table:
    """One row per returned line: which line of which receipt it takes back."""
    lines = np.flatnonzero(till.origin >= 0)
    at, origin = till.receipt[lines], till.origin[lines]
    sold = [
        f"{world.shops.ids[shop]}-{world.date_of(int(sold_day)):%Y%m%d}-R{number:04d}"
        for shop, sold_day, number in zip(
            returned.shop[origin], returned.sold_day[origin], returned.sold_number[origin], strict=True
        )
    ]
    return pa.table(
        {
            "receipt_id": receipt_ids(world, day, till.shop[at], till.number[at]),
            "line_no": pa.array(till.line[lines].astype(np.int32)),
            "sold_receipt_id": strings(sold),
            "sold_line_no": pa.array(returned.sold_line[origin].astype(np.int32)),
        }
    )


def elasticities_table(world: World) -> pa.Table:
    """One row per SKU: the planted parameters of its demand."""
    skus = world.skus
    kinds = list(world.config.categories)
    return pa.table(
        {
            "sku": strings(skus.ids),
            "category": strings(kinds[c] for c in skus.category),
            "department": strings(world.categories[c].department for c in skus.category),
            "own_elasticity": skus.own,
            "category_elasticity": [world.categories[c].own for c in skus.category],
            "cross_elasticity": skus.cross,
            "competitor_elasticity": skus.rival,
            "promotion_lift": skus.promo,
            "base_rate": skus.base,
            "trend_per_year": skus.trend,
            "degree_effect": skus.degree,
            "noise": skus.noise,
            "return_rate": skus.returned,
            **{f"reference_cents_{code}": skus.reference[i] for i, code in enumerate(world.codes)},
            **{f"cost_cents_{code}": skus.cost[i] for i, code in enumerate(world.codes)},
        }
    )


def tastes_table(world: World) -> pa.Table:
    """One row per customer and SKU: the vector whose inner products make up who likes what."""
    vectors = np.concatenate([world.people.taste, world.skus.taste]).astype(np.float32)
    ids = world.people.ids + world.skus.ids
    kinds = ["customer"] * world.people.count + ["sku"] * world.skus.count
    taste = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table({"kind": strings(kinds), "id": strings(ids), "taste": taste})


def events_table(world: World, events: list[Event]) -> pa.Table:
    """One row per planted moment."""
    departments, skus = list(world.config.departments), world.skus.ids
    targets = {"viral_item": skus, "supply_outage": departments}
    return pa.table(
        {
            "kind": strings(e.kind for e in events),
            "country": pa.array([world.codes[e.country] if e.country >= 0 else None for e in events], pa.string()),
            "target": pa.array([targets[e.kind][e.target] if e.kind in targets else None for e in events], pa.string()),
            "starts_on": pa.array([world.date_of(e.first) for e in events], pa.date32()),
            "ends_on": pa.array([world.date_of(e.last) for e in events], pa.date32()),
            "effect": pa.array([e.effect for e in events], pa.float64()),
        }
    )


FAULTS = pa.schema(
    [("kind", pa.string()), ("source", pa.string()), ("file", pa.string()), ("line", pa.int32()),
     ("detail", pa.string()), ("rows_affected", pa.int64())]
)  # fmt: skip


def faults_table(faults: list[Fault]) -> pa.Table:
    """One row per planted fault, by file and line."""
    rows = [vars(f) for f in sorted(faults, key=lambda f: (f.source, f.file, f.line or 0))]
    return pa.Table.from_pylist(rows, FAULTS)


def files_table(delivered: list[Delivered]) -> pa.Table:
    """One row per file in landing/, by path."""
    rows = sorted(delivered, key=lambda d: d.path)
    return pa.table(
        {
            "source": [d.source for d in rows],
            "file": [d.path for d in rows],
            "bytes": pa.array([d.bytes for d in rows], pa.int64()),
            "rows": pa.array([d.rows for d in rows], pa.int64()),
            "delivered_at": pa.array([d.delivered for d in rows], pa.timestamp("us", "UTC")),
        }
    )
