"""Feature vectors in memory, for services: what Feast would answer online, without asking it.

Built of the same feature service from the same rows of gold that materialisation writes to the online store (the newest
one of each active key), so a known key gets the same values, times and verdicts. A key whose rows have all passed their
time to live is missing here, while Feast may still hold an old row of it; neither gives its values out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
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
from retail_assets.resources.table_versions import Versions

if TYPE_CHECKING:
    import feast

    from retail_assets.features.store import FeatureStore

UNKNOWN = -1
REMEMBERED = 100_000
"""Rows of a view whose values are kept as Python objects, some kilobytes each."""


@dataclass(frozen=True)
class ViewVectors:
    """One view: `rows` gives the row of a key in `floats` and `integers` (NaN and 0 where there is no value).

    `floating` and `whole` name their columns, `others` holds those that are no numbers. `places` gives the place of a
    row's event in `events`.
    """

    name: str
    key_of: Callable[[Mapping[str, str]], Any]
    columns: tuple[str, ...]
    features: tuple[str, ...]
    floating: tuple[str, ...]
    whole: tuple[str, ...]
    rows: Mapping[str | tuple[str, ...], int]
    floats: npt.NDArray[np.float64]
    integers: npt.NDArray[np.int64]
    nulls: Mapping[str, npt.NDArray[np.bool_]]
    others: Mapping[str, list[Any]]
    places: list[int]
    events: tuple[datetime, ...]
    ttl_seconds: float
    nothing: Mapping[str, None]
    made: dict[int, dict[str, Value]] = field(default_factory=dict)

    @classmethod
    def of(cls, view: "feast.FeatureView", features: Sequence["feast.Field"], table: pa.Table) -> "ViewVectors":
        """From the servable rows of `view`; `features` are those that the service reads."""
        from feast.types import Float32, Float64, Int32, Int64

        columns = [column.name for column in view.entity_columns]
        keys = [table[column].to_pylist() for column in columns]
        floating = tuple(f.name for f in features if f.dtype in (Float32, Float64))
        whole = tuple(f.name for f in features if f.dtype in (Int32, Int64))
        floats = [pc.cast(table[name], pa.float64(), safe=False) for name in floating]
        integers = [pc.fill_null(pc.cast(table[name], pa.int64()), 0) for name in whole]
        stamps = [event.astimezone(UTC) for event in table[EVENT].to_pylist()]
        events = tuple(sorted(set(stamps)))
        place = {event: number for number, event in enumerate(events)}
        return cls(
            name=view.name,
            key_of=itemgetter(*columns),
            columns=tuple(columns),
            features=tuple(feature.name for feature in features),
            floating=floating,
            whole=whole,
            rows={key: row for row, key in enumerate(keys[0] if len(keys) == 1 else zip(*keys, strict=True))},
            floats=_matrix(floats, table.num_rows, np.float64),
            integers=_matrix(integers, table.num_rows, np.int64),
            nulls={name: pc.is_null(table[name]).to_numpy() for name in whole if table[name].null_count},
            others={f.name: table[f.name].to_pylist() for f in features if f.name not in {*floating, *whole}},
            places=[place[stamp] for stamp in stamps],
            events=events,
            ttl_seconds=view.ttl.total_seconds() if view.ttl else 0.0,
            nothing=dict.fromkeys(feature.name for feature in features),
        )

    def values(self, row: int) -> dict[str, Value]:
        """The values of a row, None where there is none; made once for the rows that are asked for."""
        made = self.made.get(row)
        if made is None:
            made = self._values(row)
            if len(self.made) < REMEMBERED:
                self.made[row] = made
        return made

    def _values(self, row: int) -> dict[str, Value]:
        floats = self.floats[row].tolist()
        found: dict[str, Value] = {n: None if v != v else v for n, v in zip(self.floating, floats, strict=True)}
        found |= zip(self.whole, self.integers[row].tolist(), strict=True)
        found |= {name: None for name, missing in self.nulls.items() if missing[row]}
        return found | {name: column[row] for name, column in self.others.items()}

    def numbers(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The numbers of rows in the order of `features`; NaN where there is none, and in rows that are UNKNOWN."""
        found = np.full((len(rows), len(self.features)), np.nan)
        if len(self.places):
            found[:, [self.features.index(name) for name in self.floating]] = self.floats[rows]
            found[:, [self.features.index(name) for name in self.whole]] = self.integers[rows]
            for name, missing in self.nulls.items():
                found[missing[rows], self.features.index(name)] = np.nan
        found[rows == UNKNOWN] = np.nan
        return found


