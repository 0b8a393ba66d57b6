"""What it earns to hold a margin target for a category in a store and not for each of its items.

    .venv/bin/python benchmarks/pricing_targets.py [--seeds N] [--days DAYS] [--target SHARE ...]

The engine prices the sample retailer's true market for revenue under the target, once with `target_level: item` and
once with `target_level: category`, from the same history. Revenue and margin are expected from true demand at list
prices, over the second half of the days, without items on promotion; `missed` is the share of store-category-days whose
margin is below the target by more than half a point.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.closed_loop.loop import Start
from benchmarks.closed_loop.market import Day, Market
from benchmarks.closed_loop.pricers import Engine
from benchmarks.closed_loop.records import Records
from benchmarks.pricing_breaker import HISTORY, scale
from retail_assets.pricing.config import PricingConfig, TargetLevel, load_config
from retail_assets.pricing.decide.policy import decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.decide.shared_targets import with_shared_targets
from retail_assets.sample.arrays import Floats, Ints

NEAR = 0.005


@dataclass
class Sharing(Engine):
    """The engine, deciding what items of a category share before it decides each, as the batch does."""

    def decide(self, records: Records) -> Ints:
        """Trains when it is due, then decides every store-SKU."""
        super().decide(records)
        assert self._model is not None and records.last is not None
        inputs, store, sku = records.inputs()
        rulebook = Rulebook.of(self.config.policy)
        prices = records.last.listed.copy()
        prices[store, sku] = decide_batch(
            self._model, rulebook, with_shared_targets(self._model, rulebook, inputs)
        ).price
        return prices


def aiming(config: PricingConfig, target: float, level: TargetLevel) -> PricingConfig:
    """The shipped configuration with revenue under a margin target everywhere."""
    changes = {"objective": "revenue", "margin_target": target, "target_level": level}
    return config.model_copy(update={"defaults": config.defaults.model_copy(update=changes)})


def earned(market: Market, day: Day) -> Floats:
    """Expected revenue and margin at list prices of items not on promotion, US dollars: (2, stores, categories)."""
    sold = np.where(day.promo < 0, day.mean, 0.0) * market.to_usd
    amounts = np.stack([day.listed * sold, (day.listed - market.cost) * sold])
    category = market.stores.skus.category
    totals = np.zeros((*amounts.shape[:2], category.max() + 1))
    np.add.at(np.moveaxis(totals, 2, 0), category, np.moveaxis(amounts, 2, 0))
    return totals


def run(seed: int, days: int, config: PricingConfig) -> Floats:
    """The second half of the days: (days, 2, stores, categories)."""
    own = Start.after(seed, scale(days), HISTORY).fork()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        engine = Sharing(config, Path(folder))
        for _ in range(days):
            assert own.records.last is not None, "a market starts after its history"
            day = own.market.step(own.records.last.number + 1, engine.decide(own.records))
            own.records.add(day)
            found.append(earned(own.market, day))
    return np.array(found[days // 2 :])


def main() -> None:
    """Runs both levels on every seed and target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--target", type=float, nargs="*", default=[0.30, 0.35, 0.40])
    asked = parser.parse_args()
    config = load_config()
    levels: tuple[TargetLevel, ...] = ("item", "category")
    for target in asked.target:
        totals = {}
        for level in levels:
            runs = [run(seed, asked.days, aiming(config, target, level)) for seed in range(1, asked.seeds + 1)]
            revenue, margin = np.concatenate(runs).transpose(1, 0, 2, 3)
            known = revenue > 0
            missed = (margin / np.where(known, revenue, 1.0) < target - NEAR) & known
            totals[level] = (revenue.sum(), margin.sum() / revenue.sum(), missed.sum() / known.sum())
        for level, (revenue, share, missed) in totals.items():
            more = revenue / totals["item"][0] - 1
            figures = f"revenue {more:+7.2%}, margin left {share:.1%}, missed {missed:.0%}"
            print(f"target {target:.0%} of each {level:<9} {figures}", flush=True)


if __name__ == "__main__":
    main()
