"""Online features with their ages: what is older than its time to live is missing and said to be so."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from retail_assets.features.errors import FeatureError
from retail_assets.features.policy import Belief, believe
from retail_assets.features.registry import repository
from retail_assets.features.training import base_table, decided_after_hours

if TYPE_CHECKING:
    import feast

    from retail_assets.features.connection import FeatureStoreConnection

Value = float | int | str | None


@dataclass(frozen=True)
class OnlineRow:
    """The features of one key. A value that may not be believed is None; `stale_views` and `missing_views` say why.

    `event_timestamps` holds what is stored per view, believed or not; `event_timestamp` and `age_seconds` are those of
    the oldest view (age None when nothing is stored).
    """

    keys: dict[str, str]
    values: dict[str, Value]
    event_timestamps: dict[str, datetime] = field(default_factory=dict)
    beliefs: dict[str, Belief] = field(default_factory=dict)

    @property
    def stale_views(self) -> list[str]:
        """Views whose stored value is too old, or lies in the future."""
        return [view for view, belief in self.beliefs.items() if not belief.passed and belief.age_seconds is not None]

    @property
    def missing_views(self) -> list[str]:
        """Views without a stored value."""
        return [view for view, belief in self.beliefs.items() if belief.age_seconds is None]

    @property
    def stale(self) -> bool:
        """Whether a stored value was withheld."""
        return bool(self.stale_views)

    @property
    def missing(self) -> bool:
        """Whether a view has nothing stored for the key."""
        return bool(self.missing_views)

    @property
    def event_timestamp(self) -> datetime | None:
        """The end of the business day of the oldest stored value."""
        return min(self.event_timestamps.values(), default=None)

    @property
    def age_seconds(self) -> float | None:
        """The age of the oldest stored value."""
        return max((b.age_seconds for b in self.beliefs.values() if b.age_seconds is not None), default=None)


def online(
    features: "FeatureStoreConnection", service_name: str, keys: Sequence[Mapping[str, str]], at: datetime | None = None
) -> list[OnlineRow]:
    """The features of `service_name` for `keys`, in their order, as they may be served at `at` (aware, default now).

    Raises FeatureError when a key column is missing. A key that is not known has `missing` and None for all values.
    """
    moment = at or datetime.now(UTC)
    service = repository().service(service_name)
    views = [repository().view(projection.name) for projection in service.feature_view_projections]
    columns = list(dict.fromkeys(column.name for view in views for column in view.entity_columns))
    require_columns(keys, columns, service_name)
    if not keys:
        return []
    entity_rows = [{column: key[column] for column in columns} for key in keys]
    answer = features.open().get_online_features(service, entity_rows, full_feature_names=True).proto
    found = {name: place for place, name in enumerate(answer.metadata.feature_names.val)}
    return [
        _row(dict(entity_rows[number]), service, answer.results, found, number, moment) for number in range(len(keys))
    ]


def read_online(
    features: "FeatureStoreConnection", view: "feast.FeatureView", keys: Sequence[Mapping[str, str]]
) -> list[tuple[datetime | None, dict[str, Value]]]:
    """What is stored for `keys` in one view, whatever its age: event timestamp (None: nothing) and values."""
    if not keys:
        return []
    names = [feature.name for feature in view.features]
    rows = [dict(key) for key in keys]
    answer = features.open().get_online_features([f"{view.name}:{name}" for name in names], rows).proto
    found = {name: place for place, name in enumerate(answer.metadata.feature_names.val)}
    places = [found[name] for name in names]
    return [
        (
            _event_timestamp(answer.results[places[0]], number),
            dict(zip(names, _values(answer.results, places, number), strict=True)),
        )
        for number in range(len(rows))
    ]


def knowledge_time(features: "FeatureStoreConnection", service_name: str) -> datetime:
    """The newest instant at which a decision of `service_name` could be taken on what gold knows.

    Serving a home whose history has ended (a sample, an old import) at this instant instead of now keeps its clock.
    """
    service = repository().service(service_name)
    source = features.lake.scan("gold", base_table(service))
    newest = features.lake.query(
        f"select max(event_timestamp)::timestamptz + interval {decided_after_hours(service)} hour as t from {source}"
    )["t"][0].as_py()
    if newest is None:
        raise FeatureError(f"gold/{base_table(service)} is empty", where=features.lake.uri)
    return newest.astimezone(UTC)


def require_columns(keys: Sequence[Mapping[str, str]], columns: list[str], service_name: str) -> None:
    """Raises FeatureError for a key that lacks one of the columns or has it empty."""
    for number, key in enumerate(keys):
        absent = [column for column in columns if not key.get(column)]
        if absent:
            raise FeatureError(f"{service_name} needs {', '.join(absent)}", where=f"key {number}: {dict(key)}")


def _row(
    keys: dict[str, str], service: "feast.FeatureService", results: Sequence, found: dict[str, int], number: int,
    moment: datetime,
) -> OnlineRow:  # fmt: skip
    values: dict[str, Value] = {}
    timestamps: dict[str, datetime] = {}
    beliefs: dict[str, Belief] = {}
    for projection in service.feature_view_projections:
        names = [feature.name for feature in projection.features]
        places = [found[f"{projection.name_to_use()}__{name}"] for name in names]
        stored = _event_timestamp(results[places[0]], number)
        age = (moment - stored).total_seconds() if stored else None
        ttl = repository().view(projection.name).ttl
        belief = believe(age, ttl.total_seconds() if ttl else 0.0)
        beliefs[projection.name] = belief
        if stored:
            timestamps[projection.name] = stored
        read = _values(results, places, number) if belief.passed else iter([None] * len(names))
        values |= dict(zip(names, read, strict=True))
    return OnlineRow(keys, values, timestamps, beliefs)


def _event_timestamp(result, number: int) -> datetime | None:  # type: ignore[no-untyped-def]
    """The time of a stored value; Feast says the epoch, or a status that is not present, where it has none."""
    seconds = result.event_timestamps[number].seconds
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None


def _values(results: Sequence, places: list[int], number: int) -> Iterator[Value]:
    for place in places:
        value = results[place].values[number]
        kind = value.WhichOneof("val")
        yield getattr(value, kind) if kind else None
