"""A step of load on one pricing service on one core: steady, then many times as much for a while, then steady again.

    RETAIL_HOME=.retail python benchmarks/step_load.py [--rate 200] [--step 20] [--seconds 30]

Requests are sent when they are due, whether or not earlier ones were answered, over as many connections as it takes; an
answer's time counts from when its request was due. `shed` are answers with status 503, `failed` everything else that is
not an answer. `recovered` is the time after the step until a whole second passes without a shed request and with a 99th
percentile below 50 ms. Client and server have a core each.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.load import Connection, post
from benchmarks.service_speed import PORT, running
from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.environments import current

MOST_CONNECTIONS = 256
ADMITTED_P99_MS, RECOVERED_WITHIN_S = 50.0, 5.0
TICK_S = 0.002


@dataclass
class Phase:
    """What came of the requests that were due in one phase: status counts, and latency with when it was due."""

    name: str
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    sheds: list[float] = field(default_factory=list)

    def p99_ms(self) -> float:
        """Of admitted requests."""
        ordered = sorted(latency for _, latency in self.latencies)
        return ordered[int(0.99 * (len(ordered) - 1))] * 1000 if ordered else float("nan")

    def line(self) -> str:
        """For people."""
        failed = sum(n for status, n in self.statuses.items() if status not in (200, 503))
        asked = sum(self.statuses.values())
        return (
            f"{self.name}: {asked} asked, {self.statuses[200]} answered, {self.statuses[503]} shed, {failed} failed, "
            f"admitted p99 {self.p99_ms():.1f} ms"
        )


class Client:
    """Sends what is due over free connections; opens more when none is free, up to a limit."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._requests = itertools.cycle(requests)
        self._free: list[Connection] = []
        self._open = 0
        self._waiting: asyncio.Queue[Connection] = asyncio.Queue()
        self._running: set[asyncio.Task[None]] = set()

    async def phase(self, name: str, rate: float, seconds: float) -> Phase:
        """Requests at `rate` a second for `seconds`; returns when the last one is answered."""
        found, started, sent = Phase(name), time.perf_counter(), 0
        while (now := time.perf_counter() - started) < seconds:
            while sent < now * rate:
                task = asyncio.create_task(self._one(found, started + sent / rate))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                sent += 1
            await asyncio.sleep(TICK_S)
        await asyncio.gather(*self._running)
        return found

    async def _one(self, phase: Phase, due: float) -> None:
        connection = await self._take()
        try:
            status, _ = await asyncio.wait_for(connection.exchange(next(self._requests)), 30)
        except (OSError, TimeoutError):
            status = 0
            self._open -= 1
        else:
            self._waiting.put_nowait(connection)
        done = time.perf_counter()
        phase.statuses[status] += 1
        if status == 200:
            phase.latencies.append((due, done - due))
        elif status == 503:
            phase.sheds.append(due)

    async def _take(self) -> Connection:
        if self._waiting.empty() and self._open < MOST_CONNECTIONS:
            self._open += 1
            return await Connection.open(PORT)
        return await self._waiting.get()


def recovered_after(phase: Phase, started: float) -> float | None:
    """Seconds into `phase` until the first whole second that is as it should be; None if there is none."""
    last = max((due for due, _ in phase.latencies), default=started)
    for second in range(int(last - started)):
        low, high = started + second, started + second + 1
        within = sorted(latency for due, latency in phase.latencies if low <= due < high)
        shed = sum(low <= due < high for due in phase.sheds)
        if within and not shed and within[int(0.99 * (len(within) - 1))] * 1000 <= ADMITTED_P99_MS:
            return float(second)
    return None


async def steps(
    requests: Sequence[bytes], rate: float, step: float, seconds: float
) -> tuple[list[Phase], float | None]:
    """Steady, step, steady."""
    client = Client(requests)
    steady = await client.phase("steady", rate, 10)
    loaded = await client.phase(f"{step:g}-fold", rate * step, seconds)
    started = time.perf_counter()
    after = await client.phase("after", rate, 10)
    return [steady, loaded, after], recovered_after(after, started)


def main() -> None:
    """Prints a line per phase; fails where a request failed, admitted requests were slow, or it did not recover."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--step", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    environment = current()
    pairs = InputBook.read(environment.lake).rows.select(["store_id", "sku"]).to_pylist()
    requests = [post("/price", json.dumps(pair).encode()) for pair in pairs]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    with running("ours", environment.home, cores[:1]):
        phases, recovered = uvloop.run(steps(requests, options.rate, options.step, options.seconds))
    for phase in phases:
        print(phase.line())
    print(f"recovered after {recovered} s" if recovered is not None else "did not recover")
    failed = sum(n for phase in phases for status, n in phase.statuses.items() if status not in (200, 503))
    slow = any(phase.p99_ms() > ADMITTED_P99_MS for phase in phases)
    sys.exit(bool(failed) or slow or recovered is None or recovered > RECOVERED_WITHIN_S)


if __name__ == "__main__":
    main()
