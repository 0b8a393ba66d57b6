"""How many actuals lie in the 90 % intervals, per level, over several windows of 28 days of M5 (30,490 series).

    python benchmarks/forecast_coverage.py --data FOLDER --windows 7 --rows 800000 --rounds 200

The errors of a level with one node share their direction for weeks, so that one window says little of its interval.
Each window is forecast from what lies before it; the newest begins `--train-until`. Fewer rows and rounds than the
command takes make a run shorter and the forecasts of single items slightly worse.
"""

import argparse
import tempfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from forecast_m5 import COLUMNS, COVERAGE, HORIZON
from forecast_peers import data_folder

from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.panel import Rules
from retail_assets.forecasting.panel.trees import Settings


def main() -> int:
    """Prints coverage per level and window; 1 if the mean over the windows is outside 88 to 92 % at a level."""
    options = _options()
    folder = data_folder(options.data) / "m5"
    settings = Settings(rows=options.rows, rounds=options.rounds, members=options.members)
    newest, found = date.fromisoformat(options.train_until), list[ForecastBacktest]()
    for back in range(options.windows):
        until = str(newest - timedelta(days=HORIZON * back))
        with tempfile.TemporaryDirectory() as where:
            sources = (folder / "series_ids.parquet", folder / "calendar.parquet")
            files = Files(folder / "sales_train.parquet", Path(where) / "forecasts.parquet", *sources)
            made = backtest(files, COLUMNS, Rules(), until, HORIZON, settings, lambda step: None)
        found.append(made)
        cover = " ".join(f"{level.coverage:.3f}" for level in made.levels)
        new = " ".join(f"{s.share_of_sold:.2f}" for s in made.segments if s.segment.startswith("new"))
        print(
            f"{made.scored}  WRMSSE {made.wrmsse:.4f}  WSPL {made.wspl / made.wspl_baseline:.3f} of the baseline",
            end="",
        )
        print(f"  new series forecast / sold {new}  coverage {cover}", flush=True)
    met = True
    for at, level in enumerate(found[0].levels):
        cover = float(np.mean([made.levels[at].coverage for made in found]))
        met &= COVERAGE[0] <= cover <= COVERAGE[1]
        behind = f"{level.nodes:,} nodes x {HORIZON} days x {len(found)} windows"
        print(f"  {level.level:<24}90 % covers {cover:.1%} of {behind}")
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data sets (RETAIL_REAL_DATA if not given)")
    parser.add_argument("--train-until", default="2016-02-28", help="last day to learn from for the newest window")
    parser.add_argument("--windows", type=int, default=7, help="how many windows, one before the other")
    parser.add_argument("--rows", type=int, default=Settings.rows, help="examples of one member")
    parser.add_argument("--rounds", type=int, default=Settings.rounds, help="trees of one member")
    parser.add_argument("--members", type=int, default=1, help="members that are averaged")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
