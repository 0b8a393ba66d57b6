"""Files of a feed that disagree about a column: each is judged by itself, and no good row of another pays for it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.faults import rows
from benchmarks.faults.hostile_parquet import written
from tests.sources.landing import Retailer, new_retailer

Row = dict[str, Any]
PLACES = {
    "csv": ("pos_lines", "pos/US-001/pos_US-001_{n}_20251006_d202510{day:02}T{n:02}0000Z.csv"),
    "jsonl": ("click_events", "clicks/US-WEB/clicks_{n}_d202510{day:02}T{n:02}0000Z.jsonl"),
    "json": ("weather", "weather/weather_{n}_d202510{day:02}T{n:02}0000Z.json"),
    "parquet": ("payments", "payments/payments_{n}_d202510{day:02}T{n:02}0000Z.parquet"),
}
CHANGED = {"csv": "quantity", "jsonl": "query", "json": "temp_max_c", "parquet": "is_online"}
"""A column of each kind of file that is of another type in one of them; in `KEYS` what each row needs."""
KEYS = {"csv": "receipt_id", "jsonl": "event_id", "json": "store_id", "parquet": "payment_id"}
ODD: dict[str, Callable[[Row, str, str], Row]] = {
    "case": lambda row, key, _: {name.title() if name == key else name: value for name, value in row.items()},
    "all in another case": lambda row, *_: {name.upper(): value for name, value in row.items()},
    "type": lambda row, _, column: row | {column: 12_345_678_901_234_567_890},
    "text": lambda row, _, column: row | {column: "twelve"},
    "nested": lambda row, _, column: row | {column: [{"a": 1}]},
    "missing": lambda row, key, _: {name: value for name, value in row.items() if name != key},
    "missing and not needed": lambda row, _, column: {name: value for name, value in row.items() if name != column},
    "extra": lambda row, *_: row | {"extra": 1, "_line": 7, "_raw": "x"},
    "order": lambda row, *_: dict(reversed(row.items())),
}


def good(kind: str, n: int, count: int = 4) -> list[Row]:
    """Good rows that no other `n` has."""
    if kind == "csv":
        lines = rows.sales(f"R{n}", count).splitlines()
        return [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    if kind == "jsonl":
        return [rows.click(f"E{n}-{i}", query=f"q{i}") for i in range(count)]
    if kind == "json":
        return [rows.weather(f"2024-{n + 1:02}-{i + 1:02}") for i in range(count)]
    return rows.payments(f"P{n}", count).to_pylist()


def content(kind: str, said: Sequence[Row]) -> bytes:
    """`said` as a file of its kind."""
    if kind == "csv":
        lines = [",".join(said[0]), *(",".join(str(value).replace(",", ";") for value in row.values()) for row in said)]
        return ("\n".join(lines) + "\n").encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in said).encode()
    if kind == "json":
        return json.dumps(said).encode()
    columns = {
        name: pa.array([row[name] for row in said], None if abs(_number(said[0][name])) < 2**63 else pa.uint64())
        for name in said[0]
    }
    return written(pa.table(columns))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def deliver(retailer: Retailer, kind: str, n: int, said: Sequence[Row], day: int = 8) -> str:
    """Puts a file into landing; its name."""
    name = PLACES[kind][1].format(n=n, day=day)
    retailer.put(name, content(kind, said))
    return name


def bronze(retailer: Retailer, kind: str, names: Sequence[str]) -> list[Row]:
    """What bronze has of files, but for what is of the load."""
    found = retailer.bronze(PLACES[kind][0])
    return [{k: v for k, v in row.items() if k != "loaded_at"} for row in found if row["file"] in names]


@pytest.mark.parametrize("kind", PLACES)
def test_files_that_disagree_in_one_batch_change_nothing_of_the_good_ones(kind: str, tmp_path: Path) -> None:
    alone, among = new_retailer(tmp_path / "alone"), new_retailer(tmp_path / "among")
    for retailer in (alone, among):
        names = [deliver(retailer, kind, n, good(kind, n)) for n in (0, 11)]
    for n, change in enumerate(ODD.values(), start=1):
        deliver(among, kind, n, [change(row, KEYS[kind], CHANGED[kind]) for row in good(kind, n)])
    alone.load_only(PLACES[kind][0])
    report = among.load_only(PLACES[kind][0])
    assert report.files == 2 + len(ODD)
    assert bronze(among, kind, names) == bronze(alone, kind, names) != []
    assert not {row["file"] for row in among.quarantine(PLACES[kind][0])} & set(names)


@pytest.mark.parametrize("kind", PLACES)
def test_files_that_disagree_one_after_another_change_nothing_of_the_good_ones(kind: str, tmp_path: Path) -> None:
    alone, among = new_retailer(tmp_path / "alone"), new_retailer(tmp_path / "among")
    names = []
    for n, change in enumerate(list(ODD.values())[::2], start=1):
        deliver(among, kind, n, [change(row, KEYS[kind], CHANGED[kind]) for row in good(kind, n)])
        among.load_only(PLACES[kind][0])
    for retailer in (alone, among):
        names = [deliver(retailer, kind, n, good(kind, n), day=9) for n in (0, 11)]
        retailer.load_only(PLACES[kind][0])
    assert bronze(among, kind, names) == bronze(alone, kind, names) != []


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_row_that_disagrees_changes_no_other_row_of_its_file(kind: str, tmp_path: Path) -> None:
    retailer, names = new_retailer(tmp_path), []
    for n, change in enumerate(ODD.values()):
        odd = [change(row, KEYS[kind], CHANGED[kind]) for row in good(kind, n, 12)[4:6]]
        names.append(deliver(retailer, kind, n, [*good(kind, n), *odd, *good(kind, n, 12)[6:10]]))
    retailer.load_only(PLACES[kind][0])
    there = [(row["file"], row["line"]) for row in bronze(retailer, kind, names)]
    assert {(name, line) for name in names for line in (1, 2, 3, 4, 7, 8, 9, 10)} <= set(there)
