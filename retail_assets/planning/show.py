"""The forecast of one store-SKU as a person reads it."""

from typing import Any

import pandas as pd
from rich.console import Console

from retail_assets.core.terminal import print_table
from retail_assets.forecasting.cold_start import OWN
from retail_assets.planning.read import quantile_columns
from retail_assets.resources.lake import Lake


def product_name(lake: Lake, sku: str) -> str:
    """The name of a SKU, or the SKU where it has none."""
    table = lake.read("gold", "dim_product", ["sku", "name"])
    return next((row["name"] or sku for row in table.to_pylist() if row["sku"] == sku), sku)


def rung_of(rows: pd.DataFrame) -> str:
    """What the forecast of one series was made from; older tables have own history only."""
    return str(rows["rung"].iloc[0]) if "rung" in rows and pd.notna(rows["rung"].iloc[0]) else OWN


def forecast_document(rows: pd.DataFrame) -> dict[str, Any]:
    """One series as JSON: what it is of, and one entry per day."""
    first, levels = rows.iloc[0], quantile_columns(list(rows.columns))
    return {
        "store_id": first["store_id"],
        "sku": first["sku"],
        "origin_date": str(first["origin_date"]),
        "model_version": first["model_version"],
        "rung": rung_of(rows),
        "unit": "units a day",
        "days": [
            {"date": str(row["target_date"]), "horizon": int(row["horizon"]), "mean": float(row["mean"])}
            | {name: float(row[name]) for name in levels}
            for row in rows.to_dict("records")
        ],
    }


def show_forecast(rows: pd.DataFrame, name: str, console: Console) -> None:
    """Prints the days of one series and the sum of each week ahead."""
    first = rows.iloc[0]
    title = f"{name} ({first['sku']}) in {first['store_id']}, units a day"
    numbers = ("expected", "median", "5 % below", "95 % below")
    days = [
        (f"{row['target_date']:%a %d %b %Y}", *(f"{row[column]:.1f}" for column in ("mean", "q50", "q05", "q95")))
        for row in rows.to_dict("records")
    ]
    weeks = [place for place, horizon in enumerate(rows["horizon"]) if horizon % 7 == 0]
    print_table(console, ("day", *numbers), days, title=title, numbers=numbers, ends=weeks)
    by_week = rows.groupby((rows["horizon"] - 1) // 7 + 1)["mean"].sum()
    sums = ", ".join(f"week {week}: {units:.1f}" for week, units in by_week.items())
    console.print(f"{sums}; {len(rows)} days: {rows['mean'].sum():.1f} units", highlight=False)
    console.print(
        f"from {first['origin_date']} by model {first['model_version']}, made from: {rung_of(rows)}", highlight=False
    )
