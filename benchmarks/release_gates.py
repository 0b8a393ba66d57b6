"""What the gates ask of small shops, and what came of versions that they let through or refused.

    RETAIL_REAL_DATA=FOLDER .venv/bin/python benchmarks/release_gates.py --shops FOLDER [--windows 6] [--only NAME ...]
        [--out FILE]

Shops are cut from real retailers and the sample (benchmarks/shops.py). A version of each product is trained as of every
fourth week, on the days until then, and proven on the four weeks before, as `retail run` does. Four weeks later the
same training is proven on days that the gates could not know: what it errs there against its baseline is what a release
would have cost. Every confidence that the gates on the whole chain could ask for is held against that: how many
versions pass, how many of those then lose to their baseline, how many that were refused would have won, and the mean
of ln(ratio), where a refused version leaves the baseline (0). Then the versions of each shop follow each other: one
that is worse than what is live by more than is allowed is refused, and the live one stays. What those let in and those
refused did on the next four weeks is told side by side. `--read FILE` prints what `--out` wrote before.
"""

import argparse
import json
import os
import sys
import tempfile
from datetime import timedelta
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.shops import build
from retail_assets.core.errors import RetailError
from retail_assets.core.gates import Gate, evaluate
from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.training import feature_span, gold_versions, run_training
from retail_assets.pricing.config import load_config
from retail_assets.pricing.response.training import gold_versions as price_versions
from retail_assets.pricing.response.training import train
from retail_assets.releases.evidence import FACTS
from retail_assets.releases.gates import ReleaseConfig
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake

APART = timedelta(days=28)
CONFIDENCES = (0.95, 0.90, 0.80, 0.65, 0.50, 0.35, 0.20, 0.05)
CHAIN = {
    "forecasting": ("wape_ratio/all", "rmse_ratio/all"),
    "pricing": ("deviance_ratio/all",),
}
AGAINST_LIVE = (
    (0.03, 0.5),
    (0.03, 0.05),
    (0.1, 0.5),
    (0.1, 0.05),
    (0.2, 0.5),
    (0.2, 0.05),
)  # worse by, at a confidence of
Rows = list[dict[str, Any]]


def proofs(home: Home, windows: int) -> Rows:
    """The metrics of both products as of each fourth week, oldest first, the newest day last."""
    lake = Lake.at(home.lake)
    source, config, prices = FeatureStore.at(home, lake), ForecastingConfig.load(), load_config()
    source.apply()
    versions, span = gold_versions(lake, source), feature_span(lake)
    assert span is not None
    rows: Rows = []
    for back in reversed(range(windows)):
        until = span[1] - back * APART
        row = {"home": home.root.name, "until": str(until)}
        try:
            metrics = run_training(lake, source, config, versions, (span[0], until)).metrics
            rows.append(row | {"product": "forecasting", "metrics": metrics})
        except RetailError as error:
            print(f"{home.root.name} {until} forecasting: {error.what}", file=sys.stderr)
        try:
            metrics = train(lake, prices, price_versions(lake), until).metrics
            rows.append(row | {"product": "pricing", "metrics": metrics})
        except RetailError as error:
            print(f"{home.root.name} {until} pricing: {error.what}", file=sys.stderr)
    return rows


def pairs(rows: Rows, product: str) -> list[tuple[dict[str, float], dict[str, float]]]:
    """What the gates saw, and what came: neighbours in time of one home."""
    mine = [row for row in rows if row["product"] == product]
    return [
        (one["metrics"], two["metrics"]) for one, two in zip(mine, mine[1:], strict=False) if one["home"] == two["home"]
    ]


def told(rows: Rows) -> None:
    """Prints which shipped gates fail, and the confidences against what came."""
    config = ReleaseConfig.load()
    for row in rows:
        gates = [g for g in config.gates(row["product"]) if g.metric not in FACTS]
        reasons = evaluate(gates, row["metrics"]).reasons
        print(f"{row['home']} {row['until']} {row['product']}: {'; '.join(reasons) or 'passes'}")
    for product, metrics in CHAIN.items():
        seen = pairs(rows, product)
        print(f"\n{product}: {len(seen)} versions with what came four weeks later")
        head = ("pass", 5), ("then lose", 9), ("refused, would win", 18), ("mean ln ratio", 13)
        print(f"{'metric':<20} {'confidence':>10} " + " ".join(f"{name:>{width}}" for name, width in head))
        for metric in metrics:
            for confidence in CONFIDENCES:
                print(_line(seen, metric, confidence))
        print(f"\n{product}, against what is live: {', '.join(metrics)}")
        print("worse confidence refused   let in: ln later   refused: ln later")
        for worse, confidence in AGAINST_LIVE:
            print(succession(rows, product, worse, confidence))


def succession(rows: Rows, product: str, worse: float, confidence: float) -> str:
    """One line: of the versions after the first of each home, how many a gate against the live one refuses."""
    gates = [
        Gate(metric=metric, better="lower", live_gain=-worse, error=_error(metric), confidence=confidence)
        for metric in CHAIN[product]
    ]
    later: dict[bool, list[list[float]]] = {True: [], False: []}
    for _, group in groupby((row for row in rows if row["product"] == product), key=lambda row: row["home"]):
        live, *others = [row["metrics"] for row in group]
        for version, after in zip_longest(others, others[1:]):
            passed = evaluate(gates, version, live).passed
            live = version if passed else live
            later[passed].append([np.log(after[m]) if after else np.nan for m in CHAIN[product]])
    worth = [", ".join(f"{x:.3f}" for x in np.nanmean(later[passed] or [[np.nan]], axis=0)) for passed in (True, False)]
    count = len(later[True]) + len(later[False])
    return f"{worse:>5.2f} {confidence:>10.2f} {len(later[False]):>4} of {count:<4} {worth[0]:>18} {worth[1]:>18}"


def _error(metric: str) -> str:
    return metric.replace("_ratio/", "_ratio_error/")


def _line(seen: list[tuple[dict[str, float], dict[str, float]]], metric: str, confidence: float) -> str:
    gate = Gate(metric=metric, better="lower", lowest=0, floor=1.0, confidence=confidence, error=_error(metric))
    passed = np.array([evaluate([gate], now).passed for now, _ in seen])
    later = np.array([after[metric] for _, after in seen])
    worth = np.where(passed, np.log(later), 0.0).mean()
    return (
        f"{metric:<20} {confidence:>10.2f} {passed.sum():>5} {(passed & (later > 1)).sum():>9} "
        f"{(~passed & (later < 1)).sum():>18} {worth:>13.4f}"
    )


def main() -> None:
    """Trains, or reads what was trained, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", type=Path, help="the folder of the shops' homes; those that are missing are built")
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--only", nargs="*", help="these shops only")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    asked = parser.parse_args()
    if asked.read:
        told([json.loads(line) for line in asked.read.read_text().splitlines()])
        return
    if "RETAIL_REAL_DATA" not in os.environ:
        print("NOT MEASURED: set RETAIL_REAL_DATA")
        return
    rows: Rows = []
    for home in build(Path(os.environ["RETAIL_REAL_DATA"]), asked.shops or Path(tempfile.mkdtemp()), asked.only):
        made = proofs(home, asked.windows)
        rows += made
        if asked.out:
            with asked.out.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in made)
    told(rows)


if __name__ == "__main__":
    main()
