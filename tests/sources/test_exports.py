"""Exports of shop systems and public sets, in small: each shipped mapping gives the right rows, to the cent."""

import shutil
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import MAPPINGS_DIR
from retail_assets.sources.load import import_retailer
from retail_assets.sources.report import LoadReport

EXPORTS = Path(__file__).with_name("exports")
FOLDERS = {
    "shopify_orders": "shopify",
    "square_items": "square",
    "woocommerce_orders": "woocommerce",
    "rossmann": "rossmann",
    "favorita": "favorita",
    "instacart": "instacart",
}


class Imported:
    """A home into which one export was imported."""

    def __init__(self, root: Path, mapping: str) -> None:
        self.home = Home.at(root)
        self.lake = Lake.at(self.home.lake)
        self.report: LoadReport = import_retailer(
            self.lake, self.home, MAPPINGS_DIR / f"{mapping}.yaml", EXPORTS / FOLDERS[mapping]
        )

    def rows(self, source: str = "pos_lines") -> list[dict[str, Any]]:
        """Bronze in the order of the file."""
        return self.lake.query(f"SELECT * FROM {self.lake.scan('bronze', source)} ORDER BY file, line").to_pylist()

    def lines(self) -> list[tuple[str, int, str, str, str, str]]:
        """Receipt, line, SKU, quantity, price paid and list price of the sales lines, shortest form."""
        short = ("receipt_id", "line_no", "sku", "quantity", "unit_price", "list_price")
        return [tuple(_short(row[name]) for name in short) for row in self.rows()]  # type: ignore[misc]

    def quarantined(self) -> list[str]:
        """All reasons, in the order of the file."""
        rows = self.lake.query(f"SELECT reasons FROM {self.lake.scan('quarantine', 'pos_lines')} ORDER BY file, line")
        return [" + ".join(reasons) for reasons in rows["reasons"].to_pylist()]

    def paid(self) -> dict[str, Decimal]:
        """What was paid per receipt, each line rounded to the cent."""
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in self.rows():
            sums[row["receipt_id"]] += round(row["quantity"] * row["unit_price"], 2)
        return dict(sums)


def _short(value: object) -> object:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Imported]:
    """Every export in a home of its own."""
    return {name: Imported(tmp_path_factory.mktemp(name), name) for name in FOLDERS}


def test_every_shipped_mapping_is_tried(imported: dict[str, Imported]) -> None:
    real = {"online_retail", "completejourney"}
    assert {path.stem for path in MAPPINGS_DIR.glob("*.yaml")} == {*FOLDERS} | real
    for one in imported.values():
        assert one.report.empty_feeds == ()
        for source in one.report.sources:
            assert source.rows_read == source.rows_bronze + source.rows_quarantined


def test_shopify_orders(imported: dict[str, Imported]) -> None:
    shopify = imported["shopify_orders"]
    cards = 'Postcards, set of "ten"'
    assert shopify.lines() == [
        ("#1001", 1, "FERN-1", "2", "14.46", "16"),  # 5.00 off 52.00, in proportion: 3.08 and 1.92
        ("#1001", 2, "007", "1", "18.08", "20"),
        ("#1002", 1, "FERN-1", "1", "6.66", "16"),  # 10.00 off three times 10.00: 3.34, 3.33, 3.33
        ("#1002", 2, "007", "1", "6.67", "10"),
        ("#1002", 3, "MUG-1", "1", "6.67", "10"),
        ("#1003", 1, "MUG-1", "1", "25", "25"),  # 7.50 given back later changes no price
        ("#1004", 1, "MUG-1", "2", "25", "25"),
        ("#1004", 2, "FERN-1", "1", "16", "16"),
        ("#1004", 3, "MUG-1", "-2", "25", "25"),  # refunded in full
        ("#1004", 4, "FERN-1", "-1", "16", "16"),
        ("#1006", 1, "007", "2", "10", "20"),  # 4.00 off this line only
        ("#1006", 2, "MUG-1", "1", "25", "25"),
        ("#1007", 1, "MUG-1", "1", "25", "25"),
        ("#1009", 1, cards, "1", "8", "9.5"),
        ("#1011", 1, cards, "3", "7.33", "8"),
    ]
    assert shopify.quarantined() == [
        "refund_without_goods: 7.50 of order #1003 + unknown_sku: sku='REFUND'",
        "not_sold: order #1005 is voided, cancelled",
        "not_goods: Tip",
        "not_goods: Gift Card - $50.00",
        "sums_disagree: lines 16.00, subtotal 31.00 of order #1010",
        "currency_mismatch: currency='CAD', SHOPIFY sells in USD",
    ]


