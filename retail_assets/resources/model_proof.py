"""Every version proves itself in a process of its own before any process loads it: it loads, and answers soundly.

A file with the right hash may still end the process that reads it, or never let go of it: libraries trust their own
files. So a process of its own, with limits on time and memory, loads the version and asks it (proof_process.py). Its
verdict is kept beside the models, per version, files and code, and a warm look at it costs no process.
"""

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from signal import SIGKILL, SIGXCPU, Signals
from time import monotonic
from typing import IO, Any, Literal

import psutil
from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from retail_assets.core.manifest import installed
from retail_assets.core.registry import product as registered
from retail_assets.resources import durable
from retail_assets.resources.model_store import ModelStore, ModelStoreError
from retail_assets.resources.proof_process import READY

logger = logging.getLogger(__name__)

FOLDER = "proofs"
CODE = "1"
"""Raised when what a version has to prove becomes another: verdicts of before are asked for anew."""
LIBRARIES = ("lightgbm", "numpy", "pandas", "pyarrow")
WALL_S, LOOK_EVERY_S = 180.0, 0.05
CPU_S, CPU_S_PER_MB = 20.0, 2.0
MEMORY_MB, MEMORY_PER_MB = 1024.0, 40.0
"""What a proof may use beyond its start, and more for each megabyte of files (a forecaster has a tenth to a few)."""
DOUBTED_FOR = timedelta(hours=1)
"""How long a version stays refused without being asked again: what was slow or short of memory can be chance."""
TAIL = 4000

Outcome = Literal["sound", "unsound", "crashed", "too slow", "too large"]


def probe_of(product: str) -> str:
    """The module that knows the questions to versions of a product: `examine(folder)` and `question(folder)`."""
    return registered(product).probe


class UnfitModel(ModelStoreError):
    """A stored version that must not be loaded: it did not prove itself in a process of its own."""


