"""A scrambled file fails by what the file failed by, and holds nobody's data."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.sources.scramble import ScrambleError, Scrambler, scramble_file

TILL = (
    b"name,mail,when,amount,code,flag\r\n"
    b'"M\xfcller, Jane",jane.doe@example.com,2024-03-01T10:00:00+05:30,1.234,007,true\r\n'
    b'Bob,bob@x.org,01.03.24 10:00,7.5E+12,A-12,1\r\nBob,"bob@x.org",20240301,"1,50",10E5,NaN'
)


def scrambled(folder: Path, content: bytes, name: str = "x.csv", **options: int) -> bytes:
    (folder / name).write_bytes(content)
    out = folder / f"out_{name}"
    scramble_file(folder / name, out, b"key", **options)
    return out.read_bytes()


def test_structure_stays_and_data_go(tmp_path: Path) -> None:
    made = scrambled(tmp_path, TILL)
    assert len(made) == len(TILL)
    assert re.sub(rb"[A-Za-z0-9\xc0-\xff]", b"x", made) == re.sub(rb"[A-Za-z0-9\xc0-\xff]", b"x", TILL)
    assert made.splitlines()[0] == TILL.splitlines()[0]
    for gone in (b"Jane", b"jane", b"doe", b"Bob", b"bob", b"example", b"234", b"A-12"):
        assert gone not in made
    for kept in (
        b"2024-03-01T10:00:00+05:30",
        b"01.03.24 10:00",
        b"20240301",
        b"true",
        b"NaN",
        b",1\r\n",
        b"E+12",
        b"E5,",
    ):
        assert kept in made
    first, second = made.splitlines()[2:4]
    assert first.split(b",")[0] == second.split(b",")[0], "equal values stay equal"
    assert b",00" in made, "zeros in front stay"


def shape(text: bytes) -> bytes:
    for kind, one in ((rb"[a-z]", b"a"), (rb"[A-Z]", b"A"), (rb"[0-9]", b"0"), (rb"[\x80-\xff]", b"\xff")):
        text = re.sub(kind, one, text)
    return text


@given(st.binary(max_size=200))
def test_every_byte_has_its_kind(content: bytes) -> None:
    made = Scrambler(b"key").text(content)
    assert shape(made) == shape(content)
    assert len(made.decode(errors="surrogateescape")) == len(content.decode(errors="surrogateescape")), "as wrong"


@pytest.mark.parametrize("day", [b"1 Mar 2024", b"01-MAR-24", b"March 1, 2024 10:00", b"2024-03-01", b"1.3.24"])
def test_a_date_stays(day: bytes) -> None:
    assert Scrambler(b"key").text(b"a," + day + b",Max").startswith(b"a," + day)


@pytest.mark.parametrize("person", [b"Jan", b"May", b"April", b"June 1", b"Sun", b"10.1.22.3", b"4111111111111111"])
def test_what_may_be_a_person_or_an_address_goes(person: bytes) -> None:
    assert Scrambler(b"key").text(b"a," + person + b",b") != b"a," + person + b",b"


def test_another_key_makes_another_file_and_the_same_key_the_same() -> None:
    assert Scrambler(b"a").text(b"customer") == Scrambler(b"a").text(b"customer") != Scrambler(b"b").text(b"customer")


def test_lines_above_the_header_stay_if_asked(tmp_path: Path) -> None:
    made = scrambled(tmp_path, b"Report of sales\nname\nJane Miller\n", header_lines=2)
    assert made.startswith(b"Report of sales\nname\n") and b"Jane" not in made


def test_keys_of_json_stay(tmp_path: Path) -> None:
    made = json.loads(scrambled(tmp_path, b'[{"name": "Jane Miller", "when": "2024-03-01", "age": 4711}]', "x.json"))
    assert set(made[0]) == {"name", "when", "age"}
    assert made[0]["when"] == "2024-03-01" and made[0]["name"] != "Jane Miller" and made[0]["age"] != 4711


def test_a_parquet_file_keeps_its_schema_and_its_instants(tmp_path: Path) -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    table = pa.table(
        {"id": [1234, None], "who": ["Jane", "Bob"], "at": [now, now], "price": [12.75, 3.5], "ok": [True, False]},
    )
    pq.write_table(table, tmp_path / "x.parquet")
    scramble_file(tmp_path / "x.parquet", tmp_path / "y.parquet", b"key")
    made = pq.read_table(tmp_path / "y.parquet")
    assert made.schema == table.schema
    assert made["at"] == table["at"] and made["ok"] == table["ok"] and made["id"].null_count == 1
    assert made["who"].to_pylist()[0] != "Jane" and made["id"][0].as_py() != 1234


def test_what_cannot_be_scrambled_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ScrambleError, match="no whole Parquet file"):
        scramble_file(tmp_path / "x.parquet", tmp_path / "y.parquet", b"key")
    (tmp_path / "y.csv").write_text("x")
    with pytest.raises(ScrambleError, match="already a file"):
        scramble_file(tmp_path / "y.csv", tmp_path / "y.csv", b"key")


def test_the_command_writes_beside_the_file(retail: Callable[..., "CompletedProcess[str]"], tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(TILL)
    ended = retail(tmp_path / "home", "scramble", str(tmp_path / "s.csv"), "--json")
    assert json.loads(ended.stdout)[0]["file"] == str(tmp_path / "s.scrambled.csv")
    assert not (tmp_path / "home").exists()


def test_the_command_says_what_stayed(retail: Callable[..., "CompletedProcess[str]"], tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(TILL)
    (tmp_path / "m.json").write_text('{"rows": [{"name": "Jane"}], "Bob": 1}')
    given = ("scramble", str(tmp_path / "s.csv"), str(tmp_path / "m.json"), "--keep-key", "rows")
    said = retail(tmp_path / "home", *given).stdout
    assert "stayed, as the header: name,mail,when,amount,code,flag" in said
    assert "stayed, as names of columns: rows, name" in said
    assert "changed, as data: 1 key that is not in most rows" in said and "Bob" not in said
