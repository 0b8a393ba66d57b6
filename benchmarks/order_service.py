"""Service and stock of the order proposals on days held back, next to the usual rule of mean times days.

    RETAIL_HOME=.retail python benchmarks/order_service.py

Plays the last 28 days of a sample home with the demand that truly was (also where the shelf was empty). The forecaster
is trained, and the quantiles of sums are learnt, on the days before; it forecasts anew each week. The peer orders up to
mean * days + z * deviation * sqrt(days) of the 28 days before each order, day by day: the order-up-to rule of textbooks
(Silver, Pyke, Thomas, Inventory and Production Management in Supply Chains, 2017, chapter 7). Each runs at several
service levels; at equal service the one that holds less stock is better. Prints JSON with --json.
"""

import argparse
import json
import sys
from dataclasses import asdict
from datetime import date, timedelta
from statistics import NormalDist

import numpy as np
import pandas as pd

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import Training
from retail_assets.forecasting.frames import Gold, crossed
from retail_assets.forecasting.training import feature_span, features_of, gold_versions, run_training
from retail_assets.planning.ordering import OrderingConfig
from retail_assets.planning.orders import held_back_sums, stock
from retail_assets.planning.simulation import Service, Start, replenish, service
from retail_assets.planning.sum_quantiles import SERIES, learnt, needed
from retail_assets.resources.environments import Environment, current

DAYS, EVERY = 28, 7
LEVELS = (0.8, 0.85, 0.9, 0.95, 0.975, 0.99)


