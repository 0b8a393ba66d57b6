"""What a service process counts, and how several processes of one service add up.

A scrape reaches one process. Each therefore leaves its counts in a folder that the processes of one supervisor share,
every second, and adds to its own what the others left. What a process that died had counted stays counted.
"""

import json
import logging
import os
import shutil
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from retail_assets.core.private import private_folder

logger = logging.getLogger(__name__)

LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LEAST, MOST = frozenset({"model_live"}), frozenset({"cache_age_seconds", "decision_log_backlog_seconds"})


@dataclass
class Counts:
    """Plain numbers, written on the event loop only."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    shed: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS_S) + 1))
    seconds: float = 0.0

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request."""
        self.requests[route, status] += 1
        self.buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.seconds += seconds

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(
            self.requests + other.requests,
            self.decisions + other.decisions,
            self.fallbacks + other.fallbacks,
            self.shed + other.shed,
            [a + b for a, b in zip(self.buckets, other.buckets, strict=True)],
            self.seconds + other.seconds,
        )

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "requests": [[*key, n] for key, n in self.requests.items()],
            "decisions": [[*key, n] for key, n in self.decisions.items()],
            "fallbacks": dict(self.fallbacks),
            "shed": dict(self.shed),
            "buckets": self.buckets,
            "seconds": self.seconds,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Counts":
        """What `document` says."""
        return cls(
            Counter({(route, status): n for route, status, n in document["requests"]}),
            Counter({(version, arm): n for version, arm, n in document["decisions"]}),
            Counter(document["fallbacks"]),
            Counter(document["shed"]),
            list(document["buckets"]),
            document["seconds"],
        )


class Siblings:
    """The folder through which the processes of one supervisor know each other's counts."""

    def __init__(self, folder: Path, product: str) -> None:
        """One subfolder of `folder` per supervisor; those of supervisors that are gone are deleted."""
        parent = psutil.Process(os.getppid())
        self._folder = folder / f"{product}-{parent.pid}-{parent.create_time():.0f}"
        for other in folder.glob(f"{product}-*-*") if folder.exists() else ():
            if not psutil.pid_exists(int(other.name.split("-")[-2])) or (
                other.name.startswith(f"{product}-{parent.pid}-") and other != self._folder
            ):
                shutil.rmtree(other, ignore_errors=True)
        private_folder(self._folder)
        self._own = self._folder / f"{os.getpid()}.json"

    def publish(self, counts: Counts, gauges: Mapping[str, float]) -> None:
        """Leaves what this process counts for the others."""
        partial = self._own.with_suffix(".partial")
        partial.write_text(json.dumps({"counts": counts.document(), "gauges": dict(gauges)}))
        partial.replace(self._own)

    def read(self) -> Iterator[tuple[Counts, dict[str, float]]]:
        """What each other process left; gauges of those that are gone are empty."""
        for path in sorted(self._folder.glob("*.json")):
            if path != self._own:
                document = json.loads(path.read_bytes())
                alive = psutil.pid_exists(int(path.stem))
                yield Counts.of(document["counts"]), document["gauges"] if alive else {}


def together(name: str, values: list[float]) -> float:
    """One gauge of all processes: the least where one that is not ready counts, the most of ages, else the sum."""
    return min(values) if name in LEAST else max(values) if name in MOST else sum(values)
