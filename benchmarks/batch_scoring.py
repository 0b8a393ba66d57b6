"""Scoring the forecaster's own batch: LightGBM against compiled predictors, rows per processor second in one thread.

    RETAIL_HOME=.retail python benchmarks/batch_scoring.py [--compiled /path/to/python]

Takes the live forecaster and the very rows that a batch forecasts, and says what share of the batch is scoring at all.
With `--compiled` (a Python that has lightgbm, lleaves with llvmlite below 0.44, treelite and tl2cgen, and a C compiler)
benchmarks/peers/compiled_trees.py scores the same rows; answers must be equal to 1e-9.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from retail_assets.features.store import FeatureStore
from retail_assets.forecasting.assets import feature_span, forecast
from retail_assets.forecasting.config import ForecastingConfig
from retail_assets.forecasting.model import MODEL_FILE, DemandForecaster
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import current
from retail_assets.resources.model_store import ModelStore

PEER = Path(__file__).parent / "peers" / "compiled_trees.py"
ROUNDS = 3


class Recorded:
    """A booster that keeps what it was asked, and how long its answers took."""

    def __init__(self, booster: Any) -> None:
        self.asked: list[np.ndarray] = []
        self.cpu_seconds = 0.0
        self._booster = booster

    def predict(self, rows: np.ndarray, **options: Any) -> np.ndarray:
        """As the booster itself."""
        self.asked.append(np.asarray(rows))
        started = time.process_time()
        answer: np.ndarray = self._booster.predict(rows, **options)
        self.cpu_seconds += time.process_time() - started
        return answer


def main() -> None:
    """Prints rows per CPU second and the share of scoring in a whole batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiled", type=Path, help="a Python with lleaves and tl2cgen")
    options = parser.parse_args()
    environment = current()
    lake, release = environment.lake, Ledger(environment.lake).live("forecasting")
    span = feature_span(lake)
    if release is None or span is None:
        raise SystemExit("no forecaster is live: `retail demo`")
    folder = ModelStore.at(environment.home.models).path("forecasting", release.version)
    forecaster, features = DemandForecaster.load(folder), FeatureStore.at(environment.home, lake)
    booster, recorded = forecaster.booster, Recorded(forecaster.booster)
    forecaster.booster = recorded  # type: ignore[assignment]
    started = time.process_time()
    made = forecast(lake, features, forecaster, release.version, span[1], ForecastingConfig.load())
    whole = time.process_time() - started
    print(f"a batch of {len(made):,} rows: {whole:.2f} CPU s, of which scoring {recorded.cpu_seconds / whole:.0%}")
    rows, best = np.concatenate(recorded.asked), float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        answer = booster.predict(rows, raw_score=True, num_threads=1)
        best = min(best, time.process_time() - started)
    print(f"LightGBM: {len(rows) / best:,.0f} rows per CPU second")
    if options.compiled is None:
        return
    with tempfile.TemporaryDirectory() as place:
        np.savez(Path(place) / "rows.npz", rows=rows, answer=np.asarray(answer))
        command = [str(options.compiled), str(PEER), str(folder / MODEL_FILE), f"{place}/rows.npz", place]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    main()
