"""Faults of the disk in a whole home: the doctor finds what is broken, mends what can be made again, and loses nothing.

What must hold: neither examination nor repair raises; a home that is said to be healthy can be read whole; a second
repair finds nothing to do; rows that nobody can make again (decisions, releases) are those of before, or are named.
"""

import random
from pathlib import Path

from benchmarks.faults.disks import FAULTS, Corrupted, corrupt
from benchmarks.faults.trial import BROKEN, DOUBLED, LOST, STUCK, Trial
from benchmarks.faults.works import environment_of
from retail_assets.doctor.examine import examine
from retail_assets.doctor.repair import repair
from retail_assets.resources.environments import Environment
from retail_assets.resources.model_store import ModelStore

KEPT = (("decisions", "pricing"), ("ops", "releases"))


def faults_of(seed: int, count: int) -> list[str]:
    """Names of so many faults, chosen by the seed; a few seeds together have all of them."""
    names = sorted(FAULTS)
    random.Random(seed // max(len(names) // count, 1)).shuffle(names)
    start = seed * count % len(names)
    return (names + names)[start : start + count]


def tried(root: Path, seed: int, fault: str) -> Trial:
    """Does one fault to the home at `root`, which is used up by that."""
    environment = environment_of(root)
    before = {f"{layer}/{name}": _rows(environment, layer, name) for layer, name in KEPT}
    done = corrupt(root, seed, fault)
    if done is None:
        return Trial("disks", seed, f"{fault}: there is no such file")
    what = f"{done.fault} {done.path}: {done.what}"
    try:
        return _judged(environment, seed, what, done, before)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the trial came to
        return Trial("disks", seed, what, BROKEN, f"{type(error).__name__}: {str(error)[:300]}")


def _judged(environment: Environment, seed: int, what: str, done: Corrupted, before: dict[str, int]) -> Trial:
    found = examine(environment)
    named = {finding.table for finding in found.findings if finding.wrong}
    if found.healthy and (unreadable := _unreadable(environment)):
        return Trial("disks", seed, what, BROKEN, f"said to be healthy, and {unreadable}")
    repair(environment, lambda _: None)
    again = repair(environment, lambda _: None)
    if again.done:
        return Trial("disks", seed, what, STUCK, f"a second repair does more: {again.done[0].what}")
    for layer, name in KEPT:
        table = f"{layer}/{name}"
        count = _rows(environment, layer, name)
        if count < before[table] and table not in named:
            return Trial("disks", seed, what, LOST, f"{before[table] - count} rows of {table}, and nobody says so")
        if count > before[table]:
            return Trial("disks", seed, what, DOUBLED, f"{count - before[table]} rows of {table}")
    return Trial("disks", seed, what)


def _rows(environment: Environment, layer: str, name: str) -> int:
    try:
        lake = environment.lake
        return lake.open(layer, name).to_pyarrow_table().num_rows if lake.exists(layer, name) else 0
    except Exception:  # noqa: BLE001 - a table that cannot be read has no rows to count
        return 0


def _unreadable(environment: Environment) -> str | None:
    """The first table or live version that cannot be read whole."""
    for layer in ("bronze", "quarantine", "gold", "ops", "decisions", "reports"):
        for name in environment.lake.tables(layer):
            try:
                environment.lake.open(layer, name).to_pyarrow_table()
            except Exception as error:  # noqa: BLE001
                return f"{layer}/{name} cannot be read: {str(error)[:200]}"
    store = ModelStore.at(environment.home.models)
    for product in store.products():
        for version in store.versions(product):
            try:
                store.path(product, version)
            except Exception as error:  # noqa: BLE001
                return f"{product} {version} cannot be read: {str(error)[:200]}"
    return None
