"""The rows that one store answers from, cut out of the centre's lake: the dimensions, and what each product carries."""

import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.core.products import load
from retail_assets.core.registry import products
from retail_assets.features.store import FeatureStore
from retail_assets.resources.lake import Lake
from retail_assets.stores.bundle import TableName

DIMENSIONS = ("dim_store", "dim_product", "dim_promotion", "dim_calendar")


class CentreTables:
    """What the tables of stores are cut from, and the tables of one store."""

    def __init__(self, features: FeatureStore) -> None:
        """Opens nothing."""
        self._lake = features.lake
        self._products = [load(p.store_tables)(features) for p in products().values() if p.store_tables]
        self.by_day = {TableName(*name) for one in self._products for name in one.BY_DAY}
        """Tables whose newest business date a service looks up in the partitions."""

    def sources(self) -> list[TableName]:
        """The centre's tables that the tables of a store are cut from."""
        own = [TableName(*name) for one in self._products for name in one.sources()]
        return list(dict.fromkeys([*(TableName("gold", name) for name in DIMENSIONS), *own]))

    def of(self, store_id: str, versions: Mapping[TableName, int | None]) -> dict[TableName, pa.Table]:
        """The tables of one store; those that the centre does not have are left out."""
        found = {
            TableName("gold", name): _dimension(self._lake, name, store_id)
            for name in DIMENSIONS
            if self._lake.exists("gold", name)
        }
        for one in self._products:
            found |= {TableName(*name): rows for name, rows in one.of(store_id, versions).items()}
        return found


def parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file: the same rows in the same order give the same bytes."""
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    return target.getvalue()


def _dimension(lake: Lake, name: str, store_id: str) -> pa.Table:
    scan, stores = lake.scan("gold", name), lake.scan("gold", "dim_store")
    where = {
        "dim_store": "store_id = $store",
        "dim_product": "$store is not null",
    }.get(name, f"country = (select country from {stores} where store_id = $store)")
    return lake.query(f"select * from {scan} where {where} order by all", {"store": store_id})
