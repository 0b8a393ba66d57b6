"""Training sets: what was known of every key at the moment each day's decision was taken, as rows of one table."""

import json
from collections.abc import Collection, Mapping
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from retail_assets.features.errors import FeatureError
from retail_assets.features.registry import gold_table, repository

if TYPE_CHECKING:
    import feast

    from retail_assets.features.connection import FeatureStoreConnection


def training_set(
    features: "FeatureStoreConnection",
    service_name: str,
    start: date,
    end: date,
    version: int | Mapping[str, int] | None = None,
    days: Collection[date] | None = None,
    names: Collection[str] | None = None,
) -> pa.Table:
    """One row per key of the service's base view and business day from `start` to `end`, both included, or of `days`
    between them; with all features of the service, or those in `names`.

    Columns: the keys, business_date, event_timestamp (the instant of the decision: end of the business day plus the
    service's `decided_after_hours`), then the service's features in order, as known at that instant. Raises
    FeatureError when the result has not exactly the rows that were asked for. The schema's metadata names the gold
    versions that were read (`gold_versions`) and the service.
    """
    service = repository().service(service_name)
    versions = gold_versions(features, service, version)
    store = features.open(versions)
    lake = features.lake
    frame = entity_frame(features, service, start, end, versions, days)
    counted = lake.query(f"select count(*) as n, count(distinct ({_keys(service)})) as d from ({frame})").to_pylist()[0]
    if counted["n"] != counted["d"]:
        raise FeatureError(
            f"{base_table(service)} has {counted['n'] - counted['d']} rows with a key and day of another row",
            where=f"{start} to {end}, version {versions[base_table(service)]}",
            todo="its grain is broken: see the tests of the dbt model",
        )
    chosen = [name for name in feature_names(service) if names is None or name in names]
    asked = service if names is None else references(service, chosen)
    table = store.get_historical_features(frame, asked, filter_by_created_timestamp=True).to_arrow()
    require_rows(table.num_rows, counted["n"], service_name)
    columns = [*entity_columns(service), "business_date", "event_timestamp", *chosen]
    facts = {"gold_versions": json.dumps(versions, sort_keys=True), "feature_service": service_name}
    return table.select(columns).replace_schema_metadata(facts)


def require_rows(got: int, asked: int, service_name: str) -> None:
    """Raises FeatureError unless the join returned exactly the rows it was asked for."""
    if got != asked:
        raise FeatureError(
            f"the training set of {service_name} has {got} rows for {asked} keys and instants",
            todo="the point-in-time join lost or doubled rows: do not train on it",
        )


def gold_versions(
    features: "FeatureStoreConnection", service: "feast.FeatureService", version: int | Mapping[str, int] | None = None
) -> dict[str, int]:
    """The Delta version of each gold table behind `service`: the newest, unless `version` pins it.

    A number pins the table of the base view, a mapping the tables it names. Raises FeatureError for a table that
    does not exist, or that the service does not read.
    """
    tables = [gold_table(repository().view(projection.name)) for projection in service.feature_view_projections]
    pinned = {base_table(service): version} if isinstance(version, int) else dict(version or {})
    unknown = sorted(set(pinned) - set(tables))
    if unknown:
        raise FeatureError(f"{service.name} does not read {', '.join(unknown)}", todo=f"pin some of {tables}")
    versions = {table: pinned.get(table, features.lake.version("gold", table)) for table in tables}
    missing = [table for table, found in versions.items() if found is None]
    if missing:
        raise FeatureError(f"gold has no {', '.join(missing)}", where=features.lake.uri, todo="run `retail run`")
    return {table: found for table, found in versions.items() if found is not None}


def entity_frame(
    features: "FeatureStoreConnection",
    service: "feast.FeatureService",
    start: date,
    end: date,
    versions: Mapping[str, int],
    days: Collection[date] | None = None,
) -> str:
    """The query of keys, business_date and the instant of the decision, in the order of days and keys."""
    table = base_table(service)
    keys = ", ".join(entity_columns(service))
    listed = ", ".join(f"date '{day}'" for day in sorted(days or ())) or "null"
    chosen = f" and business_date in ({listed})" if days is not None else ""
    return (
        f"select {keys}, business_date, "
        f"event_timestamp::timestamptz + interval {decided_after_hours(service)} hour as event_timestamp "
        f"from {features.lake.scan('gold', table, versions[table])} "
        f"where business_date between date '{start}' and date '{end}'{chosen}"
    )


def base_table(service: "feast.FeatureService") -> str:
    """The gold table whose keys and days a training set of `service` has."""
    return gold_table(repository().view(service.tags["base_view"]))


def decided_after_hours(service: "feast.FeatureService") -> int:
    """Hours from the end of a business day to the decision that is taken on it."""
    return int(service.tags["decided_after_hours"])


def entity_columns(service: "feast.FeatureService") -> list[str]:
    """The key columns of the base view."""
    return [field.name for field in repository().view(service.tags["base_view"]).entity_columns]


def feature_names(service: "feast.FeatureService") -> list[str]:
    """The features of `service` in the order of its definition."""
    return [field.name for projection in service.feature_view_projections for field in projection.features]


def references(service: "feast.FeatureService", names: Collection[str]) -> list[str]:
    """Features of `service` as Feast is asked for them one by one."""
    return [
        f"{projection.name}:{field.name}"
        for projection in service.feature_view_projections
        for field in projection.features
        if field.name in names
    ]


def _keys(service: "feast.FeatureService") -> str:
    return ", ".join([*entity_columns(service), "business_date"])
