"""What `whole_graph.py` runs in processes of its own: landing to gold, and sample files loaded part by part."""

import sys
from collections.abc import Callable

import dagster as dg

from retail_assets.resources.dagster import instance as dagster_instance
from retail_assets.resources.environments import current


def gold() -> None:
    """Materialises the graph as far as the gold tables."""
    from retail_assets.definitions import defs

    dagster_instance.prepare(current().home)
    selection = dg.AssetSelection.groups("sources", "warehouse", "gold")
    job = dg.define_asset_job("to_gold", selection, executor_def=dg.in_process_executor)
    both = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.get() as instance:
        done = both.resolve_job_def("to_gold").execute_in_process(instance=instance, raise_on_error=False)
    sys.exit(0 if done.success else 1)


def pieces(scale: str, days: str, count: str) -> None:
    """Simulates `days` days; after each of `count` parts its files are loaded into bronze and deleted."""
    from retail_assets.sample.simulate import simulate

    simulate(current().home.root, scale=scale, days=int(days), progress=_loading(-(-int(days) // int(count))))


def _loading(every: int) -> Callable[[int, int], None]:
    from retail_assets.sources.load import load_landing

    environment = current()

    def loading(done: int, of: int) -> None:
        if done % every and done != of:
            return
        load_landing(environment.lake, environment.home)
        for left in environment.home.landing.rglob("*"):
            if left.is_file():  # the folders are written to again
                left.unlink()
        print(f"{done} of {of} days are in bronze", flush=True)

    return loading


if __name__ == "__main__":
    {"gold": gold, "pieces": pieces}[sys.argv[1]](*sys.argv[2:])
