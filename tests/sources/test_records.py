"""Quoted line breaks: one record for a CSV writer is one row here, and a torn quote swallows no line."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.sources import records
from retail_assets.sources.contract import Dialect, Feed
from retail_assets.sources.discover import raw_file
from retail_assets.sources.lines import read_blocks
from retail_assets.sources.names import LINE, PROBLEM, RAW
from retail_assets.sources.readers import slices
from tests.sources.landing import US_HEADER, Retailer, us_line

POS = "pos/US-001/pos_US-001_20251006_d20251007T030000Z.csv"
PIECES = ['"', "\n", "\r\n", "\r", ",", ";", "a", "é", " ", "1,2,3\n"]
CELLS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
TORN = ['x,"torn,z\n', "1,2,3\n", '4,"5\n5",6\n', '7,8",9\n', '"a""\nb",c,d\n']
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)


def read(folder: Path, content: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The rows of a CSV file that is read in blocks of `limit` bytes, by line."""
    path = folder / "f.csv"
    path.write_bytes(content.encode())
    feed = Feed(name="f", files="f.csv", format="csv", columns={}, dialect=Dialect(ends_with_newline=False))
    monkeypatch.setattr(
        "retail_assets.sources.readers.read_blocks", lambda p, encoding: read_blocks(p, encoding, limit)
    )
    file = raw_file(path, "f.csv", feed)
    found = [row for piece in slices([file]) for row in piece.rows.to_pylist()]
    return sorted(found, key=lambda row: row[LINE])


def written(rows: Iterable[Iterable[str]], ending: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue()


@SAME_FOLDER
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12),
    ending=st.sampled_from(["\n", "\r\n"]),
    limit=st.sampled_from([7, 40, 10_000]),
)
def test_what_a_writer_put_into_one_record_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, str, str]], ending: str, limit: int
) -> None:
    found = read(tmp_path, "a,b,c" + ending + written(rows, ending), limit, monkeypatch)
    assert [tuple(row[name] or "" for name in "abc") for row in found] == rows
    assert [row[PROBLEM] for row in found] == [None] * len(rows)
    line, lines = 2, []
    for row in rows:
        lines.append(line)
        line += 1 + "".join(row).count("\n")
    assert [row[LINE] for row in found] == lines
    assert "".join(str(row[RAW]) for row in found) == written(rows, ending)


@SAME_FOLDER
@given(
    parts=st.lists(
        st.sampled_from(['x,"torn,z\n', "1,2,3\n", '4,"5\n5",6\n', '7,8",9\n', '"a""\nb",c,d\n']), max_size=25
    ),
    limit=st.sampled_from([11, 10_000]),
)
def test_no_line_is_lost_whatever_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[str], limit: int
) -> None:
    found = read(tmp_path, "a,b,c\n" + "".join(parts), limit, monkeypatch)
    assert "".join(str(row[RAW]) for row in found) == "".join(parts)
    assert found == read(tmp_path, "a,b,c\n" + "".join(parts), 100_000, monkeypatch)


def test_a_sale_written_inside_a_note_is_no_sale(retailer: Retailer) -> None:
    note = f'"{{}}\n{us_line(receipt=9999, quantity="100")}\n"'
    retailer.put(POS, "\n".join([US_HEADER, us_line(), us_line(receipt=2, promo=note.format("2")), us_line(3)]) + "\n")
    report = retailer.load_pos()
    assert (report.rows_read, report.rows_bronze) == (3, 3)
    rows = retailer.bronze()
    assert [(row["line"], row["receipt_id"]) for row in rows] == [(2, "R1"), (3, "R2"), (6, "R3")]
    assert str(rows[1]["promo_code"]).startswith("2\nUS-001,R9999")
    assert {str(row["quantity"]) for row in rows} == {"1.000"}


def test_a_torn_quote_costs_its_own_line_only(retailer: Retailer) -> None:
    lines = [us_line(receipt=n) for n in range(30)]
    lines[4] = us_line(receipt=4, promo='"half a quote')
    lines[20] = us_line(receipt=20, promo='"two\nlines"')
    retailer.put_pos(lines)
    report = retailer.load_pos()
    assert (report.rows_bronze, report.quarantined_by_reason) == (29, {"broken_quotes": 1})
    assert retailer.reasons()[0][0] == 6
    assert [row["line"] for row in retailer.bronze()][-1] == 32


@pytest.mark.parametrize(("lines", "whole"), [(5, True), (6, False)])
def test_a_record_has_a_bounded_number_of_lines(
    retailer: Retailer, monkeypatch: pytest.MonkeyPatch, lines: int, whole: bool
) -> None:
    monkeypatch.setattr(records, "MAX_LINES", 5)
    retailer.put_pos([us_line(promo='"' + "\n".join("x" * lines) + '"')])
    report = retailer.load_pos()
    assert (report.rows_read, report.rows_bronze) == ((1, 1) if whole else (lines, 0))


def test_a_record_of_several_lines_is_quarantined_and_replayed_whole(retailer: Retailer) -> None:
    record = us_line(sku="SKU-00042", promo='"two\nlines"')
    retailer.put_pos([record, us_line(receipt=2)])
    retailer.load_pos()
    (row,) = retailer.quarantine()
    assert (row["raw"], row["line"], row["reasons"]) == (record, 2, ["unknown_sku: sku='SKU-00042'"])
    retailer.put("catalogue/products_US_20251008_d20251008T050000Z.json", '[{"sku":"SKU-00042"}]')
    retailer.load_only("products")
    from retail_assets.sources.replay import replay

    assert replay(retailer.lake, retailer.home, "pos_lines").rows_moved == 1
    assert {row["promo_code"] for row in retailer.bronze()} == {"two\nlines", None}


def test_a_header_may_hold_line_breaks(retailer: Retailer) -> None:
    header = US_HEADER.replace("promo_code", '"promo\ncode"')
    retailer.put_pos([us_line()], header=header)
    report = retailer.load_pos()
    assert report.rows_bronze == 1
    assert retailer.bronze()[0]["line"] == 3
    assert "new column promocode" in {change.change for change in report.schema_changes}
