"""Feature vectors from a service's memory against Feast's SDK on its SQLite online store, in one process.

    RETAIL_HOME=.retail python benchmarks/feature_vectors.py

Both answer the same keys of `demand_forecast` at the same instant and must answer the same, key by key. `rows` are
values with their times and verdicts (what the forecasting service asks for), `matrix` the numbers alone. Processor time
of this process; the SDK's side is `get_online_features` alone, without what this project does with its answer.
"""

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from retail_assets.features.registry import repository
from retail_assets.features.store import FeatureStore
from retail_assets.features.vectors import FeatureVectors
from retail_assets.resources.environments import current

SERVICE, BATCHES, SECONDS = "demand_forecast", (1, 100), 3.0
TARGETS = {1: 20, 100: 60}
ROUNDS = 3


def cpu_seconds_each(ask: Callable[[], object]) -> float:
    """Processor seconds of one call: the best of ROUNDS rounds of SECONDS."""
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        calls, started = 0, time.process_time()
        while time.process_time() - started < SECONDS / ROUNDS:
            ask()
            calls += 1
        best = min(best, (time.process_time() - started) / calls)
    return best


def main() -> None:
    """Prints microseconds and ratios, and fails where a target is missed or an answer differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=2000, help="random keys whose answers are compared")
    options = parser.parse_args()
    environment = current()
    features = FeatureStore.at(environment.home, environment.lake)
    vectors, service = FeatureVectors(features, SERVICE), repository().service(SERVICE)
    started = time.process_time()
    vectors.poll()
    print(f"built in {time.process_time() - started:.2f} CPU s")
    moment, sdk = features.knowledge_time(SERVICE), features.open()
    scan = environment.lake.scan("gold", "feat_store_product_daily")
    known = environment.lake.query(f"select distinct store_id, sku from {scan} order by all").to_pylist()
    sample = random.Random(7).sample(known, min(options.keys, len(known)))
    ours, theirs = vectors.online(sample, moment), features.online(SERVICE, sample, moment)
    unequal = [one.keys for one, other in zip(ours, theirs, strict=True) if one != other and not other.stale]
    print(f"{len(sample)} keys compared, {len(unequal)} differ")
    met = not unequal
    for size in BATCHES:
        keys = sample[:size]
        feast = cpu_seconds_each(lambda keys=keys: sdk.get_online_features(service, keys, full_feature_names=True))  # type: ignore[misc]
        rows = cpu_seconds_each(lambda keys=keys: vectors.online(keys, moment))  # type: ignore[misc]
        matrix = cpu_seconds_each(lambda keys=keys: vectors.matrix(keys))  # type: ignore[misc]
        print(
            f"batch {size}: SDK {feast * 1e6:,.0f} us, rows {rows * 1e6:,.1f} us ({feast / rows:.0f} times cheaper, "
            f"target {TARGETS[size]}), matrix {matrix * 1e6:,.1f} us ({feast / matrix:.0f} times)"
        )
        met &= feast / rows >= TARGETS[size]
    sys.exit(not met)


if __name__ == "__main__":
    main()