class Verdict(BaseModel):
    """What a version proved. `reason` says what was wrong; `answer_ms` is the CPU time of one answer on `machine`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str
    version: str
    key: str
    outcome: Outcome
    reason: str | None = None
    answer_ms: float | None = None
    machine: str
    at: AwareDatetime

    @property
    def holds(self) -> bool:
        """Whether nothing has to be asked again."""
        return self.outcome == "sound" or datetime.now(UTC) - self.at < DOUBTED_FOR


def proven(store: ModelStore, product: str, version: str, stopped: Callable[[], bool] = lambda: False) -> Path:
    """The folder of a stored version that may be loaded: its bytes are those recorded, and it has proven itself.

    The first call for a version takes a second or two, later ones the time to hash its files. `stopped` is asked now
    and then while a proof runs and ends it by returning True. Raises UnfitModel, or ModelStoreError for a version that
    is not stored, was changed, or whose proof could not be made now.
    """
    verdict = verdict_of(store, product, version, stopped)
    if verdict.outcome != "sound":
        raise UnfitModel(
            f"{product} {version} is refused: {verdict.reason}",
            where=str(store.home / "models" / product / version),
            todo=f"train again, or go back: `retail rollback {product}`",
        )
    return store.path(product, version)


def verdict_of(
    store: ModelStore,
    product: str,
    version: str,
    stopped: Callable[[], bool] = lambda: False,
    measured_within: timedelta | None = None,
) -> Verdict:
    """The verdict on a stored version, kept or made now; raises ModelStoreError as `proven` does.

    With `measured_within` one is made anew unless it was made on this machine within that time, for its `answer_ms`.
    """
    folder = store.path(product, version)
    key = _key(store, product, version)
    file = _file(store, product, version)
    kept = _kept(file, key, measured_within)
    if kept is not None:
        return kept
    with _Turn(file, stopped):
        kept = _kept(file, key, measured_within)  # somebody else's, made while this one waited
        if kept is not None:
            return kept
        made = _prove(store, product, version, folder, stopped) | {"key": key, "machine": platform.node()}
        verdict = Verdict(product=product, version=version, at=datetime.now(UTC), **made)
        _keep(file, verdict)
    if verdict.outcome != "sound":
        logger.error("%s %s may not be loaded (%s): %s", product, version, verdict.outcome, verdict.reason)
    return verdict


def known(store: ModelStore, product: str, version: str) -> Verdict | None:
    """The verdict that is kept, without looking at the version; None where there is none for these files and code."""
    return _kept(_file(store, product, version), _key(store, product, version), None)


def why_refused(store: ModelStore, product: str, version: str) -> str | None:
    """Why a stored version may not be loaded, as far as is known without asking it; None where nothing is known."""
    try:
        verdict = known(store, product, version)
    except ModelStoreError as error:
        return error.what
    return None if verdict is None or verdict.outcome == "sound" else verdict.reason


def _key(store: ModelStore, product: str, version: str) -> str:
    """Names files and code: another byte, another library or another thing to prove is another verdict."""
    said = [store.manifest(product, version).files, CODE, _libraries(), platform.machine()]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@cache
def _libraries() -> dict[str, str]:
    return installed(*LIBRARIES)


def _file(store: ModelStore, product: str, version: str) -> Path:
    return store.home / FOLDER / product / f"{version}.json"


def _kept(file: Path, key: str, measured_within: timedelta | None) -> Verdict | None:
    try:
        verdict = Verdict.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):  # none yet, or torn: it is made anew
        return None
    if verdict.key != key or not verdict.holds:
        return None
    here = verdict.machine == platform.node() and measured_within is not None
    fresh = here and datetime.now(UTC) - verdict.at <= (measured_within or timedelta())
    return verdict if measured_within is None or fresh else None


def _keep(file: Path, verdict: Verdict) -> None:
    try:
        durable.write(file, verdict.model_dump_json(indent=1) + "\n")
    except OSError as error:  # a disk that takes nothing: the proof is made again by the next process
        logger.warning("the verdict on %s %s cannot be kept: %s", verdict.product, verdict.version, error)


class _Turn:
    """One process at a time proves a version; where no lock can be had (a disk that takes nothing) everybody does."""

    def __init__(self, file: Path, stopped: Callable[[], bool]) -> None:
        self._lock: FileLock | None = None
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(file.with_suffix(".lock"))
        except OSError:
            return
        deadline = monotonic() + WALL_S
        while not self._taken():
            if stopped() or monotonic() > deadline:
                raise ModelStoreError(f"{file.parent.name} {file.stem} is being proven by another process")

    def _taken(self) -> bool:
        try:
            if self._lock is not None:
                self._lock.acquire(timeout=LOOK_EVERY_S)
        except Timeout:
            return False
        except OSError:
            self._lock = None
        return True

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()


def _prove(store: ModelStore, product: str, version: str, folder: Path, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Outcome, reason and time of a proof in a process of its own; raises ModelStoreError when none can be made."""
    size_mb = sum((folder / name).stat().st_size for name in store.manifest(product, version).files) / 1e6
    cpu_s, memory_mb = CPU_S + CPU_S_PER_MB * size_mb, MEMORY_MB + MEMORY_PER_MB * size_mb
    command = [sys.executable, "-m", "retail_assets.resources.proof_process",
               probe_of(product), str(folder), f"{cpu_s:.0f}", f"{memory_mb:.0f}"]  # fmt: skip
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        process = subprocess.Popen(command, env=os.environ | own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
    except OSError as error:
        raise ModelStoreError(f"no process can be started to look at {product} {version}: {error}") from error
    said, complained = _Tail(process.stdout), _Tail(process.stderr)
    ended = _wait(process, stopped, memory_mb)
    answer, noise = said.text(), complained.text()
    if ended == "stopped":
        raise ModelStoreError(f"the proof of {product} {version} was given up: something else is wanted by now")
    if not answer.startswith(READY):
        raise ModelStoreError(
            f"the process that was to look at {product} {version} could not start: {_last(noise)}",
            todo="the version itself was not looked at: it is tried again",
        )
    if ended == "large":
        return _too_large(memory_mb)
    if ended == "late":
        return {"outcome": "too slow", "reason": f"it did not load and answer within {WALL_S:.0f} seconds"}
    return _outcome(process.returncode, answer.removeprefix(READY), noise, cpu_s, memory_mb)


def _wait(
    process: "subprocess.Popen[bytes]", stopped: Callable[[], bool], memory_mb: float
) -> Literal["ended", "stopped", "late", "large"]:
    deadline = monotonic() + WALL_S
    try:
        while process.poll() is None:
            if stopped():
                return "stopped"
            if monotonic() > deadline:
                return "late"
            if _used_mb(process.pid) > memory_mb:
                return "large"
            try:
                process.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
        return "ended"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _outcome(code: int, answer: str, noise: str, cpu_s: float, memory_mb: float) -> dict[str, Any]:
    if code == 0:
        try:
            found: dict[str, Any] = json.loads(answer)
            return {name: found.get(name) for name in ("outcome", "reason", "answer_ms")}
        except (ValueError, AttributeError):
            return {"outcome": "crashed", "reason": "its process ended without an answer"}
    if code in (-SIGXCPU, -SIGKILL):
        return {"outcome": "too slow", "reason": f"it did not load and answer within {cpu_s:.0f} seconds of computing"}
    if "bad_alloc" in noise or "MemoryError" in _last(noise):
        return _too_large(memory_mb)
    how = f"by signal {Signals(-code).name}" if code < 0 else f"with status {code}"
    return {"outcome": "crashed", "reason": f"the process that loaded it ended {how}: {_last(noise)}"}


def _too_large(memory_mb: float) -> dict[str, Any]:
    return {"outcome": "too large", "reason": f"it needs more than {memory_mb:.0f} MB of memory to load and answer"}


def _used_mb(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    except psutil.Error:  # it has just ended
        return 0.0


def _last(noise: str) -> str:
    """The last line that a process printed, in which an exception names itself."""
    return ([line.strip() for line in noise.splitlines() if line.strip()] or ["it said nothing"])[-1][:300]


class _Tail(threading.Thread):
    """Reads a pipe to its end, so that nobody waits for it, and keeps the last of it."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(daemon=True, name="proof")
        self._pipe, self._kept = pipe, b""
        self.start()

    def run(self) -> None:
        """The loop."""
        if self._pipe is not None:
            with self._pipe as pipe:
                while part := os.read(pipe.fileno(), 1 << 16):
                    self._kept = (self._kept + part)[-TAIL:]

    def text(self) -> str:
        """What was kept, once the process has ended."""
        self.join(timeout=5)
        return self._kept.decode(errors="replace")
