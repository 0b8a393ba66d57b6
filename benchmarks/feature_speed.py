"""Point-in-time join of a wide daily view: this project's Feast store against Feast's own join, in one process.

    python benchmarks/feature_speed.py [days]

Both get the same rows and must give the same answer. The plain ASOF join, which neither filters by arrival nor checks
age, shows the floor.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from retail_assets.features.registry import repository
from retail_assets.features.store import FeatureStore
from retail_assets.resources.duck import EXTENSIONS
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake

STORES, PRODUCTS = 15, 300
LAST = date(2026, 6, 30)
VIEW, TABLE = "store_product_demand", "feat_store_product_daily"


def write_gold(features: FeatureStore, days: int) -> list[str]:
    """A dense view of 4,500 keys and `days` days, one delivery in fifty three days late; returns its feature names."""
    names = [feature.name for feature in repository().view(VIEW).features]
    values = ", ".join(f"(hash(s, k, d, {n}) % 1000)::double as {name}" for n, name in enumerate(names))
    with features.lake.connect() as db:
        rows = db.execute(f"""
            select 'S' || s as store_id, 'P' || k as sku, date '{LAST}' - d::integer as business_date,
                (date '{LAST}' - d::integer + 1)::timestamptz as event_timestamp,
                event_timestamp + case when hash(s, d) % 50 = 0 then interval 78 hour else interval 6 hour end
                    as created_timestamp, {values}
            from range({STORES}) a(s), range({PRODUCTS}) b(k), range({days}) c(d) order by d, s, k""")
        features.lake.overwrite("gold", TABLE, rows.to_arrow_reader(100_000), ["business_date"])
    return names


def entities(features: FeatureStore) -> str:
    """Every key at noon after each of its days."""
    source = features.lake.scan("gold", TABLE)
    return f"select store_id, sku, event_timestamp + interval 12 hour as event_timestamp from {source}"


def ours(features: FeatureStore, names: list[str]) -> pa.Table:
    """The join as training sets use it."""
    refs = [f"{VIEW}:{name}" for name in names]
    return (
        features.open().get_historical_features(entities(features), refs, filter_by_created_timestamp=True).to_arrow()
    )


def feasts(features: FeatureStore, names: list[str]) -> pa.Table:
    """The join of Feast's DuckDB store, on the same tables read the same way."""
    import ibis
    from feast.infra.offline_stores.ibis import point_in_time_join

    backend = ibis.duckdb.connect()
    backend.raw_sql(f"SET extension_directory = '{EXTENSIONS}'; LOAD delta; SET TimeZone = 'UTC'")
    view = repository().view(VIEW)
    keys = {column.name: column.name for column in view.entity_columns}
    source = backend.sql(f"select * from {features.lake.scan('gold', TABLE)}", dialect="duckdb")
    asked = backend.create_table("asked", backend.sql(entities(features), dialect="duckdb"))
    tables = [(source, "event_timestamp", "created_timestamp", keys, names, view.ttl)]
    return point_in_time_join(asked, tables, filter_by_created_timestamp=True).to_pyarrow()


def plain(features: FeatureStore, names: list[str]) -> pa.Table:
    """The floor: one ASOF join on the event time."""
    columns = ", ".join(f"f.{name}" for name in names)
    return features.lake.query(
        f"select e.*, {columns} from ({entities(features)}) e asof join {features.lake.scan('gold', TABLE)} f "
        "on e.store_id = f.store_id and e.sku = f.sku and e.event_timestamp >= f.event_timestamp"
    )


def timed(run: Callable[[FeatureStore, list[str]], pa.Table], features: FeatureStore, names: list[str]) -> tuple:
    """The answer, wall seconds and CPU seconds of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    table = run(features, names)
    return table, time.perf_counter() - wall, time.process_time() - cpu


def main(days: int) -> None:
    """Runs all three and prints one line each."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        home = Home.at(Path(folder))
        features = FeatureStore(root=home.root, folder=home.features, lake=Lake.at(home.lake))
        names = write_gold(features, days)
        features.apply()
        results = {run.__name__: timed(run, features, names) for run in (plain, ours, feasts)}
    order = [(name, "ascending") for name in ("store_id", "sku", "event_timestamp")]
    columns = ["store_id", "sku", "event_timestamp", *names]
    mine, theirs = (results[name][0].select(columns).sort_by(order) for name in ("ours", "feasts"))
    if not mine.equals(theirs):
        raise SystemExit("the two joins disagree")
    print(f"{mine.num_rows:,} rows x {len(names)} features, {LAST - timedelta(days=days - 1)} to {LAST}")
    for name, (_, wall, cpu) in results.items():
        print(f"{name:8} {wall:6.1f} s wall {cpu:6.1f} s CPU")
    print(f"ratio of CPU, Feast's join / ours: {results['feasts'][2] / results['ours'][2]:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 90)
