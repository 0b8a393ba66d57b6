"""The process in which a version proves itself: `python -m retail_assets.resources.proof_process PROBE FOLDER S MB`.

Started by model_proof.py and by nobody else. Imports first and takes its limits then, so that they are those of the
version and not of the libraries. Prints READY and one line of JSON; whatever else is printed goes to standard error.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from time import process_time, thread_time
from types import ModuleType
from typing import Any, TextIO

from retail_assets.core.errors import RetailError

QUESTIONS, WARM_UP = 30, 3
READY = "ready"  # what fails before it is a matter of the machine, not of the version
RESERVED = 8 << 30
PAGE = os.sysconf("SC_PAGE_SIZE")


def main(name: str, folder: Path, cpu_s: int, memory_mb: int, answers: TextIO) -> None:
    """Writes READY, then the outcome, the reason and the CPU milliseconds of an answer of the version in `folder`.

    `name` is that of the module with the questions; what it imports late, its `warm` imports.
    """
    probe = import_module(name)
    if hasattr(probe, "warm"):
        probe.warm()
    _limit(cpu_s, memory_mb)
    for line in (lambda: READY, lambda: json.dumps(asked(probe, folder))):
        answers.write(f"{line()}\n")
        answers.flush()


def asked(probe: ModuleType, folder: Path) -> dict[str, Any]:
    """Examines the version in `folder` and measures one answer: `probe` has `examine` and `question`.

    What else a version makes a library raise ends the process, which says so (model_proof.py).
    """
    try:
        probe.examine(folder)
        return {"outcome": "sound", "reason": None, "answer_ms": answer_ms(probe.question(folder))}
    except MemoryError:
        return {"outcome": "too large", "reason": "it needs more memory than a version of its size may"}
    except RetailError as error:
        return {"outcome": "too large" if "bad_alloc" in error.what else "unsound", "reason": error.what}


def answer_ms(ask: Callable[[], object]) -> float:
    """CPU milliseconds of this thread for one answer, the median of QUESTIONS: hardly more on a busy machine."""
    took = []
    for _ in range(WARM_UP + QUESTIONS):
        started = thread_time()
        ask()
        took.append(1000 * (thread_time() - started))
    return median(took[WARM_UP:])


def _limit(cpu_s: int, memory_mb: int) -> None:
    """From here on so much time and memory, and no core file: a version that aborts is a matter of a second.

    The limit on memory is one of addresses, of which allocators reserve far more than they use: it keeps one single
    request from taking all of the machine. What is in use is watched by the process that waits.
    """
    used = Path("/proc/self/statm")
    mapped = int(used.read_text().split()[0]) * PAGE if used.exists() else 0
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(process_time()) + 1 + cpu_s,
        resource.RLIMIT_AS: mapped + RESERVED + (memory_mb << 20) if mapped else resource.RLIM_INFINITY,
    }
    for what, soft in wanted.items():
        _, hard = resource.getrlimit(what)
        allowed = soft if hard == resource.RLIM_INFINITY or soft == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(what, (allowed if allowed != resource.RLIM_INFINITY else hard, hard))


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), answers)
    os._exit(0)  # what a library does at its end is not asked for
