"""SKUs that have not sold yet, against their true mean demand: the ladder next to what could be done without it.

    RETAIL_HOME=.retail python benchmarks/cold_start.py

Trains the forecaster on the first half of a sample home and then stands on the eve of each launch after that: the
launched SKU is forecast for 28 days in each store from analogues, with and without the way that launches come up, and
as the average SKU of its store. Excess error is sum |forecast - true mean| / sum true mean; forecasting nothing, which
is what a model of histories does, has 1. Also prints what the 90 % interval covered of the demand that came.
"""

import argparse
import json
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from retail_assets.core import accuracy
from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.cold_start import RAMP_WEEKS, item_attributes, launch_ramp, with_new_items
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import Training
from retail_assets.forecasting.frames import Gold, crossed
from retail_assets.forecasting.training import feature_span, features_of, gold_versions, run_training
from retail_assets.resources.environments import Environment, current

KEYS = ["store_id", "sku", "target_date"]


def forecasts(environment: Environment, training: Training, origin: date, config: ForecastingConfig) -> pd.DataFrame:
    """Rows as of gold/forecasts of every series that is active at `origin`."""
    store = FeatureStore.at(environment.home, environment.lake)
    days = [origin - timedelta(days=back) for back in reversed(range(config.series.origin_days))]
    gold = Gold(environment.lake, origin)
    try:
        active = gold.at_origin(features_of(store, days, None, config), origin, config.series)
        gold.learn_baseline(origin, config.reach)
        frame = gold.examples(crossed(active, config.horizon, origin))
    finally:
        gold.close()
    made = training.forecaster.predict(frame, config.threads)
    return pd.concat([frame[[*KEYS, "horizon"]], made], axis=1).assign(model_version="benchmark")


def main() -> None:
    """Prints one line per way of forecasting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    environment, config = current(), ForecastingConfig.load()
    lake, span = environment.lake, feature_span(environment.lake)
    file: Path = environment.home.truth / "demand.parquet"
    if span is None or not file.is_file():
        sys.exit(f"{environment.home.root} is no home of the sample retailer: run `make demo` first")
    store = FeatureStore.at(environment.home, lake)
    half = span[0] + (span[1] - span[0]) // 2
    training = run_training(lake, store, config, gold_versions(lake, store), (span[0], half))
    products = item_attributes(lake)
    launched = lake.query(
        f"""select sku, launched_on from {lake.scan("gold", "dim_product")}
            where launched_on > date '{half}' and launched_on <= date '{span[1]}' - 28 order by 2, 1"""
    ).to_pylist()
    truth = pd.read_parquet(file, columns=["store_id", "sku", "business_date", "mean_demand", "demand"])
    truth = truth.assign(target_date=pd.to_datetime(truth["business_date"])).astype({"store_id": str, "sku": str})
    parts = []
    for item in launched:
        origin = item["launched_on"] - timedelta(days=1)
        made = forecasts(environment, training, origin, config)
        new = made[["store_id"]].drop_duplicates().assign(sku=item["sku"], first_day=item["launched_on"])
        ramp = launch_ramp(lake, origin)
        average = made.groupby(["store_id", "target_date"], as_index=False)["mean"].mean()
        for name, come_up in (("ladder", ramp), ("without coming up", np.ones(RAMP_WEEKS))):
            rows = with_new_items(made, new, products, come_up, config.intervals.levels)
            parts.append(rows[rows["sku"] == item["sku"]].assign(way=name))
        parts.append(new[["store_id", "sku"]].merge(average, on="store_id").assign(way="average of the store"))
    rows = pd.concat(parts, ignore_index=True).merge(truth[[*KEYS, "mean_demand", "demand"]], on=KEYS)
    found = {
        str(way): {
            "excess_error": accuracy.wape(part["mean_demand"].to_numpy(float), part["mean"].to_numpy(float)),
            "bias": accuracy.bias(part["mean_demand"].to_numpy(float), part["mean"].to_numpy(float)),
            "coverage_90": accuracy.coverage(*(part[n].to_numpy(float) for n in ("demand", "q05", "q95")))
            if part["q05"].notna().all()
            else float("nan"),
        }
        for way, part in rows.groupby("way")
    }
    if arguments.json:
        print(json.dumps({"launches": len(launched), "rows": len(rows) // 3, "ways": found}, indent=2))
        return
    print(f"{len(launched)} launches after {half}, {len(rows) // 3:,} store-SKU days each way; nothing forecast: 1.000")
    for way, scores in found.items():
        print(f"{way:<22}" + "   ".join(f"{name}: {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
