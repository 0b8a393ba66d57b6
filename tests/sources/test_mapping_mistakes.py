"""A name that no file has is a mistake of the mapping: refused before anything is written, by line and nearest name."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import load_contracts, load_mapping
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.load import import_retailer

MAPPING = """\
mapping: shop
description: d
feeds:
  - name: stores
    source: stores
    files: sales*.{format}
    format: {format}
    derive: SELECT DISTINCT shop FROM rows ORDER BY 1
    columns: {{store_id: shop}}
    constants: {{country: US, time_zone: America/New_York, currency: USD}}
  - name: lines
    source: pos_lines
    files: sales*.{format}
    format: {format}
    timestamps: local
    time_zone: store
    skip_references: [sku]
    key: {{columns: [store_id, receipt_id, sku]}}
    columns:
      store_id: shop
      receipt_id: receipt
      line_no: {{sql: _line}}
      sold_at: time
      sku: {{sql: "upper(item)"}}
      quantity: [qty, pieces]
      unit_price: price
      list_price: before
    constants: {{currency: USD}}
    rules:
      - name: not_goods
        quarantine_if: item = 'BAG' OR store.channel = 'web'
        detail: "'item ' || item"
"""
ROW = {"shop": "S1", "receipt": "1", "time": "2024-03-01 10:00", "item": "a", "qty": "2", "price": "1.50"}


def write(folder: Path, *rows: dict[str, str], name: str = "sales", kind: str = "csv") -> None:
    """A file of the kind with `rows`, all of the same columns."""
    path, columns = folder / f"{name}.{kind}", list(rows[0])
    if kind == "csv":
        path.write_text("\n".join([",".join(columns), *(",".join(row.values()) for row in rows)]) + "\n")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def mapped(folder: Path, old: str = "", new: str = "", kind: str = "csv") -> tuple[Path, int]:
    """The mapping with `old` replaced, and the line of the replacement."""
    text = MAPPING.format(format=kind)
    assert old in text
    file = folder / "m.yaml"
    file.write_text(text.replace(old, new, 1))
    return file, text[: text.index(old)].count("\n") + 1


MISTAKES = [
    ("a required column", "sold_at: time", "sold_at: tyme", "columns.sold_at names 'tyme', which no file has", "time"),
    ("in another case", "sold_at: time", "sold_at: Time", "columns.sold_at names 'Time', which no file has", "time"),
    ("an expression", "upper(item)", "upper(itme)", "columns.sku.sql names 'itme', which no file has", "item"),
    ("a rule", "item = 'BAG'", "itemm = 'BAG'", "rules.0.quarantine_if names 'itemm', which no file has", "item"),
    ("a detail", "'item ' || item", "'item ' || itm", "rules.0.detail names 'itm', which no file has", "item"),
    ("a field", "store.channel", "store.chanel", "'chanel', which the row that is referred to does not", "channel"),
    ("a reference", "store.channel", "stor.channel", "'stor', which is nothing that is referred to", "store"),
    ("a function", "upper(item)", "uper(item)", "columns.sku.sql cannot be computed: Scalar Function with name", None),
    ("an aggregate", "upper(item)", "max(item)", "columns.sku.sql cannot be computed: a value is computed from", None),
    ("several rows", "upper(item)", "unnest([item])", "cannot be computed: a value is computed from its own row", None),
    (
        "a window",
        "upper(item)",
        "first(item) OVER ()",
        "cannot be computed: a value is computed from its own row",
        None,
    ),
    ("all columns", "upper(item)", "COLUMNS(*)", "columns, not one value", None),
    ("two values", "upper(item)", "item, shop", "more than one value: 'item, shop'", None),
    (
        "two values in a rule",
        "item = 'BAG' OR store.channel = 'web'",
        "item = 'BAG', true",
        "more than one value",
        None,
    ),
    ("a type", "upper(item)", "item > 3", "columns.sku.sql cannot be computed: Cannot compare", None),
    (
        "a derivation",
        "DISTINCT shop",
        "DISTINCT shpo",
        "it names 'shpo', which sales.csv does not have",
        "shop",
    ),
    ("a key", "receipt_id, sku]", "receipt_id, skuu]", "the key names 'skuu', which is no column of pos_lines", "sku"),
    ("a column of ours", "quantity: [", "quantty: [", "'quantty' is no column of pos_lines", "quantity"),
    ("a source", "source: pos_lines", "source: pos_line", "which is no source", "pos_lines"),
    (
        "a skipped rule",
        "skip_references: [sku]",
        "skip_rules: [zero_qty]",
        "skip_rules names 'zero_qty'",
        "zero_quantity",
    ),
]


@pytest.mark.parametrize(("old", "new", "says", "near"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_misspelt_name_is_refused_by_line_before_anything_is_written(
    tmp_path: Path, home: Home, lake: Lake, old: str, new: str, says: str, near: str | None
) -> None:
    write(tmp_path, ROW)
    mapping, line = mapped(tmp_path, old, new)
    with pytest.raises(SourceConfigError) as raised:
        import_retailer(lake, home, mapping, tmp_path)
    assert says in raised.value.what
    assert (f"the nearest is {near!r}" in raised.value.what) == (near is not None)
    assert raised.value.where == f"{mapping}:{line}"
    assert not home.lake.exists()


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_other_formats_are_looked_into_too(tmp_path: Path, home: Home, lake: Lake, kind: str) -> None:
    write(tmp_path, ROW, kind=kind)
    with pytest.raises(SourceConfigError, match="'tyme', which no file has; the nearest is 'time'"):
        import_retailer(lake, home, mapped(tmp_path, "sold_at: time", "sold_at: tyme", kind)[0], tmp_path)
    assert import_retailer(lake, home, mapped(tmp_path, kind=kind)[0], tmp_path).source("pos_lines").rows_bronze == 1


def test_a_name_that_only_a_late_json_line_has_is_no_mistake(
    tmp_path: Path, home: Home, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_assets.sources.sampling.LINE_LIMIT", 64)
    late = {"pieces" if key == "qty" else key: value for key, value in ROW.items()} | {"receipt": "2", "code": "z"}
    write(tmp_path, *[ROW] * 5, late, kind="jsonl")
    mapping, _ = mapped(tmp_path, "upper(item)", "concat(code, item)", "jsonl")
    assert import_retailer(lake, home, mapping, tmp_path).source("pos_lines").rows_bronze == 2


def test_a_column_that_some_file_has_is_no_mistake(tmp_path: Path, home: Home, lake: Lake) -> None:
    write(tmp_path, ROW)
    write(tmp_path, {k: v for k, v in ROW.items() if k != "item"} | {"receipt": "2"}, name="sales_odd")
    write(tmp_path, {"pieces" if k == "qty" else k: v for k, v in ROW.items()} | {"receipt": "3"}, name="sales_renamed")
    lines = import_retailer(lake, home, mapped(tmp_path)[0], tmp_path).source("pos_lines")
    assert (lines.rows_bronze, lines.quarantined_by_reason) == (2, {"missing_column": 1})


def test_files_split_by_the_wrong_delimiter_are_refused_with_a_hint(tmp_path: Path, home: Home, lake: Lake) -> None:
    write(tmp_path, ROW)
    file = tmp_path / "sales.csv"
    file.write_text(file.read_text().replace(",", ";"))
    with pytest.raises(SourceConfigError, match="one column: is the delimiter ';'"):
        import_retailer(lake, home, mapped(tmp_path)[0], tmp_path)


def test_a_mapping_without_mistakes_says_nothing(tmp_path: Path) -> None:
    assert load_mapping(mapped(tmp_path)[0], load_contracts()).mapping == "shop"


@pytest.mark.parametrize("delimiter", ["", "||", "€", "¦", "\u00a0", "\n", "\r", '"', "\0"], ids=repr)
def test_a_delimiter_that_no_reader_splits_by_is_refused_by_line(tmp_path: Path, delimiter: str) -> None:
    written = "dialect: {delimiter: " + json.dumps(delimiter) + "}\n    timestamps: local"
    mapping, line = mapped(tmp_path, "timestamps: local", written)
    with pytest.raises(SourceConfigError, match="must be one sign of ASCII, neither a quote nor the end") as refused:
        load_mapping(mapping, load_contracts())
    assert refused.value.where == f"{mapping}:{line}"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", ":", "^", "~", "\x01", "\x1f", "x"], ids=repr)
def test_any_other_sign_of_ascii_splits(tmp_path: Path, home: Home, lake: Lake, delimiter: str) -> None:
    row = {name: f'"{value}"' for name, value in (ROW | {"item": "A B,C", "shop": "S 1"}).items()}
    lines = [delimiter.join(f'"{name}"' for name in row), delimiter.join(row.values())]
    (tmp_path / "sales.csv").write_text("\n".join([*lines, lines[1].replace('"2"', "oops")]) + "\n")
    written = "dialect: {delimiter: " + json.dumps(delimiter) + "}"
    mapping, _ = mapped(tmp_path, "files: sales*.csv", f"files: sales*.csv\n    {written}")
    text = mapping.read_text()
    head, tail = text[: text.index("name: lines")], text[text.index("name: lines") :]
    mapping.write_text(head + tail.replace("files: sales*.csv", f"files: sales*.csv\n    {written}"))
    found = import_retailer(lake, home, mapping, tmp_path).source("pos_lines")
    assert (found.rows_bronze, found.rows_quarantined) == (1, 1)
    assert lake.read("bronze", "pos_lines")["sku"].to_pylist() == ["A B,C"]


@pytest.mark.parametrize("year", [1, 1969, 2200, 9999])
def test_a_delivery_is_of_the_time_of_computers(tmp_path: Path, year: int) -> None:
    day = f"delivered_at: {year:04}-12-31T23:00:00-05:00\n    timestamps: local"
    mapping, line = mapped(tmp_path, "timestamps: local", day)
    with pytest.raises(SourceConfigError, match="must be in the years 1970 to 2199") as refused:
        load_mapping(mapping, load_contracts())
    assert refused.value.where == f"{mapping}:{line}"
