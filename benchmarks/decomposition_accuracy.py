"""Prophet as the project fits it against seasonal naive and the weekday's mean on real store-departments.

Run: RETAIL_REAL_DATA=FOLDER python benchmarks/decomposition_accuracy.py [--windows 3], with the M5 files
sales_train.parquet, series_ids.parquet and calendar.parquet in FOLDER/m5; without them it says so and measures nothing.
Windows of 28 days, none of which the fits have seen; the newest first.
"""

import argparse
import json
import os
from pathlib import Path
from time import perf_counter

import duckdb
import numpy as np
import pandas as pd

from retail_assets.core.accuracy import wape
from retail_assets.forecasting.explain.decomposition import FitTask, decompose
from retail_assets.forecasting.explain.demand_panel import DemandSeries
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.resources.fanout import Fanout

DAYS, WEEKS = 28, 8


def main() -> None:
    """Prints one JSON document: WAPE per window over all series and days."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=3)
    asked = parser.parse_args()
    folder = Path(os.environ.get("RETAIL_REAL_DATA", ""), "m5")
    if not (folder / "sales_train.parquet").is_file():
        print(f"NOT MEASURED: no M5 sales in {folder}; set RETAIL_REAL_DATA")
        return
    series, begun = read(folder), perf_counter()
    found = {f"{back * DAYS} days back": score(series, back * DAYS) for back in range(1, asked.windows + 1)}
    print(json.dumps({"series": len(series), "seconds": round(perf_counter() - begun, 1), "wape": found}, indent=1))


def read(folder: Path) -> list[DemandSeries]:
    """Daily units per store-department, with the events of the calendar as holidays; prices and deals are not used."""
    rows = duckdb.sql(
        f"""select s.store_id, i.dept_id, cast(s.date as date) as day, sum(s.quantity_sold)::double as units
            from '{folder}/sales_train.parquet' s join '{folder}/series_ids.parquet' i using (item_id, store_id)
            group by all order by all"""
    ).df()
    calendar = duckdb.sql(
        f"""select event_name, cast(date as date) from '{folder}/calendar.parquet'
            where event_name is not null order by 2, 1"""
    ).fetchall()
    days = np.arange(
        rows["day"].min().to_datetime64().astype("datetime64[D]"),
        rows["day"].max().to_datetime64().astype("datetime64[D]") + 1,
    )
    first, last = days[0].astype(object), days[-1].astype(object)
    events = tuple((str(name), day) for name, day in calendar if first <= day <= last)
    return [
        DemandSeries(
            "store_department", str(store), str(department), days, _filled(own, days), np.zeros(len(days)), events
        )
        for (store, department), own in rows.groupby(["store_id", "dept_id"], sort=True)
    ]


def _filled(rows: pd.DataFrame, days: np.ndarray) -> np.ndarray:
    units = np.zeros(len(days))
    units[(rows["day"].to_numpy().astype("datetime64[D]") - days[0]).astype(int)] = rows["units"].to_numpy(float)
    return units


def score(series: list[DemandSeries], back: int) -> dict[str, float]:
    """WAPE of each forecast of the 28 days that begin `back` days before the end."""
    config = ViewsConfig.load().decomposition
    known = len(series[0].days) - back
    cut = [
        DemandSeries(*one.key, one.days[: known + DAYS], one.units[:known], one.promotion[: known + DAYS], one.holidays)
        for one in series
    ]
    fits = Fanout(processes=config.processes).map(decompose, [FitTask(one, config) for one in cut])
    actual = np.concatenate([one.units[known : known + DAYS] for one in series])
    weeks = [one.units[-7 * WEEKS :].reshape(-1, 7) for one in cut]
    forecasts = {
        "Prophet": np.concatenate([fit.parts.sum(axis=1).to_numpy()[known:].clip(min=0.0) for fit in fits]),
        "seasonal naive": np.concatenate([np.tile(own[-1], DAYS // 7) for own in weeks]),
        "weekday mean": np.concatenate([np.tile(own.mean(axis=0), DAYS // 7) for own in weeks]),
    }
    return {name: round(wape(actual, values), 4) for name, values in forecasts.items()}


if __name__ == "__main__":
    main()
