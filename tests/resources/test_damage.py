"""Whatever library stumbles over a damaged file, a person reads what it is and which command helps."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from benchmarks.faults import disks
from retail_assets.resources import duck
from retail_assets.resources.damage import Damaged, damage, damaged
from retail_assets.resources.lake import DamagedTable, Lake

Damage = Callable[[Path, random.Random], str]
BREAKS = [disks.zeroed, disks.nulls, disks.garbage, disks.lost]


@pytest.fixture
def three(lake: Lake) -> Lake:
    """A table of three commits."""
    for number in range(3):
        lake.append("gold", "t", pa.table({"a": list(range(number, 1000))}))
    return lake


def raised(act: Callable[[], object]) -> Damaged:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - which one it is, is what is asked
        found = damage(error)
        assert found is not None, f"{type(error).__module__}.{type(error).__name__}: {error}"
        return found
    raise AssertionError("nothing was noticed")


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_damaged_file_of_rows_is_named(three: Lake, breaks: Damage) -> None:
    file = next(Path(three.uri, "gold/t").glob("*.parquet"))
    breaks(file, random.Random(1))
    for read in (lambda: three.query(f"select sum(a) from {three.scan('gold', 't')}"), lambda: three.read("gold", "t")):
        found = raised(read)
        assert "Parquet" in found.what and "doctor" in str(found)
    assert "\n" not in found.what


@pytest.mark.parametrize("breaks", [disks.zeroed, disks.nulls, disks.garbage, disks.torn])
def test_a_torn_newest_commit_is_never_passed_over(three: Lake, breaks: Damage) -> None:
    breaks(max(Path(three.uri, "gold/t/_delta_log").glob("*.json")), random.Random(1))
    for act in (
        lambda: three.open("gold", "t"),
        lambda: three.version("gold", "t"),
        lambda: three.append("gold", "t", pa.table({"a": [1]})),
    ):
        with pytest.raises(DamagedTable, match="doctor"):
            act()


def test_a_hole_in_a_log_is_named(three: Lake) -> None:
    sorted(Path(three.uri, "gold/t/_delta_log").glob("*.json"))[1].unlink()
    with pytest.raises(DamagedTable, match="gold/t is damaged"):
        three.open("gold", "t")
    assert "Delta" in raised(lambda: three.query(f"select * from {three.scan('gold', 't')}")).what


def test_damaged_databases_are_named(tmp_path: Path) -> None:
    file = tmp_path / "retail.db"
    file.write_bytes(b"garbage" * 1000)

    def sqlite() -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("select * from t")

    assert "SQLite" in raised(sqlite).what
    assert "DuckDB" in raised(lambda: duck.connect(file)).what


@pytest.mark.parametrize("said", ["Binder Error: no column a", "Conversion Error: 'x'", "no such table: t", ""])
def test_other_errors_are_no_damage(said: str) -> None:
    assert damaged(said) is None and damage(duckdb.Error(said)) is None
    assert damage(RuntimeError("Kernel error")) is not None, "words count, whoever says them"
    assert damage(KeyError("a")) is None
