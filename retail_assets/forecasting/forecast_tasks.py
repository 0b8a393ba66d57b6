"""Forecasting and training as pieces of work that can run anywhere: on this machine or on a worker of a Dask cluster.

A piece carries what it is made of (the place and the versions of gold, the bytes of the model, the feature rows), so
that a worker gives the bytes that this process would give.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.forecasting.baseline.baseline import COLUMNS as BASELINE
from retail_assets.forecasting.baseline.baseline import Baseline
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.frames import TABLES, Gold, crossed
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.resources.lake import Lake

SERIES_PER_TASK = 2000
Files = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class StoresTask:
    """The series of some stores to forecast from `origin`, by the model in `files`, on gold at `versions`."""

    lake: Lake
    versions: dict[str, int]
    rows: pa.Table
    files: Files
    origin: date
    config: ForecastingConfig
    baseline: Baseline | None


def store_tasks(
    lake: Lake,
    rows: pa.Table,
    model: DemandForecaster,
    origin: date,
    config: ForecastingConfig,
    baseline: Baseline | None,
) -> list[StoresTask]:
    """Tasks over `rows` (features at the origin, sorted by store and SKU), in their order.

    A task has whole stores, as many as have SERIES_PER_TASK series together, but at least one.
    """
    versions = {name: lake.open("gold", name).version() for name in TABLES}
    files = tuple(sorted(model.files().items()))
    return [
        StoresTask(lake, versions, rows.slice(first, length), files, origin, config, baseline)
        for first, length in chunks(rows["store_id"].to_pylist(), SERIES_PER_TASK)
    ]


def chunks(stores: Sequence[str], most: int) -> list[tuple[int, int]]:
    """(first, length) of runs of `stores` (sorted) that split no store, at most `most` long unless it is one store."""
    edges = [at for at in range(1, len(stores)) if stores[at] != stores[at - 1]] + [len(stores)]
    found, first, last = [], 0, 0
    for edge in edges:
        if edge - first > most and last > first:
            found.append((first, last - first))
            first = last
        last = edge
    return [*found, (first, last - first)] if last > first else found


def forecast_stores(task: StoresTask) -> pd.DataFrame:
    """The forecasts of a task: what `forecast_part` makes of its rows."""
    stores = pc.unique(task.rows["store_id"]).to_pylist()
    since = task.origin - timedelta(days=2 * task.config.horizon)
    gold = Gold(task.lake, task.origin, task.versions, stores, since)
    gold.baseline = task.baseline
    try:
        return forecast_part(gold, task.rows, _model(task.files), task.origin, task.config)
    finally:
        gold.close()


def forecast_part(
    gold: Gold, series: pa.Table, model: DemandForecaster, origin: date, config: ForecastingConfig
) -> pd.DataFrame:
    """store_id, sku, target_date, horizon, baseline, mean and quantiles of `series` on every day ahead of `origin`."""
    frame = gold.examples(crossed(series, config.horizon, origin))
    target = frame["target_date"].dt.date
    keys = frame[["store_id", "sku"]].assign(target_date=target)
    keys["horizon"] = (frame["target_date"] - np.datetime64(origin)).dt.days
    baseline = frame.reindex(columns=list(BASELINE))
    return pd.concat([keys, baseline, model.predict(frame, config.threads)], axis=1)


@lru_cache(maxsize=4)
def _model(files: Files) -> DemandForecaster:
    """A worker reads each model once."""
    return model_of(dict(files))


def model_of(files: Mapping[str, bytes]) -> DemandForecaster:
    """The forecaster whose `files()` these are."""
    with TemporaryDirectory() as folder:
        write(Path(folder), files)
        return DemandForecaster.load(Path(folder))


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files of a model as `DemandForecaster.load` reads them."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
