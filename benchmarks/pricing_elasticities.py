"""How far the learnt elasticities are from the planted ones, against three estimators on the same rows.

    python benchmarks/pricing_elasticities.py                                  # the home that `make demo` has made
    python benchmarks/pricing_elasticities.py --seeds 31 32 33 --econml /path/to/python   # fresh retailers, all peers

Peers: log-log least squares with fixed effects, pooled by category and per SKU, and EconML's LinearDML, run by the
Python that `--econml` names (a virtual environment with econml; it is no dependency of ours). They see the rows of the
model but for those without a sale, which have no logarithm; and once more the rows summed over stores. A fresh retailer
goes the whole way: simulated files, bronze, dbt, gold. The truth is read for the comparison alone.
"""

import argparse
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from retail_assets.pricing.config import load_config
from retail_assets.pricing.response.baselines import pooled_ols, sku_ols, within
from retail_assets.pricing.response.evaluation import elasticity_errors
from retail_assets.pricing.response.training import gold_versions, newest_day, train
from retail_assets.pricing.response.training_frames import FEATURES, ResponseFrame
from retail_assets.resources.environments import Home, current
from retail_assets.resources.lake import Lake

Floats = npt.NDArray[np.float64]

PEER = Path(__file__).parent / "peers" / "linear_dml.py"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
TARGET_RATIO, TARGET_COVERAGE = 0.6, (0.93, 0.97)


@dataclass(frozen=True)
class Result:
    """Errors of one retailer: (name of the estimator) -> errors; `inside` per SKU whether our interval holds it."""

    errors: dict[str, dict[str, float]]
    inside: npt.NDArray[np.bool_]


