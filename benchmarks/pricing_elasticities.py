"""How far the learnt elasticities are from the planted ones, against least squares on the same rows.

    .venv/bin/python benchmarks/pricing_elasticities.py     (on the sample home that `make demo` has made)

The peers are the two estimators a retailer would try first: log-log least squares with fixed effects, pooled by
category and per SKU.
"""

import time

import duckdb
import numpy as np

from retail_assets.environments import current
from retail_assets.pricing.baselines import pooled_ols, sku_ols
from retail_assets.pricing.config import load_config
from retail_assets.pricing.evaluation import elasticity_errors
from retail_assets.pricing.training import gold_versions, newest_day, train


def main() -> None:
    """Trains on the home's gold and prints errors and ratios."""
    environment = current()
    truth = environment.home.truth / "elasticities.parquet"
    if not truth.exists():
        print(f"{environment.home.root} has no truth to compare with: run `make demo` first")
        return
    until = newest_day(environment.lake)
    assert until is not None, "gold has no sales"
    started = time.process_time()
    training = train(environment.lake, load_config(), gold_versions(environment.lake), until)
    seconds = time.process_time() - started
    planted = dict(duckdb.sql(f"select sku, own_elasticity from '{truth}'").fetchall())
    expected = np.array([planted[sku] for sku in training.model.skus])
    table = training.model.table[: len(expected)]
    found = elasticity_errors(table[:, 0], table[:, 2], table[:, 3], expected)
    print(f"{len(expected)} SKUs, {len(training.frame.units):,} rows, {seconds:.1f} s of CPU with the proof")
    print(f"model       RMSE {found['rmse']:.3f}, bias {found['bias']:+.3f}, 95 % covers {found['coverage']:.1%}")
    for name, estimator in (("pooled OLS", pooled_ols), ("OLS per SKU", sku_ols)):
        peer = estimator(training.frame)[:, 0]
        errors = elasticity_errors(peer, peer, peer, expected)
        ratio = found["rmse"] / errors["rmse"]
        print(
            f"{name:<11} RMSE {errors['rmse']:.3f}, bias {errors['bias']:+.3f}; the model's RMSE is {ratio:.2f} of it"
        )


if __name__ == "__main__":
    main()
