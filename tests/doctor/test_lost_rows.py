"""Rows that bronze lost behind the back of the loader are loaded again from their files, once."""

import random
from pathlib import Path

import pytest

from benchmarks.faults import disks
from retail_assets.doctor.examine import examine
from retail_assets.doctor.repair import repair
from retail_assets.resources.environments import Environment
from tests.sources.landing import Retailer, new_retailer, us_line


@pytest.fixture
def retailer(tmp_path: Path) -> Retailer:
    """Two days of sales, loaded one after the other."""
    found = new_retailer(tmp_path)
    for day in (6, 7):
        found.put_pos(
            [us_line(receipt=number, time=f"10/0{day}/2025 10:15:00 AM") for number in range(1, 4)],
            day=f"2025100{day}", stamp=f"2025100{day + 1}T030000Z",
        )  # fmt: skip
        found.load_pos()
    return found


def named(retailer: Retailer) -> list[tuple[str, int]]:
    return [(row["file"], row["line"]) for row in retailer.bronze()]


@pytest.mark.parametrize("damage", ["commit", "lost commit", "file"])
def test_lost_rows_come_again(retailer: Retailer, damage: str) -> None:
    environment = Environment(name="test", home=retailer.home, lake=retailer.lake)
    before, table = named(retailer), Path(retailer.lake.uri, "bronze/pos_lines")
    assert examine(environment).findings == ()
    if damage == "file":
        disks.nulls(next(table.glob("business_date=2025-10-07/*.parquet")), random.Random(1))
    else:
        newest = max((table / "_delta_log").glob("*.json"))
        (disks.zeroed if damage == "commit" else disks.lost)(newest, random.Random(1))
    assert not examine(environment).healthy
    assert repair(environment, lambda _: None).healthy
    assert retailer.load_pos().rows_bronze == 3
    assert named(retailer) == before
    assert examine(environment).healthy and repair(environment, lambda _: None).done == ()
    assert retailer.load_pos().rows_read == 0
    sums = [sum(row[name] for row in retailer.loads()) for name in ("rows_read", "rows_bronze")]
    assert sums == [6, 6]


def test_rows_whose_file_is_gone_ask_for_it(retailer: Retailer) -> None:
    environment = Environment(name="test", home=retailer.home, lake=retailer.lake)
    max(Path(retailer.lake.uri, "bronze/pos_lines/_delta_log").glob("*.json")).unlink()
    file = next(retailer.home.landing.rglob("*20251007*.csv"))
    file.unlink()
    left = repair(environment, lambda _: None)
    (finding,) = [one for one in left.findings if one.wrong]
    assert finding.kind == "lost_rows" and file.name in finding.todo and left.done == ()
