"""What a store carries for its forecasts: the newest of them, recent sales, and the features of the live model."""

from collections.abc import Mapping

import pyarrow as pa

from retail_assets.features.materialise import servable_rows
from retail_assets.features.registry import gold_table, repository
from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.baseline.naive import SALES, WEEKS
from retail_assets.forecasting.training import FEATURE_TABLE, SERVICE
from retail_assets.resources.lake import Lake

FORECASTS = "forecasts"


class StoreTables:
    """Cut out of the centre's lake; see Product.store_tables."""

    BY_DAY = (("gold", FEATURE_TABLE),)

    def __init__(self, features: FeatureStore) -> None:
        self._features = features

    def sources(self) -> list[tuple[str, str]]:
        """The centre's tables that those of a store are cut from."""
        projections = repository().service(SERVICE).feature_view_projections
        read = [gold_table(repository().view(projection.name)) for projection in projections]
        return [("gold", name) for name in (FORECASTS, SALES, *read)]

    def of(self, store_id: str, versions: Mapping[tuple[str, str], int | None]) -> dict[tuple[str, str], pa.Table]:
        """The tables of one store, without those that the centre does not have; `versions` are those of the sources."""
        lake = self._features.lake
        found: dict[tuple[str, str], pa.Table] = {}
        if lake.exists("gold", FORECASTS):
            found["gold", FORECASTS] = _newest_forecasts(lake, store_id)
        if lake.exists("gold", SALES):
            found["gold", SALES] = _recent_sales(lake, store_id)
        return found | {("gold", name): rows for name, rows in _features(self._features, store_id).items()}


def _newest_forecasts(lake: Lake, store_id: str) -> pa.Table:
    scan = lake.scan("gold", FORECASTS)
    sql = f"""select * from {scan} where store_id = $store
              and origin_date = (select max(origin_date) from {scan} where store_id = $store) order by all"""
    return lake.query(sql, {"store": store_id})


def _recent_sales(lake: Lake, store_id: str) -> pa.Table:
    """What the seasonal naive forecast is made of."""
    scan = lake.scan("gold", SALES)
    sql = f"""select store_id, sku, business_date, gross_units, is_stocked_out from {scan}
              where store_id = $store and business_date > (select max(business_date) from {scan}) - {7 * WEEKS}
              order by business_date, sku"""
    return lake.query(sql, {"store": store_id})


def _features(features: FeatureStore, store_id: str) -> dict[str, pa.Table]:
    """The newest servable row of each key of the store, whole: the same rows that are served online."""
    found = {}
    for projection in repository().service(SERVICE).feature_view_projections:
        view = repository().view(projection.name)
        table = gold_table(view)
        version = features.lake.version("gold", table)
        if version is None:
            continue
        keys = [column.name for column in view.entity_columns]
        with features.lake.connect() as db:
            query, _ = servable_rows(features, db, view, version)
            if query is None:
                continue
            own = "store_id = $store" if "store_id" in keys else "$store is not null"
            join = " and ".join(f"g.{key} = s.{key}" for key in [*keys, "event_timestamp", "created_timestamp"])
            source = features.lake.scan("gold", table, version)
            sql = f"""select g.* from {source} g join (select * from ({query}) where {own}) s on {join}
                      order by {", ".join(f"g.{key}" for key in keys)}"""
            found[table] = db.execute(sql, {"store": store_id}).to_arrow_table()
    return found
