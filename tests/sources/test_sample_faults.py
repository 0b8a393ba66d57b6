"""Every fault that the simulator plants and writes into truth/ is found at the very line it was planted at."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sample.simulate import simulate
from retail_assets.sources import quality
from retail_assets.sources.load import load_landing
from retail_assets.sources.report import LoadReport

EXPECTED_REASON = {
    "truncated_line": ("truncated",),
    "wrong_type": ("not_a_decimal", "not_an_integer", "not_a_timestamp"),
    "unknown_sku": ("unknown_sku",),
    "unknown_store": ("unknown_store_id",),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Lake, LoadReport]:
    """The tiny retailer after its first load."""
    root: Path = tmp_path_factory.mktemp("faults")
    simulate(root, "tiny", seed=11)
    home = Home.at(root)
    lake = Lake.at(home.lake)
    return home, lake, load_landing(lake, home)


def faults(home: Home, *kinds: str) -> list[dict[str, Any]]:
    """The planted faults of these kinds."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    sql = f"SELECT * FROM '{home.truth / 'faults.parquet'}' WHERE kind IN ({listed}) ORDER BY ALL"
    found = duckdb.sql(sql).to_arrow_table().to_pylist()
    assert {fault["kind"] for fault in found} == set(kinds)
    return found


def test_every_spoiled_line_is_in_quarantine_with_its_reason(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, lake, _ = loaded
    for fault in faults(home, *EXPECTED_REASON):
        rows = lake.query(
            f"SELECT reasons FROM {lake.scan('quarantine', fault['source'])} "
            f"WHERE file = '{fault['file']}' AND line = {fault['line']}"
        ).to_pylist()
        assert len(rows) == 1, fault
        kinds = {reason.split(":")[0] for reason in rows[0]["reasons"]}
        assert kinds & set(EXPECTED_REASON[fault["kind"]]), fault


def test_nothing_but_planted_rows_is_in_quarantine(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, _, report = loaded
    spoiled = faults(home, *EXPECTED_REASON)
    mixed_up = sum(fault["rows_affected"] for fault in faults(home, "currency_mixup"))
    assert report.rows_quarantined == len(spoiled) + mixed_up


def test_every_repeated_row_is_counted_as_a_duplicate(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, lake, report = loaded
    planted = faults(home, "duplicate_file", "duplicate_extra_rows")
    assert report.rows_duplicate == sum(fault["rows_affected"] for fault in planted)
    for fault in planted:
        rows = lake.query(
            f"SELECT rows_duplicate FROM {lake.scan('ops', 'loads')} WHERE file = '{fault['file']}'"
        ).to_pylist()
        assert [row["rows_duplicate"] for row in rows] == [fault["rows_affected"]]


def test_changed_columns_are_reported_at_the_first_file(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, _, report = loaded
    found = {(change.file, change.change.split()[0]) for change in report.source("pos_lines").schema_changes}
    planted = faults(home, "new_column", "renamed_column")
    assert found == {(fault["file"], fault["kind"].split("_")[0]) for fault in planted}


def test_the_currency_mixup_is_quarantined_as_a_whole(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, _, report = loaded
    (fault,) = faults(home, "currency_mixup")
    assert report.source("pos_lines").quarantined_by_reason["currency_mismatch"] == fault["rows_affected"]


def test_the_skewed_clock_is_seen_on_its_days_and_on_no_other(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, lake, _ = loaded
    planted = {fault["file"].split("_d")[0][-8:] for fault in faults(home, "clock_skew")}
    found = quality.skewed_clocks(lake)
    assert {line.split(" on ")[1][:10].replace("-", "") for line in found} == planted
    assert all("180" in line for line in found)


def test_late_files_are_in_bronze_on_their_own_day(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, lake, _ = loaded
    for fault in faults(home, "late_file"):
        rows = lake.query(
            f"SELECT DISTINCT business_date FROM {lake.scan('bronze', fault['source'])} WHERE file = '{fault['file']}'"
        ).to_pylist()
        stamp = fault["file"].rsplit("_d", 1)[0][-8:]
        assert stamp in {f"{row['business_date']:%Y%m%d}" for row in rows}


def test_every_row_is_accounted_for(loaded: tuple[Home, Lake, LoadReport]) -> None:
    _, lake, report = loaded
    for source, sums in quality.sums(lake, [source.source for source in report.sources]).items():
        assert sums.add_up, source


def test_loading_again_adds_nothing(loaded: tuple[Home, Lake, LoadReport]) -> None:
    home, lake, report = loaded
    again = load_landing(lake, home)
    assert again.rows_read == 0
    assert [s.delta_version for s in again.sources] == [s.delta_version for s in report.sources]
