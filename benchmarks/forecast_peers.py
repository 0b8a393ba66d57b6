"""What the forecast benchmarks share: peers run by another Python, and what a run costs."""

import hashlib
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
PER_SERIES, PART = ("autoets",), 1_000
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


def run_peer(panel: Panel, name: str, python: str, season: int, kept: Path | None = None) -> Peer:
    """Runs `name` of peers/forecasting.py on what is known of the panel up to its end.

    A peer with a model per series runs in parts of PART series. With `kept`, the result of each part lies there under
    a digest of what it was made from: an interrupted run goes on, and a finished one is read with what it cost then.
    """
    size = len(panel.keys)
    step = PART if name in PER_SERIES else size
    parts = [_run_part(panel, slice(at, at + step), name, python, season, kept) for at in range(0, size, step)]
    costs = [cost for _, cost in parts]
    return Peer(
        np.maximum(np.concatenate([mean for mean, _ in parts]), 0.0),
        sum(cost["seconds"] for cost in costs),
        sum(cost["cpu_seconds"] for cost in costs),
        max(cost["peak_gb"] for cost in costs),
    )


def _run_part(
    panel: Panel, rows: slice, name: str, python: str, season: int, kept: Path | None
) -> tuple[npt.NDArray[np.float64], dict[str, float]]:
    """Forecasts (rows, horizon) of some series, and their cost."""
    past = panel.target[rows, : panel.until]
    series, at = np.nonzero(~np.isnan(past))
    days = pd.to_datetime(np.array(panel.time, dtype="datetime64[D]"))
    sold = pd.DataFrame({"unique_id": series, "ds": days[at], "y": past[series, at].astype(float)})
    statics = pd.concat([panel.keys, panel.attributes], axis=1)
    statics = statics[[c for c in statics if statics[c].nunique() < len(statics)]][rows].reset_index(drop=True)
    statics = statics.assign(unique_id=np.arange(len(statics)))
    freq = "D" if panel.freq == "D" else "W-FRI"
    asked = [name, str(panel.horizon), freq, str(season)]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{part}.parquet" for part in ("rows", "statics", "found")]
        sold.to_parquet(files[0], index=False)
        statics.to_parquet(files[1], index=False)
        digest = hashlib.sha256("".join(asked).encode() + files[0].read_bytes() + files[1].read_bytes()).hexdigest()
        stem = (kept or Path(folder)) / f"{name}-{digest[:16]}"
        if not stem.with_suffix(".json").exists():
            command = [python, str(PEER), *map(str, files), *asked]
            told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | PATIENT)
            stem.parent.mkdir(parents=True, exist_ok=True)
            stem.with_suffix(".parquet").write_bytes(files[2].read_bytes())
            stem.with_suffix(".json").write_text(told.stdout.strip().splitlines()[-1])
        cost = json.loads(stem.with_suffix(".json").read_text())
        found = pd.read_parquet(stem.with_suffix(".parquet"))
    mean = np.zeros((len(past), panel.horizon))
    step = (pd.DatetimeIndex(found["ds"]).normalize() - days[panel.until]).days // (1 if panel.freq == "D" else 7)
    mean[found["unique_id"].to_numpy(), step] = found["mean"].to_numpy(float)
    return mean, cost


def cost_line(name: str, error: float, of: ForecastBacktest | Peer, metric: str) -> str:
    """One line of the comparison."""
    cost = f"{of.seconds:8.0f} s wall {of.cpu_seconds:8.0f} s CPU {of.peak_gb:6.1f} GB"
    return f"{name:<40}{metric} {error:.4f}{cost}"
