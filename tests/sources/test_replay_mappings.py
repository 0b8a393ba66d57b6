"""Quarantined rows of an import and a corrected mapping, however either reads the files; and which mapping that is."""

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources import quality, reread
from retail_assets.sources.chosen import MappingNeeded
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.load import import_retailer
from retail_assets.sources.replay import replay

SALES = """\
invoice,time,item,qty,price
1,2024-03-01 10:00,A,1,2.00
2,2024-03-01 11:00,B,x,3.00
3,2024-03-02 10:00,A,2,2.00
"""
MAPPING = """\
mapping: {name}
description: One file; stores and products are derived from it.
feeds:
  - name: stores
    source: stores
    files: sales.csv
    format: csv
    derive: SELECT 'S1' AS id FROM rows LIMIT 1
    delivered_at: 2024-01-01T00:00:00Z
    columns: {{store_id: id}}
    constants: {{country: US, time_zone: America/New_York, currency: USD}}
  - name: items
    source: products
    files: sales.csv
    format: csv
    derive: SELECT DISTINCT item AS sku FROM rows ORDER BY 1
    delivered_at: 2024-01-01T00:00:00Z
    columns: {{sku: sku}}
    constants: {{country: US}}
  - name: lines
    source: pos_lines
    files: sales.csv
    format: csv
    timestamps: local
    time_zone: store
    delivered_at: business_day_end
    derive: {derive}
    columns: {{receipt_id: invoice, line_no: {{sql: _line}}, sold_at: time, sku: item, quantity: {quantity},
      unit_price: price}}
    constants: {{currency: USD, store_id: S1}}
"""
PLAIN = "null"
COPY = "SELECT * FROM rows"
CORRECTED = "{sql: \"replace(qty, 'x', '7')\"}"


def mapping(folder: Path, derive: str = PLAIN, quantity: str = "qty", name: str = "shop", file: str = "m") -> Path:
    """A mapping file beside its one file of sales."""
    (folder / "sales.csv").write_text(SALES)
    path = folder / f"{file}.yaml"
    path.write_text(MAPPING.format(name=name, derive=derive, quantity=quantity))
    return path


def quantities(lake: Lake) -> list[tuple[str, Decimal]]:
    """Receipts and quantities in bronze."""
    rows = lake.query(f"SELECT receipt_id, quantity FROM {lake.scan('bronze', 'pos_lines')} ORDER BY 1").to_pylist()
    return [(row["receipt_id"], row["quantity"]) for row in rows]


WAYS = {
    "as before, lines": (PLAIN, PLAIN, CORRECTED),
    "as before, derived": (COPY, COPY, CORRECTED),
    "derived now": (PLAIN, "SELECT *, replace(qty, 'x', '7')::INTEGER AS pieces FROM rows", "pieces"),
    "derived no more": (COPY, PLAIN, CORRECTED),
}


@pytest.mark.parametrize(("before", "after", "quantity"), WAYS.values(), ids=WAYS)
def test_a_row_is_tried_again_however_its_file_is_read(
    tmp_path: Path, home: Home, lake: Lake, before: str, after: str, quantity: str
) -> None:
    report = import_retailer(lake, home, mapping(tmp_path, before), tmp_path)
    assert report.source("pos_lines").quarantined_by_reason == {"not_a_decimal": 1}
    corrected = mapping(tmp_path, after, quantity, file="corrected")
    done = replay(lake, home, "pos_lines", mappings=[corrected])
    assert (done.rows_tried, done.rows_moved, done.rows_left) == (1, 1, 0)
    assert quantities(lake) == [("1", Decimal(1)), ("2", Decimal(7)), ("3", Decimal(2))]
    assert quality.sums(lake, ["pos_lines"])["pos_lines"].add_up
    assert replay(lake, home, "pos_lines").notes == ("nothing of pos_lines is in quarantine",)


WHOLE_FILE = "SELECT *, row_number() OVER (ORDER BY invoice) AS nth, 1 AS pieces FROM rows"


