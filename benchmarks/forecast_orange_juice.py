"""Twelve rounds of Dominick's orange juice: MAPE of two weeks, two weeks ahead, prices and promotions of them known.

    python benchmarks/forecast_orange_juice.py --data FOLDER

FOLDER has dominicks_oj/sales.parquet. Round r learns from the weeks up to 135 + 2r and forecasts weeks 137 + 2r and
138 + 2r of every store and brand (the set-up of the retail examples of Microsoft's forecasting repository, whose tuned
LightGBM has a MAPE of 36.28). The baseline is the median of the series' last eight weeks.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from forecast_peers import data_folder

from retail_assets.forecasting.panel import trees
from retail_assets.forecasting.panel.engine import setting_of
from retail_assets.forecasting.panel.features import Features
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel

COLUMNS = Columns(("store", "brand"), "week", "units", ("price{brand}", "deal", "feat"))
ROUNDS, FIRST_WEEK, GAP, HORIZON = 12, 135, 1, 3
PUBLISHED = 36.28
Floats = npt.NDArray[np.float64]


def main() -> int:
    """Prints the MAPE of each round and of all; 1 if it is not below the published one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data sets (RETAIL_REAL_DATA if not given)")
    parser.add_argument("--rounds", type=int, nargs="*", default=list(range(ROUNDS)), help="rounds to run")
    parser.add_argument("--out", help="write store, brand, week, round, units to this Parquet file")
    options = parser.parse_args()
    started, processor = time.perf_counter(), time.process_time()
    sales = pd.read_parquet(data_folder(options.data) / "dominicks_oj" / "sales.parquet")
    sales = sales.assign(units=np.exp(sales["logmove"]))
    errors: list[Floats] = []
    simple: list[Floats] = []
    parts = []
    for number in options.rounds:
        panel = _panel(sales, FIRST_WEEK + 2 * number)
        mean = forecast(panel)
        truth, past = panel.actual[:, GAP:], panel.target[:, : panel.until]
        known = ~np.isnan(truth)
        baseline = np.repeat(np.nanmedian(past[:, -8:], axis=1)[:, None], truth.shape[1], axis=1)
        errors.append((np.abs(mean - truth) / truth)[known])
        simple.append(np.nan_to_num(np.abs(baseline - truth) / truth, nan=1.0)[known])
        parts.append(_table(panel, mean, number))
        print(
            f"round {number:>2}: MAPE {100 * errors[-1].mean():.2f}, median {100 * simple[-1].mean():.2f}", flush=True
        )
    found, base = (100 * float(np.concatenate(each).mean()) for each in (errors, simple))
    cost = f"{time.perf_counter() - started:.0f} s wall, {time.process_time() - processor:.0f} s CPU"
    print(f"all: MAPE {found:.2f} (published LightGBM {PUBLISHED}), median of eight weeks {base:.2f}; {cost}")
    if options.out:
        pd.concat(parts, ignore_index=True).to_parquet(options.out, index=False)
    return 0 if found < PUBLISHED else 1


def forecast(panel: Panel) -> Floats:
    """Forecasts (S, 2) of the two weeks after the gap."""
    setting, settings = setting_of(panel), trees.Settings(loss="percentage", gap=GAP, rounds=400, learning_rate=0.04)
    features = Features(panel.as_of(panel.until), setting.season, setting.groups, geometric=True)
    forest = trees.fit(features, HORIZON, replace(settings, members=2), lambda step: None)
    return forest.predict(features, HORIZON, settings.threads)[:, GAP:]


def _panel(sales: pd.DataFrame, until: int) -> Panel:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sales.parquet"
        sales[sales["week"] <= until + HORIZON].to_parquet(path, index=False)
        return read_panel(path, COLUMNS, Rules("W", "unknown"), str(until), HORIZON)


def _table(panel: Panel, mean: Floats, number: int) -> pd.DataFrame:
    weeks = np.array(panel.time[panel.until + GAP :])
    rows = panel.keys.loc[panel.keys.index.repeat(len(weeks))].reset_index(drop=True)
    return rows.assign(week=np.tile(weeks, len(panel.keys)), round=number, units=mean.ravel())


if __name__ == "__main__":
    raise SystemExit(main())
