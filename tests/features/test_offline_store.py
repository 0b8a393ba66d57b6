"""Our offline store against Feast's own: the same answers, from a pinned version of gold."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from retail_assets.features.errors import FeatureError
from retail_assets.features.registry import repository
from retail_assets.features.store import FeatureStore
from tests.feature_gold import row, write_all, write_view

FIRST = date(2026, 2, 1)
REFS = ["store_activity:store_units_mean_7", "product_demand:product_units_mean_7", "product_demand:product_stores_28"]


def random_rows(chance: random.Random, column: str, name: str, values: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for key in values:
        for offset in range(25):
            if chance.random() < 0.7:
                late = chance.choice([2, 6, 11, 30, 100, 400])
                value = None if chance.random() < 0.1 else round(chance.uniform(0, 50), 3)
                rows.append(row({column: key}, FIRST + timedelta(days=offset), late, **{name: value}))
    return rows


@pytest.fixture
def filled(features: FeatureStore) -> FeatureStore:
    chance = random.Random(7)
    write_all(
        features.lake,
        store_activity=random_rows(chance, "store_id", "store_units_mean_7", ("A", "B", "C")),
        product_demand=random_rows(chance, "sku", "product_units_mean_7", ("1", "2", "3")),
    )
    features.apply()
    return features


def entity_rows(count: int = 300) -> pd.DataFrame:
    """Keys and instants, many of them more than once."""
    chance = random.Random(11)
    start = datetime(2026, 2, 1, tzinfo=UTC)
    rows = [
        {
            "number": number,
            "store_id": chance.choice("ABCX"),
            "sku": chance.choice("123"),
            "event_timestamp": start + timedelta(hours=12 * chance.randrange(80)),
        }
        for number in range(count)
    ]
    return pd.DataFrame(rows)


def feast_join(features: FeatureStore, entities: pd.DataFrame, created: bool) -> pa.Table:
    """Feast's own join of the DuckDB store over the same tables."""
    import ibis
    from feast.infra.offline_stores.ibis import point_in_time_join

    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone = 'UTC'")
    views = []
    for name in ("store_activity", "product_demand"):
        view = repository().view(name)
        table = backend.create_table(name, features.lake.open("gold", view.tags["gold_table"]).to_pyarrow_table())
        wanted = [ref.split(":")[1] for ref in REFS if ref.startswith(name)]
        keys = {column.name: column.name for column in view.entity_columns}
        views.append((table, "event_timestamp", "created_timestamp", keys, wanted, view.ttl))
    frame = backend.create_table("entities", pa.Table.from_pandas(entities, preserve_index=False))
    return point_in_time_join(frame, views, filter_by_created_timestamp=created).to_pyarrow()


@pytest.mark.parametrize("created", [True, False])
def test_answers_are_those_of_feasts_own_join(filled: FeatureStore, created: bool) -> None:
    entities = entity_rows()
    job = filled.open().get_historical_features(entities, REFS, filter_by_created_timestamp=created)
    columns = ["number", "store_id", "sku", *(ref.split(":")[1] for ref in REFS)]
    ours = job.to_arrow().select(columns).sort_by("number")
    theirs = feast_join(filled, entities, created).select(columns).sort_by("number")
    assert ours.num_rows == len(entities)
    assert ours["store_units_mean_7"].null_count < len(entities)
    assert ours.to_pylist() == theirs.to_pylist()


def test_a_query_asks_the_same_as_a_data_frame(filled: FeatureStore) -> None:
    entities = pd.DataFrame({"store_id": ["A"], "sku": ["1"], "event_timestamp": [datetime(2026, 2, 9, tzinfo=UTC)]})
    query = "select 'A' as store_id, '1' as sku, timestamptz '2026-02-09 00:00:00+00' as event_timestamp"
    answers = [filled.open().get_historical_features(asked, REFS).to_arrow().to_pylist() for asked in (entities, query)]
    assert answers[0] == answers[1]


def test_a_pinned_version_is_read_and_not_the_newest(filled: FeatureStore) -> None:
    old = filled.lake.version("gold", "feat_store")
    assert old is not None
    day = FIRST + timedelta(days=3)
    write_view(filled.lake, "store_activity", [row({"store_id": "A"}, day, 1, store_units_mean_7=-1.0)])
    query = "select 'A' as store_id, timestamptz '2026-02-05 12:00:00+00' as event_timestamp"
    newest = filled.open().get_historical_features(query, REFS[:1]).to_arrow()
    pinned = filled.open({"feat_store": old}).get_historical_features(query, REFS[:1]).to_arrow()
    assert newest["store_units_mean_7"].to_pylist() == [-1.0]
    assert pinned["store_units_mean_7"].to_pylist() != [-1.0]


def test_full_names_carry_the_view(filled: FeatureStore) -> None:
    query = "select 'A' as store_id, timestamptz '2026-02-05 12:00:00+00' as event_timestamp"
    job = filled.open().get_historical_features(query, REFS[:1], full_feature_names=True)
    assert job.to_arrow().column_names[-1] == "store_activity__store_units_mean_7"


def test_feasts_own_materialisation_reads_the_same_rows(filled: FeatureStore) -> None:
    store = filled.open()
    store.materialize(
        datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), feature_views=["store_activity"]
    )
    answer = store.get_online_features(REFS[:1], [{"store_id": "B"}]).to_dict()
    newest = filled.lake.query(
        "select arg_max(store_units_mean_7, event_timestamp) as v, count(*) as n "
        f"from (select * from {filled.lake.scan('gold', 'feat_store')} where store_id = 'B' "
        "order by event_timestamp desc limit 1)"
    )
    assert answer["store_units_mean_7"] == newest["v"].to_pylist()


def test_gold_is_never_written_through_feast(filled: FeatureStore) -> None:
    from retail_assets.features.offline_store import GoldOfflineStore

    store = filled.open()
    rows = pa.Table.from_pylist([row({"store_id": "A"}, FIRST)])
    with pytest.raises(FeatureError, match="store_activity cannot be written through Feast"):
        GoldOfflineStore.offline_write_batch(store.config, repository().view("store_activity"), rows, None)


def test_a_source_outside_gold_is_refused(features: FeatureStore) -> None:
    from feast import FileSource

    store = features.open().config.offline_store
    with pytest.raises(FeatureError, match="not a gold table"):
        store.scan(FileSource(path="bronze/pos_lines", timestamp_field="sold_at"))
