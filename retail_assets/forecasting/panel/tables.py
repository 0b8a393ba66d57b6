"""The files of a backtest: forecasts of the series, and of the levels above them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_assets.core.own_columns import own_columns
from retail_assets.forecasting.panel.cold import RUNGS
from retail_assets.forecasting.panel.engine import Forecast
from retail_assets.forecasting.panel.intervals import QUANTILES, quantile_name
from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.panel import Columns, Panel
from retail_assets.forecasting.panel.scores import quantiles_of

Floats = npt.NDArray[np.float64]

MADE = ("level", "mean", "rung", "lo90", "hi90", *map(quantile_name, QUANTILES))


def made_names(levels: list[Level], columns: Columns) -> dict[str, str]:
    """What our columns are called beside those of the caller's: keys, time, and what makes the levels."""
    return own_columns(MADE, [*columns.series, columns.time, *(name for level in levels for name in level.columns)])


def series_table(
    panel: Panel, level: Level, made: Forecast, columns: Columns, names: Mapping[str, str]
) -> pd.DataFrame:
    """A row per series and period: keys, time, mean, quantiles, and what the forecast rests on."""
    series = np.repeat(np.arange(len(panel.keys)), panel.horizon)
    rungs = np.array(RUNGS, dtype=object)[made.rung[series].astype(int)]
    values = _values(panel, level, made.mean, made).assign(rung=rungs).rename(columns=names)
    keys = panel.keys.iloc[series].reset_index(drop=True)
    return pd.concat([keys, _times(panel, len(made.mean), columns), values], axis=1)


def node_table(
    panel: Panel, levels: list[Level], made: Forecast, columns: Columns, names: Mapping[str, str]
) -> pd.DataFrame:
    """Rows of the levels above the series: the level, its columns (empty where it sums over them), time, values."""
    parts = []
    for level in levels:
        nodes = level.nodes.loc[level.nodes.index.repeat(panel.horizon)].reset_index(drop=True)
        nodes.insert(0, names["level"], level.name)
        values = _values(panel, level, level.sums(made.mean), made).rename(columns=names)
        parts.append(pd.concat([nodes, _times(panel, level.size, columns), values], axis=1))
    empty = pd.DataFrame(columns=[names["level"], columns.time, names["mean"]])
    return pd.concat(parts, ignore_index=True) if parts else empty


def _times(panel: Panel, nodes: int, columns: Columns) -> pd.DataFrame:
    """The periods to forecast, once for each node."""
    times = np.array(panel.time[panel.until :], dtype=np.int64 if isinstance(panel.time[0], int) else object)
    return pd.DataFrame({columns.time: np.tile(times, nodes)})


def _values(panel: Panel, level: Level, mean: Floats, made: Forecast) -> pd.DataFrame:
    """Mean, quantiles and interval of each node and period."""
    quantiles, low, high = quantiles_of(panel, made, level, mean)
    found = {"mean": mean.ravel()}
    found |= {quantile_name(q): quantiles[:, :, at].ravel() for at, q in enumerate(QUANTILES)}
    return pd.DataFrame(found | {"lo90": low.ravel(), "hi90": high.ravel()})


def beside(out: Path, name: str) -> Path:
    """The file beside `out` that has more of the same."""
    return out.with_name(f"{out.stem}_{name}{out.suffix}")


def write(table: pd.DataFrame, path: Path) -> str:
    """Writes Parquet or CSV, as the name says, and returns the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    csv = path.suffix.lower() == ".csv"
    # Not by its name: pandas takes some for a user's home or an address.
    path.write_bytes(table.to_csv(index=False).encode() if csv else table.to_parquet(index=False))
    return str(path)
