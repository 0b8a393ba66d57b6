"""Whether what is served online is what gold says, key by key and bit by bit, and whether its age is respected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from retail_assets.features.errors import FeatureError
from retail_assets.features.materialise import servable_rows
from retail_assets.features.online import OnlineRow, knowledge_time, read_online
from retail_assets.features.point_in_time import EVENT
from retail_assets.features.registry import gold_table, repository

if TYPE_CHECKING:
    import feast

    from retail_assets.features.store import FeatureStore

EXAMPLES = 10


@dataclass
class Comparison:
    """How many keys of each view were compared, and the first differences found."""

    compared: dict[str, int] = field(default_factory=dict)
    different: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether keys were compared and all were equal."""
        return self.different == 0 and sum(self.compared.values()) > 0

    def add(self, **example: object) -> None:
        """Counts a difference and keeps the first few."""
        self.different += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({name: str(value) for name, value in example.items()})


def compare_with_gold(features: "FeatureStore", keys: int, seed: int) -> Comparison:
    """Compares up to `keys` random active keys of each online view with the newest version of gold, exactly.

    The same seed takes the same keys from the same gold.
    """
    found = Comparison()
    for view in repository().views:
        if view.online:
            offline = sample_rows(features, view, keys, seed)
            found.compared[view.name] = len(offline)
            _compare(features, view, offline, found)
    return found


def sample_rows(features: "FeatureStore", view: "feast.FeatureView", keys: int, seed: int) -> list[dict[str, Any]]:
    """Up to `keys` random servable rows of `view` in gold; none while the table is empty."""
    version = features.lake.version("gold", gold_table(view))
    if version is None:
        raise FeatureError(f"gold has no {gold_table(view)}", where=features.lake.uri, todo="run `retail run`")
    columns = ", ".join(column.name for column in view.entity_columns)
    with features.lake.connect() as db:
        query, _ = servable_rows(features, db, view, version)
        if query is None:
            return []
        return (
            db.execute(f"select * from ({query}) order by hash({columns}, {int(seed)}), {columns} limit {int(keys)}")
            .to_arrow_table()
            .to_pylist()
        )


def served_too_old(features: "FeatureStore", service_name: str, keys: int, seed: int, now: datetime) -> Comparison:
    """Asks for random keys when gold is as new as it gets, now, and a second after each time to live has passed.

    A difference is a value that was served although the store's own event time says that it is too old.
    """
    service = repository().service(service_name)
    base = repository().view(service.tags["base_view"])
    columns = [column.name for column in base.entity_columns]
    sample = [{name: row[name] for name in columns} for row in sample_rows(features, base, keys, seed)]
    found = Comparison()
    if not sample:
        return found
    ttls = {p.name: repository().view(p.name).ttl or timedelta(0) for p in service.feature_view_projections}
    moments = [knowledge_time(features, service_name), now]
    moments += [moments[0] + ttl + timedelta(seconds=1) for ttl in sorted(set(ttls.values()))]
    for moment in moments:
        found.compared[moment.isoformat()] = len(sample)
        for row in features.online(service_name, sample, at=moment):
            _add_if_too_old(row, service, ttls, moment, found)
    return found


def _add_if_too_old(
    row: OnlineRow, service: "feast.FeatureService", ttls: Mapping[str, timedelta], moment: datetime, found: Comparison
) -> None:
    for projection in service.feature_view_projections:
        stored = row.event_timestamps.get(projection.name)
        served = [f.name for f in projection.features if row.values[f.name] is not None]
        if served and (stored is None or moment - stored > ttls[projection.name]):
            found.add(view=projection.name, keys=row.keys, at=moment, event_timestamp=stored, served=served[0])


def _compare(
    features: "FeatureStore", view: "feast.FeatureView", offline: list[dict[str, Any]], found: Comparison
) -> None:
    keys = [{column.name: row[column.name] for column in view.entity_columns} for row in offline]
    stored = read_online(features, view, keys)
    for row, key, (event, values) in zip(offline, keys, stored, strict=True):
        if event != row[EVENT]:
            found.add(view=view.name, keys=key, feature=EVENT, gold=row[EVENT], online=event)
            continue
        for name, value in values.items():
            if value != row[name]:
                found.add(view=view.name, keys=key, feature=name, gold=row[name], online=value)
                break