def test_sql_that_needs_the_whole_file_is_not_done_to_single_rows(tmp_path: Path, home: Home, lake: Lake) -> None:
    import_retailer(lake, home, mapping(tmp_path), tmp_path)
    done = replay(lake, home, "pos_lines", mappings=[mapping(tmp_path, WHOLE_FILE, "pieces")])
    assert (done.rows_tried, done.rows_moved, done.left_by_reason) == (1, 0, {"not_derived": 1})
    assert "it needs all rows of a file at once" in done.notes[0]


def test_rows_derived_by_other_sql_are_judged_by_what_it_gave(tmp_path: Path, home: Home, lake: Lake) -> None:
    import_retailer(lake, home, mapping(tmp_path, COPY), tmp_path)
    done = replay(lake, home, "pos_lines", mappings=[mapping(tmp_path, "SELECT *, 1 AS pieces FROM rows", "pieces")])
    assert (done.rows_moved, done.left_by_reason) == (0, {"missing_column": 1})
    assert "judged by what it gave then: invoice, time, item, qty, price" in done.notes[0]


def test_the_mapping_that_loaded_a_row_is_found_where_it_was(tmp_path: Path, home: Home, lake: Lake) -> None:
    file = mapping(tmp_path)
    import_retailer(lake, home, file, tmp_path)
    done = replay(lake, home, "pos_lines")
    assert (done.rows_tried, done.rows_moved, done.judged_by) == (1, 0, (str(file),))
    mapping(tmp_path, quantity=CORRECTED)
    done = replay(lake, home, "pos_lines")
    assert (done.rows_moved, done.judged_by) == (1, (f"{file}, changed since the import",))


def test_a_mapping_that_is_gone_is_asked_for_by_name_and_place(tmp_path: Path, home: Home, lake: Lake) -> None:
    file = mapping(tmp_path)
    import_retailer(lake, home, file, tmp_path)
    moved = file.rename(tmp_path / "moved.yaml")
    with pytest.raises(MappingNeeded, match=rf"1 rows came by mapping 'shop' \({file}\), which is gone: give the file"):
        replay(lake, home, "pos_lines")
    assert replay(lake, home, "pos_lines", mappings=[moved]).rows_tried == 1


def test_a_home_that_remembers_no_mapping_asks_for_it(tmp_path: Path, home: Home, lake: Lake) -> None:
    file = mapping(tmp_path)
    import_retailer(lake, home, file, tmp_path)
    shutil.rmtree(home.lake / "ops" / "mappings")
    with pytest.raises(MappingNeeded, match="1 rows came by mapping 'shop', which this home does not know"):
        replay(lake, home, "pos_lines")
    assert replay(lake, home, "pos_lines", mappings=[file]).rows_tried == 1


def test_a_corrected_mapping_may_have_another_name_if_its_feeds_fit(tmp_path: Path, home: Home, lake: Lake) -> None:
    import_retailer(lake, home, mapping(tmp_path), tmp_path)
    done = replay(lake, home, "pos_lines", mappings=[mapping(tmp_path, quantity=CORRECTED, name="shop_2", file="n")])
    assert done.rows_moved == 1
    assert replay(lake, home, "pos_lines").rows_tried == 0


def test_a_mapping_that_fits_no_row_says_which_one_brought_them(tmp_path: Path, home: Home, lake: Lake) -> None:
    file = mapping(tmp_path)
    import_retailer(lake, home, file, tmp_path)
    other = mapping(tmp_path, name="other", file="other")
    other.write_text(other.read_text().replace("name: lines", "name: till"))
    with pytest.raises(MappingNeeded, match=rf"'other' fits no row(.|\n)*came 1 by mapping 'shop' \({file}\), feed li"):
        replay(lake, home, "pos_lines", mappings=[other])


def test_a_misspelt_column_is_refused_at_replay_too(tmp_path: Path, home: Home, lake: Lake) -> None:
    import_retailer(lake, home, mapping(tmp_path), tmp_path)
    with pytest.raises(SourceConfigError, match="names 'qtty', which no file has; the nearest is 'qty'"):
        replay(lake, home, "pos_lines", mappings=[mapping(tmp_path, quantity="{sql: trim(qtty)}")])


