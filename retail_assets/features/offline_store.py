"""Feast's DuckDB offline store over gold Delta tables: a pinned version of each table and a fast join.

Feast's own store reads the newest version of a Delta table through an Arrow dataset, joins by inequality and ranks
what comes out, and cannot add a time to live of mixed units (6 days and 12 hours). This subclass keeps its contract
and its results (tests hold the two against each other) and replaces how they are got: `delta_scan` of one version,
one ASOF join per view.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from retail_assets.features.errors import FeatureError
from retail_assets.features.point_in_time import (
    ViewQuery,
    latest_rows,
    point_in_time_join,
    quoted,
    rows_between,
)
from retail_assets.resources.lake import Lake

ENTITY_ROWS = "entity_rows"


class GoldOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Where the lake is, and which Delta version of each gold table to read (the newest where none is named)."""

    type: Literal["retail_assets.features.offline_store.GoldOfflineStore"] = (
        "retail_assets.features.offline_store.GoldOfflineStore"
    )
    lake: str
    storage_options: dict[str, str] = {}
    versions: dict[str, int] = {}

    def open(self) -> Lake:
        """The lake that the gold tables are in."""
        return Lake(uri=self.lake, storage_options=self.storage_options)

    def scan(self, source: DataSource | None) -> str:
        """The SQL table expression of a gold table at its pinned version; raises FeatureError for other sources."""
        if not isinstance(source, FileSource) or not source.path.startswith("gold/"):
            raise FeatureError(f"{source} is not a gold table", todo="define sources with gold_source(table)")
        table = source.path.removeprefix("gold/")
        return self.open().scan("gold", table, self.versions.get(table))


class GoldRetrievalJob(RetrievalJob):
    """A query that runs when its rows are asked for; `prepare` gets the connection first."""

    def __init__(
        self,
        sql: str,
        lake: Lake,
        prepare: Callable[[duckdb.DuckDBPyConnection], object] | None = None,
        metadata: RetrievalMetadata | None = None,
        full_feature_names: bool = False,
    ) -> None:
        super().__init__()
        self.sql = sql
        self.lake = lake
        self.prepare = prepare
        self._metadata = metadata
        self._full_feature_names = full_feature_names

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with self.lake.connect() as connection:
            if self.prepare:
                self.prepare(connection)
            return connection.execute(self.sql).to_arrow_table()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @property
    def full_feature_names(self) -> bool:
        """Whether columns are named view__feature."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None: features are computed in the warehouse."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, keys and the range of instants that were asked for."""
        return self._metadata

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Raises FeatureError: a training set is named by its gold versions, not by a copy."""
        raise FeatureError("training sets are not persisted", todo="record the gold versions and build it again")


class GoldOfflineStore(DuckDBOfflineStore):
    """Reads gold; nothing is ever written through Feast, because dbt owns the feature marts."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """The point-in-time join. `entity_df` is a data frame, or a query with an `event_timestamp` column."""
        if entity_df is None:
            raise FeatureError("a point-in-time join needs keys and instants", todo="pass a data frame or a query")
        store = _store(config)
        instant = "event_timestamp"
        if not isinstance(entity_df, str):
            schema = dict(zip(entity_df.columns, entity_df.dtypes, strict=True))
            instant = offline_utils.infer_event_timestamp_from_entity_df(schema)
        views = [_query(store, view, feature_refs, full_feature_names) for view in feature_views]

        def prepare(connection: duckdb.DuckDBPyConnection) -> None:
            if isinstance(entity_df, str):
                rows = f"({entity_df})"
            else:
                connection.register("given_rows", entity_df)
                rows = "given_rows"
            connection.execute(
                f"create temp table {ENTITY_ROWS} as "
                f"select * replace ({quoted(instant)}::timestamptz as {quoted(instant)}) from {rows}"
            )

        return GoldRetrievalJob(
            point_in_time_join(ENTITY_ROWS, instant, views, filter_by_created_timestamp),
            store.open(),
            prepare,
            RetrievalMetadata(features=feature_refs, keys=sorted({k for v in views for k in v.join_keys.values()})),
            full_feature_names,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The newest row of each key after `start_date` and until `end_date`."""
        view = _source_query(config, data_source, join_key_columns, feature_name_columns)
        return GoldRetrievalJob(latest_rows(view, _utc(start_date), _utc(end_date)), _store(config).open())

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every row after `start_date` and until `end_date`."""
        view = _source_query(config, data_source, join_key_columns, feature_name_columns)
        after, until = (start_date and _utc(start_date)), (end_date and _utc(end_date))
        return GoldRetrievalJob(rows_between(view, after, until), _store(config).open())

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Raises FeatureError: gold is written by the warehouse."""
        raise FeatureError(f"{feature_view.name} cannot be written through Feast", todo="change its dbt model")

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Raises FeatureError: served features are logged with the decision they led to."""
        raise FeatureError("features are not logged through Feast", todo="read the decisions layer")


def _store(config: RepoConfig) -> GoldOfflineStoreConfig:
    assert isinstance(config.offline_store, GoldOfflineStoreConfig)
    return config.offline_store


def _utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _query(store: GoldOfflineStoreConfig, view: FeatureView, refs: list[str], full_names: bool) -> ViewQuery:
    prefix = view.projection.name_to_use()
    wanted = [ref.split(":")[1] for ref in refs if ref.startswith(f"{prefix}:")]
    if view.ttl is None or not view.ttl:
        raise FeatureError(f"the view {view.name} has no time to live", todo="derive one from how fresh its source is")
    return ViewQuery(
        source=store.scan(view.batch_source),
        join_keys=view.projection.join_key_map or {entity.name: entity.name for entity in view.entity_columns},
        columns={name: f"{prefix}__{name}" if full_names else name for name in wanted},
        ttl=view.ttl,
    )


def _source_query(config: RepoConfig, source: DataSource, keys: list[str], columns: list[str]) -> ViewQuery:
    return ViewQuery(
        _store(config).scan(source), {key: key for key in keys}, {name: name for name in columns}, timedelta.max
    )
