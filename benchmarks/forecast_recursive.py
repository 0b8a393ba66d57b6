"""Direct forecasts (the horizon is a feature) against recursive ones (a week at a time, fed back) on stores of M5.

    python benchmarks/forecast_recursive.py --data FOLDER --train-until 2016-02-28

The same trees in both cases; the recursive ones learn seven days ahead and see their own forecasts as sales. Prints the
weighted RMSSE of both and of their mean, as sums of the series and reconciled.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from forecast_m5 import COLUMNS, HORIZON
from forecast_peers import data_folder

from retail_assets.forecasting.panel import nodes, trees
from retail_assets.forecasting.panel.engine import Setting, setting_of
from retail_assets.forecasting.panel.features import Features
from retail_assets.forecasting.panel.levels import wrmsse
from retail_assets.forecasting.panel.panel import Panel, Rules, read_panel
from retail_assets.forecasting.panel.reconcile import reconcile
from retail_assets.forecasting.panel.trees import Settings

WEEK = 7
Floats = npt.NDArray[np.float64]


def main() -> int:
    """Prints the errors."""
    options = _options()
    panel = _panel(data_folder(options.data) / "m5", options.stores.split(","), options.train_until)
    setting = setting_of(panel)
    settings = Settings(members=1, rows=options.rows, rounds=options.rounds)
    past = panel.as_of(panel.until)
    live = ~np.isnan(past.target[:, : panel.until]).all(axis=1)
    direct, recursive = (np.where(live[:, None], made(past, setting, settings), 0.0) for made in (_direct, _recursive))
    assert setting.upper is not None
    above = nodes.regress(nodes.node_data(past, setting.upper.levels), panel.until, HORIZON)
    for name, bottom in (("direct", direct), ("recursive", recursive), ("mean of both", (direct + recursive) / 2)):
        ways = [reconcile(way, bottom, above, setting.upper) for way in ("bottom_up", "mint")]
        known = panel.target[:, : panel.until]
        found = [float(np.mean(list(wrmsse(setting.levels, known, panel.actual, way).values()))) for way in ways]
        print(f"{name:<14}WRMSSE {found[0]:.4f} as sums, {found[1]:.4f} reconciled", flush=True)
    return 0


def _panel(folder: Path, stores: list[str], until: str) -> Panel:
    with tempfile.TemporaryDirectory() as where:
        paths = []
        for name in ("sales_train", "series_ids"):
            paths.append(Path(where) / f"{name}.parquet")
            pd.read_parquet(folder / f"{name}.parquet", filters=[("store_id", "in", stores)]).to_parquet(paths[-1])
        return read_panel(paths[0], COLUMNS, Rules(), until, HORIZON, paths[1], folder / "calendar.parquet")


def _direct(panel: Panel, setting: Setting, settings: Settings) -> Floats:
    features = Features(panel, setting.season, setting.groups)
    return trees.fit(features, HORIZON, settings, _silent).predict(features, HORIZON, settings.threads)


def _recursive(panel: Panel, setting: Setting, settings: Settings) -> Floats:
    live = ~np.isnan(panel.target[:, : panel.until]).all(axis=1)
    forest, found = None, []
    for _ in range(0, HORIZON, WEEK):
        features = Features(panel, setting.season, setting.groups)
        forest = forest or trees.fit(features, WEEK, settings, _silent)
        week = forest.predict(features, WEEK, settings.threads)
        found.append(week)
        target = panel.target.copy()
        target[:, panel.until : panel.until + WEEK] = np.where(live[:, None], week, np.nan)
        panel = replace(panel, target=target, until=panel.until + WEEK)
    return np.concatenate(found, axis=1)


def _silent(step: str) -> None:
    """No progress."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data sets (RETAIL_REAL_DATA if not given)")
    parser.add_argument("--stores", default="CA_1,CA_2,CA_3,TX_1", help="stores to forecast")
    parser.add_argument("--train-until", default="2016-02-28", help="last day to learn from")
    parser.add_argument("--rows", type=int, default=600_000, help="examples that trees learn from")
    parser.add_argument("--rounds", type=int, default=200, help="trees")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
