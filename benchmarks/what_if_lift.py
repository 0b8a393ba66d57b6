"""The lift that `retail forecast what-if` predicts against the sample's truth, next to simpler ways to predict it.

    RETAIL_HOME=.retail python benchmarks/what_if_lift.py

For every forecast store-SKU: what would a discount, or another price, do to demand? The simulator knows: (1 - discount)
^ elasticity * exp(promotion lift). Error is sum |predicted - true change| / sum |true change|, weighted by units.
Peers: for discounts the elasticity alone, for prices an elasticity of -1.5. Uses the newest stored models.
Prints JSON with --json.
"""

import argparse
import json
from datetime import timedelta

import numpy as np
import pandas as pd

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.frames import Gold, crossed
from retail_assets.forecasting.model import DemandForecaster
from retail_assets.forecasting.training import features_of
from retail_assets.planning.read import chosen_origin
from retail_assets.planning.what_if import promotion_display
from retail_assets.pricing.response.model import PriceModel
from retail_assets.resources.environments import Environment, current
from retail_assets.resources.model_store import ModelStore

DISCOUNTS, PRICES, HORIZONS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4), (0.8, 0.9, 1.1, 1.2), (4, 10, 18, 25)


def examples(environment: Environment) -> tuple[pd.DataFrame, DemandForecaster, PriceModel]:
    """Frames of four days ahead of every active series, and the newest models."""
    lake, store = environment.lake, FeatureStore.at(environment.home, environment.lake)
    config, origin = ForecastingConfig.load(), chosen_origin(environment.lake, None)
    days = [origin - timedelta(days=back) for back in reversed(range(config.series.origin_days))]
    gold = Gold(lake, origin)
    try:
        active = gold.at_origin(features_of(store, days, None, config), origin, config.series)
        gold.learn_baseline(origin, config.reach)
        frame = gold.examples(crossed(active, config.horizon, origin))
    finally:
        gold.close()
    models = ModelStore.at(environment.home.models)
    paths = [models.path(product, models.versions(product)[-1]) for product in ("forecasting", "pricing")]
    frame = frame[frame["horizon"].isin(HORIZONS)].reset_index(drop=True)
    return frame, DemandForecaster.load(paths[0]), PriceModel.load(paths[1])


def error(made: np.ndarray, true: np.ndarray, weight: np.ndarray) -> float:
    """Weighted absolute error of a factor as a share of the true change."""
    return float(np.average(np.abs(made - true), weights=weight) / np.average(np.abs(true - 1.0), weights=weight))


def main() -> None:
    """Prints the error of each way at each discount and price."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    environment = current()
    frame, forecaster, prices = examples(environment)
    truth = pd.read_parquet(environment.home.truth / "elasticities.parquet").set_index("sku")
    own, shown = (frame["sku"].map(truth[name]).to_numpy(float) for name in ("own_elasticity", "promotion_lift"))
    keys = [frame[name].to_numpy(object) for name in ("store_id", "sku", "category")]
    elasticity, origin = prices.response(*keys).elasticity, chosen_origin(environment.lake, None)
    display = {c: promotion_display(environment.lake, prices, c, origin) for c in sorted(frame["category"].unique())}
    of_row = frame["category"].map(display).to_numpy(float)
    base = forecaster.mean(frame.assign(planned_discount=0.0), 2)
    found: dict[str, dict[str, float]] = {}
    for discount in DISCOUNTS:
        true = (1 - discount) ** own * np.exp(shown)
        ways = {
            "what-if": (1 - discount) ** elasticity * of_row,
            "elasticity alone": (1 - discount) ** elasticity,
        }
        found[f"promotion of {discount:.0%}"] = {name: error(made, true, base) for name, made in ways.items()}
    for price in PRICES:
        ways = {"what-if": price**elasticity, "elasticity -1.5": np.full(len(frame), price**-1.5)}
        found[f"price times {price}"] = {name: error(made, price**own, base) for name, made in ways.items()}
    missed = float(np.mean([abs(np.log(d) - truth.loc[truth["category"] == c, "promotion_lift"].iloc[0])
                            for c, d in display.items()]))  # fmt: skip
    if arguments.json:
        print(json.dumps({"errors": found, "display_missed_by": missed}, indent=2))
        return
    for question, ways in found.items():
        print(f"{question:<20}" + "".join(f"{name}: {value:.3f}   " for name, value in ways.items()))
    print(f"log display of a category missed by {missed:.3f} on average")


if __name__ == "__main__":
    main()