def main() -> int:
    """Compares on every retailer asked for and sums up; 1 if a target was missed."""
    options = _options()
    if not options.econml:
        print("LinearDML is left out: name a Python with econml by --econml", flush=True)
    results = []
    for seed in options.seeds or [None]:
        with tempfile.TemporaryDirectory() as folder:
            home = current().home if seed is None else _fresh(Home.at(Path(folder) / "home"), options.scale, seed)
            if not (home.truth / "elasticities.parquet").exists():
                print(f"{home.root} has no truth to compare with: run `make demo` first, or give --seeds")
                return 1
            results.append(_compare(home, options.econml, "this home" if seed is None else f"seed {seed}"))
    return _summary(results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", help="simulate a retailer per seed instead of using the home")
    parser.add_argument("--scale", default="demo", help="scale of the fresh retailers")
    parser.add_argument("--econml", help="a Python that can import econml")
    return parser.parse_args()


def _fresh(home: Home, scale: str, seed: int) -> Home:
    from retail_assets.sample.simulate import simulate
    from retail_assets.sources.load import load_landing
    from retail_assets.warehouse.build import build_warehouse

    simulate(home.root, scale=scale, seed=seed)
    lake = Lake.at(home.lake)
    load_landing(lake, home)
    build_warehouse(lake, home)
    return home


def _compare(home: Home, econml: str | None, name: str) -> Result:
    lake = Lake.at(home.lake)
    until = newest_day(lake)
    assert until is not None, "gold has no sales"
    started = time.process_time()
    training = train(lake, load_config(), gold_versions(lake), until)
    seconds = time.process_time() - started
    frame, table = training.frame, training.model.table[: len(training.model.skus)]
    query = f"select sku, own_elasticity from '{home.truth / 'elasticities.parquet'}'"
    planted = dict(duckdb.sql(query).fetchall())
    truth = np.array([planted[sku] for sku in frame.skus])
    found = {"model": (table[:, 0], table[:, 2], table[:, 3])}
    for rows, suffix in ((frame, ""), (summed(frame), ", stores summed")):
        for label, estimator in (("pooled OLS", pooled_ols), ("OLS per SKU", sku_ols)):
            alone = estimator(rows)[:, 0]
            found[label + suffix] = (alone, alone, alone)
        answers = linear_dml(rows, econml) if econml else {}
        found |= {label + suffix: answer for label, answer in answers.items()}
    errors = {label: elasticity_errors(*values, truth) for label, values in found.items()}
    print(f"{name}: {len(truth)} SKUs, {len(frame.units):,} rows, {seconds:.1f} s of CPU with the proof")
    for label, error in errors.items():
        cover = f", 95 % covers {error['coverage']:.1%}" if error["coverage"] else ""
        ratio = "" if label == "model" else f"; the model's RMSE is {errors['model']['rmse'] / error['rmse']:.2f} of it"
        print(f"  {label:<40} RMSE {error['rmse']:.3f}, bias {error['bias']:+.3f}{cover}{ratio}", flush=True)
    return Result(errors, (table[:, 2] <= truth) & (truth <= table[:, 3]))


def summed(frame: ResponseFrame) -> ResponseFrame:
    """The rows that did not sell out, summed over the stores of a cluster: few weeks without a sale are left."""
    frame = frame.where(~frame.censored)
    cluster = frame.cluster_of_store[frame.store_of_series[frame.series_code]]
    promotion = frame.features[:, FEATURES.index("promotion")].astype(np.int64)
    series, series_code = np.unique(frame.sku_code * len(frame.clusters) + cluster, return_inverse=True)
    seasons = len(frame.seasons.week)
    key = (series_code * seasons + frame.season_code) * 2 + promotion
    cells, first, code = np.unique(key, return_index=True, return_inverse=True)
    days = np.bincount(code, frame.exposure)
    features = [np.bincount(code, frame.exposure * column) / days for column in frame.features.T]
    picked = ("censored", "discount", "week", "sku_code", "season_code", "store_week_code")
    return replace(
        frame,
        **{name: getattr(frame, name)[first] for name in picked},
        units=np.bincount(code, frame.units),
        exposure=days,
        features=np.column_stack(features),
        series_code=series_code[first],
        sku_of_series=series // len(frame.clusters),
        store_of_series=frame.store_of_series[frame.series_code[np.unique(series_code, return_index=True)[1]]],
    )


def linear_dml(frame: ResponseFrame, econml: str) -> dict[str, tuple[Floats, Floats, Floats]]:
    """LinearDML's elasticities and intervals in each of its ways; a SKU that it cannot do gets its category's mean."""
    outcome, features, rows = within(frame)
    week = (frame.week[rows] - frame.week.min()).astype(int) // 7
    raw = np.log(frame.units[rows] / frame.exposure[rows])
    series = frame.series_code[rows]
    store = frame.store_of_series[series]
    level = np.bincount(series, raw) / np.maximum(np.bincount(series), 1)
    price, promotion, _, competitor = frame.features[rows].T
    data = {
        "sku": frame.sku_code[rows], "category_of_sku": frame.category_of_sku, "week": week, "week_of_year": week % 52,
        "store": store, "country": frame.cluster_of_store[store], "outcome": raw - level[series], "log_price": price,
        "promotion": promotion, "competitor": competitor, "outcome_within": outcome, "log_price_within": features[:, 0],
        "promotion_within": features[:, 1], "years_within": features[:, 2], "competitor_within": features[:, 3],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "rows.npz", Path(folder) / "found.npz"
        np.savez(source, **data)
        subprocess.run([econml, str(PEER), str(source), str(target)], check=True, env=os.environ | ONE_THREAD)
        answer = np.load(target)
        both = zip(answer["ways"], answer["found"], strict=True)
        return {f"LinearDML, {way}": _filled(frame, found) for way, found in both}


def _filled(frame: ResponseFrame, found: Floats) -> tuple[Floats, Floats, Floats]:
    known = np.isfinite(found[:, 0])
    size = np.maximum(np.bincount(frame.category_of_sku, known), 1)
    mean = np.bincount(frame.category_of_sku, np.where(known, found[:, 0], 0.0)) / size
    elasticity, lo, hi = (np.where(known, found[:, i], mean[frame.category_of_sku]) for i in range(3))
    return elasticity, lo, hi


def _summary(results: list[Result]) -> int:
    inside = np.concatenate([result.inside for result in results])
    print(f"all: {len(inside)} intervals cover {inside.mean():.1%} (target 93 to 97 %)")
    met = TARGET_COVERAGE[0] <= inside.mean() <= TARGET_COVERAGE[1]
    for peer in [name for name in results[0].errors if name != "model"]:
        ratios = [result.errors["model"]["rmse"] / result.errors[peer]["rmse"] for result in results]
        print(f"all: RMSE {np.mean(ratios):.2f} of {peer}'s, worst {max(ratios):.2f} (target {TARGET_RATIO})")
        met &= max(ratios) <= TARGET_RATIO or not peer.startswith("LinearDML")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
