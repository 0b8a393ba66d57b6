"""A file comes late, nothing comes at all, a layout is unknown: each touches exactly the days it should."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from tests.scenarios.conftest import Retail, files_by_day, one, rewritten_days

Refreshed = Callable[[Home], dict[str, Any]]


def versions(lake: Lake) -> dict[str, int]:
    tables = [("gold", mart) for mart in lake.tables("gold")] + [("decisions", "pricing"), ("ops", "releases")]
    return {f"{layer}/{name}": lake.open(layer, name).version() for layer, name in tables}


def test_nothing_new_writes_nothing_wherever_the_machine_is(tiny_copy: Home, retail: Retail) -> None:
    lake = Lake.at(tiny_copy.lake)
    before = versions(lake)
    retail(tiny_copy.root, "run", "--json", environment={"TZ": "Pacific/Auckland"})
    assert versions(lake) == before


def test_a_late_file_rebuilds_exactly_its_day(tiny_copy: Home, refreshed: Refreshed) -> None:
    lake = Lake.at(tiny_copy.lake)
    source, day = _some_old_file(tiny_copy)
    late = source.with_name(source.name.replace("_d2", "_late_d2"))
    receipts = _with_new_receipt_ids(source.read_text(), "LATE")
    late.write_text(receipts)
    sales = f"select sum(gross_units) from {lake.scan('gold', 'fct_sales_daily')} where business_date = '{day}'"
    before, units = files_by_day(lake, "fct_sales_daily"), one(lake, sales)
    refreshed(tiny_copy)
    assert rewritten_days(before, files_by_day(lake, "fct_sales_daily")) == {day}
    loaded = one(lake, f"select sum(rows_bronze) from {lake.scan('ops', 'loads')} where file like '%_late_d%'")
    assert loaded > 0
    assert one(lake, sales) > units


def _some_old_file(home: Home) -> tuple[Path, str]:
    """A US till file from the middle of the history, and its business date."""
    files = sorted((home.landing / "pos" / "US-001").glob("pos_US-001_*.csv"))
    chosen = files[len(files) // 2]
    stamp = chosen.name.split("_")[2]
    return chosen, f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}"


def _with_new_receipt_ids(text: str, prefix: str) -> str:
    header, *lines = text.splitlines()
    position = header.split(",").index("receipt_id")
    renamed = [line.split(",") for line in lines if line.count(",") == header.count(",") and '"' not in line]
    for fields in renamed:
        fields[position] = f"{prefix}{fields[position]}"
    return "\n".join([header, *(",".join(fields) for fields in renamed)]) + "\n"


def test_a_file_with_an_unknown_layout_is_quarantined_and_the_rest_goes_on(
    tiny_copy: Home, refreshed: Refreshed
) -> None:
    lake = Lake.at(tiny_copy.lake)
    source, _ = _some_old_file(tiny_copy)
    header, *lines = source.read_text().splitlines()
    renamed = source.with_name(source.name.replace("_d2", "_renamed_d2"))
    renamed.write_text("\n".join([header.replace("quantity", "how_many"), *lines]) + "\n")
    sold = one(lake, f"select sum(gross_units) from {lake.scan('gold', 'fct_sales_daily')}")
    refreshed(tiny_copy)
    row = lake.query(f"select * from {lake.scan('ops', 'loads')} where file like '%_renamed_d%'").to_pylist()[0]
    assert row["rows_read"] == row["rows_quarantined"] == len(lines)
    assert any("how_many" in change for change in row["schema_changes"])
    assert one(lake, f"select sum(gross_units) from {lake.scan('gold', 'fct_sales_daily')}") == sold
