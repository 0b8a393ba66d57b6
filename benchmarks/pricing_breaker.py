"""How often the circuit breaker stops a day that is right, and how soon it stops one that is not.

    .venv/bin/python benchmarks/pricing_breaker.py [--seeds N] [--days DAYS]

The engine prices the sample retailer's true market day by day, learning anew each week, as in the closed loop. Every
day is judged as it is (a trip is a false alarm), and once more with each fault put into its model or its inputs, held
against the same good days before. A fault is therefore always new; none is published. `profit` is what one batch of it
would change the day's expected true profit by. The two last rows cut the cost of half the range to 60 %, so that prices
fall: once on a planned promotion during which list prices may move, and once on no plan.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.closed_loop.loop import Start
from benchmarks.closed_loop.pricers import Engine
from retail_assets.pricing.config import PricingConfig, load_config
from retail_assets.pricing.decide.policy import decide_batch
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.publish.breaker import Numbers, RowNumbers, judge, measure
from retail_assets.pricing.response.model import MEASURES, PriceModel
from retail_assets.sample.arrays import Bools, Floats, Ints
from retail_assets.sample.config import Scale

HISTORY, HEALTHY = 200, "none: as it is"
ELASTIC = [MEASURES.index(name) for name in ("elasticity", "lo", "hi")]
LEAST_ELASTIC = -0.02
PHASES = (("first batch", 0, 0), ("2 to 5", 1, 4), ("6 to 20", 5, 19), ("later", 20, 10_000))
Random = np.random.Generator
Fault = Callable[[PriceModel, pa.Table, Random], tuple[PriceModel, pa.Table]]


@dataclass(frozen=True)
class Morning:
    """What a day's batch is decided from, and the true elasticity of each row."""

    number: int
    model: PriceModel
    inputs: pa.Table
    truth: Floats


def scale(days: int, skus: int = 160) -> Scale:
    """Seven stores with about 1,100 store-SKUs on their lists."""
    lines, web = 250 / 300 * skus, 135 / 300 * skus
    return Scale(
        name="breaker", stores={"US": 3, "UK": 2, "DE": 2}, skus=skus, days=HISTORY + days + 30, customers=100,
        store_lines=lines, web_lines=web, web_sessions=30,
    )  # fmt: skip


def mornings(seed: int, days: int, config: PricingConfig, folder: Path) -> Iterator[Morning]:
    """Days of a market that the engine prices without faults."""
    own = Start.after(seed, scale(days), HISTORY).fork()
    engine, skus = Engine(config, folder), own.market.stores.skus
    for number in range(days):
        prices = engine.decide(own.records)
        inputs, _, sku = own.records.inputs()
        assert engine._model is not None, "deciding has trained it"
        yield Morning(number, engine._model, inputs, skus.own[sku])
        assert own.records.last is not None, "a market starts after its history"
        own.records.add(own.market.step(own.records.last.number + 1, prices))


def elasticities(change: Callable[[Floats, Random], Floats], category_only: bool = False) -> Fault:
    """A model whose elasticities are `change`d, of every SKU or of the first row's category alone."""

    def fault(model: PriceModel, inputs: pa.Table, rng: Random) -> tuple[PriceModel, pa.Table]:
        skus = inputs["sku"].to_numpy()[_first_category(inputs)] if category_only else model.skus
        hit = np.isin(model.skus, skus)
        rows = np.r_[hit, np.full(len(model.table) - len(hit), not category_only)]
        local = replace(model.local, table=_changed(model.local.table, hit[model.local.sku], change, rng))
        return replace(model, table=_changed(model.table, rows, change, rng), local=local), inputs

    return fault


def _changed(table: Floats, rows: Bools, change: Callable[[Floats, Random], Floats], rng: Random) -> Floats:
    table = table.copy()
    table[np.ix_(rows, ELASTIC)] = np.minimum(change(table[np.ix_(rows, ELASTIC)], rng), LEAST_ELASTIC)
    return table


def column(name: str, factor: float, category_only: bool = False) -> Fault:
    """Inputs of which one column is wrong by a factor, everywhere or in the first row's category alone."""

    def fault(model: PriceModel, inputs: pa.Table, _: Random) -> tuple[PriceModel, pa.Table]:
        where = _first_category(inputs) if category_only else np.full(inputs.num_rows, True)
        return model, _scaled(inputs, name, factor, where)

    return fault


def _scaled(inputs: pa.Table, name: str, factor: float, where: Bools) -> pa.Table:
    values = inputs[name].to_numpy().astype(np.float64)
    wrong, known = np.where(where, values * factor, values), ~np.isnan(values)
    field = inputs.schema.field(name)
    whole = np.maximum(np.nan_to_num(wrong), 1).astype(np.int64) if pa.types.is_integer(field.type) else wrong
    return inputs.set_column(inputs.schema.get_field_index(name), field, pa.array(whole, field.type, mask=~known))


def _first_category(inputs: pa.Table) -> Bools:
    category = inputs["category"].to_numpy()
    return np.asarray(category == category[0])


