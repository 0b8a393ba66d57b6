"""Feature rows into Feast's SQLite file, many at once, in the bytes that Feast itself writes and reads.

Feast makes an object of every value and inserts it alone, in the order of days: a hundred thousand keys take a minute.
Here a column becomes bytes in one pass and rows are inserted in the order of the file's index. Only how values get
there differs; reading them back through Feast is checked on every run (`offline_equals_online`).
"""

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.features.errors import FeatureError
from retail_assets.features.point_in_time import CREATED, EVENT

if TYPE_CHECKING:
    import feast

AT_ONCE = 20_000  # keys whose values are in memory as bytes
CACHE_KIB = 131_072  # of the file's index, which grows beyond SQLite's own 2 MB
DOUBLE_TAG = 41  # field 5 of feast.types.Value, 64 bits
UPSERT = """
INSERT INTO "{table}" (entity_key, feature_name, value, event_ts, created_ts) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (entity_key, feature_name)
DO UPDATE SET value = excluded.value, event_ts = excluded.event_ts, created_ts = excluded.created_ts
"""
KINDS = {pa.int64(): "int64_val", pa.int32(): "int32_val", pa.bool_(): "bool_val", pa.string(): "string_val"}
Row = tuple[bytes, str, bytes, int, int]


def can_write(view: "feast.FeatureView") -> bool:
    """Whether every feature of `view` is of a kind that is written here: doubles, whole numbers, flags and texts."""
    return all(_kind(feature) in (*KINDS, pa.float64()) for feature in view.features)


def _kind(feature: "feast.Field") -> pa.DataType:
    from feast.types import from_feast_to_pyarrow_type

    return from_feast_to_pyarrow_type(feature.dtype)


def write_rows(store: "feast.FeatureStore", view: "feast.FeatureView", rows: pa.Table) -> None:
    """Puts `rows` (keys, features and both timestamps of `view`) into the SQLite store, each over what its key had.

    Raises FeatureError where Feast writes keys in another form than this does.
    """
    from feast.infra.online_stores.helpers import compute_table_id

    names = sorted(column.name for column in view.entity_columns)
    rows = rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in names]))
    table = compute_table_id(store.project, view, store.config.registry.enable_online_feature_view_versioning)
    with closing(sqlite3.connect(Path(store.config.online_store.path))) as connection, connection:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        for first in range(0, len(rows), AT_ONCE):
            part = rows.slice(first, AT_ONCE).combine_chunks()
            connection.executemany(UPSERT.format(table=table), _values(view, names, part))


def _values(view: "feast.FeatureView", names: Sequence[str], rows: pa.Table) -> Iterator[Row]:
    keys = entity_keys(names, [rows[name].to_pylist() for name in names])
    events, created = (_seconds(rows[name]) for name in (EVENT, CREATED))
    features = [feature.name for feature in view.features]
    columns = zip(*(encoded(rows[one.name].cast(_kind(one))) for one in view.features), strict=True)
    for key, event, known, values in zip(keys, events, created, columns, strict=True):
        for name, value in zip(features, values, strict=True):
            yield key, name, value, event, known


def entity_keys(names: Sequence[str], columns: Sequence[Sequence[str]]) -> list[bytes]:
    """The keys (one list of texts per name; names sorted) as Feast writes them, its serialisation 3."""
    from feast.value_type import ValueType

    text, size = ValueType.STRING.value, struct.Struct("<II")
    head = struct.pack("<I", len(names)) + b"".join(
        struct.pack("<II", text, len(name)) + name.encode() for name in names
    )
    coded = ([size.pack(text, len(one)) + one for one in map(str.encode, column)] for column in columns)
    keys = [head + b"".join(parts) for parts in zip(*coded, strict=True)]
    if keys and keys[0] != _as_feast_does(names, [column[0] for column in columns]):
        raise FeatureError("Feast writes keys in another form", where=__name__, todo="use the Feast of the lock file")
    return keys


def _as_feast_does(names: Sequence[str], values: Sequence[str]) -> bytes:
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    key = EntityKey(join_keys=names, entity_values=[Value(string_val=value) for value in values])
    made: bytes = serialize_entity_key(key, entity_key_serialization_version=3)
    return made


def encoded(column: pa.ChunkedArray) -> list[bytes]:
    """The values as serialised feast.types.Value, empty where there is none."""
    from feast.protos.feast.types.Value_pb2 import Value

    if column.type in KINDS:
        kind = KINDS[column.type]
        distinct = {v: Value(**{kind: v}).SerializeToString() for v in column.unique().to_pylist() if v is not None}
        return [distinct.get(value, b"") for value in column.to_pylist()]
    numbers = column.to_numpy()
    coded = np.empty((len(numbers), 9), np.uint8)
    coded[:, 0] = DOUBLE_TAG
    coded[:, 1:] = np.ascontiguousarray(numbers, "<f8").view(np.uint8).reshape(-1, 8)
    whole, absent = coded.tobytes(), np.isnan(numbers).tolist()
    return [b"" if missing else whole[9 * at : 9 * at + 9] for at, missing in enumerate(absent)]


def _seconds(column: pa.ChunkedArray) -> list[int]:
    """Instants as Feast's SQLite store keeps them: whole seconds, of the clock time that UTC shows, in local time."""
    instants = column.to_pylist()
    kept: dict[datetime, int] = {
        one: int(one.astimezone(UTC).replace(tzinfo=None).timestamp()) for one in set(instants)
    }
    return [kept[one] for one in instants]
