"""A version is read from the files that can hold its rows, and named when it is gone."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from retail_assets.provenance.errors import VersionGone
from retail_assets.provenance.retention import unreadable
from retail_assets.provenance.snapshots import Snapshots, snapshot
from retail_assets.resources.lake import Lake

FIRST = date(2026, 1, 1)


def days(count: int, **columns: object) -> pa.Table:
    """One row a day."""
    dates = [FIRST + timedelta(days=i) for i in range(count)]
    return pa.table({"business_date": dates, "n": list(range(count))} | {k: [v] * count for k, v in columns.items()})


def test_only_files_within_bounds_are_opened(lake: Lake) -> None:
    lake.append("bronze", "x", days(30), ["business_date"])
    lake.append("ops", "y", days(10))
    lake.append("ops", "y", days(40).slice(20))
    bounds = {"business_date": (FIRST + timedelta(days=25), FIRST + timedelta(days=26))}
    key = lake.model_dump_json()
    assert len(snapshot(key, "bronze", "x", 0).files(bounds)) == 2
    assert len(snapshot(key, "ops", "y", 1).files(bounds)) == 1, "by their statistics"
    assert len(snapshot(key, "ops", "y", 1).files({"business_date": (None, FIRST)})) == 1
    with Snapshots(lake) as reader:
        rows = reader.rows("bronze", "x", 0, "n >= ?", [26], bounds)
        assert rows == [{"business_date": FIRST + timedelta(days=26), "n": 26}]
        assert reader.rows("bronze", "x", 0, "true", bounds={"business_date": (date(2027, 1, 1), None)}) == []
        assert reader.newest_day("bronze", "x", 0) == FIRST + timedelta(days=29)


def test_a_version_stays_what_it_was(lake: Lake) -> None:
    lake.append("gold", "x", days(3))
    lake.overwrite("gold", "x", days(5))
    with Snapshots(lake) as reader:
        assert [len(reader.rows("gold", "x", version, "true")) for version in (0, 1)] == [3, 5]
        assert reader.newest("gold", "x") == 1
        assert reader.newest("gold", "nothing") is None


def test_columns_that_were_added_later_are_read_where_they_are(lake: Lake) -> None:
    from deltalake import write_deltalake

    lake.append("decisions", "x", days(2), ["business_date"])
    added = days(1, corrects="a").set_column(0, "business_date", [[FIRST + timedelta(days=9)]])
    write_deltalake(lake.table_uri("decisions", "x"), added, mode="append", schema_mode="merge")
    with Snapshots(lake) as reader:
        rows = reader.rows("decisions", "x", 1, "true order by business_date")
        assert [row["corrects"] for row in rows] == [None, None, "a"]
        only_old = {"business_date": (None, FIRST)}
        assert [row.get("corrects") for row in reader.rows("decisions", "x", 1, "true", bounds=only_old)] == [None]


def test_a_version_whose_log_was_cleaned_is_named(lake: Lake) -> None:
    for count in (1, 2, 3):
        lake.overwrite("gold", "x", days(count))
    lake.open("gold", "x").create_checkpoint()
    for version in (0, 1):
        Path(lake.table_uri("gold", "x"), "_delta_log", f"{version:020}.json").unlink()
    with Snapshots(lake) as reader:
        assert len(reader.rows("gold", "x", 2, "true")) == 3
        for version in (1, 7):
            with pytest.raises(VersionGone, match=f"gold/x can no longer be read as it was at Delta version {version}"):
                reader.rows("gold", "x", version, "true")
    assert set(unreadable(lake, {("gold", "x", 1), ("gold", "x", 2), ("gold", "y", 0)})) == {
        ("gold", "x", 1),
        ("gold", "y", 0),
    }


def test_a_name_with_a_quote_is_data(lake: Lake) -> None:
    lake.append("ops", "x", pa.table({"name": ["it's", "other"]}))
    with Snapshots(lake) as reader:
        assert reader.rows("ops", "x", 0, "name = ?", ["it's"]) == [{"name": "it's"}]


def test_tables_keep_what_a_dispute_needs(lake: Lake) -> None:
    lake.append("gold", "x", days(1))
    lake.ensure("bronze", "y", days(1).schema)
    for layer, name in (("gold", "x"), ("bronze", "y")):
        kept = lake.open(layer, name).metadata().configuration
        assert kept["delta.deletedFileRetentionDuration"] == kept["delta.logRetentionDuration"] == "interval 400 days"
