"""The YAML that the documents show is valid, and does what they say."""

import re
import shutil
from pathlib import Path

import duckdb

from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import MAPPINGS_DIR, SOURCES_DIR, load_contracts
from retail_assets.sources.load import import_retailer, load_source
from retail_assets.sources.tables import ensure_bronze
from tests.sources.landing import Retailer


def example(document: str, first_word: str, language: str = "yaml") -> str:
    """The block of a document in a language that begins with a word."""
    text = (PROJECT_ROOT / "docs" / document).read_text()
    found = re.findall(rf"```{language}\n(.*?)```", text, re.S)
    (block,) = [block for block in found if block.startswith(first_word)]
    return str(block)


def test_the_source_in_add_a_source_loads(retailer: Retailer, tmp_path: Path) -> None:
    configs = Path(shutil.copytree(SOURCES_DIR, tmp_path / "sources"))
    (configs / "footfall.yaml").write_text(example("add-a-source.md", "source:"))
    contracts = load_contracts(configs)
    ensure_bronze(retailer.lake, contracts)
    content = "Filiale;Zeit;Besucher;Tuer\nDE-001;06.10.2025 09:00;120;front\nDE-001;06.10.2025 10:00;viele;front\n"
    retailer.put("footfall/footfall_d20251007T000000Z.csv", content)
    report = load_source(retailer.lake, retailer.home.landing, contracts["footfall"])
    assert (report.rows_bronze, report.quarantined_by_reason) == (1, {"not_an_integer": 1})
    assert [change.change for change in report.schema_changes] == ["renamed column Zeitpunkt -> Zeit (counted_at)"]


def test_the_mapping_in_bring_your_own_data_imports(tmp_path: Path, home: Home, lake: Lake) -> None:
    mapping = tmp_path / "my_shop.yaml"
    mapping.write_text(example("bring-your-own-data.md", "mapping:"))
    files = tmp_path / "files"
    (files / "sales").mkdir(parents=True)
    (files / "stores.csv").write_text("id,name\nA,Main street\n")
    (files / "items.csv").write_text("item,title,group\n1,Bread,bakery\n")
    (files / "loyalty.csv").write_text("points\n1\n")
    (files / "sales" / "monday.csv").write_text(
        "shop;receipt;time;item;qty;price\nA;1;01.07.2024 09:30;1;2;3,50\nA;1;01.07.2024 09:30;BAG;1;0,10\n"
    )
    report = import_retailer(lake, home, mapping, files)
    lines = report.source("pos_lines")
    assert (lines.rows_bronze, lines.quarantined_by_reason) == (1, {"not_goods": 1, "unknown_sku": 1})
    assert [skipped.files for skipped in report.skipped] == [("loyalty.csv",)]


def test_every_mapping_that_ships_is_named() -> None:
    text = (PROJECT_ROOT / "docs" / "bring-your-own-data.md").read_text()
    assert [
        file.name for file in sorted(MAPPINGS_DIR.glob("*.yaml")) if f"configs/mappings/{file.name}`" not in text
    ] == []


def test_the_discount_of_an_order_is_spread_to_the_cent() -> None:
    sql = example("bring-your-own-data.md", "WITH", "sql")
    rows = [("A", "x", 1, "10.00", "10.00"), ("A", "y", 1, "10.00", None), ("A", "z", 1, "10.00", None)]
    rows += [("B", "x", 3, "4.10", "1.99"), ("B", "y", 2, "0.35", None), ("C", "x", 1, "5.00", "0.00")]
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE rows "
            "(order_no VARCHAR, item VARCHAR, qty INTEGER, price DECIMAL(12,2), discount DECIMAL(12,2))"
        )
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", rows)
        found = connection.execute(sql).fetchall()
        sums = dict(
            connection.execute(f"SELECT order_no, round(sum(qty * paid), 2) FROM ({sql}) GROUP BY 1").fetchall()
        )
    assert [round(paid, 2) for *_, paid in found[:3]] == [6.66, 6.67, 6.67]
    assert [(order, line) for order, line, *_ in found] == [("A", 1), ("A", 2), ("A", 3), ("B", 1), ("B", 2), ("C", 1)]
    assert {order: round(float(paid), 2) for order, paid in sums.items()} == {"A": 20.0, "B": 11.01, "C": 5.0}
