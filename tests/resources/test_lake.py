"""The lake: a day is replaced whole, other days are not touched, and a missing table is named."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from retail_assets.resources.lake import Lake, LakeError

ONE, TWO, THREE = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)


def rows(*pairs: tuple[int, date]) -> pa.Table:
    return pa.table({"value": [v for v, _ in pairs], "business_date": [d for _, d in pairs]})


def values(lake: Lake, version: int | None = None) -> dict[date, list[int]]:
    table = lake.query(f"select * from {lake.scan('gold', 'fct', version)} order by 2, 1").to_pylist()
    found: dict[date, list[int]] = {}
    for row in table:
        found.setdefault(row["business_date"], []).append(row["value"])
    return found


def test_overwriting_a_day_replaces_it_and_leaves_the_others(lake: Lake) -> None:
    lake.append("gold", "fct", rows((1, ONE), (2, TWO), (3, TWO)), ["business_date"])
    lake.overwrite_days("gold", "fct", rows((9, TWO)), [TWO])
    assert values(lake) == {ONE: [1], TWO: [9]}
    assert values(lake, version=0) == {ONE: [1], TWO: [2, 3]}


def test_overwriting_with_no_rows_empties_the_day(lake: Lake) -> None:
    lake.append("gold", "fct", rows((1, ONE), (2, TWO)), ["business_date"])
    lake.overwrite_days("gold", "fct", rows((1, TWO)).slice(0, 0), [TWO])
    assert values(lake) == {ONE: [1]}


def test_a_row_outside_the_days_is_refused_and_nothing_changes(lake: Lake) -> None:
    lake.append("gold", "fct", rows((1, ONE)), ["business_date"])
    with pytest.raises(DeltaError, match="1 rows failed validation check"):
        lake.overwrite_days("gold", "fct", rows((5, THREE)), [TWO])
    assert values(lake) == {ONE: [1]}


def test_overwrite_days_without_days_is_an_error(lake: Lake) -> None:
    with pytest.raises(LakeError, match="no days"):
        lake.overwrite_days("gold", "fct", rows((1, ONE)), [])


def test_instants_come_back_as_utc(lake: Lake) -> None:
    instant = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    lake.append("gold", "t", pa.table({"instant": pa.array([instant], pa.timestamp("us", tz="UTC"))}))
    assert lake.query(f"select instant from {lake.scan('gold', 't')}")["instant"].to_pylist() == [instant]


def test_ensure_creates_once_and_keeps_rows(lake: Lake) -> None:
    schema = rows((1, ONE)).schema
    lake.ensure("gold", "fct", schema, ["business_date"])
    lake.append("gold", "fct", rows((1, ONE)), ["business_date"])
    lake.ensure("gold", "fct", schema, ["business_date"])
    assert values(lake) == {ONE: [1]}
    assert lake.tables("gold") == ["fct"]


def test_unknown_layers_and_missing_tables_are_named(lake: Lake) -> None:
    with pytest.raises(LakeError, match="'golden' is not a layer"):
        lake.table_uri("golden", "fct")
    with pytest.raises(LakeError, match="no table gold/fct"):
        lake.open("gold", "fct")
    assert lake.version("gold", "fct") is None
    assert not lake.exists("gold", "fct")
