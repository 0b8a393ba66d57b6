"""Feature vectors in memory, for services: what Feast would answer online, without asking it.

Built of the same feature service from the same rows of gold that materialisation writes to the online store (the newest
one of each active key), so a known key gets the same values, times and verdicts. A key whose rows have all passed their
time to live is missing here, while Feast may still hold an old row of it; neither gives its values out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.features.materialise import servable_rows
from retail_assets.features.online import OnlineRow, Value, require_columns
from retail_assets.features.point_in_time import EVENT
from retail_assets.features.policy import Belief, believe
from retail_assets.features.registry import gold_table, repository
from retail_assets.serving.versions import Versions

if TYPE_CHECKING:
    import feast

    from retail_assets.resources.feature_store import FeatureStore

EXACT = 2**53
"""Integers of a larger size are not exact as floats."""


@dataclass(frozen=True)
class ViewVectors:
    """One view: `rows` gives the row of a key in `numbers` (floats, NaN where there is no value) and in `events`.

    `whole` are the places of integers among the features, `others` the columns that floats cannot hold.
    """

    name: str
    columns: tuple[str, ...]
    features: tuple[str, ...]
    rows: Mapping[str | tuple[str, ...], int]
    numbers: npt.NDArray[np.float64]
    complete: list[bool]
    whole: tuple[int, ...]
    others: dict[int, list[Any]]
    events: list[datetime]
    ttl_seconds: float

    @classmethod
    def of(cls, view: "feast.FeatureView", features: Sequence["feast.Field"], table: pa.Table) -> "ViewVectors":
        """From the servable rows of `view`; `features` are those that the service reads."""
        from feast.types import Float32, Float64, Int32, Int64

        columns = [column.name for column in view.entity_columns]
        keys = [table[column].to_pylist() for column in columns]
        counted = [p for p, f in enumerate(features) if f.dtype in (Float32, Float64, Int32, Int64)]
        numbers = np.full((table.num_rows, len(features)), np.nan)
        for place in counted:
            numbers[:, place] = pc.cast(table[features[place].name], pa.float64(), safe=False).to_numpy()
        inexact = [p for p, f in enumerate(features) if p not in counted or not _exact(table[f.name])]
        others = {place: table[features[place].name].to_pylist() for place in inexact}
        return cls(
            name=view.name,
            columns=tuple(columns),
            features=tuple(feature.name for feature in features),
            rows={key: row for row, key in enumerate(keys[0] if len(keys) == 1 else zip(*keys, strict=True))},
            numbers=numbers,
            complete=(np.isnan(numbers[:, counted]).sum(axis=1) == 0).tolist(),
            whole=tuple(p for p in counted if features[p].dtype in (Int32, Int64) and p not in others),
            others=others,
            events=[event.astimezone(UTC) for event in table[EVENT].to_pylist()],
            ttl_seconds=view.ttl.total_seconds() if view.ttl else 0.0,
        )

    def row_of(self, key: Mapping[str, str]) -> int | None:
        """The row of an entity key; None where the key is not known."""
        if len(self.columns) == 1:
            return self.rows.get(key[self.columns[0]])
        return self.rows.get(tuple([key[column] for column in self.columns]))

    def values(self, row: int) -> list[Value]:
        """The values of a row in the order of `features`; None where there is none."""
        found: list[Any] = self.numbers[row].tolist()
        if not self.complete[row]:
            found = [None if value != value else value for value in found]
        for place in self.whole:
            value = found[place]
            found[place] = None if value is None else int(value)
        for place, column in self.others.items():
            found[place] = column[row]
        return found


class FeatureVectors:
    """The vectors of one feature service. Reading never blocks: `poll` builds anew beside it and replaces a view."""

    def __init__(self, features: "FeatureStore", service: str) -> None:
        """Reads nothing before the first `poll`."""
        self.service = service
        self.built_at: datetime | None = None
        self._features = features
        self._versions = Versions(features.lake)
        self._built: dict[str, int] = {}
        self._views: tuple[ViewVectors, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether every view has been built."""
        return bool(self._views)

    def poll(self) -> None:
        """Builds the views whose gold has a new version; a table that is not there yet leaves everything as it was."""
        service = repository().service(self.service)
        views = {p.name: repository().view(p.name) for p in service.feature_view_projections}
        newest = self._versions.of("gold", *{gold_table(view) for view in views.values()})
        versions = {name: newest[gold_table(view)] for name, view in views.items()}
        if versions == self._built or None in versions.values():
            return
        known = {view.name: view for view in self._views}
        built = []
        for projection in service.feature_view_projections:
            name, version = projection.name, versions[projection.name]
            if version is None or version == self._built.get(name):
                built.append(known[name])
                continue
            built.append(self._build(views[name], projection.features, version))
        self._views = tuple(built)
        self._built = {name: version for name, version in versions.items() if version is not None}
        self.built_at = datetime.now(UTC)

    def _build(self, view: "feast.FeatureView", features: Sequence["feast.Field"], version: int) -> ViewVectors:
        with self._features.lake.connect() as db:
            query, _ = servable_rows(self._features, db, view, version)
            if query is None:
                names = [column.name for column in view.entity_columns] + [feature.name for feature in features]
                columns = [pa.field(name, pa.string()) for name in names]
                empty = pa.schema([*columns, pa.field(EVENT, pa.timestamp("us", "UTC"))]).empty_table()
                return ViewVectors.of(view, features, empty)
            return ViewVectors.of(view, features, db.execute(query).to_arrow_table())

    def online(self, keys: Sequence[Mapping[str, str]], at: datetime | None = None) -> list[OnlineRow]:
        """What `FeatureStore.online` answers for `keys` at `at` (aware, default now).

        Raises FeatureError when a key column is missing. A key that is not known has `missing` and None for all values.
        """
        moment = at or datetime.now(UTC)
        views = self._views
        require_columns(keys, list(dict.fromkeys(c for view in views for c in view.columns)), self.service)
        verdicts: list[dict[datetime, Belief]] = [{} for _ in views]
        columns = tuple(dict.fromkeys(column for view in views for column in view.columns))
        return [_row({c: key[c] for c in columns}, views, verdicts, moment) for key in keys]

    def matrix(self, keys: Sequence[Mapping[str, str]]) -> npt.NDArray[np.float64]:
        """The stored numbers of `keys`, of any age, as (keys, features in the service's order); NaN where none is.

        For scoring many keys at once. Whether they may be believed is `online`'s to say, or that of their events.
        """
        blocks = []
        for view in self._views:
            rows = np.array([-1 if (row := view.row_of(key)) is None else row for key in keys], dtype=np.int64)
            block = view.numbers[rows] if len(view.numbers) else np.full((len(keys), len(view.features)), np.nan)
            block[rows < 0] = np.nan
            blocks.append(block)
        return np.concatenate(blocks, axis=1) if blocks else np.empty((len(keys), 0))

    def features(self) -> list[str]:
        """The feature columns of `matrix`, in order."""
        return [feature for view in self._views for feature in view.features]


