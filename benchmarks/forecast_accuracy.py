"""Forecasts of a sample home against what demand truly was: excess error next to two baselines on the same rows.

    RETAIL_HOME=.retail python benchmarks/forecast_accuracy.py

Excess error is sum |forecast - true mean demand| / sum true mean demand: what a forecaster could have known and did
not, without the chance in the units sold. The home needs gold (`make demo`); its truth is read here and nowhere else.
Trains the model of configs/forecasting.yaml anew and prints seconds and peak memory with the errors.
"""

import argparse
import json
import resource
import sys
import time

import numpy as np
import pandas as pd

from retail_assets.environments import Environment, current
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import FORECASTS, Training
from retail_assets.forecasting.training import feature_span, gold_versions, run_training
from retail_assets.resources.feature_store import FeatureStore

TITLES = {"mean": "retail-assets", "seasonal_naive": "seasonal naive", "weekday_mean": "weekday mean"}
SEGMENTS = ("department", "volume", "promotion", "week")


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
    keys = ["store_id", "sku", "target_date"]
    return proof.drop(columns="business_date").merge(truth, on=keys, validate="one_to_one")


def excess(rows: pd.DataFrame) -> dict[str, float]:
    """Excess error of each forecast."""
    truth = rows["mean_demand"].to_numpy(float)
    return {name: float(np.abs(rows[name].to_numpy(float) - truth).sum() / truth.sum()) for name in FORECASTS}


def line(name: str, rows: pd.DataFrame) -> str:
    """One line of the table: errors, and the model's as a share of the better baseline's."""
    found = excess(rows)
    best = min(found[other] for other in FORECASTS[1:])
    cells = "".join(f"{found[forecast]:>16.3f}" for forecast in FORECASTS)
    verdict = "" if found["mean"] < best else "  a baseline wins here"
    return f"{name:<28}{len(rows):>9,}{cells}{found['mean'] / best:>9.2f}{verdict}"


def main() -> None:
    """Prints the table, or JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    environment = current()
    training, cost = trained(environment)
    rows = with_truth(training.proof, environment)
    found = excess(rows)
    if arguments.json:
        ratio = found["mean"] / min(found[name] for name in FORECASTS[1:])
        print(json.dumps({"excess_error": found, "ratio": ratio, **cost, "metrics": training.metrics}, indent=1))
        return
    print(f"{'excess error':<28}{'rows':>9}{''.join(f'{TITLES[name]:>16}' for name in FORECASTS)}{'ratio':>9}")
    print(line("all", rows))
    for segment in SEGMENTS:
        for value, part in rows.groupby(segment):
            print(line(f"{segment} {value}", part))
    shares = {name: training.metrics[name] for name in ("wape", "wape_baseline", "coverage_90", "calibration_gap")}
    print(", ".join(f"{name} {value:.3f}" for name, value in (shares | cost).items()))


if __name__ == "__main__":
    main()