CAST = "SELECT invoice, time, item, qty::INTEGER AS qty, price FROM rows"
TRIED = "SELECT invoice, time, item, TRY_CAST(qty AS INTEGER) AS qty, price FROM rows"


def test_a_file_that_was_refused_whole_is_read_again(tmp_path: Path, home: Home, lake: Lake) -> None:
    report = import_retailer(lake, home, mapping(tmp_path, CAST), tmp_path)
    assert [feed.rows_read for feed in report.empty_feeds] == [1]
    assert replay(lake, home, "pos_lines").rows_moved == 0
    mapping(tmp_path, TRIED)
    done = replay(lake, home, "pos_lines")
    assert (done.rows_moved, done.left_by_reason) == (2, {"missing": 1})
    assert quality.sums(lake, ["pos_lines"])["pos_lines"].model_dump() == {
        "read": 3,
        "bronze": 2,
        "quarantine": 1,
        "duplicate": 0,
    }
    assert import_retailer(lake, home, tmp_path / "m.yaml", tmp_path).rows_read == 0
    again = replay(lake, home, "pos_lines")
    assert (again.rows_tried, again.rows_moved, again.notes) == (1, 0, ())


LATE = "SELECT *, time || ' o''clock' AS at FROM rows"


def test_a_file_of_which_nothing_reached_bronze_is_derived_anew(tmp_path: Path, home: Home, lake: Lake) -> None:
    file = mapping(tmp_path, LATE)
    file.write_text(file.read_text().replace("sold_at: time", "sold_at: at"))
    assert import_retailer(lake, home, file, tmp_path).source("pos_lines").rows_quarantined == 3
    file.write_text(file.read_text().replace("time || ' o''clock'", "time"))
    done = replay(lake, home, "pos_lines")
    assert (done.rows_moved, done.left_by_reason) == (2, {"not_a_decimal": 1})
    assert quality.sums(lake, ["pos_lines"])["pos_lines"].add_up


def test_a_file_whose_load_was_withdrawn_is_new_when_the_process_dies_there(
    tmp_path: Path, home: Home, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_retailer(lake, home, mapping(tmp_path, CAST), tmp_path)
    mapping(tmp_path, TRIED)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reread, "BatchLoader", die)
        with pytest.raises(KeyboardInterrupt):
            replay(lake, home, "pos_lines")
    assert quality.sums(lake, ["pos_lines"])["pos_lines"].add_up
    assert import_retailer(lake, home, tmp_path / "m.yaml", tmp_path).source("pos_lines").rows_bronze == 2


def test_a_refused_file_that_is_gone_is_named(tmp_path: Path, home: Home, lake: Lake) -> None:
    import_retailer(lake, home, mapping(tmp_path, CAST), tmp_path)
    (tmp_path / "sales.csv").unlink()
    assert (
        "sales.csv has to be read again as a whole and is not where it was" in replay(lake, home, "pos_lines").notes[0]
    )


def test_an_import_with_nothing_new_says_what_waits(tmp_path: Path, home: Home, lake: Lake) -> None:
    file = mapping(tmp_path)
    assert import_retailer(lake, home, file, tmp_path).waiting == {}
    assert import_retailer(lake, home, file, tmp_path).waiting == {"pos_lines": 1}


def test_the_command_says_why_nothing_was_tried(
    tmp_path: Path, home: Home, lake: Lake, retail: Callable[..., "CompletedProcess[str]"]
) -> None:
    file = mapping(tmp_path)
    import_retailer(lake, home, file, tmp_path)
    assert "nothing of stores is in quarantine" in retail(home.root, "replay", "stores").stdout
    file.unlink()
    done = retail(home.root, "replay", "pos_lines", check=False)
    assert done.returncode == 1
    assert "give the file after the source" in " ".join(done.stderr.split())
