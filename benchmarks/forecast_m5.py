"""28 days of M5 (30,490 series): weighted RMSSE and cost next to mlforecast + LightGBM and AutoETS bottom-up.

    python benchmarks/forecast_m5.py --data FOLDER --peers /path/to/python
    python benchmarks/forecast_m5.py --data FOLDER --peers /path/to/python --only mlforecast
    python benchmarks/forecast_m5.py --data FOLDER --peers /path/to/python --kept FOLDER

FOLDER has m5/sales_train.parquet, series_ids.parquet and calendar.parquet. The peers are run by the Python that
`--peers` names (a virtual environment with mlforecast, statsforecast, lightgbm and pyarrow; no dependencies of ours).
`--only mlforecast` is the comparison of wall time, to be run on a machine that does nothing else; AutoETS takes over
half an hour of processor time. With `--kept` it runs in parts that stay in that folder, so that an interrupted run goes
on and a finished one is only read; what it cost is what it cost then. `--first 9000` compares it on that many series.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from forecast_peers import PER_SERIES, cost_line, data_folder, run_peer

from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.engine import setting_of
from retail_assets.forecasting.panel.levels import wrmsse
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.trees import Settings

COLUMNS = Columns(("item_id", "store_id"), "date", "quantity_sold")
HORIZON, SEASON = 28, 7
TARGETS = {"mlforecast": 0.92, "autoets": 0.75}
COVERAGE, WSPL, SLOWER = (0.88, 0.92), 0.8, 2.0


def main() -> int:
    """Prints both sides; 1 if a target was missed."""
    options = _options()
    folder = data_folder(options.data) / "m5"
    sources = (folder / "series_ids.parquet", folder / "calendar.parquet")
    with tempfile.TemporaryDirectory() as where:
        out = Path(options.out or Path(where) / "forecasts.parquet")
        files = Files(folder / "sales_train.parquet", out, *sources)
        found = backtest(files, COLUMNS, Rules(), options.train_until, HORIZON, Settings(), lambda step: None)
        mean = pd.read_parquet(out, columns=["mean"])["mean"].to_numpy().reshape(-1, HORIZON)
    print(cost_line(f"retail-assets ({found.way})", found.wrmsse, found, "WRMSSE"), flush=True)
    met = _intervals(found)
    if not options.peers:
        print("mlforecast and AutoETS are left out: name a Python with them by --peers")
        return 0 if met else 1
    panel = read_panel(files.sales, COLUMNS, Rules(), options.train_until, HORIZON, *sources)
    for name in options.only or TARGETS:
        part = first_series(panel, options.first) if options.first and name in PER_SERIES else panel
        peer = run_peer(part, name, options.peers, SEASON, options.kept if name in PER_SERIES else None)
        error, own = (mean_error(part, values) for values in (peer.mean, mean[: len(part.keys)]))
        ratio = own / error
        print(cost_line(f"{name}, {len(part.keys):,} series", error, peer, "WRMSSE"))
        print(f"  retail-assets has {ratio:.3f} of its error (target {TARGETS[name]})", flush=True)
        if part is panel:
            costs = (found.seconds / peer.seconds, found.cpu_seconds / peer.cpu_seconds)
            print(f"  {costs[0]:.2f} of its wall time, {costs[1]:.2f} of its processor time", flush=True)
        met &= ratio <= TARGETS[name] and (name != "mlforecast" or found.seconds <= SLOWER * peer.seconds)
    return 0 if met else 1


def first_series(panel: Panel, count: int) -> Panel:
    """The first `count` series of the panel."""
    return replace(panel, target=panel.target[:count], keys=panel.keys[:count], attributes=panel.attributes[:count])


def mean_error(panel: Panel, mean: npt.NDArray[np.float64]) -> float:
    """The mean over the panel's levels of the weighted RMSSE of forecasts (S, horizon)."""
    levels, past = setting_of(panel).levels, panel.target[:, : panel.until]
    return float(np.mean(list(wrmsse(levels, past, panel.actual, mean).values())))


def _intervals(found: ForecastBacktest) -> bool:
    ratio = found.wspl / found.wspl_baseline
    print(f"WSPL {found.wspl:.4f}, {ratio:.3f} of the seasonal naive with its residuals (target {WSPL})")
    for level in found.levels:
        print(f"  {level.level:<24}RMSSE {level.rmsse:.4f}  90 % covers {level.coverage:.1%} of {level.nodes:,} nodes")
    return ratio <= WSPL


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data sets (RETAIL_REAL_DATA if not given)")
    parser.add_argument("--peers", help="a Python that can import mlforecast and statsforecast")
    parser.add_argument("--only", nargs="*", choices=list(TARGETS), help="run these peers only")
    parser.add_argument("--kept", type=Path, help="folder where results of AutoETS are kept and read again")
    parser.add_argument("--first", type=int, help="compare AutoETS on this many series only")
    parser.add_argument("--train-until", default="2016-03-27", help="last day to learn from")
    parser.add_argument("--out", help="keep the forecasts in this file")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
