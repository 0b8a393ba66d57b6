"""Every stage of the whole graph at a scale: seconds, CPU, memory, disk; a second run, a day more, and how each grows.

    python benchmarks/whole_graph.py                                    # the demo's size
    python benchmarks/whole_graph.py --scale large --out large.json     # 10 M POS lines
    python benchmarks/whole_graph.py --scale huge --until gold --pieces 8 --out huge.json
    python benchmarks/whole_graph.py --growth demo.json large.json huge.json
    python benchmarks/whole_graph.py --mapping configs/mappings/online_retail.yaml --data FOLDER

`--until gold` ends with the gold tables. `--pieces` simulates and loads so many parts of the days in turn and deletes
the files of each once they are loaded, for disks that do not hold them all. A run with `--home` and `--out` that was
stopped goes on where it was: phases that are in the file are not measured again. Memory is summed over the whole tree
of processes; CPU seconds compare better than seconds on a machine that does other work.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import growth
from benchmarks.measuring.process_tree import Usage, folder_bytes, watched
from retail_assets.resources.environments import PROJECT_ROOT, Home


def main() -> None:
    """Measures one scale, or prints how several measured ones grow."""
    options = _options()
    if options.growth:
        print(growth.table([json.loads(file.read_text()) for file in options.growth]))
        return
    root = Path(options.home or tempfile.mkdtemp(prefix="whole_graph_"))
    try:
        found = measure(Home.at(root), options)
        print(json.dumps(found, indent=1)) if options.json else print(growth.table([found]))
    finally:
        if not options.home:
            shutil.rmtree(root)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="demo")
    parser.add_argument("--days", type=int, help="how many days; by default those of the scale")
    parser.add_argument("--mapping", type=Path, help="a real retailer instead of the sample: its mapping")
    parser.add_argument("--data", type=Path, help="the folder of that retailer's files")
    parser.add_argument("--until", choices=["gold", "prices"], default="prices")
    parser.add_argument("--pieces", type=int, default=1, help="simulate and load the days in so many parts")
    parser.add_argument("--home", type=Path, help="a folder of its own that is kept; by default one that is deleted")
    parser.add_argument("--out", type=Path, help="write the result there as JSON, phase by phase")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--growth", type=Path, nargs="+", help="results written by --out, smallest first")
    return parser.parse_args()


def measure(home: Home, options: argparse.Namespace) -> dict[str, Any]:
    """Fills a home, runs, runs again and runs with a day more; every phase in processes of its own."""
    run = _child("gold") if options.until == "gold" else _retail("run", "--json")
    found = _kept(options) or {
        "name": options.mapping.stem if options.mapping else options.scale, "cores": os.cpu_count(), "phases": {}
    }  # fmt: skip
    for name, command, steps in _phases(options, run):
        if name not in found["phases"]:
            found["phases"][name] = _phase(home, command, steps)
        if name == "run" and "disk" not in found:
            found |= {"disk": _disk(home), "lines": _lines(home)}
        if options.out:
            options.out.write_text(json.dumps(found, indent=1))
    return found


def _kept(options: argparse.Namespace) -> dict[str, Any] | None:
    """What an earlier run measured in the same home."""
    if not (options.home and options.out and options.out.exists()):
        return None
    kept: dict[str, Any] = json.loads(options.out.read_text())
    return kept


def _phases(options: argparse.Namespace, run: list[str]) -> Iterator[tuple[str, list[str], bool]]:
    """Name, command, and whether its steps are told one by one."""
    if options.mapping:
        yield "import", _retail("import", str(options.mapping), str(options.data), "--json"), False
    elif options.pieces > 1:
        yield "sample and bronze", _child("pieces", options.scale, _days(options), options.pieces), False
    else:
        yield "sample", _sample(options, _days(options)), False
    yield "run", run, True
    if options.pieces == 1:
        yield "nothing new", run, True
    if options.pieces == 1 and not options.mapping:
        yield "sample of a day more", _sample(options, _days(options) + 1), False
        yield "a day more", run, True


def _sample(options: argparse.Namespace, days: int) -> list[str]:
    return _retail("sample", "--scale", options.scale, "--days", str(days), "--json")


def _days(options: argparse.Namespace) -> int:
    from retail_assets.sample.config import scale_named

    return int(options.days or scale_named(options.scale).days)


def _retail(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "retail_assets.cli", *arguments]


def _child(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "benchmarks.measuring.parts", *map(str, arguments)]


def _phase(home: Home, command: list[str], steps: bool = False) -> dict[str, Any]:
    environment = {"RETAIL_HOME": str(home.root), "PYTHONPATH": str(PROJECT_ROOT)}
    home.root.mkdir(parents=True, exist_ok=True)
    log = home.root / "whole_graph.log"
    print(" ".join(command[1:]), file=sys.stderr, flush=True)
    with log.open("ab") as output:
        used = watched(command, environment, home.warehouse.parent, output)
    found = {"seconds": round(used.seconds, 1), "cpu": round(used.cpu, 1), "memory": used.memory,
             "scratch": used.scratch}  # fmt: skip
    return found | ({"steps": list(_steps(home, used))} if steps else {})


def _steps(home: Home, used: Usage) -> Iterator[dict[str, Any]]:
    """What each step of the newest run took, from Dagster's event log and the samples of the processes."""
    import dagster as dg

    from retail_assets.resources.dagster.instance import prepare

    prepare(home)
    with dg.DagsterInstance.get() as instance:
        newest = instance.get_runs(limit=1)[0]
        stats = instance.get_run_step_stats(newest.run_id)
    for step in sorted(stats, key=lambda s: s.start_time or 0.0):
        if step.start_time is None or step.end_time is None:
            continue
        cpu, memory = used.between(step.start_time, step.end_time)
        seconds = step.end_time - step.start_time
        yield {"step": step.step_key, "start": round(step.start_time - used.samples[0].at, 1),
               "seconds": round(seconds, 2), "cpu": round(cpu, 2), "memory": memory}  # fmt: skip


def _disk(home: Home) -> dict[str, int]:
    layers = {f"lake/{folder.name}": folder for folder in sorted(home.lake.iterdir()) if folder.is_dir()}
    places = {"landing": home.landing, "truth": home.truth} | layers
    places |= {name: getattr(home, name) for name in ("features", "models", "dagster")}
    return {name: folder_bytes(place) for name, place in places.items()} | {
        "warehouse": folder_bytes(home.warehouse.parent)
    }


def _lines(home: Home) -> int:
    from retail_assets.resources.lake import Lake

    return int(Lake.at(home.lake).open("bronze", "pos_lines").count())


if __name__ == "__main__":
    main()
