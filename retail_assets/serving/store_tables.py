"""The rows of gold, publications and decisions that one store answers from, cut out of the centre's lake."""

import io
from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from retail_assets.features.materialise import servable_rows
from retail_assets.features.registry import gold_table, repository
from retail_assets.forecasting.training import FEATURE_TABLE, SERVICE
from retail_assets.pricing.book import CARRIED_INPUTS, InputBook
from retail_assets.pricing.gold_inputs import FORECASTS, READS
from retail_assets.pricing.publication import PROPOSALS, PUBLICATIONS, published_prices
from retail_assets.pricing.switch import TABLE as SWITCH
from retail_assets.resources.feature_store import FeatureStore
from retail_assets.resources.lake import Lake
from retail_assets.serving.naive import SALES, WEEKS
from retail_assets.serving.store_bundle import TableName

DIMENSIONS = ("dim_store", "dim_product", "dim_promotion", "dim_calendar")
BY_DAY = {TableName("gold", CARRIED_INPUTS), TableName("gold", FEATURE_TABLE)}
"""Tables whose newest business date a service looks up in the partitions."""


def sources(features: FeatureStore) -> list[TableName]:
    """The centre's tables that the tables of a store are cut from."""
    gold = dict.fromkeys([*DIMENSIONS, *READS, FORECASTS, *_feature_tables(features)])
    return [*(TableName("gold", n) for n in gold), *(TableName("ops", n) for n in (PUBLICATIONS, PROPOSALS, SWITCH))]


def store_tables(features: FeatureStore, book: InputBook | None, store_id: str) -> dict[TableName, pa.Table]:
    """The tables of one store; those that the centre does not have are left out. `book` holds the inputs of prices."""
    lake = features.lake
    found: dict[TableName, pa.Table] = {}
    for name in DIMENSIONS:
        if lake.exists("gold", name):
            found[TableName("gold", name)] = _dimension(lake, name, store_id)
    if lake.exists("gold", FORECASTS):
        found[TableName("gold", FORECASTS)] = _newest_forecasts(lake, store_id)
    if lake.exists("gold", SALES):
        found[TableName("gold", SALES)] = _recent_sales(lake, store_id)
    if book is not None:
        found[TableName("gold", CARRIED_INPUTS)] = book_rows(book, store_id)
    found |= {TableName("gold", name): rows for name, rows in _features(features, store_id).items()}
    return found | {TableName(*key): rows for key, rows in _published(lake, store_id).items()}


def parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file: the same rows in the same order give the same bytes."""
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    return target.getvalue()


def book_rows(book: InputBook, store_id: str) -> pa.Table:
    """The inputs of a store's prices with what they were made from, as InputBook.read finds them in a store."""
    import pyarrow.compute as pc

    rows = book.rows.filter(pc.equal(book.rows["store_id"], store_id))
    for name, value in asdict(book.made_from).items():
        rows = rows.append_column(name, pa.array([value] * rows.num_rows, pa.string()))
    return rows


def _select(lake: Lake, sql: str, **values: str) -> pa.Table:
    with lake.connect() as connection:
        return connection.execute(sql, values).to_arrow_table()


def _dimension(lake: Lake, name: str, store_id: str) -> pa.Table:
    scan, stores = lake.scan("gold", name), lake.scan("gold", "dim_store")
    where = {
        "dim_store": "store_id = $store",
        "dim_product": "$store is not null",
    }.get(name, f"country = (select country from {stores} where store_id = $store)")
    return _select(lake, f"select * from {scan} where {where} order by all", store=store_id)


def _newest_forecasts(lake: Lake, store_id: str) -> pa.Table:
    scan = lake.scan("gold", FORECASTS)
    sql = f"""select * from {scan} where store_id = $store
              and origin_date = (select max(origin_date) from {scan} where store_id = $store) order by all"""
    return _select(lake, sql, store=store_id)


def _recent_sales(lake: Lake, store_id: str) -> pa.Table:
    """What the seasonal naive forecast is made of."""
    scan = lake.scan("gold", SALES)
    sql = f"""select store_id, sku, business_date, gross_units, is_stocked_out from {scan}
              where store_id = $store and business_date > (select max(business_date) from {scan}) - {7 * WEEKS}
              order by business_date, sku"""
    return _select(lake, sql, store=store_id)


def _feature_tables(features: FeatureStore) -> list[str]:
    projections = repository().service(SERVICE).feature_view_projections
    return [gold_table(repository().view(projection.name)) for projection in projections]


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


def _published(lake: Lake, store_id: str) -> Mapping[tuple[str, str], pa.Table]:
    """The store's publications, the switch, and the published prices with the decisions that made them."""
    found = {}
    if lake.exists("ops", SWITCH):
        found["ops", SWITCH] = _select(lake, f"select * from {lake.scan('ops', SWITCH)} order by all")
    if lake.exists("ops", PUBLICATIONS) and lake.exists("ops", PROPOSALS):
        scan = lake.scan("ops", PUBLICATIONS)
        found["ops", PUBLICATIONS] = _select(
            lake, f"select * from {scan} where store_id = $store order by all", store=store_id
        )
        prices = published_prices(lake, store_id)
        found["ops", PROPOSALS] = prices.drop_columns(["published_at", "published_by"])
        if prices.num_rows and lake.exists("decisions", "pricing"):
            with lake.connect() as connection:
                connection.register("prices", prices)
                found["decisions", "pricing"] = connection.execute(
                    f"""select d.* from {lake.scan("decisions", "pricing")} d
                        semi join prices p on p.decision_id = d.decision_id and p.business_date = d.business_date
                        where d.store_id = $store order by d.sku""",
                    {"store": store_id},
                ).to_arrow_table()
    return found
