"""Twenty times the usual load for a while: what the pricing service sends away, and how soon the admitted are answered.

One process of the service on one core, the client on another:

    RETAIL_HOME=.retail python benchmarks/step_load.py --rate 200 --times 20 --seconds 30

Before, during and after the step: requests, answers, 503s, other errors, and p50 and p99 of the answers from
the moment each request was due, so that a server that stalls cannot hide it; `recovered_s` is how long after the step
the last 503 came.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.load import Connection, post
from benchmarks.service_speed import PORT, running
from retail_assets.environments import current
from retail_assets.pricing.book import InputBook

CONNECTIONS = 400
USUAL_S = 10.0


@dataclass
class Phase:
    """One stretch of constant load."""

    name: str
    rate: float
    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    last_refusal_s: float = 0.0

    def line(self) -> dict[str, object]:
        """For the table."""
        answered = sorted(self.latencies_s)

        def ms(share: float) -> float | None:
            return round(answered[min(int(share * len(answered)), len(answered) - 1)] * 1000, 2) if answered else None

        return {
            "phase": self.name,
            "asked_per_s": round(sum(self.statuses.values()) / self.seconds),
            "answered_per_s": round(self.statuses[200] / self.seconds),
            "sent_away": self.statuses[503],
            "other_errors": sum(self.statuses.values()) - self.statuses[200] - self.statuses[503],
            "p50_ms": ms(0.5),
            "p99_ms": ms(0.99),
            "recovered_s": round(self.last_refusal_s, 2) if self.name == "after" else None,
        }


async def run(phase: Phase, requests: Iterator[bytes], free: "asyncio.Queue[Connection]") -> None:
    """Sends requests at the rate of the phase, whether or not earlier ones were answered."""
    started = time.perf_counter()

    async def one(due: float, request: bytes) -> None:
        connection = await free.get()
        status, _ = await connection.exchange(request)
        free.put_nowait(connection)
        now = time.perf_counter()
        phase.statuses[status] += 1
        if status == 200:
            phase.latencies_s.append(now - due)
        else:
            phase.last_refusal_s = now - started

    tasks = []
    for number in range(int(phase.rate * phase.seconds)):
        due = started + number / phase.rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(due, next(requests))))
        if number % 50 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)


async def steps(phases: list[Phase], requests: Iterator[bytes]) -> None:
    """The phases one after the other over the same connections."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await Connection.open(PORT))
    for phase in phases:
        await run(phase, requests, free)


def main() -> None:
    """Runs the three phases on a service of its own and prints them, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="usual requests a second")
    parser.add_argument("--times", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    environment = current()
    pairs = InputBook.read(environment.lake).rows.select(["store_id", "sku"]).to_pylist()
    requests = itertools.cycle([post("/price", json.dumps(pair).encode()) for pair in pairs])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    phases = [
        Phase("before", options.rate, USUAL_S),
        Phase("step", options.rate * options.times, options.seconds),
        Phase("after", options.rate, USUAL_S),
    ]
    with running("ours", environment.home, cores[:1]):
        asyncio.run(steps(phases, requests))
    lines = [phase.line() for phase in phases]
    if options.json:
        print(json.dumps(lines, indent=2))
        return
    for line in lines:
        print("  ".join(f"{key}={value}" for key, value in line.items() if value is not None))


if __name__ == "__main__":
    main()
