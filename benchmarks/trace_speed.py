"""How long it takes from a decision to its raw rows, and how that grows with the lake.

    RETAIL_HOME=.retail python benchmarks/trace_speed.py                      # the home that is there
    python benchmarks/trace_speed.py --scale large=/tmp/large --scale huge=/tmp/huge    # 10 M and 100 M POS lines

    python benchmarks/trace_speed.py --grow 6=/tmp/grown                      # $RETAIL_HOME with each store 6 times

A home that is not there yet is simulated, loaded, built and decided first (models learnt, no forecasts): an hour at
`large`, a day at `huge`. `--grow` needs minutes: it copies the rows of every store under other names, in files of the
same layout (`--replay` then finds the forecasts of the copies different: no forecaster knows those stores). In process:
random decisions, each of another item, nothing of it remembered but the lists of files. Command: the whole of
`retail trace price --decision ID`, imports included.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.batches import decide_rows
from retail_assets.pricing.decide.decisions import Provenance
from retail_assets.pricing.decide.gold_inputs import gold_versions, read_inputs
from retail_assets.pricing.decide.kept_policies import record_policy
from retail_assets.pricing.decide.log import append_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PRODUCT, PriceModel
from retail_assets.pricing.response.training import gold_versions as training_versions
from retail_assets.pricing.response.training import newest_day, save, train
from retail_assets.pricing.trace.trace import trace_price
from retail_assets.provenance.records import made_from, published_by, record_warehouse_code
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import PROJECT_ROOT, Environment, Home, current
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore

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


BRONZE = ("pos_lines", "stock_levels", "stores", "price_list", "competitor_prices", "promotions", "products")
FEATURES = ("feat_store_product_daily", "feat_store", "feat_product")
COPIED = ("bronze/pos_lines", "bronze/stock_levels", "bronze/stores", "gold/fct_sales_daily", "gold/fct_price_history",
          "gold/dim_store", "gold/dim_product", "gold/dim_promotion", "gold/dim_calendar",
          *(f"gold/{name}" for name in FEATURES), "gold/forecasts")  # fmt: skip
FEATURE_DAYS = 10  # of features only what a forecast of the newest day can be made from
LEFT = ("bronze/price_list", "bronze/competitor_prices", "bronze/promotions", "bronze/products", "quarantine", "ops")
COPIED_DAYS_AT_ONCE = 250


def grow(source: Environment, target: Environment, copies: int) -> None:
    """A lake with every store of `source` `copies` times, decided anew; does nothing where it is there."""
    if target.lake.exists("decisions", PRODUCT):
        return
    for name in LEFT:
        shutil.copytree(f"{source.lake.uri}/{name}", f"{target.lake.uri}/{name}", dirs_exist_ok=True)
    shutil.copytree(source.home.models, target.home.models, dirs_exist_ok=True)
    for name in COPIED:
        layer, table = name.split("/")
        if source.lake.exists(layer, table):
            _copy_stores(source.lake, target.lake, layer, table, copies)
    decide(target)


def _copy_stores(source: Lake, target: Lake, layer: str, table: str, copies: int) -> None:
    delta = source.open(layer, table)
    days = sorted({part["business_date"] for part in delta.partitions()}) if delta.metadata().partition_columns else []
    by_day = ["business_date"] if days else []
    days = days[-FEATURE_DAYS:] if table in FEATURES else days
    at_once = max(COPIED_DAYS_AT_ONCE // copies, 1)
    per_store = "store_id" in delta.schema().to_arrow().names
    replaced = "replace (case n when 0 then store_id else store_id || '~' || n end as store_id)" if per_store else ""
    order = ", ".join([*by_day, "n", *(["store_id"] if per_store else [])])
    groups = [days[i : i + at_once] for i in range(0, len(days), at_once)] or [[]]
    for group in groups:
        where = f"business_date between '{group[0]}' and '{group[-1]}'" if group else "true"
        with source.connect() as connection:
            rows = connection.execute(
                f"""select * exclude (n) {replaced}
                    from {source.scan(layer, table)}, range({copies if per_store else 1}) as r(n)
                    where {where} order by {order}"""
            ).to_arrow_reader(100_000)
            target.append(layer, table, rows, by_day, _grown(source, target, layer, table))


def _grown(source: Lake, target: Lake, layer: str, table: str) -> dict[str, str] | None:
    """The metadata of a publish, with the bronze versions of the grown lake."""
    if layer != "gold":
        return None
    made = published_by(source, table, source.open("gold", table).version())
    bronze = {name: target.version("bronze", name) for name in BRONZE}
    if table == "forecasts":
        used = {name: target.version("gold", name) for name in json.loads(made["gold"])}
        return {"gold": json.dumps(used), "model_version": made["model_version"]}
    return {"bronze": json.dumps(bronze), "code_hash": made["code_hash"]}


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
    taken, cpu = [], []
    for decision_id in chosen:
        started, busy = time.perf_counter(), time.process_time()
        trace = trace_price(environment, decision_id, replay=replay)
        taken.append(time.perf_counter() - started)
        cpu.append(time.process_time() - busy)
        wrong += not trace.sums_agree or (trace.replay is not None and not trace.replay.equal)
    whole = [command_seconds(environment, decision_id) for decision_id in chosen[:commands]]
    lines = lake.query(f"select count(*) as n from {lake.scan('bronze', 'pos_lines')}")["n"][0].as_py()
    return {
        "lines": lines,
        "decisions": len(ids),
        "first": taken[0],
        "p50": statistics.median(taken[1:]),
        "p99": statistics.quantiles(taken[1:], n=100, method="inclusive")[98],
        "cpu": statistics.median(cpu[1:]),
        "command": max(whole, default=float("nan")),
        "wrong": wrong,
    }


def command_seconds(environment: Environment, decision_id: str) -> float:
    """Wall time of the whole command."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "retail_assets.cli", "trace", "price", "--decision", decision_id],
        env=os.environ | {"RETAIL_HOME": str(environment.home.root)},
        cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - started


