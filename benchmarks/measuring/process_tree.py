"""Runs a command and watches what its whole tree of processes uses: CPU, memory, and disk that comes and goes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

EVERY_S = 0.25


@dataclass(frozen=True)
class Sample:
    """The tree at the instant `at` (epoch): CPU seconds so far, resident bytes of all processes, scratch bytes."""

    at: float
    cpu: float
    memory: int
    scratch: int


@dataclass(frozen=True)
class Usage:
    """What one command used. `scratch` is the largest size of the folder that was watched beside it."""

    seconds: float
    cpu: float
    memory: int
    scratch: int
    samples: tuple[Sample, ...]

    def between(self, start: float, end: float) -> tuple[float, int]:
        """CPU seconds and peak resident bytes between two instants."""
        inside = [s for s in self.samples if start <= s.at <= end]
        near = inside or sorted(self.samples, key=lambda s: abs(s.at - start))[:1]
        return _cpu_at(self.samples, end) - _cpu_at(self.samples, start), max((s.memory for s in near), default=0)


def watched(command: Sequence[str], environment: dict[str, str], scratch: Path, output: IO[bytes]) -> Usage:
    """Runs `command` to its end; raises SystemExit with its exit code where that is not 0.

    Resident bytes are summed over the processes, so that what they share (libraries) counts once for each.
    """
    begun = time.time()
    process = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT)
    samples: list[Sample] = []
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, scratch, samples, ended))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    ended.set()
    watcher.join()
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} ended with {code}: {output.name}")
    cpu = usage.ru_utime + usage.ru_stime
    samples.append(Sample(time.time(), cpu, 0, 0))
    memory, most = max(s.memory for s in samples), max(s.scratch for s in samples)
    return Usage(time.time() - begun, cpu, memory, most, tuple(samples))


def _watch(pid: int, scratch: Path, samples: list[Sample], ended: threading.Event) -> None:
    while not ended.wait(EVERY_S):
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        cpu, memory = 0.0, 0
        for process in tree:
            try:
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                memory += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        samples.append(Sample(time.time(), cpu, memory, _scratch_bytes(scratch)))


def _cpu_at(samples: Sequence[Sample], at: float) -> float:
    """CPU seconds at an instant, on the line between the two samples around it."""
    before = max((s for s in samples if s.at <= at), key=lambda s: s.at, default=None)
    after = min((s for s in samples if s.at > at), key=lambda s: s.at, default=None)
    if before is None or after is None:
        return before.cpu if before else 0.0
    share = (at - before.at) / (after.at - before.at)
    return before.cpu + share * (after.cpu - before.cpu)


def _scratch_bytes(folder: Path) -> int:
    """Bytes of the files in `folder` and in its folders `*.tmp`, into which DuckDB spills."""
    return sum(file.stat().st_size for file in folder.glob("*.duckdb*") if file.is_file()) + sum(
        folder_bytes(spilled) for spilled in folder.glob("*.tmp")
    )


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`; those that vanish meanwhile do not count."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.lstat().st_size if not file.is_dir() else 0
        except FileNotFoundError:
            continue
    return total