class World:
    """One sample home up to the day before the days that are played."""

    def __init__(self, environment: Environment) -> None:
        self.lake, self.store = environment.lake, FeatureStore.at(environment.home, environment.lake)
        self.truth = environment.home.truth / "demand.parquet"
        span = feature_span(self.lake)
        if span is None or not self.truth.is_file():
            sys.exit(f"{environment.home.root} is no home of the sample retailer: run `make demo` first")
        self.first, self.origin = span[0], span[1] - timedelta(days=DAYS)
        self.config, self.ordering = ForecastingConfig.load(), OrderingConfig.load()

    def trained(self) -> Training:
        """The forecaster of the days up to the origin, with its own backtest."""
        versions = gold_versions(self.lake, self.store)
        return run_training(self.lake, self.store, self.config, versions, (self.first, self.origin))

    def forecast(self, training: Training, origin: date) -> pd.DataFrame:
        """Means of every active series from `origin`: SERIES, department, category, horizon, mean, and the peer's."""
        days = [origin - timedelta(days=back) for back in reversed(range(self.config.series.origin_days))]
        gold = Gold(self.lake, origin)
        try:
            active = gold.at_origin(features_of(self.store, days, None, self.config), origin, self.config.series)
            gold.learn_baseline(origin, self.config.reach)
            frame = gold.examples(crossed(active, self.config.horizon, origin))
        finally:
            gold.close()
        found = frame[[*SERIES, "department", "category", "units_mean_28", "units_std_28", "horizon"]]
        return found.assign(mean=training.forecaster.mean(frame, self.config.threads))

    def demand(self, series: pd.DataFrame) -> np.ndarray:
        """True demand of `series` on the days played, (series, DAYS); 0 where a SKU is not listed."""
        rows = pd.read_parquet(self.truth, columns=["store_id", "sku", "business_date", "demand"])
        day = (pd.to_datetime(rows["business_date"]) - pd.Timestamp(self.origin)).dt.days
        rows = rows[(day >= 1) & (day <= DAYS)].assign(day=day)
        wide = rows.pivot_table(index=SERIES, columns="day", values="demand", aggfunc="sum", observed=True)
        return wide.reindex(pd.MultiIndex.from_frame(series)).fillna(0.0).to_numpy(float)

    def recent(self, series: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the 28 days up to each day 0 to DAYS, (series, DAYS + 1)."""
        first = self.origin - timedelta(days=27)
        sql = f"""select store_id, sku, (business_date - date '{first}')::int as day, gross_units
                  from {self.lake.scan("gold", "fct_sales_daily")} where business_date >= date '{first}'"""
        rows = self.lake.query(sql).to_pandas()
        wide = rows.pivot_table(index=SERIES, columns="day", values="gross_units", aggfunc="sum").fillna(0.0)
        units = wide.reindex(pd.MultiIndex.from_frame(series), fill_value=0.0).to_numpy(float)
        windows = np.lib.stride_tricks.sliding_window_view(units, 28, axis=1)[:, : DAYS + 1]
        return windows.mean(axis=2), windows.std(axis=2, ddof=1)


def played(world: World) -> dict[str, dict[float, Service]]:
    """Service and stock of both rules at each level."""
    training = world.trained()
    proof = training.proof.reset_index(drop=True)
    sums = held_back_sums(world.lake, world.ordering, proof)
    table = learnt(sums, LEVELS, world.ordering.calibration)
    origins = [world.origin + timedelta(days=ahead) for ahead in range(0, DAYS, EVERY)]
    made = [world.forecast(training, origin) for origin in origins]
    series = made[0].drop_duplicates(SERIES).reset_index(drop=True)
    terms, keys = world.ordering.terms(series), series[SERIES]
    days = terms["protection_days"].to_numpy(int)
    expected = np.stack([_expected(made, keys, day, days) for day in range(DAYS + 1)], axis=1)
    mean, deviation = world.recent(keys)
    counted = keys.merge(stock(world.lake, world.origin), on=SERIES, how="left").fillna({"on_hand": 0, "on_order": 0})
    lead, review, case = (terms[name].to_numpy(np.int64) for name in ("lead_days", "review_days", "case_pack"))
    start = Start(
        counted["on_hand"].clip(lower=0).to_numpy(float), counted["on_order"].to_numpy(float), np.maximum(lead // 2, 1)
    )
    demand, lengths = world.demand(keys), np.repeat(days[:, None], DAYS + 1, axis=1)
    found: dict[str, dict[float, Service]] = {"order proposals": {}, "mean times days": {}}
    for level in LEVELS:
        flat = needed(table, expected.ravel(), lengths.ravel(), np.full(expected.size, level))
        rules = {
            "order proposals": flat.reshape(expected.shape),
            "mean times days": np.ceil(mean * lengths + NormalDist().inv_cdf(level) * deviation * np.sqrt(lengths)),
        }
        for name, up_to in rules.items():
            found[name][level] = service(replenish(demand, up_to, lead, review, case, start), lead, review)
    return found


def _expected(made: list[pd.DataFrame], keys: pd.DataFrame, day: int, days: np.ndarray) -> np.ndarray:
    """Expected units of the `days` after `day` by the newest forecast of that day; a SKU that left expects none."""
    newest = min(day // EVERY, len(made) - 1)
    wide = made[newest].pivot_table(index=SERIES, columns="horizon", values="mean", aggfunc="sum")
    means = wide.reindex(pd.MultiIndex.from_frame(keys)).fillna(0.0).to_numpy(float)
    offset = day - newest * EVERY
    ahead = np.arange(means.shape[1])[None, :]
    inside = (ahead >= offset) & (ahead < offset + days[:, None])
    return np.asarray((means * inside).sum(axis=1))


def stock_at(services: dict[float, Service], wanted: float) -> float:
    """Stock at which a rule reaches the cycle service `wanted`, between the levels it was run at."""
    points = sorted((s.cycle_service, s.stock) for s in services.values())
    return float(np.interp(wanted, *zip(*points, strict=True)))


def main() -> None:
    """Prints both rules at each service level, and the stock they hold at equal service."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    found = played(World(current()))
    ours, peer = found["order proposals"], found["mean times days"]
    low, high = (
        max(min(s.cycle_service for s in f.values()) for f in (ours, peer)),
        min(max(s.cycle_service for s in f.values()) for f in (ours, peer)),
    )
    equal = {round(at, 4): stock_at(ours, at) / stock_at(peer, at) for at in np.linspace(low, high, 5)}
    if arguments.json:
        rules = {name: {level: asdict(s) for level, s in levels.items()} for name, levels in found.items()}
        print(json.dumps({"rules": rules, "stock_ratio_at_equal_service": equal}, indent=2))
        return
    print(f"{'rule':<18}{'target':>8}{'cycles served':>15}{'units served':>14}{'days out':>10}{'stock':>9}")
    for name, levels in found.items():
        for level, s in levels.items():
            print(
                f"{name:<18}{level:>8.1%}{s.cycle_service:>15.1%}{s.fill_rate:>14.1%}{s.out_days:>10.2%}{s.stock:>9.2f}"
            )
    for at, ratio in equal.items():
        print(f"at {at:.1%} of cycles served, the proposals hold {ratio:.3f} of the peer's stock")


if __name__ == "__main__":
    main()