@dataclass(frozen=True)
class _Verdict:
    """What all rows of the same events share: their times, and whether they may be believed."""

    timestamps: dict[str, datetime]
    beliefs: dict[str, Belief]
    passed: tuple[bool, ...]

    @classmethod
    def of(cls, views: Sequence[ViewVectors], places: Sequence[int], moment: datetime) -> "_Verdict":
        timestamps, beliefs = {}, {}
        for view, place in zip(views, places, strict=True):
            age = None
            if place != UNKNOWN:
                timestamps[view.name] = view.events[place]
                age = (moment - view.events[place]).total_seconds()
            beliefs[view.name] = believe(age, view.ttl_seconds)
        return cls(timestamps, beliefs, tuple(belief.passed for belief in beliefs.values()))


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
        versions = {name: v for name, view in views.items() if (v := newest[gold_table(view)]) is not None}
        if versions == self._built or len(versions) < len(views):
            return
        known = {view.name: view for view in self._views}
        self._views = tuple(
            known[p.name]
            if versions[p.name] == self._built.get(p.name)
            else self._build(views[p.name], p.features, versions[p.name])
            for p in service.feature_view_projections
        )
        self._built, self.built_at = versions, datetime.now(UTC)

    def _build(self, view: "feast.FeatureView", features: Sequence["feast.Field"], version: int) -> ViewVectors:
        with self._features.lake.connect() as db:
            query, _ = servable_rows(self._features, db, view, version)
            if query is not None:
                return ViewVectors.of(view, features, db.execute(query).to_arrow_table())
        columns = [*(column.name for column in view.entity_columns), *(feature.name for feature in features)]
        stamp = pa.field(EVENT, pa.timestamp("us", "UTC"))
        return ViewVectors.of(
            view, features, pa.schema([*(pa.field(c, pa.string()) for c in columns), stamp]).empty_table()
        )

    def online(self, keys: Sequence[Mapping[str, str]], at: datetime | None = None) -> list[OnlineRow]:
        """What `FeatureStore.online` answers for `keys` at `at` (aware, default now).

        Rows share the dictionaries of their times and verdicts. Raises FeatureError when a key column is missing or
        empty. A key that is not known has `missing` and None for all values.
        """
        moment, views = at or datetime.now(UTC), self._views
        columns = tuple(dict.fromkeys(column for view in views for column in view.columns))
        found = self._rows(views, keys, columns)
        known = list(zip(views, found, strict=True))
        places = [[view.places[row] if row != UNKNOWN else UNKNOWN for row in rows] for view, rows in known]
        verdicts: dict[tuple[int, ...], _Verdict] = {}
        answers = []
        for key, rows, events in zip(keys, zip(*found, strict=True), zip(*places, strict=True), strict=True):
            verdict = verdicts.get(events)
            if verdict is None:
                verdict = verdicts[events] = _Verdict.of(views, events, moment)
            values: dict[str, Value] = {}
            for view, row, passed in zip(views, rows, verdict.passed, strict=True):
                values.update(view.values(row) if passed else view.nothing)
            own = dict(key) if len(key) == len(columns) else {column: key[column] for column in columns}
            answers.append(OnlineRow(own, values, verdict.timestamps, verdict.beliefs))
        return answers

    def _rows(
        self, views: Sequence[ViewVectors], keys: Sequence[Mapping[str, str]], columns: Sequence[str]
    ) -> list[list[int]]:
        """Per view the row of each key."""
        try:
            found = [[view.rows.get(view.key_of(key), UNKNOWN) for key in keys] for view in views]
        except KeyError:
            require_columns(keys, list(columns), self.service)
            raise
        if any(UNKNOWN in rows for rows in found):
            require_columns(keys, list(columns), self.service)
        return found

    def matrix(self, keys: Sequence[Mapping[str, str]]) -> npt.NDArray[np.float64]:
        """The stored numbers of `keys`, of any age, as (keys, features in the service's order); NaN where none is.

        For scoring many keys at once. Whether they may be believed is `online`'s to say. Integers beyond 2**53 lose
        their last digits.
        """
        views = self._views
        found = [[view.rows.get(view.key_of(key), UNKNOWN) for key in keys] for view in views]
        blocks = [view.numbers(np.array(rows, dtype=np.int64)) for view, rows in zip(views, found, strict=True)]
        return np.concatenate(blocks, axis=1) if blocks else np.empty((len(keys), 0))

    def features(self) -> list[str]:
        """The feature columns of `matrix`, in order."""
        return [feature for view in self._views for feature in view.features]


def _matrix(columns: Sequence[pa.ChunkedArray], rows: int, kind: type) -> npt.NDArray[Any]:
    """Columns side by side, as (rows, columns)."""
    found: npt.NDArray[Any] = np.empty((rows, len(columns)), kind)
    for place, column in enumerate(columns):
        found[:, place] = column.to_numpy()
    return found