def test_shopify_lines_add_up_to_the_subtotal_of_their_order(imported: dict[str, Imported]) -> None:
    subtotals = {"#1001": "47.00", "#1002": "20.00", "#1003": "25.00", "#1006": "45.00", "#1011": "21.99"}
    paid = imported["shopify_orders"].paid()
    assert {name: paid[name] for name in subtotals} == {name: Decimal(total) for name, total in subtotals.items()}
    assert paid["#1004"] == 0


def test_shopify_times_are_of_the_shop_and_customers_are_hashes(imported: dict[str, Imported]) -> None:
    rows = {(row["receipt_id"], row["line_no"]): row for row in imported["shopify_orders"].rows()}
    late = rows["#1011", 1]
    assert (f"{late['sold_at']:%Y-%m-%d %H:%M}", late["business_date"]) == ("2026-03-09 03:30", date(2026, 3, 8))
    assert rows["#1004", 3]["business_date"] == date(2026, 3, 5)
    assert rows["#1001", 1]["customer_id"] == rows["#1003", 1]["customer_id"]
    assert "@" not in "".join(row["customer_id"] for row in rows.values())
    assert {row["promo_code"] for row in rows.values()} == {"FALL5", "TEN", None}


def test_an_export_that_overlaps_another_adds_only_what_is_new(tmp_path: Path, home: Home, lake: Lake) -> None:
    whole = (EXPORTS / "shopify" / "orders_export.csv").read_text()
    first, later = whole.index("#1002"), whole.index("#1006")
    (tmp_path / "orders_1.csv").write_text(whole[:later])
    mapping = MAPPINGS_DIR / "shopify_orders.yaml"
    assert import_retailer(lake, home, mapping, tmp_path).source("pos_lines").rows_bronze == 10
    (tmp_path / "orders_2.csv").write_text(whole[: whole.index("#1001")] + whole[first:])
    lines = import_retailer(lake, home, mapping, tmp_path).source("pos_lines")
    assert (lines.rows_bronze, lines.rows_duplicate) == (5, 8)


def test_square_items(imported: dict[str, Imported]) -> None:
    square = imported["square_items"]
    assert square.lines() == [
        ("T1", 1, "Latte, Large", "1", "4.5", "4.5"),
        ("T1", 2, "00417", "2", "16.2", "18"),
        ("T1", 3, "CRO", "1", "2.93", "3.25"),
        ("T2", 1, "EM-1", "1", "1234.5", "1234.5"),
        ("T3", 1, "00417", "-1", "16.2", "18"),  # a refund with a negative quantity
        ("T4", 1, "CRO", "-1", "3.25", "3.25"),  # one with a positive quantity and "($3.25)"
        ("T8", 1, "CHE", "0.35", "18", "18"),
        ("T9", 1, "Latte, Large", "1", "0", "4.5"),
        ("T10", 1, "Latte, Large", "2", "4.5", "4.5"),
    ]
    assert square.quarantined() == [
        "refund_without_goods: 5.00 of transaction T5 + not_goods: Custom Amount 5.00",
        "not_goods: Custom Amount 12.00",
        "not_goods: eGift Card 50.00",
    ]
    zones = {row["store_id"]: row["time_zone"] for row in square.rows("stores")}
    assert zones == {"Main Street": "America/New_York", "Harbour": "America/Los_Angeles"}
    assert [row["business_date"] for row in square.rows()][-3:] == [
        date(2026, 7, 19),
        date(2026, 7, 20),
        date(2026, 7, 20),
    ]


