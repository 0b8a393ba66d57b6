"""The stores and SKUs that gold knows, so that a question about another one is answered with what was unknown."""

from retail_assets.core.errors import RetailError
from retail_assets.resources.lake import Lake


class UnknownKey(RetailError):
    """A store or SKU that gold does not have. `unknown` maps the field to the value that was asked for."""

    def __init__(self, unknown: dict[str, str]) -> None:
        self.unknown = unknown
        what = " and ".join(f"{field} {value!r}" for field, value in unknown.items())
        super().__init__(f"unknown {what}", todo="ids are those of gold/dim_store and gold/dim_product")


class Catalogue:
    """Ids of gold/dim_store and gold/dim_product, read again when either has a new Delta version."""

    TABLES = {"store_id": "dim_store", "sku": "dim_product"}

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions: dict[str, int] = {}
        self._known: dict[str, frozenset[str]] = {field: frozenset() for field in self.TABLES}

    def poll(self) -> None:
        """Reads what changed; a table that does not exist yet knows nothing."""
        for field, table in self.TABLES.items():
            version = self._lake.version("gold", table)
            if version is not None and version != self._versions.get(field):
                column = self._lake.open("gold", table, version).to_pyarrow_table(columns=[field])[field]
                self._known[field] = frozenset(column.to_pylist())
                self._versions[field] = version

    def require(self, store_id: str, sku: str) -> None:
        """Raises UnknownKey that names the store, the SKU or both, unless gold knows them."""
        if store_id in self._known["store_id"] and sku in self._known["sku"]:
            return
        asked = {"store_id": store_id, "sku": sku}
        raise UnknownKey({field: value for field, value in asked.items() if value not in self._known[field]})
