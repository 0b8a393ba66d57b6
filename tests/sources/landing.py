"""A very small retailer whose landing files a test writes line by line."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import SOURCES_DIR, load_contracts
from retail_assets.sources.load import load_landing, load_source
from retail_assets.sources.report import LoadReport, SourceReport
from retail_assets.sources.tables import ensure_bronze

STORES = (
    "store_id,name,country,region,city,time_zone,currency,channel,fiscal_calendar,day_ends,opened_on,size_sqm\n"
    "US-001,New York,US,NY,New York,America/New_York,USD,store,4-5-4,,2019-01-01,500\n"
    "UK-001,London,UK,LDN,London,Europe/London,GBP,store,calendar,,2019-01-01,500\n"
    "DE-001,Berlin,DE,BE,Berlin,Europe/Berlin,EUR,store,calendar,,2019-01-01,500\n"
    "US-WEB,US web,US,NY,New York,America/New_York,USD,web,4-5-4,,2019-01-01,0\n"
)
US_HEADER = (
    "store_id,receipt_id,line_no,sold_at,sku,quantity,unit_price,list_price,promo_code,customer_id,payment_id,currency"
)
UK_HEADER = "store,receipt,line,date_time,product_code,qty,price,rrp,promo,customer,payment,ccy"
DE_HEADER = "Filiale;Bon;Position;Zeitpunkt;Artikel;Menge;Preis;Listenpreis;Aktion;Kunde;Zahlung;Waehrung"
ITEM = ("department", "category", "brand", "pack_size", "unit", "price_family", "launched_on", "discontinued_on")
SKUS = tuple(f"SKU-{n:05d}" for n in range(1, 6))


def us_line(
    receipt: int = 1,
    line: int = 1,
    sku: str = SKUS[0],
    quantity: str = "1",
    price: str = "2.50",
    time: str = "10/06/2025 10:15:00 AM",
    currency: str = "USD",
    store: str = "US-001",
    promo: str = "",
) -> str:
    """One line of a till in the US, without a line end."""
    return f"{store},R{receipt},{line},{time},{sku},{quantity},{price},2.75,{promo},C-1,P-{receipt},{currency}"


@dataclass(frozen=True)
class Retailer:
    """A home with stores and a catalogue; `put` delivers a file, `load` loads what is new."""

    home: Home
    lake: Lake

    def put(self, name: str, content: str | bytes) -> Path:
        """Writes a landing file."""
        path = self.home.landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def put_pos(
        self, lines: Sequence[str], day: str = "20251006", stamp: str = "20251007T030000Z", header: str = US_HEADER
    ) -> Path:
        """Delivers the sales of US-001 of a day."""
        return self.put(f"pos/US-001/pos_US-001_{day}_d{stamp}.csv", "\n".join([header, *lines]) + "\n")

    def load(self, config_dir: Path = SOURCES_DIR) -> LoadReport:
        """Loads every source."""
        return load_landing(self.lake, self.home, config_dir)

    def load_pos(self) -> SourceReport:
        """Loads stores, products and sales only."""
        return self.load_only("pos_lines")

    def load_only(self, source: str) -> SourceReport:
        """Loads one source; stores and products are in bronze already."""
        return load_source(self.lake, self.home.landing, load_contracts()[source])

    def bronze(self, source: str = "pos_lines") -> list[dict[str, Any]]:
        """Bronze rows by row_id."""
        return self.lake.query(f"SELECT * FROM {self.lake.scan('bronze', source)} ORDER BY file, line").to_pylist()

    def quarantine(self, source: str = "pos_lines") -> list[dict[str, Any]]:
        """Quarantined rows by file and line."""
        return self.lake.query(f"SELECT * FROM {self.lake.scan('quarantine', source)} ORDER BY file, line").to_pylist()

    def reasons(self, source: str = "pos_lines") -> list[tuple[int, list[str]]]:
        """(line, reasons) of the quarantined rows."""
        return [(row["line"], row["reasons"]) for row in self.quarantine(source)]

    def loads(self, source: str = "pos_lines") -> list[dict[str, Any]]:
        """ops/loads of one source in the order of loading."""
        return self.lake.query(
            f"SELECT * FROM {self.lake.scan('ops', 'loads')} WHERE source = '{source}' ORDER BY loaded_at, file"
        ).to_pylist()


def at(root: Path) -> Retailer:
    """The retailer in a folder."""
    home = Home.at(root)
    return Retailer(home, Lake.at(home.lake))


def new_retailer(root: Path) -> Retailer:
    """A retailer with four stores and five items, which are loaded; nothing else is."""
    retailer = at(root)
    retailer.put("stores/stores_20251001_d20251001T050000Z.csv", STORES)
    for country, colour in (("US", "color"), ("UK", "colour"), ("DE", "Farbe")):
        items = [dict.fromkeys(ITEM) | {"sku": sku, "name": f"Item {sku}", colour: "red"} for sku in SKUS]
        retailer.put(f"catalogue/products_{country}_20251001_d20251001T050000Z.json", json.dumps(items))
    ensure_bronze(retailer.lake, load_contracts())
    retailer.load_only("stores")
    retailer.load_only("products")
    return retailer


def touch(path: Path, seconds: int) -> None:
    """Moves the time of change of a file."""
    status = path.stat()
    os.utime(path, (status.st_atime + seconds, status.st_mtime + seconds))
