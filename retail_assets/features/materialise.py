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

if TYPE_CHECKING:
    import feast

    from retail_assets.resources.feature_store import FeatureStore

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
        ("at", pa.timestamp("us", tz="UTC")),
    ]
)
PROBED_KEYS = 5


@dataclass(frozen=True)
class Materialised:
    """What was done for one view: `mode` is unchanged, changed or full; `days` are the business days written."""

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


def materialise(features: "FeatureStore") -> list[Materialised]:
    """Materialises every view that is served online and records what was done in ops/feature_materialisations.

    Raises FeatureError when a gold table is missing. A run that dies repeats its work: state is written after rows.
    """
    definitions = repository().digest()
    states = _states(features)
    done = []
    for view in repository().views:
        if view.online:
            result = _materialise_view(features, view, states.get(view.name), definitions)
            done.append(result)
            if result.mode != "unchanged":
                _record(features, result, definitions)
    return done


def newest_instant(features: "FeatureStore", table: str, version: int) -> datetime | None:
    """The newest event timestamp of a gold feature table, None while it is empty."""
    found = features.lake.query(
        f"select max({EVENT})::timestamptz as t from {features.lake.scan('gold', table, version)}"
    )["t"][0].as_py()
    return found.astimezone(UTC) if found else None


def view_query(features: "FeatureStore", view: "feast.FeatureView", version: int) -> ViewQuery:
    """How to read `view` at a version of its gold table."""
    if view.ttl is None:
        raise FeatureError(f"the view {view.name} has no time to live", where="feature_repo/feature_views.py")
    return ViewQuery(
        source=features.lake.scan("gold", gold_table(view), version),
        join_keys={column.name: column.name for column in view.entity_columns},
        columns={feature.name: feature.name for feature in view.features},
        ttl=view.ttl,
    )


def servable_rows(features: "FeatureStore", view: "feast.FeatureView", version: int) -> str | None:
    """The query of the newest row of each key that may still be believed when `version` is the newest knowledge.

    Keys without a row within the time to live are not active and would be withheld. None for an empty table.
    """
    until = newest_instant(features, gold_table(view), version)
    query = view_query(features, view, version)
    return latest_rows(query, until - query.ttl, until) if until else None


def _materialise_view(
    features: "FeatureStore", view: "feast.FeatureView", state: State | None, definitions: str
) -> Materialised:
    table = gold_table(view)
    version = features.lake.version("gold", table)
    if version is None:
        raise FeatureError(f"gold has no {table}", where=features.lake.uri, todo="run `retail run`")
    until = newest_instant(features, table, version)
    wanted = servable_rows(features, view, version)
    if wanted is None:
        return Materialised(view.name, table, version, "unchanged", 0, 0, None)
    trusted = state is not None and state.definitions == definitions and _still_there(features, view, wanted)
    if state and trusted and state.gold_version == version:
        return Materialised(view.name, table, version, "unchanged", 0, 0, until)
    before = state.gold_version if state and trusted else None
    rows = _rows(features, view, wanted, before)
    days = 0
    for day in _by_day(rows):
        _write(features, view, day)
        days += 1
    return Materialised(view.name, table, version, "full" if before is None else "changed", rows.num_rows, days, until)


def _rows(features: "FeatureStore", view: "feast.FeatureView", wanted: str, before: int | None) -> pa.Table:
    """The wanted rows, oldest first; without those that were the same at version `before` of the gold table."""
    known = servable_rows(features, view, before) if before is not None else None
    changed = f"({wanted}) except ({known})" if known else wanted
    return features.lake.query(f"select * from ({changed}) order by {EVENT}")


def _still_there(features: "FeatureStore", view: "feast.FeatureView", wanted: str) -> bool:
    """Whether the online store still holds keys of `view`: a file that was deleted or a server that was emptied
    makes the state void."""
    keys = [column.name for column in view.entity_columns]
    sample = features.lake.query(f"select {', '.join(keys)} from ({wanted}) order by all limit {PROBED_KEYS}").to_pylist()
    feature = f"{view.name}:{view.features[0].name}"
    answer = features.open().get_online_features([feature], sample, full_feature_names=True).proto
    return all(stamp.seconds > 0 for stamp in answer.results[-1].event_timestamps)


def _by_day(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows of each UTC day of their event timestamps; `rows` are sorted by it."""
    days = pc.cast(rows[EVENT], pa.date32())
    for day in pc.unique(days):
        yield rows.filter(pc.equal(days, day))


def _write(features: "FeatureStore", view: "feast.FeatureView", rows: pa.Table) -> None:
    features.open().write_to_online_store(view.name, df=rows.to_pandas())


def _states(features: "FeatureStore") -> dict[str, State]:
    """The last state of each view in this online store."""
    if not features.lake.exists("ops", STATE):
        return {}
    target = features.online_target.replace("'", "''")
    newest = features.lake.query(
        f"select view, arg_max(gold_version, at) as gold_version, arg_max(definitions, at) as definitions "
        f"from {features.lake.scan('ops', STATE)} where target = '{target}' group by view"
    )
    return {row["view"]: State(row["gold_version"], row["definitions"]) for row in newest.to_pylist()}


def _record(features: "FeatureStore", done: Materialised, definitions: str) -> None:
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
        "at": datetime.now(UTC),
    }
    features.lake.append("ops", STATE, pa.Table.from_pylist([row], schema=STATE_SCHEMA))
