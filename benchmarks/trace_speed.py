"""How long it takes from a decision to its raw rows, and how that grows with the lake.

    RETAIL_HOME=.retail python benchmarks/trace_speed.py                      # the home that is there
    python benchmarks/trace_speed.py --scale large=/tmp/large --scale huge=/tmp/huge    # 10 M and 100 M POS lines

A home that is not there yet is simulated, loaded, built and decided first (models learnt, no forecasts): minutes at
`large`, hours at `huge`. In process: random decisions, each of another item, nothing of it remembered but the lists of
files. Command: the whole of `retail trace price --decision ID`, imports included.
"""

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from retail_assets.environments import PROJECT_ROOT, Environment, Home, current
from retail_assets.lineage.records import made_from, record_policy, record_warehouse_code
from retail_assets.lineage.trace import trace_price
from retail_assets.pricing.batches import decide_rows
from retail_assets.pricing.config import load_config
from retail_assets.pricing.decisions import Provenance
from retail_assets.pricing.gold_inputs import gold_versions, read_inputs
from retail_assets.pricing.log import append_batch
from retail_assets.pricing.model import PRODUCT, PriceModel
from retail_assets.pricing.rulebook import Rulebook
from retail_assets.pricing.training import gold_versions as training_versions
from retail_assets.pricing.training import newest_day, save, train
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.ledger import Ledger

TARGET_P99_S, TARGET_COMMAND_S = 1.0, 3.0


def environment_of(root: Path) -> Environment:
    """The environment of a home."""
    home = Home.at(root)
    return Environment(name="local", home=home, lake=Lake.at(home.lake))


def prepare(environment: Environment, scale: str) -> None:
    """Makes a home of `scale` with decisions, as far as it is not there."""
    from retail_assets.sample.simulate import simulate
    from retail_assets.sources.load import load_landing
    from retail_assets.warehouse.build import build_warehouse

    lake, home = environment.lake, environment.home
    for stage, there, do in (
        ("simulate", home.landing.is_dir() or lake.exists("bronze", "pos_lines"),
         lambda: simulate(home.root, scale=scale, seed=7)),
        ("load", lake.exists("bronze", "pos_lines"), lambda: load_landing(lake, home)),
        ("build", lake.exists("gold", "fct_sales_daily"), lambda: build_warehouse(lake, home)),
        ("learn", bool(ModelStore.at(home.models).versions(PRODUCT)), lambda: learn(environment)),
        ("decide", lake.exists("decisions", PRODUCT), lambda: decide(environment)),
    ):  # fmt: skip
        if not there:
            started = time.monotonic()
            do()
            print(f"{scale}: {stage} took {time.monotonic() - started:.0f} s", flush=True)


def learn(environment: Environment) -> None:
    """Trains a pricing model and makes it live."""
    lake, store, config = environment.lake, ModelStore.at(environment.home.models), load_config()
    until = newest_day(lake)
    if until is None:
        raise SystemExit("this home has no sales")
    training = train(lake, config, training_versions(lake), until)
    version = save(training, config, store, datetime.now(UTC), "benchmark")
    Ledger(lake).promote(PRODUCT, version, by="benchmark", reason="to have one")


def decide(environment: Environment) -> None:
    """Decides the newest day, as the asset does."""
    lake, store = environment.lake, ModelStore.at(environment.home.models)
    live = Ledger(lake).live(PRODUCT)
    if live is None:
        raise SystemExit("this home has no live pricing model")
    rulebook, gold = Rulebook.of(load_config().policy), gold_versions(lake)
    made = made_from(lake, gold)
    record_policy(lake, rulebook)
    record_warehouse_code(lake, made.warehouse_code)
    inputs = read_inputs(lake, gold)
    provenance = Provenance(datetime.now(UTC), "batch", None, "benchmark", made)
    model = PriceModel.load(store.path(PRODUCT, live.version))
    append_batch(lake, decide_rows(model, rulebook, inputs.rows, provenance), inputs.business_date, "benchmark")


def measure(environment: Environment, count: int, commands: int, replay: bool) -> dict[str, float]:
    """Seconds of `count` traces in this process and of `commands` commands, with the size of the lake."""
    lake = environment.lake
    ids = lake.query(f"select decision_id from {lake.scan('decisions', PRODUCT)} order by 1")["decision_id"].to_pylist()
    chosen = random.Random(7).sample(ids, min(count + 1, len(ids)))
    wrong = 0
    taken = []
    for decision_id in chosen:
        started = time.perf_counter()
        trace = trace_price(environment, decision_id, replay=replay)
        taken.append(time.perf_counter() - started)
        wrong += not trace.sums_agree or (trace.replay is not None and not trace.replay.equal)
    whole = [command_seconds(environment, decision_id) for decision_id in chosen[:commands]]
    lines = lake.query(f"select count(*) as n from {lake.scan('bronze', 'pos_lines')}")["n"][0].as_py()
    return {
        "lines": lines,
        "decisions": len(ids),
        "first": taken[0],
        "p50": statistics.median(taken[1:]),
        "p99": statistics.quantiles(taken[1:], n=100, method="inclusive")[98],
        "command": max(whole, default=float("nan")),
        "wrong": wrong,
    }


def command_seconds(environment: Environment, decision_id: str) -> float:
    """Wall time of the whole command."""
    import os

    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "retail_assets.cli", "trace", "price", "--decision", decision_id],
        env=os.environ | {"RETAIL_HOME": str(environment.home.root)},
        cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - started


def show(found: Sequence[tuple[str, dict[str, float]]]) -> None:
    """One line per size, and the growth from each to the next."""
    print(f"{'':10}{'POS lines':>14}{'decisions':>11}{'first':>8}{'p50':>8}{'p99':>8}{'command':>9}{'not equal':>11}")
    for name, m in found:
        seconds = "".join(f"{m[k]:>{w}.3f}" for k, w in (("first", 8), ("p50", 8), ("p99", 8), ("command", 9)))
        print(f"{name:10}{m['lines']:>14,}{m['decisions']:>11,}{seconds}{m['wrong']:>11}")
    for (small, a), (large, b) in zip(found, found[1:], strict=False):
        grown, slower = b["lines"] / a["lines"], b["p50"] / a["p50"]
        print(f"{small} to {large}: {grown:.1f} times the lines, {slower:.2f} times the median")
    print(f"targets at 10 M lines: p99 {TARGET_P99_S} s in process, the command {TARGET_COMMAND_S} s")


def main() -> None:
    """Prints seconds per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", action="append", default=[], help="NAME=HOME: tiny, demo, large or huge, and where")
    parser.add_argument("--count", type=int, default=200, help="traces in process")
    parser.add_argument("--commands", type=int, default=5)
    parser.add_argument("--replay", action="store_true", help="decide again as well")
    asked = parser.parse_args()
    homes = [tuple(text.split("=", 1)) for text in asked.scale] or [("home", str(current().home.root))]
    found = []
    for name, root in homes:
        environment = environment_of(Path(root))
        if name != "home":
            prepare(environment, name)
        found.append((name, measure(environment, asked.count, asked.commands, asked.replay)))
    show(found)


if __name__ == "__main__":
    main()
