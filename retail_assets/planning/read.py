"""Reads gold/forecasts for people and for other systems."""

from datetime import date

import pandas as pd

from retail_assets.core.errors import RetailError
from retail_assets.releases.refused import explained
from retail_assets.resources.lake import Lake

FORECASTS = "forecasts"


class UnknownForecast(RetailError):
    """A store, SKU, origin or level of which there is no forecast."""


def origins(lake: Lake, table: str = FORECASTS) -> list[date]:
    """The days from which `gold/<table>` has forecasts, oldest first; raises LakeError when there is no such table."""
    days = {str(p["business_date"]) for p in lake.open("gold", table).partitions()}
    return sorted(date.fromisoformat(day) for day in days)


def chosen_origin(lake: Lake, asked: date | None, table: str = FORECASTS) -> date:
    """`asked`, or the newest origin; raises UnknownForecast with the origins there are."""
    known = origins(lake, table) if lake.exists("gold", table) else []
    if not known:
        none = UnknownForecast("there are no forecasts yet", where=f"gold/{table}", todo="`retail run` makes them")
        raise explained(lake, "forecasting", none)
    if asked is None:
        return known[-1]
    if asked not in known:
        listed = ", ".join(map(str, known[-5:]))
        raise UnknownForecast(
            f"there are no forecasts from {asked}", where=f"gold/{table}", todo=f"use one of {listed}"
        )
    return asked


def require_known(lake: Lake, store_id: str | None, sku: str | None) -> None:
    """Raises UnknownForecast for a store or SKU that gold does not know."""
    for value, table, column in ((store_id, "dim_store", "store_id"), (sku, "dim_product", "sku")):
        if value is None:
            continue
        known = lake.read("gold", table, [column])[column].to_pylist()
        if value not in known:
            raise UnknownForecast(f"there is no {column} {value!r}", where=f"gold/{table}", todo="check the spelling")


def series_forecast(lake: Lake, store_id: str, sku: str, origin: date | None = None) -> pd.DataFrame:
    """The rows of one store-SKU from `origin` (by default the newest), by target date, in the columns of the table.

    Raises UnknownForecast when the store, the SKU or the origin is unknown, or when the series is not forecast.
    """
    require_known(lake, store_id, sku)
    start = chosen_origin(lake, origin)
    with lake.connect() as db:
        rows = db.execute(
            f"""select * exclude (business_date) from {lake.scan("gold", FORECASTS)}
                where business_date = $origin and store_id = $store and sku = $sku order by target_date""",
            {"origin": start, "store": store_id, "sku": sku},
        ).df()
    if rows.empty:
        raise UnknownForecast(
            f"{sku} is not forecast in {store_id} from {start}: it is not listed there, or it was discontinued",
            where=f"gold/{FORECASTS}",
        )
    for name in ("target_date", "origin_date"):
        rows[name] = rows[name].dt.date
    return rows


def quantile_columns(names: list[str]) -> list[str]:
    """The quantile columns among `names` (q05, q10 ...), in order."""
    return [name for name in names if len(name) == 3 and name[0] == "q" and name[1:].isdigit()]
