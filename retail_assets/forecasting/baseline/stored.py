"""The baselines of the newest forecasts, kept in memory: what a service's own forecast starts from."""

from collections.abc import Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray

from retail_assets.forecasting.baseline.baseline import COLUMNS
from retail_assets.resources.lake import Lake
from retail_assets.resources.table_versions import Versions

TABLE = "forecasts"


class Baselines:
    """baseline.COLUMNS of each store-SKU and target day, as the newest rows of gold/forecasts have them."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions = Versions(lake)
        self._made_of: int | None = None
        self._rows: dict[tuple[str, str], slice] = {}
        self._days = np.empty(0, dtype="datetime64[D]")
        self._values: NDArray[np.float64] = np.empty((0, len(COLUMNS)))

    def poll(self) -> None:
        """Reads the newest origin again when the table has a new version; rows from before baselines have none."""
        version = self._versions.of("gold", TABLE)[TABLE]
        if version is None or version == self._made_of:
            return
        with self._lake.connect() as connection:
            table = self._lake.scan("gold", TABLE, version)
            names = [row[0] for row in connection.execute(f"describe select * from {table}").fetchall()]
            if set(COLUMNS) <= set(names):
                newest = f"(select max(business_date) from {table})"
                found = connection.execute(
                    f"""select store_id, sku, target_date, {", ".join(COLUMNS)} from {table}
                        where business_date = {newest} and baseline is not null order by all"""
                ).to_arrow_table()
                self._keep(found["store_id"].to_pylist(), found["sku"].to_pylist(),
                           found["target_date"].to_numpy().astype("datetime64[D]"),
                           np.column_stack([found[name].to_numpy() for name in COLUMNS]))  # fmt: skip
        self._made_of = version

    def _keep(self, stores: list[str], skus: list[str], days: NDArray, values: NDArray[np.float64]) -> None:
        keys = list(zip(stores, skus, strict=True))
        starts = [at for at in range(len(keys)) if at == 0 or keys[at] != keys[at - 1]]
        ends = [*starts[1:], len(keys)]
        self._rows = {keys[a]: slice(a, b) for a, b in zip(starts, ends, strict=True)}
        self._days, self._values = days, values

    def of(self, store_id: str, sku: str) -> Mapping[date, tuple[float, ...]]:
        """By target day; empty for a store-SKU without."""
        rows = self._rows.get((store_id, sku))
        if rows is None:
            return {}
        return dict(zip(self._days[rows].tolist(), map(tuple, self._values[rows].tolist()), strict=True))
