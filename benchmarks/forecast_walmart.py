"""39 weeks of Walmart's store-department sales: WMAE (holiday weeks weigh 5) next to the 52-week seasonal naive.

    python benchmarks/forecast_walmart.py --data FOLDER

FOLDER has walmart_store_sales/weekly_sales.parquet and stores.parquet. Learns from the weeks up to 2012-01-27, scores
the last 39 weeks of the file. A series without that week a year ago gets its recent mean from the naive.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from forecast_peers import data_folder

from retail_assets.forecasting.panel.baseline import seasonal_naive
from retail_assets.forecasting.panel.engine import forecast
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.trees import Settings

COLUMNS = Columns(("Store", "Dept"), "Date", "Weekly_Sales")
UNTIL, HORIZON, HOLIDAY_WEIGHT = "2012-01-27", 39, 5.0
TARGET = 0.85
Floats = npt.NDArray[np.float64]


def main() -> int:
    """Prints both sides; 1 if the target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data sets (RETAIL_REAL_DATA if not given)")
    folder = data_folder(parser.parse_args().data) / "walmart_store_sales"
    started, processor = time.perf_counter(), time.process_time()
    panel = _panel(folder)
    made = forecast(panel, Settings(loss="absolute", rows=900_000), lambda step: None)
    ours, naive = wmae(panel, made.mean), wmae(panel, seasonal_naive(panel))
    cost = f"{time.perf_counter() - started:.0f} s wall, {time.process_time() - processor:.0f} s CPU"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"WMAE {ours:,.0f}, seasonal naive {naive:,.0f}: {ours / naive:.3f} of it (target {TARGET})")
    print(f"{len(panel.keys):,} series, {HORIZON} weeks, {cost}, {peak:.1f} GB")
    return 0 if ours <= TARGET * naive else 1


def wmae(panel: Panel, mean: Floats) -> float:
    """Weighted mean absolute error over the rows that are in the file."""
    ends = slice(panel.until, panel.until + panel.horizon)
    weight = np.where(panel.calendar.flags["IsHoliday"][ends] > 0, HOLIDAY_WEIGHT, 1.0) * ~np.isnan(panel.actual)
    return float((weight * np.abs(np.nan_to_num(panel.actual) - mean)).sum() / weight.sum())


def _panel(folder: Path) -> Panel:
    with tempfile.TemporaryDirectory() as where:
        calendar = Path(where) / "calendar.parquet"
        weeks = pd.read_parquet(folder / "weekly_sales.parquet", columns=["Date", "IsHoliday"]).drop_duplicates("Date")
        weeks.to_parquet(calendar, index=False)
        sources = (folder / "stores.parquet", calendar)
        rules = Rules("W", "unknown", "keep")
        return read_panel(folder / "weekly_sales.parquet", COLUMNS, rules, UNTIL, HORIZON, *sources)


if __name__ == "__main__":
    raise SystemExit(main())
