"""What the intervals of each level cover on 28 days that neither the model nor the intervals have seen.

    RETAIL_HOME=.retail python benchmarks/forecast_levels.py

Trains twice: up to 28 days before the newest day, whose backtest the intervals are learnt from, and up to the newest,
whose backtest (the last 28 days, by a model of the days before) they are held against. RMSE of the summed mean is
printed beside that of the better of seasonal naive and weekday mean. --json prints one object.
"""

import argparse
import json
import sys
from datetime import date, timedelta

import pandas as pd

from retail_assets.core import accuracy
from retail_assets.environments import Environment, current
from retail_assets.forecasting.config import ForecastingConfig, quantile_name
from retail_assets.forecasting.training import feature_span, gold_versions, run_training
from retail_assets.planning.level_tables import BASELINES, PROVEN
from retail_assets.planning.levels import LEVELS, LOWEST, LevelIntervals, at_levels
from retail_assets.resources.feature_store import FeatureStore

DAYS = 28


def proof(environment: Environment, first: date, until: date, config: ForecastingConfig) -> pd.DataFrame:
    """The backtest of a model trained up to `until`: days whose demand is known."""
    store = FeatureStore.at(environment.home, environment.lake)
    versions = gold_versions(environment.lake, store)
    rows = run_training(environment.lake, store, config, versions, (first, until)).proof
    return rows[rows["units"].notna()].reset_index(drop=True)


def main() -> None:
    """Prints one line per level."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    environment, config = current(), ForecastingConfig.load()
    span = feature_span(environment.lake)
    if span is None:
        sys.exit(f"{environment.home.root} has no features: run `make demo` first")
    quantile_levels = config.intervals.levels
    names = [quantile_name(level) for level in quantile_levels]
    seen = at_levels(proof(environment, span[0], span[1] - timedelta(days=DAYS), config), PROVEN)
    held = at_levels(proof(environment, span[0], span[1], config), [*PROVEN, *names])
    intervals, found = LevelIntervals.fit(seen, quantile_levels), {}
    for level in LEVELS:
        part = held[held["level"] == level]
        units, mean = (part[name].to_numpy(float) for name in ("units", "mean"))
        made = part[names].to_numpy(float) if level == LOWEST else intervals.quantiles(level, mean)
        better = min(accuracy.rmse(units, part[name].to_numpy(float)) for name in BASELINES)
        found[level] = {
            "rows": len(part),
            "coverage_90": accuracy.coverage(units, made[:, 0], made[:, -1]),
            "rmse_ratio": accuracy.rmse(units, mean) / better,
        }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'level':<20}{'rows':>9}{'90 % covers':>13}{'RMSE to better baseline':>26}")
    for level, scores in found.items():
        print(f"{level:<20}{scores['rows']:>9,}{scores['coverage_90']:>13.1%}{scores['rmse_ratio']:>26.3f}")


if __name__ == "__main__":
    main()