def test_woocommerce_orders(imported: dict[str, Imported]) -> None:
    woo = imported["woocommerce_orders"]
    assert woo.lines() == [
        ("501", 1, "BEANIE", "2", "18", "18"),
        ("501", 2, "Logo Sticker", "3", "1.5", "1.5"),
        ("502", 1, "BEANIE", "1", "15.74", "18"),
        ("502", 2, "HOOD", "1", "39.34", "45"),
        ("502", 3, "CAP", "1", "14.47", "16.55"),
        ("503", 1, "HOOD", "1", "45", "45"),
        ("507", 1, "CAP", "2", "14.895", "16.55"),
        ("507", 2, "BEANIE", "1", "16.2", "18"),
        ("508", 1, "BEANIE", "1", "18", "18"),
    ]
    assert woo.quarantined() == [
        "returned: Cap of order 503",
        "refund_of_money: 16.55 of order 503 + unknown_sku: sku='REFUND'",
        "returned: Hoodie, XL of order 504",
        "refund_of_money: 50.00 of order 504 + unknown_sku: sku='REFUND'",
        "not_sold: order 505 is cancelled",
        "not_sold: order 506 is pending payment",
    ]
    paid = woo.paid()
    assert (paid["501"], paid["502"], paid["507"]) == (Decimal("40.50"), Decimal("69.55"), Decimal("45.99"))


def test_rossmann_daily_totals(imported: dict[str, Imported]) -> None:
    rossmann = imported["rossmann"]
    assert [(row["store_id"], row["business_date"].isoformat(), int(row["quantity"])) for row in rossmann.rows()] == [
        ("1", "2015-07-31", 5263),
        ("2", "2015-07-31", 6064),
        ("10", "2015-07-31", 7185),
        ("1", "2015-07-30", 5020),
        ("2", "2015-07-30", 5567),
        ("1", "2015-07-25", 4364),
        ("2", "2015-07-25", 2512),
        ("10", "2015-07-25", 4406),
    ]
    assert {(row["sku"], row["unit_price"], row["currency"]) for row in rossmann.rows()} == {("ALL", 1, "EUR")}
    assert [row["promo_code"] for row in rossmann.rows()] == ["PROMO"] * 5 + [None] * 3
    assert rossmann.quarantined() == ["no_sale", "closed", "closed", "closed", "closed: holiday a"]


def test_favorita_daily_units(imported: dict[str, Imported]) -> None:
    favorita = imported["favorita"]
    assert [line[0::2] for line in favorita.lines()] == [
        ("25-103665-2013-01-01", "103665", "0"),
        ("25-105574-2013-01-01", "105574", "0"),
        ("1-103665-2013-01-02", "103665", "0"),
        ("1-105574-2013-01-02", "105574", "0"),
        ("25-103665-2014-04-01", "103665", "0"),
        ("25-105574-2014-04-01", "105574", "0"),
        ("1-108786-2014-04-01", "108786", "0"),
        ("1-103665-2014-04-02", "103665", "0"),
    ]
    assert [line[3] for line in favorita.lines()] == ["7", "1", "2", "-3", "3", "5", "0.452", "12"]
    assert favorita.quarantined() == ["unknown_sku: sku='999999'", "not_a_decimal: quantity='nan'"]
    assert [row["region"] for row in favorita.rows("stores")] == ["Pichincha", "Santa Elena"]


def test_instacart_baskets(imported: dict[str, Imported]) -> None:
    instacart = imported["instacart"]
    placed = {row["receipt_id"]: row["sold_at"] for row in instacart.rows()}
    # Weekday 0 is Saturday; the gaps are 15, 21 and 30 days (10 and 30), the hours those of New York.
    assert {order: f"{at:%a %Y-%m-%d %H}" for order, at in placed.items()} == {
        "2539329": "Mon 2016-11-07 13",
        "2398795": "Tue 2016-11-22 12",
        "473747": "Tue 2016-12-13 17",
        "1187899": "Wed 2017-01-11 13",
        "2168274": "Mon 2016-11-28 16",  # this shopper's newest order, on Sunday 8 January, has no products here
        "1501582": "Thu 2016-12-08 15",
    }
    assert {(row["quantity"], row["unit_price"]) for row in instacart.rows()} == {(1, 0)}
    assert instacart.quarantined() == ["missing: sold_at"]
    assert [row["category"] for row in instacart.rows("products")][:2] == ["soft drinks", "nuts seeds dried fruit"]
    assert len(instacart.rows("customers")) == 2


def test_a_file_read_beside_another_must_be_there(tmp_path: Path, home: Home, lake: Lake) -> None:
    folder = Path(shutil.copytree(EXPORTS / "instacart", tmp_path / "files"))
    (folder / "aisles.csv").unlink()
    with pytest.raises(Exception, match=r"feed 'items' reads aisles beside its own; 'aisles\.csv' is no file"):
        import_retailer(lake, home, MAPPINGS_DIR / "instacart.yaml", folder)
    assert not home.lake.exists()
