"""The files of a backtest: forecasts of the series, and of the levels above them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.forecasting.panel.cold import RUNGS
from retail_assets.forecasting.panel.engine import Forecast
from retail_assets.forecasting.panel.intervals import QUANTILES, quantile_name
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.panel import Columns, Panel
from retail_assets.forecasting.panel.scores import quantiles_of

Floats = npt.NDArray[np.float64]

MADE = ("level", "mean", "rung", "lo90", "hi90", *map(quantile_name, QUANTILES))


def series_table(panel: Panel, level: Level, made: Forecast, columns: Columns) -> pd.DataFrame:
    """A row per series and period: keys, time, mean, quantiles, and what the forecast rests on."""
    series = np.repeat(np.arange(len(panel.keys)), panel.horizon)
    table = panel.keys.iloc[series].reset_index(drop=True)
    rungs = np.array(RUNGS, dtype=object)[made.rung[series].astype(int)]
    return _values(table, panel, level, made.mean, made, columns).assign(rung=rungs)


def node_table(panel: Panel, levels: list[Level], made: Forecast, columns: Columns) -> pd.DataFrame:
    """Rows of the levels above the series: the level, its columns (empty where it sums over them), time, values."""
    parts = []
    for level in levels:
        table = level.nodes.loc[level.nodes.index.repeat(panel.horizon)].reset_index(drop=True)
        table.insert(0, "level", level.name)
        parts.append(_values(table, panel, level, level.sums(made.mean), made, columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["level", columns.time, "mean"])


def _values(
    table: pd.DataFrame, panel: Panel, level: Level, mean: Floats, made: Forecast, columns: Columns
) -> pd.DataFrame:
    quantiles, low, high = quantiles_of(panel, made, level, mean)
    times = np.array(panel.time[panel.until :], dtype=object)
    found = table.assign(**{columns.time: np.tile(times, len(mean))})
    if isinstance(panel.time[0], int):
        found[columns.time] = found[columns.time].astype(np.int64)
    found["mean"] = mean.ravel()
    for at, q in enumerate(QUANTILES):
        found[quantile_name(q)] = quantiles[:, :, at].ravel()
    return found.assign(lo90=low.ravel(), hi90=high.ravel())


def beside(out: Path, name: str) -> Path:
    """The file beside `out` that has more of the same."""
    return out.with_name(f"{out.stem}_{name}{out.suffix}")


def write(table: pd.DataFrame, path: Path) -> str:
    """Writes Parquet or CSV, as the name says, and returns the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False) if path.suffix.lower() == ".csv" else table.to_parquet(path, index=False)
    return str(path)
