"""Guarded decisions with their audit rows per second, and what one price costs a service.

    .venv/bin/python benchmarks/pricing_speed.py [ROWS]

The peer is the plain way to write the same: one decision after the other through `decide_one` and `decision_row`, as a
service does. Both make rows with the full trail; the batch also appends them to a Delta table.
"""

import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
import pyarrow as pa

from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.batches import decide_rows
from retail_assets.pricing.decide.decisions import Provenance, decide_one, decision_row
from retail_assets.pricing.decide.inputs import INPUTS, DecisionInputs
from retail_assets.pricing.decide.log import append_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import MEASURES, PriceModel
from retail_assets.resources.lake import Lake

DAY = date(2026, 5, 24)
SKUS = 50_000
SINGLE = 2_000
MEASURED_TODAY = ("previous_price", "week_price", "unit_cost", "reference_price", "base_demand")


def model() -> PriceModel:
    """A model of 50,000 SKUs in 20 categories."""
    rng = np.random.default_rng(1)
    elasticity = -rng.gamma(9.0, 0.25, SKUS + 21) - 0.2
    columns = {"elasticity": elasticity, "lo": elasticity - 0.4, "hi": np.minimum(elasticity + 0.4, -0.1)}
    columns |= {"standard_error": np.full(SKUS + 21, 0.2), "prior": np.full(SKUS + 21, -2.0)}
    table = np.column_stack([columns.get(name, np.full(SKUS + 21, 0.6)) for name in MEASURES])
    base = pa.table({name: pa.array([], kind) for name, kind in BASE.items()})
    skus, categories = tuple(f"SKU-{i:06d}" for i in range(SKUS)), tuple(f"category-{i}" for i in range(20))
    won = np.tile([0.3, 0.1, 0.1, 0.5], (len(categories), 1))
    return PriceModel("benchmark", DAY.isoformat(), skus, categories, table, base, substitution=won)


BASE = {"store_id": pa.string(), "sku": pa.string(), "units_per_day": pa.float64(), "price": pa.float64()}


def items(rows: int) -> pa.Table:
    """Store-SKUs as a chain of `rows / 50,000` stores has them."""
    rng = np.random.default_rng(2)
    sku, store = np.arange(rows) % SKUS, np.arange(rows) // SKUS
    previous = np.exp(rng.uniform(np.log(80), np.log(20_000), rows)).astype(np.int64)
    day = pa.array(np.full(rows, np.datetime64(DAY)))
    columns = {
        "store_id": np.char.add("US-", store.astype(str)),
        "sku": np.char.add("SKU-", np.char.zfill(sku.astype(str), 6)),
        "country": np.full(rows, "US"),
        "currency": np.full(rows, "USD"),
        "department": np.array(["grocery", "apparel", "garden"])[sku % 3],
        "category": np.char.add("category-", (sku % 20).astype(str)),
        "business_date": day,
        "costs_delivered": np.full(rows, True),
        "on_promotion": rng.random(rows) < 0.05,
        "base_demand_source": np.full(rows, "forecast"),
        "previous_price": previous,
        "unit_cost": np.maximum((previous * rng.uniform(0.4, 0.8, rows)).astype(np.int64), 1),
        "competitor_price": pa.array((previous * rng.uniform(0.85, 1.2, rows)).astype(np.int64), mask=sku % 3 == 0),
        "reference_price": np.maximum((previous * rng.uniform(0.95, 1.05, rows)).astype(np.int64), 1),
        "week_price": np.maximum((previous * rng.uniform(0.95, 1.05, rows)).astype(np.int64), 1),
        "base_demand": rng.gamma(1.0, 3.0, rows).round(4),
        "demand_deviation": rng.gamma(2.0, 1.0, rows).round(4),
        "on_hand": rng.integers(0, 90, rows),
    }
    columns |= {f"{name}_at": day for name in MEASURED_TODAY}
    absent = {name: pa.nulls(rows, INPUTS.field(name).type) for name in INPUTS.names if name not in columns}
    return pa.table(columns | absent).select(INPUTS.names).cast(INPUTS)


def main(rows: int) -> None:
    """Runs both and prints the ratio."""
    response, rulebook, table = model(), Rulebook.of(load_config().policy), items(rows)
    provenance = Provenance(datetime(2026, 5, 25, tzinfo=UTC), "batch", "benchmark", "benchmark")
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.at(Path(folder) / "lake")
        wall, cpu = time.perf_counter(), time.process_time()
        appended = append_batch(lake, decide_rows(response, rulebook, table, provenance), DAY, "benchmark")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        written = sum(f.stat().st_size for f in Path(folder).rglob("*.parquet")) / 2**20
    single = [DecisionInputs(**row) for row in table.slice(0, SINGLE).to_pylist()]
    times = []
    for inputs in single:
        started = time.process_time()
        decision_row(decide_one(response, rulebook, inputs), provenance)
        times.append(time.process_time() - started)
    peak = getrusage(RUSAGE_SELF).ru_maxrss / 2**20
    alone = float(np.mean(times))
    print(
        f"batch:  {appended.added:,} decisions with audit rows in {wall:.1f} s ({cpu:.1f} s of CPU), {written:.0f} MiB"
    )
    print(f"        2.5 million at this rate: {2_500_000 / appended.added * wall:.0f} s; peak memory {peak:.1f} GiB")
    print(f"single: p50 {np.median(times) * 1e3:.2f} ms, p99 {np.percentile(times, 99) * 1e3:.2f} ms of CPU per price")
    print(f"ratio:  a decision in the batch costs 1/{alone / (cpu / appended.added):.0f} of one alone")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
