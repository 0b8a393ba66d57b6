"""A hundred swaps of the pricing model while requests come: failed requests, growth of memory, time until noticed.

    RETAIL_HOME=.retail python benchmarks/swap_load.py

Works on a copy of the home. Two versions take turns; each is released as soon as the one before answers. `noticed` runs
from the commit in the ledger to the first answer of the new version. Memory is that of the process that answers; just
as many swaps before are not counted, in which it grows by a quarter: until both versions, their decisions and the
buffers of the lake are in memory, with or without swaps.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.load import Connection, post
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.releases.ledger import Ledger
from retail_assets.resources.environments import PROJECT_ROOT, Home, current
from retail_assets.resources.lake import Lake
from retail_assets.resources.model_store import ModelStore
from retail_assets.serving.processes.processes import answers, service_spec

PORT, UP_WITHIN_S, NOTICED_WITHIN_S = 3993, 180, 30.0
MOST_GROWTH = 0.05


def another(home: Home) -> tuple[str, str]:
    """The version that is live, and a copy of it that was trained with another seed."""
    release = Ledger(Lake.at(home.lake)).live("pricing")
    assert release is not None, "no pricing model is live"
    store = ModelStore.at(home.models)
    manifest, folder = store.manifest("pricing", release.version), store.path("pricing", release.version)
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    return release.version, store.save("pricing", files, manifest.model_copy(update={"seed": manifest.seed + 1}))


class Traffic:
    """Requests at a fixed rate over a few connections."""

    def __init__(self, requests: list[bytes], rate: float) -> None:
        self.version = ""
        self.failed = self.answered = 0
        self._requests, self._rate = requests, rate
        self._enough = asyncio.Event()

    async def run(self, connections: int) -> None:
        """Until `stop`."""
        await asyncio.gather(*(self._ask(number, connections) for number in range(connections)))

    async def _ask(self, number: int, connections: int) -> None:
        connection, turn = await Connection.open(PORT), number
        while not self._enough.is_set():
            started = time.perf_counter()
            try:
                status, body = await connection.exchange(self._requests[turn % len(self._requests)])
            except OSError:
                self.failed += 1
                connection = await Connection.open(PORT)
                continue
            if status == 200:
                self.answered += 1
                self.version = json.loads(body)["model_version"]
            else:
                self.failed += 1
            turn += connections
            await asyncio.sleep(max(connections / self._rate - (time.perf_counter() - started), 0))

    def stop(self) -> None:
        """Ends it."""
        self._enough.set()


async def swap(home: Home, requests: list[bytes], versions: tuple[str, str], swaps: int, rate: float, pid: int) -> dict:
    """The run."""
    ledger, worker = Ledger(Lake.at(home.lake)), psutil.Process(pid)
    traffic, noticed, memory = Traffic(requests, rate), [], 0
    asking = asyncio.create_task(traffic.run(8))
    for number in range(-swaps, swaps):
        if number == 0:
            memory, traffic.answered = worker.memory_info().rss, 0
        wanted = versions[(number + 1) % 2]
        await asyncio.to_thread(ledger.promote, "pricing", wanted, by="benchmark", reason="swap")
        released = time.perf_counter()
        while traffic.version != wanted:
            if time.perf_counter() - released > NOTICED_WITHIN_S:
                raise SystemExit(f"swap {number} was not noticed")
            await asyncio.sleep(0.002)
        if number >= 0:
            noticed.append(time.perf_counter() - released)
    after = worker.memory_info().rss
    traffic.stop()
    await asking
    return {
        "swaps": swaps,
        "answered": traffic.answered,
        "failed": traffic.failed,
        "noticed_p50_s": round(statistics.median(noticed), 3),
        "noticed_p99_s": round(sorted(noticed)[int(0.99 * (len(noticed) - 1))], 3),
        "noticed_max_s": round(max(noticed), 3),
        "memory_mb": round(memory / 1e6, 1),
        "memory_growth": round(after / memory - 1, 4),
    }


def main() -> None:
    """Prints one line, or JSON; fails where a request failed, a swap took over a second, or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home.at(Path(folder) / "home")
        shutil.copytree(current().home.root, home.root, ignore=shutil.ignore_patterns("landing", "dagster", "truth"))
        pairs = InputBook.read(Lake.at(home.lake)).rows.select(["store_id", "sku"]).to_pylist()
        requests = [post("/price", json.dumps(pair).encode()) for pair in pairs[:500]]
        spec = service_spec("pricing", home, PORT, PROJECT_ROOT)
        with (Path(folder) / "log").open("wb") as log:
            child = subprocess.Popen(
                spec.command, env=os.environ | dict(spec.env), cwd=PROJECT_ROOT, stdout=log, stderr=log
            )
            try:
                deadline = time.monotonic() + UP_WITHIN_S
                while not answers(f"{spec.url}/readyz"):
                    if child.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit((Path(folder) / "log").read_text()[-2000:])
                    time.sleep(0.1)
                worker = psutil.Process(child.pid).children()[0].pid
                found = asyncio.run(swap(home, requests, another(home), options.swaps, options.rate, worker))
            finally:
                child.terminate()
                child.wait(60)
    print(json.dumps(found, indent=2) if options.json else "  ".join(f"{k}={v}" for k, v in found.items()))
    sys.exit(found["failed"] > 0 or found["noticed_max_s"] > 1.0 or found["memory_growth"] > MOST_GROWTH)


if __name__ == "__main__":
    main()
