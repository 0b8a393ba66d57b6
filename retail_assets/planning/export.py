"""Forecasts as files for planning systems: CSV, JSON or Parquet, with what a reader must know about them.

JSON holds its metadata; CSV and Parquet get them in a file beside it, `<name>.metadata.json`, so that every reader of
CSV still finds the column names in the first line. Both files are written whole or not at all.
"""

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from retail_assets.planning.levels import DIMENSIONS, LEVELS, LOWEST
from retail_assets.planning.read import UnknownForecast, chosen_origin, quantile_columns
from retail_assets.resources import durable
from retail_assets.resources.lake import Lake

SERIES_TABLE, LEVELS_TABLE, WEEKS_TABLE = "forecasts", "forecast_levels", "forecasts_weekly"
UNITS = {SERIES_TABLE: "units a day", LEVELS_TABLE: "units a day", WEEKS_TABLE: "units a week"}
DATES = ("target_date", "first_date", "last_date")
FORMATS = (".csv", ".json", ".parquet")
COLUMNS = {
    "level": "level of the hierarchy",
    "country": "country of the store",
    "store_id": "store",
    "department": "department of the SKU",
    "category": "category of the SKU",
    "sku": "stock keeping unit",
    "target_date": "business date of the store that is forecast (ISO 8601)",
    "horizon": "days after the origin",
    "week": "weeks after the origin",
    "first_date": "first business date of the week",
    "last_date": "last business date of the week",
    "method": "how the mean was made",
    "mean": "expected demand: units asked for, returns not subtracted",
    "rung": "what the forecast was made from",
    "model_version": "version of the model in the model store",
}


class Exported(BaseModel):
    """The files that were written, and their metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: list[str]
    metadata: dict[str, Any]


def export(lake: Lake, out: Path, origin: date | None = None, level: str = LOWEST, weekly: bool = False) -> Exported:
    """Writes the forecasts of `level` from `origin` (by default the newest) to `out`; its ending says the format.

    `weekly` writes the weeks ahead of the store-SKUs instead of the days.

    Raises UnknownForecast for an unknown ending, level or origin, or where there are no forecasts.
    """
    if out.suffix not in FORMATS:
        todo = f"use one of {', '.join(FORMATS)}"
        raise UnknownForecast(f"{out.suffix or 'no ending'} is not a format of exports", where=str(out), todo=todo)
    if level not in LEVELS:
        raise UnknownForecast(f"{level!r} is not a level", todo=f"use one of {', '.join(LEVELS)}")
    if weekly and level != LOWEST:
        raise UnknownForecast(
            f"weeks are forecast at level {LOWEST}, not {level}", todo="leave out --level or --weekly"
        )
    table = WEEKS_TABLE if weekly else SERIES_TABLE if level == LOWEST else LEVELS_TABLE
    start = chosen_origin(lake, origin, table)
    rows = _rows(lake, table, level, start)
    metadata = _metadata(rows, level, start, table, lake.open("gold", table).version())
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".json":
        records = json.loads(rows.to_json(orient="records", double_precision=15))
        text = json.dumps({"metadata": metadata, "forecasts": records}, indent=1)
        durable.write(out, text)
        return Exported(files=[str(out)], metadata=metadata)
    write = rows.to_csv if out.suffix == ".csv" else rows.to_parquet
    durable.fill(out, lambda file: write(file, index=False))
    metadata["sha256"] = hashlib.sha256(out.read_bytes()).hexdigest()
    beside = out.with_name(f"{out.name}.metadata.json")
    durable.write(beside, json.dumps(metadata, indent=1) + "\n")
    return Exported(files=[str(out), str(beside)], metadata=metadata)


def _rows(lake: Lake, table: str, level: str, origin: date) -> pd.DataFrame:
    wanted = f" and level = '{level}'" if table == LEVELS_TABLE else ""
    found = lake.query(
        f"""select * exclude (business_date, origin_date) from {lake.scan("gold", table)}
            where business_date = date '{origin}'{wanted}"""
    )
    rows: pd.DataFrame = found.to_pandas()
    of_level = [name for name in DIMENSIONS if name in LEVELS[level] and name in rows]
    rows = rows.drop(
        columns=[name for name in (*DIMENSIONS, "level", "series") if name in rows and name not in of_level]
    )
    dates = [name for name in DATES if name in rows]
    rows = rows.assign(**{name: rows[name].astype(str) for name in dates})
    return rows.sort_values([*of_level, dates[0]], ignore_index=True)


def _metadata(rows: pd.DataFrame, level: str, origin: date, table: str, version: int) -> dict[str, Any]:
    quantiles = quantile_columns(list(rows.columns))
    known = {name: meaning for name, meaning in COLUMNS.items() if name in rows}
    return {
        "what": "demand forecasts",
        "level": level,
        "origin_date": str(origin),
        "first_date": rows["first_date" if "first_date" in rows else "target_date"].min(),
        "last_date": rows["last_date" if "last_date" in rows else "target_date"].max(),
        "rows": len(rows),
        "unit": UNITS[table],
        "model_version": ", ".join(sorted(rows["model_version"].unique())),
        "quantile_levels": {name: int(name[1:]) / 100 for name in quantiles},
        "columns": known | {name: f"demand is below it in {int(name[1:])} % of the cases" for name in quantiles},
        "table": f"gold/{table}",
        "table_version": version,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