def show(found: Sequence[tuple[str, dict[str, float]]]) -> None:
    """One line per size, and the growth from each to the next."""
    titles = {"POS lines": 14, "decisions": 11, "first": 8, "p50": 8, "p99": 8, "cpu": 8, "command": 9, "wrong": 7}
    print(" " * 10 + "".join(f"{title:>{width}}" for title, width in titles.items()))
    for name, m in found:
        seconds = "".join(f"{m[k]:>{titles[k]}.3f}" for k in ("first", "p50", "p99", "cpu", "command"))
        print(f"{name:10}{m['lines']:>14,}{m['decisions']:>11,}{seconds}{m['wrong']:>7}")
    for (small, a), (large, b) in zip(found, found[1:], strict=False):
        grown, slower = b["lines"] / a["lines"], b["cpu"] / a["cpu"]
        print(f"{small} to {large}: {grown:.1f} times the lines, {slower:.2f} times the CPU seconds")
    print(f"targets at 10 M lines: p99 {TARGET_P99_S} s in process, the command {TARGET_COMMAND_S} s")


def main() -> None:
    """Prints seconds per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", action="append", default=[], help="NAME=HOME: tiny, demo, large or huge, and where")
    parser.add_argument("--grow", action="append", default=[], help="COPIES=HOME: $RETAIL_HOME grown, and where")
    parser.add_argument("--count", type=int, default=200, help="traces in process")
    parser.add_argument("--commands", type=int, default=5)
    parser.add_argument("--replay", action="store_true", help="decide again as well")
    asked = parser.parse_args()
    scaled, grown = ([tuple(text.split("=", 1)) for text in given] for given in (asked.scale, asked.grow))
    homes: list[tuple[str, Environment]] = []
    for name, root in scaled:
        prepare(environment_of(Path(root)), name)
        homes.append((name, environment_of(Path(root))))
    if not scaled:
        homes.append(("home", current()))
    for copies, root in grown:
        grow(homes[0][1], environment_of(Path(root)), int(copies))
        homes.append((f"x {copies}", environment_of(Path(root))))
    found = [(name, measure(there, asked.count, asked.commands, asked.replay)) for name, there in homes]
    show(found)


if __name__ == "__main__":
    main()
