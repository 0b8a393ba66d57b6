"""Compiled predictors of a LightGBM model on rows that batch_scoring.py hands over; run with a Python that has them.

python benchmarks/peers/compiled_trees.py model.txt rows.npz FOLDER
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import lightgbm
import lleaves
import numpy as np
import tl2cgen
import treelite

ROUNDS = 3


def cpu_seconds(score: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Processor seconds of one scoring of all rows (the best of ROUNDS), and the scores."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        scores = score()
        best = min(best, time.process_time() - started)
    return best, scores


def main(model: str, source: str, folder: str) -> None:
    """Prints a line per predictor."""
    given = np.load(source)
    rows, answer = given["rows"], given["answer"]
    booster = lightgbm.Booster(model_file=model)
    plain, _ = cpu_seconds(lambda: booster.predict(rows, raw_score=True, num_threads=1))
    compiled = lleaves.Model(model_file=model)
    started = time.process_time()
    compiled.compile(raw_score=True)
    report(
        "lleaves",
        time.process_time() - started,
        plain,
        *cpu_seconds(lambda: compiled.predict(rows, n_jobs=1)),
        rows,
        answer,
    )
    library = Path(folder) / "trees.so"
    started = time.perf_counter()
    trees = treelite.frontend.load_lightgbm_model(model)
    tl2cgen.export_lib(trees, toolchain="gcc", libpath=library, params={"parallel_comp": 1})
    built = time.perf_counter() - started
    predictor, wide = tl2cgen.Predictor(library, nthread=1), tl2cgen.DMatrix(rows.astype(np.float64))
    report("tl2cgen", built, plain, *cpu_seconds(lambda: predictor.predict(wide, pred_margin=True)), rows, answer)


def report(
    name: str, built: float, plain: float, seconds: float, scores: np.ndarray, rows: np.ndarray, answer: np.ndarray
) -> None:
    """One line; `built` are the seconds that compiling took."""
    difference = np.abs(scores.ravel() - answer).max()
    print(
        f"{name}: {len(rows) / seconds:,.0f} rows per CPU second, {plain / seconds:.1f} times LightGBM, "
        f"compiled in {built:.0f} s, largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
