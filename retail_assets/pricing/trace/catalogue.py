"""What the catalogue says of a SKU, from its raw rows. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
CATALOGUES = ("US", "UK", "GB")  # dbt_project.yml: the country whose catalogue describes a product


def described(rows: Sequence[Row]) -> Row | None:
    """The row that describes a SKU: the newest of the leading country. `rows`: of one SKU, newest first per country."""
    newest: dict[str, Row] = {}
    for row in rows:
        newest.setdefault(row["country"], row)
    return newest[max(newest, key=lambda country: (country in CATALOGUES, country))] if newest else None


def by_sku(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each SKU, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["sku"], []).append(row)
    return found


def family_of(row: Row | None) -> tuple[str, str] | None:
    """Price family and unit of a described SKU, None for one without a family or a pack size."""
    if row is None or row.get("price_family") is None or not (row.get("pack_size") or 0) > 0:
        return None
    return row["price_family"], row.get("unit") or ""
