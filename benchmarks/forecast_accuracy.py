"""Forecasts of a sample home against what demand truly was: excess error next to two baselines on the same rows.

    RETAIL_HOME=.retail python benchmarks/forecast_accuracy.py [--peers /path/to/python]

Excess error is sum |forecast - true mean demand| / sum true mean demand: what a forecaster could have known and did
not, without the chance in the units sold. The home needs gold (`make demo`); its truth is read here and nowhere else.
Trains the model of configs/forecasting.yaml anew and prints seconds and peak memory with the errors. With a Python that
has mlforecast and statsforecast, both forecast the same days from the same sales (a day without one is a zero;
mlforecast once with tweedie and 400 trees, once as its quick start has it), and so does the engine of `retail backtest
forecasting`, which sees sales and attributes alone: no prices, promotions, shelves.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from forecast_peers import run_peer

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import FORECASTS, Training
from retail_assets.forecasting.panel import engine
from retail_assets.forecasting.panel.panel import Columns, Panel, Rules, read_panel
from retail_assets.forecasting.panel.trees import Settings
from retail_assets.forecasting.training import feature_span, gold_versions, run_training
from retail_assets.resources.environments import Environment, current

TITLES = {"mean": "retail-assets", "seasonal_naive": "seasonal naive", "weekday_mean": "weekday mean",
          "engine": "panel engine", "mlforecast": "mlforecast", "mlforecast_default": "its default",
          "autoets": "AutoETS"}  # fmt: skip
PEERS = ("mlforecast", "mlforecast_default", "autoets")
ENGINE = "engine"
SEGMENTS = ("department", "volume", "promotion", "week")
KEYS = ["store_id", "sku"]


def trained(environment: Environment) -> tuple[Training, dict[str, float]]:
    """Trains and proves on the newest gold; seconds and peak memory (GB) of it."""
    store = FeatureStore.at(environment.home, environment.lake)
    span = feature_span(environment.lake)
    if span is None:
        sys.exit(f"{environment.home.root} has no features: run `make demo` first")
    config, started = ForecastingConfig.load(), time.perf_counter()
    training = run_training(environment.lake, store, config, gold_versions(environment.lake, store), span)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return training, {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time(), "peak_gb": peak}


def with_truth(proof: pd.DataFrame, environment: Environment) -> pd.DataFrame:
    """The proof's rows with `mean_demand`, the simulator's expectation of that day."""
    file = environment.home.truth / "demand.parquet"
    if not file.is_file():
        sys.exit(f"{file} is not there: this home is not of the sample retailer")
    truth = pd.read_parquet(file, columns=["store_id", "sku", "business_date", "mean_demand"])
    truth = truth.rename(columns={"business_date": "target_date"})
    truth["target_date"] = pd.to_datetime(truth["target_date"])
    keys = [*KEYS, "target_date"]
    return proof.drop(columns="business_date").merge(truth, on=keys, validate="one_to_one")


def sold(environment: Environment, training: Training, rows: pd.DataFrame) -> Panel:
    """Units of the series of `rows` up to the origin of the proving window, with their attributes."""
    lake, windows = environment.lake, training.windows
    with tempfile.TemporaryDirectory() as folder:
        sales, attributes = Path(folder) / "sales.parquet", Path(folder) / "attributes.parquet"
        found = lake.query(
            f"""select store_id, sku, business_date, gross_units::double as units
                from {lake.scan("gold", "fct_sales_daily")} where business_date <= date '{windows.prove}'"""
        ).to_pandas()
        wanted = rows[KEYS].drop_duplicates()
        found.merge(wanted, on=KEYS).to_parquet(sales, index=False)
        lake.query(
            f"""select distinct s.store_id, s.sku, st.country, p.category, p.department
                from {lake.scan("gold", "fct_sales_daily")} s join {lake.scan("gold", "dim_store")} st using (store_id)
                join {lake.scan("gold", "dim_product")} p using (sku)"""
        ).to_pandas().merge(wanted, on=KEYS).to_parquet(attributes, index=False)
        columns = Columns(tuple(KEYS), "business_date", "units")
        return read_panel(sales, columns, Rules(), str(windows.prove), windows.days, attributes, None)


def with_peers(rows: pd.DataFrame, panel: Panel, python: str) -> pd.DataFrame:
    """`rows` with one column per peer."""
    means = {ENGINE: engine.forecast(panel, Settings(), lambda step: None).mean}
    means |= {name: run_peer(panel, name, python, 7).mean for name in PEERS}
    place = panel.keys.assign(place=np.arange(len(panel.keys)))
    at = rows[KEYS].astype(str).merge(place.astype(dict.fromkeys(KEYS, str)), on=KEYS, how="left", validate="m:1")
    first = pd.Timestamp(panel.time[panel.until])
    step = (pd.to_datetime(rows["target_date"]) - first).dt.days.to_numpy()
    return rows.assign(**{name: mean[at["place"].to_numpy(), step] for name, mean in means.items()})


def excess(rows: pd.DataFrame, names: list[str]) -> dict[str, float]:
    """Excess error of each forecast."""
    truth = rows["mean_demand"].to_numpy(float)
    return {name: float(np.abs(rows[name].to_numpy(float) - truth).sum() / truth.sum()) for name in names}


def best_other(found: dict[str, float]) -> float:
    """The error of the best forecast that is not ours."""
    return min(error for name, error in found.items() if name not in ("mean", ENGINE))


def line(title: str, rows: pd.DataFrame, names: list[str]) -> str:
    """One line of the table: errors, and the model's as a share of the best other's."""
    found = excess(rows, names)
    best = best_other(found)
    cells = "".join(f"{found[forecast]:>16.3f}" for forecast in names)
    verdict = "" if found["mean"] < best else "  another one wins here"
    return f"{title:<28}{len(rows):>9,}{cells}{found['mean'] / best:>9.2f}{verdict}"


def main() -> None:
    """Prints the table, or JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--peers", help="a Python that can import mlforecast and statsforecast")
    arguments = parser.parse_args()
    environment = current()
    training, cost = trained(environment)
    rows = with_truth(training.proof, environment)
    names = list(FORECASTS)
    if arguments.peers:
        rows = with_peers(rows, sold(environment, training, rows), arguments.peers)
        names += [ENGINE, *PEERS]
    found = excess(rows, names)
    if arguments.json:
        ratio = found["mean"] / best_other(found)
        print(json.dumps({"excess_error": found, "ratio": ratio, **cost, "metrics": training.metrics}, indent=1))
        return
    print(f"{'excess error':<28}{'rows':>9}{''.join(f'{TITLES[name]:>16}' for name in names)}{'ratio':>9}")
    print(line("all", rows, names))
    for segment in SEGMENTS:
        for value, part in rows.groupby(segment):
            print(line(f"{segment} {value}", part, names))
    shares = {name: training.metrics[name] for name in ("wape", "wape_baseline", "coverage_90", "calibration_gap")}
    print(", ".join(f"{name} {value:.3f}" for name, value in (shares | cost).items()))


if __name__ == "__main__":
    main()
