"""Peak memory of a load by what a single hostile file makes of it, each in a process of its own.

    python benchmarks/landing_memory.py                       # 100 MB each
    python benchmarks/landing_memory.py --megabytes 1000      # as large as a gigabyte; half an hour
    python benchmarks/landing_memory.py --only "only NULs"

A line without an end, nothing but NULs, a JSON array of millions of elements, a Parquet file that stands for far more
than it takes. The good files beside it must load whole, and none may take more memory than docs/add-a-source.md says.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults import landing_trial
from benchmarks.faults.landing import hostile_files

ALLOWED_GIB = 5.0
LARGE = (
    "csv: one line", "csv: one line with commas", "csv: one long line below the header", "csv: only NULs",
    "csv: NULs below the header", "csv: lines of NULs", "csv: only line ends", "csv: only carriage returns",
    "jsonl: only NULs", "jsonl: one line", "jsonl: other keys in every line", "json: only NULs", "json: one long text",
    "json: many whole elements", "json: many objects", "parquet: one long text", "parquet: one text in every row",
    "parquet: one text in every row, written out", "parquet: many equal rows",
)  # fmt: skip


def main() -> int:
    """Prints one line per kind of file; 1 if one takes too much or harms the good ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return _child(Path(options.child))
    print(f"{'one file beside good ones':<46} {'file MB':>8} {'peak GiB':>9} {'seconds':>8}  what became of it")
    failed = 0
    for kind, name, content in hostile_files(options.seed, options.megabytes << 20):
        if kind in LARGE and options.only in kind:
            with tempfile.TemporaryDirectory() as folder:
                kinds = landing_trial.deliver(Path(folder, "landing"), [(kind, name, content)])
                size = Path(folder, "landing", os.fsdecode(name)).stat().st_size
                failed += _measured(Path(folder), kinds, size)
    return int(failed > 0)


def _measured(folder: Path, kinds: dict[str, str], size: int) -> bool:
    """Runs the load in a process of its own and prints a line about it; whether it broke a promise."""
    (folder / "kinds.json").write_text(json.dumps(kinds))
    done = subprocess.run([sys.executable, __file__, "--child", str(folder)], capture_output=True, text=True)
    kind = next(iter(kinds.values()))
    if done.returncode:
        print(f"{kind:<46} {size / 1e6:8.1f} {'':>9} {'':>8}  {done.stderr.strip().splitlines()[-1]}", flush=True)
        return True
    said = json.loads(done.stdout)
    print(f"{kind:<46} {size / 1e6:8.1f} {said['gib']:9.2f} {said['seconds']:8.1f}  {said['became'][:90]}", flush=True)
    for what in said["broken"]:
        print(f"    {what}")
    return bool(said["broken"]) or said["gib"] > ALLOWED_GIB


def _child(folder: Path) -> int:
    kinds, started = json.loads((folder / "kinds.json").read_text()), time.monotonic()
    report = landing_trial.load(folder)
    (one,) = landing_trial.outcomes(folder, report, kinds)
    print(
        json.dumps(
            {
                "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                "seconds": time.monotonic() - started,
                "became": f"{one.bronze:,} rows loaded, {one.quarantined:,} refused {one.reason}{one.passed_over}",
                "broken": list(landing_trial.broken(folder, [one])),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
