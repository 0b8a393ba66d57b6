"""What is written past Feast is, byte for byte, what Feast writes."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.features.registry import repository
from retail_assets.features.sqlite_rows import can_write, encoded, entity_keys, write_rows
from retail_assets.features.store import FeatureStore
from tests.feature_gold import DAY, row, schema_of, write_all

VIEW = repository().view("store_product_demand")
AWKWARD = ["a", "Ä-7", "store with blanks", "x" * 300]


def rows(shift: float = 0.0) -> pa.Table:
    """Rows of several keys and days with values that are easily written wrong."""
    values = [0.0, -0.0, 1.5, -2.25e-300, 1e300, None]
    made: list[dict[str, Any]] = [
        row(
            {"store_id": store, "sku": f"SKU {number}"},
            DAY + timedelta(days=number),
            6.25 + number,
            units_lag_1=None if value is None else value + shift,
            days_since_sale=None if number == 3 else number - 2,
            active_days_56=2**40 + number,
        )
        for store in AWKWARD
        for number, value in enumerate(values)
    ]
    return pa.Table.from_pylist(made, schema=schema_of(VIEW.name)).drop_columns(["business_date"])


def content(features: FeatureStore) -> list[tuple[Any, ...]]:
    """Every value of the view's table in the file, by key and name; `value_text` is for searching documents only."""
    path = Path(features.open().config.online_store.path)
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            'SELECT entity_key, feature_name, value, event_ts, created_ts FROM "retail_store_product_demand" '
            "ORDER BY entity_key, feature_name"
        ).fetchall()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_file_holds_what_feast_would_have_written(
    features: FeatureStore, tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    from feast.infra.provider import get_provider

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    theirs = FeatureStore(root=tmp_path / "theirs", folder=tmp_path / "theirs" / "features", lake=features.lake)
    write_all(features.lake)
    for one in (features, theirs):
        one.apply()
    for table in (rows(), rows(shift=1.0)):
        write_rows(features.open(), VIEW, table)
        view = theirs.open().get_feature_view(VIEW.name)
        get_provider(theirs.open().config).ingest_df(view, table.to_pandas())
    monkeypatch.undo()
    time.tzset()
    ours = content(features)
    assert len(ours) == len(AWKWARD) * 6 * len(VIEW.features)
    assert ours == content(theirs)


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1, max_size=20))
def test_doubles_are_encoded_as_feast_does(values: list[float | None]) -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    expected = [b"" if value is None else Value(double_val=value).SerializeToString() for value in values]
    assert encoded(pa.chunked_array([pa.array(values, pa.float64())])) == expected


def test_a_view_of_lists_is_left_to_feast() -> None:
    from feast import FeatureView, Field
    from feast.types import Array, Float64

    assert all(can_write(view) for view in repository().views)
    listed = FeatureView(name="v", source=VIEW.batch_source, schema=[Field(name="vector", dtype=Array(Float64))])
    assert not can_write(listed)


def test_no_rows_are_no_keys() -> None:
    assert entity_keys(["sku"], [[]]) == []
