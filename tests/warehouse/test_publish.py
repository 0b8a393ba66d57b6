"""Gold gets what was built, once, however often somebody pulls the plug."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse import gold, publish, state
from retail_assets.warehouse.errors import WarehouseError
from retail_assets.warehouse.state import Pending

DAY = date(2026, 1, 5)
COLUMNS = {"business_date": "date", "sku": "varchar", "amount": "decimal(18,2)", "seen_at": "timestamp"}
FACT, DIMENSION = "fct_test", "dim_test"


@pytest.fixture(autouse=True)
def two_marts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "load_manifest", dict)
    monkeypatch.setattr(publish, "is_by_day", lambda _, mart: mart == FACT)
    monkeypatch.setattr(publish, "mart_columns", lambda _, mart: COLUMNS)


@pytest.fixture
def build(home: Home) -> Callable[..., None]:
    """Puts rows (offset of the day -> amount) into the DuckDB file as if dbt had, with what waits."""

    def write(rows: dict[int, str], waits: Pending | None = None, mart: str = FACT) -> None:
        home.warehouse.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(home.warehouse)) as connection:
            kinds = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS marts; CREATE OR REPLACE TABLE marts.{mart} ({kinds})")
            for offset, amount in rows.items():
                values = [DAY + timedelta(days=offset), "S1", Decimal(amount), datetime(2026, 1, 5, 12)]  # noqa: DTZ001
                connection.execute(f"INSERT INTO marts.{mart} VALUES (?, ?, ?, ?)", values)
        before = state.read(home)
        pending = {mart: waits} if waits else {}
        digests = before.digests if before else {}
        state.write(
            home,
            state.BuildState(
                complete=True, full=True, code_hash="c", lake="l", bronze={"b": 3}, pending=pending, digests=digests
            ),
        )

    return write


def amounts(lake: Lake, mart: str = FACT) -> dict[int, str]:
    rows = lake.query(f"SELECT business_date, amount FROM {lake.scan('gold', mart)}").to_pylist()
    return {(row["business_date"] - DAY).days: str(row["amount"]) for row in rows}


WHOLE = Pending(whole=True)
Build = Callable[..., None]


def days(*offsets: int) -> Pending:
    return Pending(days=tuple(DAY + timedelta(days=offset) for offset in offsets))


def test_the_first_publish_writes_everything_with_exact_types(build: Build, lake: Lake, home: Home) -> None:
    build({0: "1.10", 1: "2.20"}, WHOLE)
    done = publish.publish_mart(lake, home, FACT)
    assert (done.status, done.rows, done.total_rows, done.delta_version) == ("whole", 2, 2, 0)
    assert amounts(lake) == {0: "1.10", 1: "2.20"}
    schema = pa.schema(lake.open("gold", FACT).schema().to_arrow())
    assert schema.field("amount").type == pa.decimal128(18, 2)
    assert schema.field("seen_at").type == pa.timestamp("us", tz="UTC")
    seen = lake.query(f"SELECT any_value(seen_at) AS at FROM {lake.scan('gold', FACT)}").to_pylist()[0]["at"]
    assert seen == datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_touched_days_are_replaced_and_nothing_else(build: Build, lake: Lake, home: Home) -> None:
    build({0: "1", 1: "2", 2: "3"}, WHOLE)
    publish.publish_mart(lake, home, FACT)
    files = set(lake.open("gold", FACT).file_uris())
    build({0: "100", 1: "20", 3: "4"}, days(1, 2, 3))
    done = publish.publish_mart(lake, home, FACT)
    assert (done.status, done.rows, done.total_rows) == ("days", 2, 3)
    assert amounts(lake) == {0: "1.00", 1: "20.00", 3: "4.00"}, "day 0 did not wait, day 2 has no rows any more"
    untouched = {uri for uri in files if f"business_date={DAY}" in uri}
    assert untouched <= set(lake.open("gold", FACT).file_uris())


def test_nothing_waits_nothing_is_written(build: Build, lake: Lake, home: Home) -> None:
    build({0: "1"}, WHOLE)
    publish.publish_mart(lake, home, FACT)
    assert publish.publish_mart(lake, home, FACT).status == "unchanged"
    assert lake.version("gold", FACT) == 0
    assert lake.query(f"SELECT * FROM {lake.scan('ops', 'publishes')}").num_rows == 1


def test_a_whole_publish_in_pieces_empties_days_that_are_gone(
    build: Build, lake: Lake, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gold, "DAYS_AT_ONCE", 2)
    build({n: str(n) for n in range(5)}, WHOLE)
    assert publish.publish_mart(lake, home, FACT).rows == 5
    build({n: str(n) for n in range(2, 7)}, WHOLE)
    assert publish.publish_mart(lake, home, FACT).rows == 5
    assert sorted(amounts(lake)) == [2, 3, 4, 5, 6]


def test_an_empty_mart_is_published_with_its_columns(build: Build, lake: Lake, home: Home) -> None:
    build({}, WHOLE)
    assert publish.publish_mart(lake, home, FACT).total_rows == 0
    assert lake.open("gold", FACT).schema().to_arrow().names == list(COLUMNS)


def test_other_columns_replace_the_table(build: Build, lake: Lake, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    build({0: "1", 1: "2"}, WHOLE)
    publish.publish_mart(lake, home, FACT)
    monkeypatch.setattr(publish, "mart_columns", lambda *_: {k: v for k, v in COLUMNS.items() if k != "sku"})
    build({0: "1"}, WHOLE)
    publish.publish_mart(lake, home, FACT)
    assert lake.open("gold", FACT).schema().to_arrow().names == ["business_date", "amount", "seen_at"]
    assert amounts(lake) == {0: "1.00"}


def test_a_dimension_with_the_same_rows_keeps_its_version(build: Build, lake: Lake, home: Home) -> None:
    build({0: "1", 1: "2"}, WHOLE, DIMENSION)
    assert publish.publish_mart(lake, home, DIMENSION).status == "whole"
    build({1: "2", 0: "1"}, WHOLE, DIMENSION)
    assert publish.publish_mart(lake, home, DIMENSION).status == "unchanged"
    build({1: "2", 0: "7"}, WHOLE, DIMENSION)
    assert publish.publish_mart(lake, home, DIMENSION).status == "whole"
    assert lake.version("gold", DIMENSION) == 1


def test_a_publish_that_died_before_it_was_noted_is_repeated(
    build: Build, lake: Lake, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    build({0: "1", 1: "2"}, WHOLE)
    with monkeypatch.context() as patched:
        patched.setattr(state, "published", die)
        with pytest.raises(KeyboardInterrupt):
            publish.publish_mart(lake, home, FACT)
    there = lake.version("gold", FACT)
    assert publish.publish_mart(lake, home, FACT).status == "unchanged"
    assert lake.version("gold", FACT) == there, "what was written is in gold, and is not written a second time"
    assert amounts(lake) == {0: "1.00", 1: "2.00"}
    assert publish.publish_mart(lake, home, FACT).status == "unchanged"


@pytest.mark.parametrize("mart", [FACT, DIMENSION])
def test_what_gold_holds_is_not_written_again_after_scratch_was_deleted(
    build: Build, lake: Lake, home: Home, mart: str
) -> None:
    build({0: "1", 1: "2"}, WHOLE, mart=mart)
    publish.publish_mart(lake, home, mart)
    shutil.rmtree(home.warehouse.parent)
    build({0: "1", 1: "2"}, WHOLE, mart=mart)
    assert publish.publish_mart(lake, home, mart).status == "unchanged"
    assert lake.version("gold", mart) == 0
    build({0: "1", 1: "3"}, WHOLE, mart=mart)
    assert publish.publish_mart(lake, home, mart).status == "whole"
    assert amounts(lake, mart) == {0: "1.00", 1: "3.00"}


@pytest.mark.parametrize("mart", [FACT, DIMENSION])
def test_gold_with_an_unreadable_file_is_written_anew(build: Build, lake: Lake, home: Home, mart: str) -> None:
    build({0: "1", 1: "2"}, WHOLE, mart=mart)
    publish.publish_mart(lake, home, mart)
    shutil.rmtree(home.warehouse.parent)
    file = next(Path(lake.table_uri("gold", mart)).rglob("*.parquet"))
    file.write_bytes(bytes(file.stat().st_size))
    build({0: "1", 1: "2"}, WHOLE, mart=mart)
    assert publish.publish_mart(lake, home, mart).status == "whole"
    assert amounts(lake, mart) == {0: "1.00", 1: "2.00"}


def test_gold_that_was_deleted_is_written_again(build: Build, lake: Lake, home: Home) -> None:
    build({0: "1"})
    assert publish.publish_mart(lake, home, FACT).status == "whole"


def test_an_unfinished_build_is_never_published(build: Build, lake: Lake, home: Home) -> None:
    with pytest.raises(WarehouseError, match="did not end"):
        publish.publish_mart(lake, home, FACT)
    build({0: "1"}, WHOLE)
    built = state.read(home)
    assert built is not None
    state.write(home, built.model_copy(update={"complete": False}))
    with pytest.raises(WarehouseError, match="did not end"):
        publish.publish_mart(lake, home, FACT)
    assert not lake.exists("gold", FACT)


def test_what_gold_was_made_from_is_written_down(build: Build, lake: Lake, home: Home) -> None:
    build({0: "1"}, WHOLE)
    publish.publish_mart(lake, home, FACT)
    row = lake.query(f"SELECT * FROM {lake.scan('ops', 'publishes')}").to_pylist()[0]
    assert (row["mart"], row["delta_version"], row["bronze"], row["code_hash"]) == (FACT, 0, '{"b": 3}', "c")
    commit = lake.open("gold", FACT).history(1)[0]
    assert (commit["bronze"], commit["code_hash"]) == ('{"b": 3}', "c")


def test_waiting_days_add_up() -> None:
    assert days(1).add(days(0, 1)) == days(0, 1)
    assert days(1).add(WHOLE) == WHOLE
    assert Pending().is_empty
    assert not days(0).is_empty