def _row(
    keys: dict[str, str], views: Sequence[ViewVectors], verdicts: list[dict[datetime, Belief]], moment: datetime
) -> OnlineRow:
    values: dict[str, Value] = {}
    timestamps: dict[str, datetime] = {}
    beliefs: dict[str, Belief] = {}
    for view, known in zip(views, verdicts, strict=True):
        row = view.row_of(keys)
        if row is None:
            beliefs[view.name] = believe(None, view.ttl_seconds)
            values |= dict.fromkeys(view.features)
            continue
        event = timestamps[view.name] = view.events[row]
        belief = known.get(event)
        if belief is None:
            belief = known[event] = believe((moment - event).total_seconds(), view.ttl_seconds)
        beliefs[view.name] = belief
        if belief.passed:
            values.update(zip(view.features, view.values(row), strict=True))
        else:
            values |= dict.fromkeys(view.features)
    return OnlineRow(keys, values, timestamps, beliefs)


def _exact(column: pa.ChunkedArray) -> bool:
    """Whether floats hold every number of the column exactly."""
    if not pa.types.is_integer(column.type) or column.null_count == len(column):
        return True
    bounds = pc.min_max(column).as_py()
    return bool(max(abs(bounds["min"]), abs(bounds["max"])) <= EXACT)
