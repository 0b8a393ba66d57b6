"""A file that cannot be used says so by name, line and value, whichever command it is handed to."""

from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from retail_assets.core.errors import RetailError
from retail_assets.resources.table_files import read_table_file

ROWS = "item,day,units\nA,2026-01-01,3\nB,2026-01-01,4\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.csv", None, "does not exist"),
        ("rows.xls", b"x", "is neither of .parquet, .csv"),
        ("empty.csv", b"", "is empty"),
        ("empty.parquet", b"", "is empty"),
        ("header.csv", b"item,day,units\n", "has no rows"),
        ("half.parquet", b"PAR1 and not its end", "cannot be read"),
        ("torn.csv", ROWS.encode() + b"C,2026-01", "a line has 2 values where the header has 3: C,2026-01"),
        ("latin.csv", ROWS.replace("B", "Ä").encode("latin-1"), "not UTF-8: 'Ä,2026-01-01,4'"),
        ("wide.csv", ROWS.encode("utf-16"), "not UTF-8"),
        ("torn.csv", ROWS.replace(",", ";").encode() + b"C;2026-01", "C;2026-01"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RetailError, match=says) as raised:
        read_table_file(path, RetailError)
    assert "LINE 1" not in str(raised.value) and str(path) in str(raised.value.where)


def test_the_line_that_is_torn_is_named(tmp_path: Path) -> None:
    path = tmp_path / "torn.csv"
    path.write_text(ROWS + "C,2026-01")
    with pytest.raises(RetailError) as raised:
        read_table_file(path, RetailError)
    assert raised.value.where == f"{path}, line 4"


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").mkdir()
    with pytest.raises(RetailError, match="sales.csv is a folder"):
        read_table_file(tmp_path / "sales.csv", RetailError)


def test_lines_that_all_have_more_values_than_the_header_are_named(tmp_path: Path) -> None:
    path = tmp_path / "decimal_comma.csv"
    path.write_text(ROWS.replace("3\n", "3,5\n").replace("4\n", "4,5\n"))
    with pytest.raises(RetailError, match="a line has 4 values where the header has 3: A,2026-01-01,3,5") as raised:
        read_table_file(path, RetailError, ["item"])
    assert raised.value.where == f"{path}, line 2"


@pytest.mark.parametrize("value", ["0x5", "0b11", "0o7", "-0x5"])
def test_only_decimal_numbers_are_numbers(tmp_path: Path, value: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS + f"0x5,2026-01-01,{value}\n")
    read = read_table_file(path, RetailError)
    assert read["units"].to_pylist() == ["3", "4", value]
    path.write_text(ROWS + "0x5,2026-01-01,6\n")
    assert read_table_file(path, RetailError)["units"].to_pylist() == [3, 4, 6]


def test_whole_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    read = read_table_file(tmp_path / "rows.csv", RetailError)
    assert read["units"].to_pylist() == [3, 4]
    parquet.write_table(read, tmp_path / "rows.parquet")
    assert read_table_file(tmp_path / "rows.parquet", RetailError).equals(read)
    (tmp_path / "one.csv").write_text("units\n1\n2\n")
    assert read_table_file(tmp_path / "one.csv", RetailError)["units"].to_pylist() == [1, 2]