def cut(planned: bool) -> Fault:
    """Half of the range gets cheaper to buy; on a promotion of the calendar or not."""

    def fault(model: PriceModel, inputs: pa.Table, _: Random) -> tuple[PriceModel, pa.Table]:
        half = np.array([sum(sku.encode()) % 2 == 0 for sku in inputs["sku"].to_pylist()])
        flags = inputs["on_promotion"].to_numpy() | (half & planned)
        place = inputs.schema.get_field_index("on_promotion")
        told = inputs.set_column(place, inputs.schema.field(place), pa.array(flags))
        return model, _scaled(told, "unit_cost", 0.6, half)

    return fault


def _shuffled(values: Floats, rng: Random) -> Floats:
    return values[rng.permutation(len(values))]


def _anything(values: Floats, rng: Random) -> Floats:
    return rng.uniform(-6.0, -0.2, (len(values), 1)) + np.array([[0.0, -0.4, 0.4]])


FAULTS: dict[str, Fault] = {
    "elasticities x 3": elasticities(lambda values, _: values * 3),
    "elasticities x 1.5": elasticities(lambda values, _: values * 1.5),
    "elasticities x 0.67": elasticities(lambda values, _: values * 0.67),
    "elasticities x 0.33": elasticities(lambda values, _: values * 0.33),
    "elasticities of other SKUs": elasticities(_shuffled),
    "elasticities at random": elasticities(_anything),
    "elasticities with 30 % noise": elasticities(lambda v, rng: v * np.exp(rng.normal(0, 0.3, (len(v), 1)))),
    "one category's x 3": elasticities(lambda values, _: values * 3, category_only=True),
    "one category's at random": elasticities(_anything, category_only=True),
    "costs x 1.1": column("unit_cost", 1.1),
    "costs x 1.3": column("unit_cost", 1.3),
    "costs x 0.7": column("unit_cost", 0.7),
    "costs / 100": column("unit_cost", 0.01),
    "one category's costs x 1.5": column("unit_cost", 1.5, category_only=True),
    "competitors' prices x 1.3": column("competitor_price", 1.3),
    "competitors' prices / 10": column("competitor_price", 0.1),
    "forecasts x 10": column("base_demand", 10.0),
    "half the range cut, planned": cut(planned=True),
    "half the range cut, no plan": cut(planned=False),
}
PROMOTION = ("half the range cut, planned", "half the range cut, no plan")


def profit(morning: Morning, price: Ints) -> float:
    """What the true expected profit of the day changes by, as a share, if list prices are `price`."""
    inputs = morning.inputs
    before, cost = inputs["previous_price"].to_numpy(), inputs["unit_cost"].to_numpy()
    units = np.nan_to_num(inputs["base_demand"].to_numpy())
    after = (price - cost) * units * np.exp(morning.truth * np.log(price / before))
    return float(after.sum() / ((before - cost) * units).sum() - 1)


Seen = list[tuple[int, bool, float]]


def watch(seed: int, days: int, config: PricingConfig, seen: dict[str, Seen]) -> None:
    """Adds to `seen`, for the days as they are and for each fault, the day, whether it tripped and its true profit."""
    rulebook, rng = Rulebook.of(config.policy), np.random.default_rng(seed)
    moving = config.model_copy(update={"defaults": config.defaults.model_copy(update={"hold_during_promotion": False})})
    moved = Rulebook.of(moving.policy)
    earlier: dict[str, list[Numbers]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for morning in mornings(seed, days, config, Path(folder)):
            cases: dict[str, Fault] = {HEALTHY: lambda model, inputs, _: (model, inputs), **FAULTS}
            done: dict[str, list[Numbers]] = {}
            for name, fault in cases.items():
                model, inputs = fault(morning.model, morning.inputs, rng)
                batch = decide_batch(model, moved if name in PROMOTION else rulebook, inputs)
                done[name] = measure(RowNumbers.of(batch, inputs))
                trips = bool(judge(done[name], earlier, config.publication.breaker))
                seen.setdefault(name, []).append((morning.number, trips, profit(morning, batch.price)))
            for scope in done[HEALTHY]:
                earlier.setdefault(scope.scope, []).append(scope)


def report(seen: dict[str, Seen]) -> None:
    """Prints the share of batches that tripped, by fault and by how many good ones had gone before."""
    head = " ".join(f"{name:>12}" for name, *_ in PHASES)
    print(f"Share of batches that trip\n{'fault':<30} {head}  {'profit, first':>13} {'later':>7}")
    for name, days in seen.items():
        number, trips, gain = (np.array(values) for values in zip(*days, strict=True))
        shares = [_share(trips[(number >= first) & (number <= last)]) for _, first, last in PHASES]
        gains = [gain[number == 0].mean(), gain[number >= PHASES[-1][1]].mean()]
        print(f"{name:<30} {' '.join(f'{s:>12}' for s in shares)}  {gains[0]:>+13.2%} {gains[1]:>+7.2%}")


def _share(trips: npt.NDArray[np.bool_]) -> str:
    return f"{trips.mean():.0%}" if len(trips) else "-"


def main() -> None:
    """Watches every seed, then prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--days", type=int, default=60)
    asked = parser.parse_args()
    config, seen = load_config(), {}
    for seed in range(1, asked.seeds + 1):
        watch(seed, asked.days, config, seen)
        days = [trips for _, trips, _ in seen[HEALTHY]]
        print(f"seed {seed}: {sum(days)} false alarms on {len(days)} days so far", flush=True)
    report(seen)


if __name__ == "__main__":
    main()
