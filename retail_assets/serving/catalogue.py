"""The stores and SKUs that gold knows, so that a question about another one is answered with what was unknown."""

from retail_assets.core.errors import RetailError
from retail_assets.resources.lake import Lake
from retail_assets.resources.table_versions import Versions


class UnknownKey(RetailError):
    """A store or SKU that gold does not have. `unknown` maps the field to the value that was asked for."""

    def __init__(self, unknown: dict[str, str]) -> None:
        self.unknown = unknown
        what = " and ".join(f"{field} {value!r}" for field, value in unknown.items())
        super().__init__(f"unknown {what}", todo="ids are those of gold/dim_store and gold/dim_product")


class NotListed(UnknownKey):
    """Store and SKU are known, but the store does not sell the SKU."""

    def __init__(self, store_id: str, sku: str) -> None:
        super().__init__({"store_id": store_id, "sku": sku})
        self.what = f"store {store_id!r} does not list SKU {sku!r}, or has no price for it"


class Catalogue:
    """Ids of gold/dim_store and gold/dim_product, read again when either has a new Delta version."""

    TABLES = {"store_id": "dim_store", "sku": "dim_product"}

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions = Versions(lake)
        self._read: dict[str, int] = {}
        self._known: dict[str, frozenset[str]] = {field: frozenset() for field in self.TABLES}

    def poll(self) -> None:
        """Reads what changed; a table that does not exist yet knows nothing."""
        newest = self._versions.of("gold", *self.TABLES.values())
        for field, table in self.TABLES.items():
            version = newest[table]
            if version is not None and version != self._read.get(field):
                column = self._lake.open("gold", table, version).to_pyarrow_table(columns=[field])[field]
                self._known[field] = frozenset(column.to_pylist())
                self._read[field] = version

    def require(self, store_id: str, sku: str) -> None:
        """Raises UnknownKey that names the store, the SKU or both, unless gold knows them."""
        if store_id in self._known["store_id"] and sku in self._known["sku"]:
            return
        asked = {"store_id": store_id, "sku": sku}
        raise UnknownKey({field: value for field, value in asked.items() if value not in self._known[field]})
