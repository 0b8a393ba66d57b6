"""The point-in-time join against a reference that looks at every row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.features.point_in_time import ViewQuery, latest_rows, literal, point_in_time_join, quoted

START = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
TTL = 5
Row = tuple[str, int, int, float | None]  # key, event hour, created hour, value


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def view(ttl: int = TTL) -> ViewQuery:
    return ViewQuery("facts", {"key": "key"}, {"value": "value"}, timedelta(hours=ttl))


@pytest.fixture(scope="module")
def db() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def join(
    db: duckdb.DuckDBPyConnection,
    rows: list[Row],
    asked: list[tuple[str, int]],
    ttl: int = TTL,
    filter_by_created: bool = True,
) -> list[dict[str, Any]]:
    """The value of each (key, hour) asked for, in the order of `number`."""
    facts = pa.table(
        {
            "key": pa.array([r[0] for r in rows], pa.string()),
            "event_timestamp": pa.array([at(r[1]) for r in rows], STAMP),
            "created_timestamp": pa.array([at(r[2]) for r in rows], STAMP),
            "value": pa.array([r[3] for r in rows], pa.float64()),
        }
    )
    entities = pa.table(
        {
            "number": pa.array(range(len(asked)), pa.int64()),
            "key": pa.array([key for key, _ in asked], pa.string()),
            "instant": pa.array([at(hour) for _, hour in asked], STAMP),
        }
    )
    db.register("facts", facts)
    db.register("entities", entities)
    sql = point_in_time_join("entities", "instant", [view(ttl)], filter_by_created)
    return db.execute(f"select * from ({sql}) order by number").to_arrow_table().to_pylist()


def values(result: list[dict[str, Any]]) -> list[float | None]:
    return [row["value"] for row in result]


def test_the_newest_row_that_is_not_after_the_instant_is_taken(db: duckdb.DuckDBPyConnection) -> None:
    rows: list[Row] = [("a", 1, 1, 1.0), ("a", 2, 2, 2.0), ("a", 4, 4, 4.0), ("b", 3, 3, 30.0)]
    assert values(join(db, rows, [("a", 3), ("a", 4), ("b", 3), ("b", 2), ("c", 3)])) == [2.0, 4.0, 30.0, None, None]


def test_a_row_that_arrived_late_is_not_known_before_it_arrived(db: duckdb.DuckDBPyConnection) -> None:
    rows: list[Row] = [("a", 1, 1, 1.0), ("a", 2, 5, 2.0)]
    assert values(join(db, rows, [("a", 3), ("a", 4), ("a", 5)])) == [1.0, 1.0, 2.0]


def test_a_late_row_does_not_replace_a_newer_one_that_was_known_before(db: duckdb.DuckDBPyConnection) -> None:
    rows: list[Row] = [("a", 1, 1, 1.0), ("a", 2, 9, 2.0), ("a", 3, 3, 3.0)]
    assert values(join(db, rows, [("a", 2), ("a", 3), ("a", 8)], ttl=24)) == [1.0, 3.0, 3.0]
    assert values(join(db, rows, [("a", 9), ("a", 20)], ttl=24)) == [3.0, 3.0]


def test_of_two_versions_of_a_row_each_is_seen_in_its_time(db: duckdb.DuckDBPyConnection) -> None:
    rows: list[Row] = [("a", 1, 2, 1.0), ("a", 1, 4, 1.5)]
    assert values(join(db, rows, [("a", 1), ("a", 2), ("a", 3), ("a", 4)])) == [None, 1.0, 1.0, 1.5]


def test_without_the_filter_arrival_does_not_count(db: duckdb.DuckDBPyConnection) -> None:
    rows: list[Row] = [("a", 1, 1, 1.0), ("a", 2, 50, 2.0)]
    assert values(join(db, rows, [("a", 3)], filter_by_created=False)) == [2.0]


def test_a_value_as_old_as_its_time_to_live_is_the_last_that_is_believed(db: duckdb.DuckDBPyConnection) -> None:
    assert values(join(db, [("a", 1, 1, 1.0)], [("a", 1 + TTL), ("a", 2 + TTL)])) == [1.0, None]


def test_equal_requests_all_stay(db: duckdb.DuckDBPyConnection) -> None:
    assert values(join(db, [("a", 1, 1, 1.0)], [("a", 2)] * 1000)) == [1.0] * 1000


def test_a_null_is_a_value_and_not_a_gap(db: duckdb.DuckDBPyConnection) -> None:
    assert values(join(db, [("a", 1, 1, 1.0), ("a", 2, 2, None)], [("a", 2)])) == [None]


def reference(rows: list[Row], key: str, hour: int, filter_by_created: bool) -> set[float | None]:
    """The values that may be answered: of rows equal in both times, any."""
    known = [r for r in rows if r[0] == key and r[1] <= hour and (r[2] <= hour or not filter_by_created)]
    if not known:
        return {None}
    newest = max((r[1], r[2]) for r in known)
    return {r[3] if r[1] + TTL >= hour else None for r in known if (r[1], r[2]) == newest}


hours = st.integers(0, 12)
rows_strategy = st.lists(
    st.tuples(st.sampled_from("ab"), hours, hours, st.one_of(st.none(), st.integers(0, 99).map(float))), max_size=15
)


@settings(max_examples=150, deadline=None)
@given(
    rows=rows_strategy,
    asked=st.lists(st.tuples(st.sampled_from("abc"), hours), min_size=1, max_size=12),
    filter_by_created=st.booleans(),
)
def test_every_answer_is_that_of_the_reference(
    db: duckdb.DuckDBPyConnection, rows: list[Row], asked: list[tuple[str, int]], filter_by_created: bool
) -> None:
    answers = join(db, rows, asked, filter_by_created=filter_by_created)
    assert [(a["key"], a["instant"]) for a in answers] == [(key, at(hour)) for key, hour in asked]
    for answer, (key, hour) in zip(answers, asked, strict=True):
        assert answer["value"] in reference(rows, key, hour, filter_by_created)


@settings(max_examples=80, deadline=None)
@given(rows=rows_strategy, later=rows_strategy, hour=hours)
def test_what_arrives_after_an_instant_changes_nothing_at_it(
    db: duckdb.DuckDBPyConnection, rows: list[Row], later: list[Row], hour: int
) -> None:
    unique = list({(r[0], r[1], r[2]): r for r in rows}.values())
    late = [(key, event, hour + 1 + created, value) for key, event, created, value in later]
    asked = [("a", hour), ("b", hour)]
    assert values(join(db, unique + late, asked)) == values(join(db, unique, asked))


def test_latest_rows_takes_one_row_per_key_inside_the_window(db: duckdb.DuckDBPyConnection) -> None:
    join(db, [("a", 1, 1, 1.0), ("a", 3, 3, 3.0), ("a", 9, 9, 9.0), ("b", 0, 0, 5.0), ("c", 1, 7, 7.0)], [("a", 0)])
    found = db.execute(f"select key, value from ({latest_rows(view(), at(0), at(8))}) order by key").fetchall()
    assert found == [("a", 3.0), ("c", 7.0)]


def test_names_and_instants_survive_quoting(db: duckdb.DuckDBPyConnection) -> None:
    assert db.execute(f"select 1 as {quoted('a b')}").description[0][0] == "a b"
    assert db.execute(f"select {literal(at(5))} = timestamptz '2026-01-01 05:00:00+00'").fetchall() == [(True,)]
