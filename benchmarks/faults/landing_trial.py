"""Hostile files beside good ones, through the real load: what became of each, and what did not hold.

What must hold: nothing raises, every good file loads every row, every row that was read is accounted for, and a hostile
file is loaded, in quarantine with its reason, or named with the reason why it is passed over.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.faults import rows
from benchmarks.faults.expected import ALL_ROWS, EITHER, NO_ROWS
from benchmarks.faults.hostile_parquet import written
from benchmarks.faults.landing import SOURCES, Hostile
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import load_contracts
from retail_assets.sources.discover import shown
from retail_assets.sources.load import import_retailer, load_landing
from retail_assets.sources.report import LoadReport

ROWS_OF_GOOD_FILES = 5
STORES = """\
store_id,name,country,region,city,time_zone,currency,channel,fiscal_calendar,day_ends,opened_on,size_sqm
US-001,New York,US,NY,New York,America/New_York,USD,store,4-5-4,,2019-01-01,500
US-WEB,US web,US,NY,New York,America/New_York,USD,web,4-5-4,,2019-01-01,0
"""
ITEM = {"sku": "SKU-00001", "name": "Apple", "department": "food", "category": "fruit", "color": "red"}
GOOD: dict[str, str | bytes] = {
    "pos/US-001/pos_US-001_20251006_d20251007T030000Z.csv": rows.sales("good", ROWS_OF_GOOD_FILES),
    "clicks/US-WEB/clicks_US-WEB_20251006_d20251007T040000Z.jsonl": rows.clicks("good", ROWS_OF_GOOD_FILES),
    "weather/weather_20251006_d20251007T060000Z.json": json.dumps(
        [rows.weather(f"2023-01-{n + 1:02}") for n in range(ROWS_OF_GOOD_FILES)]
    ),
    "payments/payments_20251006_d20251007T060000Z.parquet": written(rows.payments("good", ROWS_OF_GOOD_FILES)),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a hostile file: rows of it by where they are, the first reason, or why it was passed over."""

    kind: str
    read: int = 0
    bronze: int = 0
    quarantined: int = 0
    duplicate: int = 0
    reason: str = ""
    passed_over: str = ""


def deliver(landing: Path, files: Iterable[Hostile]) -> dict[str, str]:
    """Writes `files`, and good ones beside them, below `landing`; returns the kind of each by its name as text."""
    for name, content in (GOOD | _references()).items():
        path = landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    kinds = {}
    for kind, name, made in files:
        place = os.fsencode(landing) + b"/" + name
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if callable(made):
            made(place)
        else:
            Path(os.fsdecode(place)).write_bytes(made)
        kinds[shown(os.fsdecode(name))] = kind
    return kinds


def load(root: Path) -> LoadReport:
    """Loads what was delivered to the home in `root`."""
    home = Home.at(root)
    return load_landing(Lake.at(home.lake), home)


def bring(root: Path, folder: Path) -> LoadReport:
    """Imports what lies in `folder` into the home in `root`, by a mapping that reads it as landing is read."""
    home, mapping = Home.at(root), root / "trial.yaml"
    root.mkdir(parents=True, exist_ok=True)
    mapping.write_text(yaml.safe_dump(_mapping()))
    return import_retailer(Lake.at(home.lake), home, mapping, folder)


def _mapping() -> dict[str, object]:
    feeds = []
    for source in ("stores", "products", *SOURCES.values()):
        for feed in load_contracts()[source].feeds:
            if feed.name in ("headquarters", "us", "web", "service", "processor"):
                said = feed.model_dump(mode="json", exclude_defaults=True)
                feeds.append(said | {"source": source})
    return {"mapping": "trial", "description": "The sample retailer once more.", "feeds": feeds}


def outcomes(root: Path, report: LoadReport, kinds: dict[str, str]) -> list[Outcome]:
    """What became of each of the hostile files `kinds` in the home in `root`."""
    lake = Lake.at(Home.at(root).lake)
    loads = lake.query(
        "SELECT file, source, sum(rows_read) AS r, sum(rows_bronze) AS b, sum(rows_quarantined) AS q, "
        f"sum(rows_duplicate) AS d FROM {lake.scan('ops', 'loads')} GROUP BY ALL"
    ).to_pylist()
    said = {row["file"]: row for row in loads}
    reasons: dict[str, str] = {}
    for source in SOURCES.values():
        sql = f"SELECT file, min(reasons[1]) AS why FROM {lake.scan('quarantine', source)} GROUP BY 1"
        reasons |= {row["file"]: row["why"] for row in lake.query(sql).to_pylist()}
    over = {name: why for source in report.sources for name, why in (source.not_read | source.no_files).items()}
    found = []
    for name, kind in kinds.items():
        row = said.get(name)
        counts = () if row is None else (row["r"], row["b"], row["q"], row["d"])
        inside = next((why for other, why in over.items() if other.startswith(f"{name}/")), "")
        found.append(Outcome(kind, *map(int, counts), reason=reasons.get(name, ""), passed_over=over.get(name, inside)))
    return found


def broken(root: Path, found: Iterable[Outcome]) -> Iterator[str]:
    """What does not hold, in words; nothing where all is well."""
    lake = Lake.at(Home.at(root).lake)
    for name in GOOD:
        source = SOURCES[name.split("/")[0]]
        sql = f"SELECT count(*) AS n FROM {lake.scan('bronze', source)} WHERE file = '{name}'"
        if (rows_there := lake.query(sql).to_pylist()[0]["n"]) != ROWS_OF_GOOD_FILES:
            yield f"{name}: {rows_there} of {ROWS_OF_GOOD_FILES} good rows are in bronze"
    for one in found:
        if one.read != one.bronze + one.quarantined + one.duplicate:
            yield f"{one.kind}: {one.read} rows were read, {one}"
        if one.quarantined and not one.reason:
            yield f"{one.kind}: it is in quarantine without a reason"


def _references() -> dict[str, str]:
    return {
        "stores/stores_20251001_d20251001T050000Z.csv": STORES,
        "catalogue/products_US_20251001_d20251001T050000Z.json": json.dumps([ITEM]),
    }


def unexpected(found: Iterable[Outcome]) -> Iterator[str]:
    """Files that were taken in though they are bad, or refused though they are good, in words."""
    for one in found:
        refused = bool(one.quarantined or one.passed_over)
        if one.kind in ALL_ROWS:
            if refused or not one.read:
                yield f"{one.kind}: all of its rows are good, {one}"
        elif one.kind in NO_ROWS:
            if refused or one.read:
                yield f"{one.kind}: there is nothing in it, {one}"
        elif not one.kind.startswith(EITHER) and not refused:
            yield f"{one.kind}: nothing of it is refused, {one}"
