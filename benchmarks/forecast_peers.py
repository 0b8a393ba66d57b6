"""What the forecast benchmarks share: peers run by another Python, and what a run costs."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.forecasting.panel.backtest import ForecastBacktest
from retail_assets.forecasting.panel.panel import Panel

PEER = Path(__file__).parent / "peers" / "forecasting.py"
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Peer:
    """Forecasts (S, horizon) of a peer, and what they cost."""

    mean: npt.NDArray[np.float64]
    seconds: float
    cpu_seconds: float
    peak_gb: float


def data_folder(option: str | None) -> Path:
    """The folder of the real data sets, from the option or RETAIL_REAL_DATA; without one there is nothing to do."""
    folder = option or os.environ.get("RETAIL_REAL_DATA")
    if not folder:
        print("left out: name the folder of the data sets by --data or RETAIL_REAL_DATA")
        raise SystemExit(0)
    return Path(folder)


def run_peer(panel: Panel, name: str, python: str, season: int) -> Peer:
    """Runs `name` of peers/forecasting.py on what is known of the panel up to its end."""
    identity = np.arange(len(panel.keys))
    past = panel.target[:, : panel.until]
    series, at = np.nonzero(~np.isnan(past))
    days = pd.to_datetime(np.array(panel.time, dtype="datetime64[D]"))
    rows = pd.DataFrame({"unique_id": series, "ds": days[at], "y": past[series, at].astype(float)})
    statics = pd.concat([panel.keys, panel.attributes], axis=1)
    statics = statics[[c for c in statics if statics[c].nunique() < len(statics)]].assign(unique_id=identity)
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{part}.parquet") for part in ("rows", "statics", "found")]
        rows.to_parquet(files[0], index=False)
        statics.to_parquet(files[1], index=False)
        freq = "D" if panel.freq == "D" else "W-FRI"
        command = [python, str(PEER), *files, name, str(panel.horizon), freq, str(season)]
        told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | PATIENT)
        found = pd.read_parquet(files[2])
    cost = json.loads(told.stdout.strip().splitlines()[-1])
    mean = np.zeros((len(panel.keys), panel.horizon))
    step = (pd.DatetimeIndex(found["ds"]).normalize() - days[panel.until]).days // (1 if panel.freq == "D" else 7)
    mean[found["unique_id"].to_numpy(), step] = found["mean"].to_numpy(float)
    return Peer(np.maximum(mean, 0.0), cost["seconds"], cost["cpu_seconds"], cost["peak_gb"])


def cost_line(name: str, error: float, of: ForecastBacktest | Peer, metric: str) -> str:
    """One line of the comparison."""
    cost = f"{of.seconds:8.0f} s wall {of.cpu_seconds:8.0f} s CPU {of.peak_gb:6.1f} GB"
    return f"{name:<40}{metric} {error:.4f}{cost}"
