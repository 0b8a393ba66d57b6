"""Columns of a retailer's files may have any name: each can be read, computed with and judged, and none is ours."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources import headers
from retail_assets.sources.contract import Feed
from retail_assets.sources.headers import Header, header_of
from retail_assets.sources.load import import_retailer
from retail_assets.sources.names import unique_names
from retail_assets.sources.replay import replay
from retail_assets.sources.report import LoadReport
from retail_assets.sources.staging import quoted
from tests.cases.test_cases import HERE as CASES
from tests.sources.landing import Retailer
from tests.sources.test_files import WEATHER

OURS = [
    "_pos",
    "_file",
    "_line",
    "_raw",
    "_problem",
    "_key",
    "_key_hash",
    "_ok",
    "_row_store",
    "_known_store",
    "_day_sold_at",
]
INSIDE = [
    "raw",
    "file",
    "typed",
    "dated",
    "part",
    "rows",
    "good",
    "line",
    "reason",
    "reasons",
    "fields",
    "kept",
    "v",
    "b",
]
CONTRACT = [
    "store",
    "product",
    "file_date",
    "file_name",
    "load_id",
    "last_day",
    "business_date",
    "delivered_at",
    "row_id",
]
KEYWORDS = ["order", "select", "at", "group", "from", "where", "null", "end", "LATERAL", "true"]
SIGNS = [
    'a"b',
    "a'b",
    "a.b",
    "[x]",
    "{y}",
    "unit\nprice",
    "n" * 300,
    "ünï",
    "x\ty",
    "'; DROP TABLE part; --",
    "%s {0}",
    "1",
]
NAMES = [
    *OURS,
    *INSIDE,
    *CONTRACT,
    *KEYWORDS,
    *SIGNS,
    "[red]x[/red]",
    "</td><b>",
    "-",
    "🛒",
    "Kasse Nr",
    "a;b",
    "50%",
    "a\\b",
]
HEADINGS = ["shop", "time", "item", "price"]
FILLED = ["quantity", "receipt_id", "customer_id", "payment_id"]
KINDS = [(kind, derive) for kind in ("csv", "jsonl", "json", "parquet") for derive in (False, True)]


class Shop:
    """A folder with the small shop of tests/cases whose sales fill four columns from columns of four other names."""

    def __init__(self, root: Path, kind: str, derive: bool, names: list[str]) -> None:
        self.folder, self.kind, self.derive = root / "files", kind, derive
        self.home = Home.at(root / "home")
        self.lake = Lake.at(self.home.lake)
        self.names = [names[at : at + len(FILLED)] for at in range(0, len(names), len(FILLED))]
        (self.folder / "sales").mkdir(parents=True)
        for name in ("stores.csv", "items.csv"):
            (self.folder / name).write_bytes((CASES / "shop" / name).read_bytes())
        for at, some in enumerate(self.names):
            self.put(f"sales/{at}", [*HEADINGS, *some], f"r{at}")

    def put(self, stem: str, headings: list[str], receipt: str) -> None:
        """Writes one good row and one whose quantity is no number."""
        rows = [["S1", "2024-03-01 10:00:00", "A1", "1.50", qty, receipt + qty, "c", "p"] for qty in ("2", "x")]
        path = self.folder / f"{stem}.{self.kind}"
        if self.kind == "parquet":
            pq.write_table(pa.table([pa.array(list(c)) for c in zip(*rows, strict=True)], names=headings), path)
        elif self.kind == "csv":
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([headings, *rows])
            path.write_text(text.getvalue())
        else:
            objects = [json.dumps(dict(zip(headings, row, strict=True))) for row in rows]
            path.write_text("\n".join(objects) + "\n" if self.kind == "jsonl" else f"[{', '.join(objects)}]")

    def mapping(self, quantity: str) -> Path:
        """A mapping with a feed per file; `quantity` is SQL over {name}, or nothing for the column as it is."""
        given = yaml.safe_load((CASES / "shop" / "m.yaml").read_text())
        till = given["feeds"].pop()
        for at, some in enumerate(self.names):
            named = [quoted("".join(filter(str.isprintable, name))) for name in some]
            columns = till["columns"] | dict(zip(FILLED, some, strict=True)) | {"line_no": {"sql": "1"}}
            columns["promo_code"] = {"sql": f"concat_ws(' ', {', '.join(named)})"}
            columns |= {"quantity": {"sql": quantity.format(name=named[0])}} if quantity else {}
            rules = [{"name": "too_many", "quarantine_if": " OR ".join(f"{name} = '99'" for name in named)}]
            feed = till | {"name": f"till_{at}", "files": f"sales/{at}.{self.kind}", "format": self.kind}
            feed |= {"columns": columns, "rules": rules} | ({"derive": "SELECT * FROM rows"} if self.derive else {})
            given["feeds"].append(feed)
        path = self.folder.parent / "m.yaml"
        path.write_text(yaml.safe_dump(given, allow_unicode=True))
        return path

    def load(self, quantity: str = "") -> LoadReport:
        """Imports what is new."""
        return import_retailer(self.lake, self.home, self.mapping(quantity), self.folder)

    def bronze(self) -> set[tuple[Any, ...]]:
        """What the sales are filled with."""
        columns = [*FILLED, "promo_code"]
        rows = self.lake.query(f"SELECT {', '.join(columns)} FROM {self.lake.scan('bronze', 'pos_lines')}").to_pylist()
        return {tuple(row[column] for column in columns) for row in rows}

    def quarantine(self) -> list[dict[str, Any]]:
        """Quarantined sales."""
        return self.lake.query(f"SELECT * FROM {self.lake.scan('quarantine', 'pos_lines')}").to_pylist()


@pytest.mark.parametrize(("kind", "derive"), KINDS)
def test_a_column_may_have_any_name(kind: str, derive: bool, tmp_path: Path) -> None:
    shop = Shop(tmp_path, kind, derive, NAMES)
    files = len(shop.names)
    report = shop.load().source("pos_lines")
    assert (report.rows_bronze, report.quarantined_by_reason) == (files, {"not_a_decimal": files})
    good = {(2, f"r{at}2", "c", "p", f"2 r{at}2 c p") for at in range(files)}
    assert shop.bronze() == good
    rows = {row["file"]: row["raw"] for row in shop.quarantine()}
    for at, some in enumerate(shop.names):
        kept = rows[f"sales/{at}.{kind}"]
        values = kept.split(",")[4:] if kind == "csv" and not derive else list(json.loads(kept).values())[4:]
        assert values == ["x", f"r{at}x", "c", "p"], some
    shop.mapping("coalesce(TRY_CAST({name} AS INTEGER), 7)")
    again = replay(shop.lake, shop.home, "pos_lines")
    assert (again.rows_moved, again.rows_left) == (files, 0)
    assert shop.bronze() == good | {(7, f"r{at}x", "c", "p", f"x r{at}x c p") for at in range(files)}


def test_the_small_shop_has_as_many_names_as_fill_its_files() -> None:
    assert len(NAMES) % len(FILLED) == 0 and len({name.lower() for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    ("headings", "names"),
    [
        (["a", "a", "a_2"], ("a", "a_3", "a_2")),
        (["A", "a", ""], ("A", "a_2", "column_3")),
        (["", "column_1", "x"], ("column_1_2", "column_1", "x")),
        (["\u200b", " x ", "x\n"], ("column_1", "x", "x_2")),
    ],
)
def test_a_name_that_stands_once_is_kept(headings: list[str], names: tuple[str, ...]) -> None:
    assert unique_names(headings) == names


def test_names_that_nothing_reads_may_be_alike() -> None:
    feed = Feed(name="f", files="f", format="csv", columns={"sku": "sku"})
    assert header_of(["sku", "Note", "note"], feed).problem is None
    assert header_of(["sku", "note", "note"], feed).told() == {
        "note_2": "column note stands twice: the second is note_2 here"
    }
    assert str(header_of(["sku", "SKU"], feed).problem).startswith("ambiguous_columns: 'sku' and 'SKU'")


def test_rows_of_an_older_home_that_were_refused_for_a_name_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path, "csv", False, ["_line", "_raw", "customer", "_file"])
    plain = headers.header_of
    with monkeypatch.context() as before:
        reason = "reserved_column: the loader calls a column of its own '_line'; rename it, or name it in `ignored`"
        before.setattr(headers, "header_of", lambda *a: Header(plain(*a).names, reason if "_line" in a[0] else None))
        assert shop.load().source("pos_lines").quarantined_by_reason == {"reserved_column": 2}
    again = replay(shop.lake, shop.home, "pos_lines")
    assert (again.rows_moved, again.rows_left, again.left_by_reason) == (1, 1, {"not_a_decimal": 1})


def test_a_key_that_an_object_has_twice_is_told_and_costs_a_row_only_where_it_is_read(retailer: Retailer) -> None:
    twice = '{"store_id": "US-001", "store_id": "US-002", "observed_on": "2025-10-06"}'
    retailer.put(WEATHER, f'[{twice}, {{"store_id":"US-001","observed_on":"2025-10-07","note":1,"note":2}}]')
    report = retailer.load_only("weather")
    assert (report.rows_bronze, report.rows_quarantined) == (1, 1)
    assert {row["raw"]: row["reasons"] for row in retailer.quarantine("weather")} == {
        twice: ["ambiguous_columns: store_id is there twice"]
    }
    assert "column note stands twice" in {change.change for change in report.schema_changes}
