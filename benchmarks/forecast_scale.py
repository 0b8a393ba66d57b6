"""Core-seconds and memory of forecasting 100,000 series, stage by stage, and what 500 million would need.

Run: RETAIL_HOME=.retail python benchmarks/forecast_scale.py [--series 100000]

The series are those of a finished home (`retail demo`), copied under other store names until there are enough, in a
lake of its own: real features, real gaps, real zeros. Every stage runs the code that the assets run. Core-seconds are
the CPU time of all threads; peak memory is the largest resident size while the stage ran.
"""

import argparse
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, sleep

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.baseline.baseline_days import HISTORY_DAYS
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.explain.contributions import contributions
from retail_assets.forecasting.explain.decomposition import FitTask, decompose
from retail_assets.forecasting.explain.demand_panel import read_series
from retail_assets.forecasting.forecast_tasks import forecast_stores, store_tasks
from retail_assets.forecasting.frames import PRICES, TABLES, Gold, crossed, sampled
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.tiers.tiers import drift_velocity
from retail_assets.forecasting.training import SERVICE, feature_span, features_of
from retail_assets.forecasting.views_config import ViewsConfig
from retail_assets.resources.environments import current
from retail_assets.resources.lake import Lake

PLANNED = 500_000_000
DEPARTMENTS_PER_STORE_SKU = 1 / 500  # store-departments that Prophet decomposes, per store-SKU
ORIGINS, ORIGIN_EVERY = 8, 9
FITS, EXPLAINED = 40, 50


@dataclass
class Stages:
    """What each stage took: core-seconds, wall seconds, peak memory in MB, and the rows or series it went over."""

    found: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, over: int) -> Iterator[None]:
        """Measures the block under `name`; `over` is how many series (or fits, or answers) it handles."""
        process, peak, done = psutil.Process(), [0], threading.Event()

        def watch() -> None:
            while not done.is_set():
                peak[0] = max(peak[0], process.memory_info().rss)
                sleep(0.05)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        wall, cpu = perf_counter(), _cpu(process)
        yield
        taken = {"core_seconds": _cpu(process) - cpu, "wall_seconds": perf_counter() - wall}
        done.set()
        watcher.join()
        self.found[name] = {k: round(v, 2) for k, v in taken.items()} | {"peak_mb": round(peak[0] / 1e6), "over": over}
        print(f"{name}: {self.found[name]}", flush=True)


def _cpu(process: psutil.Process) -> float:
    """Of this process and of the children that ended: Prophet's optimiser is a program of its own."""
    times = process.cpu_times()
    return process_time() + times.children_user + times.children_system


