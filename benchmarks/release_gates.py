"""What the gates of forecasting ask of a home, and what came of versions that they let through or refused.

    RETAIL_HOME=.retail .venv/bin/python benchmarks/release_gates.py [--windows 6] [--since 2011-06-01] [--out FILE]

A version is trained as of every fourth week, on the days until then, and proven on the four weeks before, as `retail
run` does. Four weeks later the same training would have been proven on days that the gates could not know: what it errs
there against its baseline is what a release would have cost. Every confidence that the gates on the whole chain could
ask for is held against that: how many versions pass, how many of those then lose to their baseline, how many that were
refused would have won, and the mean of ln(ratio), where a refused version leaves the baseline (0). Several homes:
`--out` appends, `--read FILE` only prints.
"""

import argparse
import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from retail_assets.core.gates import Gate, evaluate
from retail_assets.environments import current
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.evaluation import ShortHistory
from retail_assets.forecasting.training import feature_span, gold_versions, run_training
from retail_assets.resources.feature_store import FeatureStore
from retail_assets.resources.lake import Lake
from retail_assets.serving.fitness import FACTS
from retail_assets.serving.releases import ReleaseConfig

APART = timedelta(days=28)
CONFIDENCES = (0.95, 0.90, 0.80, 0.65, 0.50, 0.35, 0.20, 0.05)
CHAIN = ("wape_ratio/all", "rmse_ratio/all")
Rows = list[dict[str, Any]]


def proofs(windows: int, since: date | None) -> Rows:
    """The metrics of a training as of each fourth week, oldest first, the newest day last."""
    home = current().home
    lake = Lake.at(home.lake)
    source, config = FeatureStore.at(home, lake), ForecastingConfig.load()
    versions, span = gold_versions(lake, source), feature_span(lake)
    if span is None:
        sys.exit(f"{home.root} has no features: `retail run` first")
    first = max(span[0], since or span[0])
    rows: Rows = []
    for back in reversed(range(windows)):
        until = span[1] - back * APART
        try:
            made = run_training(lake, source, config, versions, (first, until))
        except ShortHistory as error:
            print(f"{until}: {error.what}", file=sys.stderr)
            continue
        rows.append({"home": str(home.root), "since": str(first), "until": str(until), "metrics": made.metrics})
        print(f"{until}: {', '.join(f'{n} {made.metrics[n]:.3f}' for n in CHAIN)}", file=sys.stderr, flush=True)
    return rows


def pairs(rows: Rows) -> list[tuple[dict[str, float], dict[str, float]]]:
    """What the gates saw, and what came: neighbours in time of one home."""
    return [
        (one["metrics"], two["metrics"])
        for one, two in zip(rows, rows[1:], strict=False)
        if (one["home"], one["since"]) == (two["home"], two["since"])
    ]


def told(rows: Rows) -> None:
    """Prints which shipped gates fail, and the confidences against what came."""
    gates = [g for g in ReleaseConfig.load().gates("forecasting") if g.metric not in FACTS]
    for row in rows:
        reasons = evaluate(gates, row["metrics"]).reasons
        print(f"{Path(row['home']).name} since {row['since']}, {row['until']}: {'; '.join(reasons) or 'passes'}")
    seen = pairs(rows)
    print(f"\n{len(seen)} versions with what came four weeks later")
    head = ("pass", 5), ("then lose", 9), ("refused, would win", 18), ("mean ln ratio", 13)
    print(f"{'metric':<16} {'confidence':>10} " + " ".join(f"{name:>{width}}" for name, width in head))
    for metric in CHAIN:
        for confidence in CONFIDENCES:
            gate = Gate(
                metric=metric, better="lower", lowest=0, floor=1.0, confidence=confidence,
                error=metric.replace("_ratio/", "_ratio_error/"),
            )  # fmt: skip
            passed = np.array([evaluate([gate], now).passed for now, _ in seen])
            later = np.array([after[metric] for _, after in seen])
            worth = np.where(passed, np.log(later), 0.0).mean()
            print(f"{metric:<16} {confidence:>10.2f} {passed.sum():>5} {(passed & (later > 1)).sum():>9} "
                  f"{(~passed & (later < 1)).sum():>18} {worth:>13.4f}")  # fmt: skip


def main() -> None:
    """Trains, or reads what was trained, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--since", type=date.fromisoformat, help="leave earlier days out, as in a younger home")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    asked = parser.parse_args()
    if asked.read:
        told([json.loads(line) for line in asked.read.read_text().splitlines()])
        return
    rows = proofs(asked.windows, asked.since)
    if asked.out:
        with asked.out.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    told(rows)


if __name__ == "__main__":
    main()
