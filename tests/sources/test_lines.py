"""Bytes into lines: whatever the size of the blocks, no byte is lost and every line keeps its number."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.sources.contract import Dialect, Feed
from retail_assets.sources.csv_lines import Parsed, parse_records
from retail_assets.sources.headers import read_header
from retail_assets.sources.lines import LINE_LIMIT, blank_lines, line_array, read_blocks

SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
CELLS = st.text(st.characters(exclude_characters="\r\n\x00", exclude_categories=["Cs"]), max_size=8)


@SAME_FOLDER
@given(lines=st.lists(st.binary(max_size=12).filter(lambda b: b"\n" not in b), max_size=30), limit=st.integers(1, 40))
def test_blocks_hold_every_line_once(tmp_path: Path, lines: list[bytes], limit: int) -> None:
    file = tmp_path / "f"
    # A BOM would be taken off the first line, as it should.
    file.write_bytes(b"x" + b"".join(line + b"\n" for line in lines))
    expected = [f"{(b'x' + b''.join(line + b'|' for line in lines))!r}"]
    read = []
    number = 1
    for block in read_blocks(file, limit=limit):
        assert block.first_line == number
        found = block.data.split(b"\n")[:-1]
        read += found
        number += len(found)
    text = (b"x" + b"".join(line + b"\n" for line in lines)).decode(errors="backslashreplace")
    assert read == [line.encode() for line in text.removesuffix("\n").split("\n")], expected


def test_a_file_that_ends_inside_a_line_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one\ntwo\nthr")
    (block,) = read_blocks(file)
    assert (block.cut, block.data) == (True, b"one\ntwo\nthr\n")


def test_an_empty_file_has_no_blocks(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()
    assert list(read_blocks(file)) == []


def test_bytes_that_are_not_utf8_stay_visible(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"caf\xe9;1\nfine;2\n\xff\xfe\n")
    (block,) = read_blocks(file)
    assert block.data == b"caf\\xe9;1\nfine;2\n\\xff\\xfe\n"
    assert block.problems == {1: "not_utf8: byte 0xE9", 3: "not_utf8: byte 0xFF"}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_other_encodings_are_read_as_said(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "f"
    file.write_bytes("Käse;1\n".encode(encoding))
    (block,) = read_blocks(file, encoding)
    assert (block.data.decode(), block.problems) == ("Käse;1\n", {})


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x" * (3 * LINE_LIMIT) + b"\nnext\n")
    blocks = list(read_blocks(file, limit=4096))
    lines = b"".join(block.data for block in blocks).split(b"\n")
    assert len(lines[0]) > LINE_LIMIT
    assert len(lines[0]) < 2 * LINE_LIMIT
    assert lines[1:] == [b"next", b""]


def test_blank_lines_are_found() -> None:
    data = b"a\n\n\r\n b\n \n"
    _, offsets = line_array(data)
    assert blank_lines(data, offsets).tolist() == [False, True, True, False, False]


def parse_lines(text: str, names: tuple[str, ...], dialect: Dialect) -> Parsed:
    """Every line of `text` as a record."""
    data = text.encode()
    return parse_records(data, line_array(data)[1], names, dialect)


@settings(deadline=None, max_examples=120)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=20),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_wrote_is_read_back(rows: list[list[str]], delimiter: str, ending: str) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    parsed = parse_lines(written.getvalue(), ("a", "b", "c"), Dialect(delimiter=delimiter))
    order = np.argsort(parsed.rows, kind="stable")
    read = [[row[name] or "" for name in "abc"] for row in parsed.columns.take(order).to_pylist()]
    assert read == rows
    assert parsed.problems is None or not any(parsed.problems)


@settings(deadline=None, max_examples=200)
@given(lines=st.lists(st.text(st.sampled_from('ab",;\r 1é'), min_size=1, max_size=9), min_size=1, max_size=15))
def test_every_line_becomes_one_row_whatever_is_in_it(lines: list[str]) -> None:
    lines = [line for line in lines if line.strip("\r")] or ["a"]
    parsed = parse_lines("".join(f"{line}\n" for line in lines), ("a", "b"), Dialect())
    assert sorted(parsed.rows.tolist()) == list(range(len(lines)))
    problems = parsed.problems or [None] * len(lines)
    for row, problem in zip(parsed.rows.tolist(), problems, strict=True):
        if '"' not in lines[row]:
            assert (problem is None) == (lines[row].rstrip("\r").count(",") == 1)


def test_header_names_are_unique_without_regard_to_case() -> None:
    feed = Feed(name="f", files="f.csv", format="csv", columns={})
    header = read_header(b'sku, Price ,price,,"a,b"\r\n', feed)
    assert header.names == ("sku", "Price", "price_2", "column_4", "a,b")