def main() -> None:
    """Prints the stages as they end, then the plan as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    asked = parser.parse_args()
    home = current().home
    source = Lake.at(home.lake)
    with TemporaryDirectory() as folder:
        stages = measure(source, FeatureStore.at(home, source), Lake.at(Path(folder) / "lake"), asked.series)
    print(json.dumps({"stages": stages.found, "plan": plan(stages.found, asked.series)}, indent=1))


def measure(source: Lake, store: FeatureStore, lake: Lake, wanted: int) -> Stages:
    """Copies the series of `source` into `lake` and sends them through every stage."""
    config, stages = ForecastingConfig.load(), Stages()
    config = config.model_copy(update={"series": config.series.model_copy(update={"max_series": wanted})})
    span = feature_span(source)
    assert span is not None
    origin, names = span[1], store.features(SERVICE)
    days = [origin - timedelta(days=back) for back in range(config.series.origin_days)]
    days += [origin - timedelta(days=ORIGIN_EVERY * back) for back in range(1, ORIGINS + 1)]
    features = features_of(store, sorted(set(days)), None, config)
    gold = Gold(source, origin)
    active = len(gold.at_origin(features, origin, config.series))
    gold.close()
    copies = -(-wanted // active)
    copy_gold(source, lake, copies, origin)
    features = pa.concat_tables([renamed(features, copy) for copy in range(copies)])
    with stages.stage("open gold", wanted):
        gold = Gold(lake, origin)
    with stages.stage("baseline", wanted):
        baseline = gold.learn_baseline(origin, config.reach)
    with stages.stage("training: examples", wanted):
        past = pa.array([origin - timedelta(days=ORIGIN_EVERY * back) for back in range(1, ORIGINS + 1)], pa.date32())
        origins = features.filter(pc.is_in(features["business_date"], value_set=past))
        examples = gold.examples(sampled(origins, config.horizon, origin, config.training.rows, config.seed))
    with stages.stage("training: fit", wanted):
        model = DemandForecaster.fit(examples, names, config)
        model = model.calibrated(examples, model.mean(examples, config.threads), config.intervals)
    del examples, origins
    series = gold.at_origin(features, origin, config.series).sort_by([("store_id", "ascending"), ("sku", "ascending")])
    tasks = store_tasks(lake, series, model, origin, config, baseline.since(days[config.series.origin_days - 1]))
    with stages.stage("forecast 28 days", len(series)):
        made = pd.concat([forecast_stores(task) for task in tasks], ignore_index=True)
    with stages.stage("write", len(series)):
        lake.overwrite("gold", "forecasts", pa.Table.from_pandas(made.assign(business_date=origin)), ["business_date"])
    with stages.stage("tiers", len(series)):
        drift_velocity(made.assign(units=made["mean"] * 1.1))
    frame = gold.examples(crossed(series.slice(0, EXPLAINED), config.horizon, origin))
    with stages.stage("explain", EXPLAINED):
        contributions(model, frame, config.threads)
    gold.close()
    fits = [one for one in read_series(source, origin, config.horizon) if one.hierarchy == "store_department"][:FITS]
    decompose(FitTask(fits[0], ViewsConfig.load().decomposition))
    with stages.stage("Prophet", len(fits)):
        for one in fits:
            decompose(FitTask(one, ViewsConfig.load().decomposition))
    return stages


def copy_gold(source: Lake, lake: Lake, copies: int, origin: date) -> None:
    """The tables that forecasts read, with every store `copies` times and the sales of the last HISTORY_DAYS."""
    for name in (*TABLES, PRICES):
        table = source.scan("gold", name)
        if name == "fct_sales_daily":
            where = f"where business_date > date '{origin}' - {HISTORY_DAYS}"
            columns = "sku, business_date, gross_units, returned_units, on_hand, is_stocked_out, on_promotion"
            sql = f"select store_id || '-' || copy as store_id, {columns} from {table}, range({copies}) r(copy) {where}"
            with lake.connect() as db:
                lake.overwrite("gold", name, db.sql(sql).to_arrow_reader(1_000_000), ["business_date"])
        elif name in ("dim_store", PRICES):
            sql = f"select * replace (store_id || '-' || copy as store_id) from {table}, range({copies}) r(copy)"
            lake.overwrite("gold", name, source.query(sql))
        else:
            lake.overwrite("gold", name, source.query(f"select * from {table}"))


def renamed(features: pa.Table, copy: int) -> pa.Table:
    """`features` under the store names of one copy."""
    names = pc.binary_join_element_wise(features["store_id"], str(copy), "-")
    return features.set_column(features.schema.get_field_index("store_id"), "store_id", names)


def plan(stages: dict[str, dict[str, float]], series: int) -> dict[str, float]:
    """Core-hours for PLANNED store-SKUs, from core-seconds per series; a week of each rhythm.

    Training sees a fixed number of rows per model, so its cost grows with the number of models: one per `series` here.
    """

    def hours(name: str, over: float) -> float:
        return stages[name]["core_seconds"] / stages[name]["over"] * over / 3600

    forecast = sum(hours(name, PLANNED) for name in ("open gold", "baseline", "forecast 28 days", "write"))
    models = PLANNED / series
    fit = (stages["training: examples"]["core_seconds"] + stages["training: fit"]["core_seconds"]) / 3600
    prophet = hours("Prophet", PLANNED * DEPARTMENTS_PER_STORE_SKU)
    found = {
        "forecast all once, core-hours": forecast,
        "forecast all daily, core-hours a week": 7 * forecast,
        "models, one per measured number of series": models,
        "train all models once, core-hours": models * fit,
        "Prophet for all store-departments, core-hours": prophet,
        "drift velocity of all series, core-hours": hours("tiers", PLANNED),
    }
    weekly = 7 * forecast + models * fit / 4 + prophet + found["drift velocity of all series, core-hours"]
    found["a week: daily forecasts, monthly training, weekly Prophet and tiers, core-hours"] = weekly
    found["cores that are busy all week"] = weekly / 168
    return {name: float(np.round(value, 1)) for name, value in found.items()}


if __name__ == "__main__":
    main()
