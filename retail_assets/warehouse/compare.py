"""Totals of a mart where it was built and where it was published: two sums that must be the same."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.warehouse.manifest import mart_columns


class Comparison(BaseModel):
    """Rows and the sum of every DECIMAL column of a mart, in the DuckDB file and in gold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mart: str
    warehouse: dict[str, Any]
    gold: dict[str, Any]


def compare(lake: Lake, home: Home, manifest: dict[str, Any], marts: Sequence[str]) -> Iterator[Comparison]:
    """Adds up each mart in both places. Nobody may build meanwhile."""
    file = str(home.warehouse).replace("'", "''")
    with lake.connect(private=True) as connection:
        connection.execute(f"ATTACH '{file}' AS warehouse (READ_ONLY)")
        for mart in marts:
            totals = _totals(mart_columns(manifest, mart))
            places = (f"warehouse.marts.{mart}", lake.scan("gold", mart))
            sums = [connection.execute(f"SELECT {totals} FROM {place}").to_arrow_table() for place in places]
            built, published = (found.to_pylist()[0] for found in sums)
            yield Comparison(mart=mart, warehouse=built, gold=published)


def _totals(columns: dict[str, str]) -> str:
    sums = [f"sum({name}) AS {name}" for name, kind in columns.items() if kind.startswith("decimal")]
    return ", ".join(["count(*) AS rows", *sums])
