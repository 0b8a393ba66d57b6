"""Rows that a load brought and bronze does not have: which loads, and how they are loaded again from landing/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.reread import COUNTS, withdraw_counts
from retail_assets.sources.tables import delete_loads


def lost_loads(lake: Lake, source: str) -> list[dict[str, Any]]:
    """Loads of `source` of which bronze and quarantine hold fewer rows than ops/loads says, oldest first.

    Each is its newest row of ops/loads, its counts those of all rows of the load together.
    """
    if not lake.exists("ops", "loads"):
        return []
    counts = ", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTS)
    there = " UNION ALL ".join(
        f"SELECT load_id FROM {lake.scan(layer, source)}"
        for layer in ("bronze", "quarantine")
        if lake.exists(layer, source)
    )
    held = f"(SELECT load_id, count(*) AS held FROM ({there}) GROUP BY 1)" if there else None
    short = "coalesce(h.held, 0) < l.rows_bronze + l.rows_quarantined" if held else "true"
    sql = f"""WITH l AS (SELECT load_id, {counts} FROM {lake.scan("ops", "loads")}
                        WHERE source = '{source}' GROUP BY 1)
              SELECT l.* FROM l {f"LEFT JOIN {held} h USING (load_id)" if held else ""}
              WHERE {short} AND l.rows_bronze + l.rows_quarantined > 0"""
    sums = {row["load_id"]: row for row in lake.query(sql).to_pylist()}
    if not sums:
        return []
    rows = lake.query(
        f"""SELECT * FROM {lake.scan("ops", "loads")} WHERE source = '{source}'
            QUALIFY row_number() OVER (PARTITION BY load_id ORDER BY loaded_at DESC) = 1 ORDER BY loaded_at"""
    ).to_pylist()
    return [row | sums[row["load_id"]] for row in rows if row["load_id"] in sums]


def not_in_landing(home: Home, loads: Sequence[dict[str, Any]]) -> list[str]:
    """The files of `loads` that do not lie in landing/ as they were loaded: they have to be delivered again."""
    return sorted(load["file"] for load in loads if not _is_there(home.landing / load["file"], load["bytes"]))


def load_again(lake: Lake, source: str, loads: Sequence[dict[str, Any]]) -> None:
    """Takes back what `loads` counted and the rows that are left of them: to the next load their files are new."""
    with lake.connect(private=True) as connection:
        delete_loads(connection, lake, source, [load["load_id"] for load in loads])
    withdraw_counts(lake, loads)


def _is_there(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size
