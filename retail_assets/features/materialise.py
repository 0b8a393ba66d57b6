"""Brings the online store up to gold: the newest row of each active key, day by day, and only rows that changed.

Feast's own materialisation re-reads and re-writes every key of a time range. Here two versions of a gold table are
compared, so that a new day writes its keys, a late correction the keys it touched, and an unchanged table nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.features.errors import FeatureError
from retail_assets.features.point_in_time import EVENT, ViewQuery, latest_rows
from retail_assets.features.registry import gold_table, repository
from retail_assets.features.sqlite_rows import can_write, write_rows

if TYPE_CHECKING:
    import duckdb
    import feast

    from retail_assets.features.connection import FeatureStoreConnection

STATE = "feature_materialisations"
STATE_SCHEMA = pa.schema(
    [
        ("view", pa.string()),
        ("target", pa.string()),
        ("gold_table", pa.string()),
        ("gold_version", pa.int64()),
        ("definitions", pa.string()),
        ("mode", pa.string()),
        ("rows", pa.int64()),
        ("days", pa.int64()),
        ("until", pa.timestamp("us", tz="UTC")),
        ("materialised_at", pa.timestamp("us", tz="UTC")),
    ]
)
PROBED_KEYS = 5


@dataclass(frozen=True)
class Materialised:
    """What was done for one view: `mode` is unchanged, changed or full; `days` are the days that were written."""

    view: str
    gold_table: str
    gold_version: int
    mode: str
    rows: int
    days: int
    until: datetime | None


@dataclass(frozen=True)
class State:
    """What the online store was last brought to, for one view."""

    gold_version: int
    definitions: str


def materialise(features: "FeatureStoreConnection") -> list[Materialised]:
    """Materialises every view that is served online and records what was done in ops/feature_materialisations.

    Raises FeatureError when a gold table is missing. A run that dies repeats its work: state is written after rows.
    """
    definitions = repository().digest()
    done = []
    with features.lake.connect() as db:
        states = _states(features, db)
        for view in repository().views:
            if view.online:
                result = _materialise_view(features, db, view, states.get(view.name), definitions)
                done.append(result)
                if result.mode != "unchanged":
                    _record(features, result, definitions)
    return done


def servable_rows(
    features: "FeatureStoreConnection", db: "duckdb.DuckDBPyConnection", view: "feast.FeatureView", version: int
) -> tuple[str | None, datetime | None]:
    """The query of the newest row of each active key at a version of gold, and the newest instant that it knows.

    A key without a row within the time to live before that instant is not active: it would be withheld anyway. Both
    are None while the table is empty.
    """
    source = features.lake.scan("gold", gold_table(view), version)
    until = db.execute(f"select max({EVENT})::timestamptz from {source}").fetchall()[0][0]
    if until is None:
        return None, None
    if not view.ttl:
        raise FeatureError(f"the view {view.name} has no time to live", where="feature_repo/feature_views.py")
    query = ViewQuery(
        source=source,
        join_keys={column.name: column.name for column in view.entity_columns},
        columns={feature.name: feature.name for feature in view.features},
        ttl=view.ttl,
    )
    until = until.astimezone(UTC)
    return latest_rows(query, until - view.ttl, until), until


def _materialise_view(
    features: "FeatureStoreConnection",
    db: "duckdb.DuckDBPyConnection",
    view: "feast.FeatureView",
    state: State | None,
    definitions: str,
) -> Materialised:
    from feast.infra.provider import get_provider

    table = gold_table(view)
    version = features.lake.version("gold", table)
    if version is None:
        raise FeatureError(f"gold has no {table}", where=features.lake.uri, todo="run `retail run`")
    wanted, until = servable_rows(features, db, view, version)
    if wanted is None:
        return Materialised(view.name, table, version, "unchanged", 0, 0, None)
    if state and not (state.definitions == definitions and _still_there(features, db, view, wanted)):
        state = None
    if state and state.gold_version == version:
        return Materialised(view.name, table, version, "unchanged", 0, 0, until)
    known = servable_rows(features, db, view, state.gold_version)[0] if state else None
    changed = f"({wanted}) except ({known})" if known else wanted
    rows = db.execute(f"select * from ({changed}) order by {EVENT}").to_arrow_table()
    days = len(pc.unique(pc.cast(rows[EVENT], pa.date32())))
    if features.redis is None and can_write(view):
        write_rows(features.open(), view, rows)
    else:
        writer = get_provider(features.open().config)  # FeatureStore's own way drops rows whose features are all null
        for day in _by_day(rows):
            writer.ingest_df(features.open().get_feature_view(view.name), day.to_pandas())
    return Materialised(view.name, table, version, "changed" if state else "full", rows.num_rows, days, until)


def _still_there(
    features: "FeatureStoreConnection", db: "duckdb.DuckDBPyConnection", view: "feast.FeatureView", wanted: str
) -> bool:
    """Whether the online store holds the first keys of `view`: a file that was deleted or a server that was emptied
    makes the state void."""
    keys = ", ".join(column.name for column in view.entity_columns)
    sample = db.execute(f"select {keys} from ({wanted}) order by all limit {PROBED_KEYS}").to_arrow_table()
    feature = f"{view.name}:{view.features[0].name}"
    answer = features.open().get_online_features([feature], sample.to_pylist()).proto
    return any(stamp.seconds > 0 for stamp in answer.results[-1].event_timestamps)


def _by_day(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows of each UTC day of their event timestamps."""
    days = pc.cast(rows[EVENT], pa.date32())
    for day in pc.unique(days):
        yield rows.filter(pc.equal(days, day))


def _states(features: "FeatureStoreConnection", db: "duckdb.DuckDBPyConnection") -> dict[str, State]:
    """The last state of each view in this online store."""
    if not features.lake.exists("ops", STATE):
        return {}
    newest = db.execute(
        "select view, arg_max(gold_version, materialised_at), arg_max(definitions, materialised_at) "
        f"from {features.lake.scan('ops', STATE)} where target = ? group by view",
        [features.online_target],
    ).fetchall()
    return {view: State(version, definitions) for view, version, definitions in newest}


def _record(features: "FeatureStoreConnection", done: Materialised, definitions: str) -> None:
    row = {
        "view": done.view,
        "target": features.online_target,
        "gold_table": done.gold_table,
        "gold_version": done.gold_version,
        "definitions": definitions,
        "mode": done.mode,
        "rows": done.rows,
        "days": done.days,
        "until": done.until,
        "materialised_at": datetime.now(UTC),
    }
    features.lake.append("ops", STATE, pa.Table.from_pylist([row], schema=STATE_SCHEMA))
