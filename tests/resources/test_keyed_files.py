"""Keys are what they were before a writer changed their type, or are refused with row and value."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.core.errors import RetailError
from retail_assets.resources.keyed_files import read_keyed_file

DECIMAL = pa.decimal128(18, 2)


def keys_of(path: Path, key: pa.Array) -> list[object]:
    pq.write_table(pa.table({"item": key, "units": [5] * len(key)}), path)
    found: list[object] = read_keyed_file(path, RetailError, ["item"])["item"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("key", "read"),
    [
        (pa.array([1.0, 536365.0, -0.0]), [1, 536365, 0]),
        (pa.array([1.0, 90.75]), ["1", "90.75"]),
        (pa.array([1.0, np.nan, None]), [1, None, None]),
        (pa.array([2.0**53 - 1]), [2**53 - 1]),
        (pa.array([16777215.0], pa.float32()), [16777215]),
        (pa.array(["7", "07"]).cast(pa.binary()), ["7", "07"]),
        (pa.array(["a", "", None]), ["a", None, None]),
        (pa.array(["7", "8"]), ["7", "8"]),
        (pa.array([7, 8], pa.int32()), [7, 8]),
        (pa.array(["1.00", "2.50"]).cast(DECIMAL), ["1.00", "2.50"]),
        (pa.array(["12345678901234567"]).cast(pa.decimal128(18, 0)), [12345678901234567]),
    ],
)
def test_a_key_that_became_a_number_or_bytes_is_what_it_was(tmp_path: Path, key: pa.Array, read: list[object]) -> None:
    found = keys_of(tmp_path / "s.parquet", key)
    assert found == read
    assert [type(value) for value in found] == [type(value) for value in read]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (pa.array([1.0, 1e16]), r"a number that may have lost digits: 1e\+16"),
        (pa.array([1.0, 2.0**53]), "may have lost digits: 9007199254740992.0"),
        (pa.array([1.0, np.inf]), "may have lost digits: inf"),
        (pa.array([1.0, 1e-7]), "may have lost digits: 1e-07"),
        (pa.array([1.0, 16777217.0], pa.float32()), "may have lost digits: 16777216.0"),
        (pa.array([np.float16(1), np.float16(2049)], pa.float16()), "may have lost digits: 2048.0"),
        (pa.array([b"a", b"\xff"]), r"no text in UTF-8: b'\\xff'"),
    ],
)
def test_a_key_that_cannot_be_told_any_more_is_refused(tmp_path: Path, key: pa.Array, says: str) -> None:
    with pytest.raises(RetailError, match=f"item is .*{says}") as raised:
        keys_of(tmp_path / "s.parquet", key)
    assert raised.value.where == f"{tmp_path}/s.parquet, row 2, column item (1 such rows)"


def test_lists_are_no_keys(tmp_path: Path) -> None:
    with pytest.raises(RetailError, match="item holds list"):
        keys_of(tmp_path / "s.parquet", pa.array([["a"]]))
