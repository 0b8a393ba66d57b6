"""Requests per CPU second and latency of the pricing service against a plain BentoML and a plain FastAPI service.

All three answer the same contract from the same model, one process on one core each, the client on another core:

    RETAIL_HOME=.retail python benchmarks/service_speed.py

`distinct` asks for every store-SKU in turn, `first` each only once after a start (nothing remembered), `rate` sends
200 requests a second whether or not earlier ones were answered.
"""

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.load import Load, at_rate, closed_loop, cpu_seconds, post
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.environments import PROJECT_ROOT, Home, current
from retail_assets.serving.processes.processes import LOOPBACK, answers, service_spec

PORT = 3990
CONNECTIONS = 8
UP_WITHIN_S = 120
QUIET = 0.05
NAMES = ("ours", "plain BentoML", "plain FastAPI")


def command_of(name: str, home: Home) -> tuple[list[str], dict[str, str], str]:
    """How to start a server, its environment, and the path that tells it is up."""
    ours = service_spec("pricing", home, PORT, PROJECT_ROOT)
    if name == "ours":
        return list(ours.command), dict(ours.env), "/livez"
    if name == "plain BentoML":
        command = [
            part if part != ours.command[4] else "benchmarks.peers.pricing:PlainPricing" for part in ours.command
        ]
        return command, dict(ours.env), "/livez"
    app = ["-m", "uvicorn", "--factory", "benchmarks.peers.pricing:fastapi_app", "--host", LOOPBACK]
    return [sys.executable, *app, "--port", str(PORT), "--no-access-log"], dict(ours.env), "/openapi.json"


def settle(pids: Sequence[int]) -> None:
    """Waits until a server that has come up has done what it does at its start, so that only requests are counted."""
    before, quiet = -1.0, time.monotonic() + UP_WITHIN_S
    while cpu_seconds(pids) - before > QUIET and time.monotonic() < quiet:
        before = cpu_seconds(pids)
        time.sleep(1)


@contextmanager
def running(name: str, home: Home, cores: Sequence[int]) -> Iterator[list[int]]:
    """A started server pinned to `cores`; yields the processes that answer."""
    command, env, health = command_of(name, home)
    with tempfile.TemporaryFile() as log:
        pinned = ["taskset", "-c", ",".join(map(str, cores)), *command]
        child = subprocess.Popen(pinned, env=os.environ | env, cwd=PROJECT_ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + UP_WITHIN_S
            while not answers(f"http://{LOOPBACK}:{PORT}{health}"):
                if child.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"{name} did not start:\n{log.read().decode()[-2000:]}")
                time.sleep(0.1)
            workers = psutil.Process(child.pid).children() or [psutil.Process(child.pid)]
            pids = [worker.pid for worker in workers]
            settle(pids)
            yield pids
        finally:
            child.terminate()
            child.wait(30)


def measure(name: str, home: Home, requests: list[bytes], count: int, cores: Sequence[int]) -> dict[str, Load]:
    """The three loads on one server."""
    many = list(itertools.islice(itertools.cycle(requests), count))
    with running(name, home, cores) as pids:
        first = asyncio.run(closed_loop(PORT, requests[: min(len(requests), count)], CONNECTIONS, pids))
        distinct = asyncio.run(closed_loop(PORT, many, CONNECTIONS, pids))
        rate = asyncio.run(at_rate(PORT, many[: min(count, 2000)], 200, CONNECTIONS, pids))
    return {"first": first, "distinct": distinct, "rate": rate}


def report(found: dict[str, dict[str, Load]]) -> list[dict[str, object]]:
    """One line per server and load."""
    return [
        {
            "server": name,
            "load": kind,
            "requests": load.requests,
            "errors": load.errors,
            "per_cpu_second": round(load.per_cpu_second),
            "ours_over_it": round(found["ours"][kind].per_cpu_second / load.per_cpu_second, 2),
            "p50_ms": round(load.percentile_ms(0.5), 2),
            "p99_ms": round(load.percentile_ms(0.99), 2),
        }
        for name, loads in found.items()
        for kind, load in loads.items()
    ]


def main() -> None:
    """Runs the servers one after the other and prints the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    environment = current()
    pairs = InputBook.read(environment.lake).rows.select(["store_id", "sku"]).to_pylist()
    requests = [post("/price", json.dumps(pair).encode()) for pair in pairs]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    found = {name: measure(name, environment.home, requests, options.requests, cores[:1]) for name in NAMES}
    lines = report(found)
    if options.json:
        print(json.dumps(lines, indent=2))
        return
    for line in lines:
        print("  ".join(f"{key}={value}" for key, value in line.items()))


if __name__ == "__main__":
    main()
