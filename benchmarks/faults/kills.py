"""Kills without warning, anywhere in a piece of work, after which the same work is done again.

A piece of work runs in a child process of its own. It is killed with SIGKILL at the n-th time it touches a file by name
(opens it to write, renames, deletes, makes a folder), or after a time, which also falls into what libraries write by
themselves. n and the time come from the seed. Then the work is done again, to its end, and its result is compared with
that of work that nobody disturbed.
"""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.trial import STUCK, Trial, differences

CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["benchmarks.faults.preload"])
TOUCHES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
STUCK_AFTER_S = 600.0
Found = dict[str, int]


@dataclass(frozen=True)
class Work:
    """A piece of work on a home: `do` it, and `look` at what is there afterwards: how often, by name.

    `needs` are the folders of the home that it reads or writes, all of them where there are none.
    """

    name: str
    do: Callable[[Path], None]
    look: Callable[[Path], Found]
    needs: tuple[str, ...] = ("lake",)


def measured(work: Work, home: Path) -> tuple[Found, int, float]:
    """The work undisturbed on `home`: its result, how often it touches a file, how many seconds it takes."""
    found, touches, seconds = _in_child(_undisturbed, work, home)
    return found, touches, seconds


def killed(work: Work, prepared: Path, copy: Path, seed: int, undisturbed: tuple[Found, int, float]) -> Trial:
    """Kills the work on a copy of `prepared` at a point that the seed chooses, then does it again."""
    wanted, touches, seconds = undisturbed
    chance = random.Random(f"{work.name} {seed}")
    by_time = chance.random() < 0.4 or not touches
    point = chance.uniform(0.0, 1.1 * seconds) if by_time else float(chance.randint(1, touches))
    what = f"{work.name} killed " + (f"after {point:.3f} s" if by_time else f"at touch {int(point)} of {touches}")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(prepared, copy, symlinks=True)
    child = CHILDREN.Process(target=_doomed, args=(work, copy, point, by_time))
    child.start()
    child.join(STUCK_AFTER_S)
    if child.is_alive():
        child.kill()
        return Trial(work.name, seed, what, STUCK, "the work that was to be killed did not end")
    try:
        found, _, _ = _in_child(_undisturbed, work, copy)
    except RuntimeError as error:
        return Trial(work.name, seed, what, STUCK, f"done again it fails: {error}")
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return differences(work.name, seed, what, found, wanted)


def _in_child(target: Callable[..., None], work: Work, home: Path) -> Any:
    receiver, sender = CHILDREN.Pipe(duplex=False)
    child = CHILDREN.Process(target=target, args=(work, home, sender))
    child.start()
    sender.close()
    try:
        if not receiver.poll(STUCK_AFTER_S):
            child.kill()
            raise RuntimeError(f"it does not end within {STUCK_AFTER_S:.0f} s")
        answer = receiver.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"the process ended with code {child.exitcode}") from None
    child.join()
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return answer


def _undisturbed(work: Work, home: Path, sender: Any) -> None:
    touched = Counter[str]()
    sys.addaudithook(lambda event, arguments: touched.update([event]) if _touches(event, arguments) else None)
    try:
        started = time.monotonic()
        work.do(home)
        seconds, count = time.monotonic() - started, sum(touched.values())
        sender.send((work.look(home), count, seconds))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the result of this trial
        last = traceback.format_exc().splitlines()[-1]
        sender.send(f"{last[:400]} {type(error).__name__}")


def _doomed(work: Work, home: Path, point: float, by_time: bool) -> None:
    os.setsid()  # what the work starts is killed with it
    if by_time:
        threading.Thread(target=lambda: (time.sleep(point), _die()), daemon=True).start()
    else:
        left = [int(point)]

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if _touches(event, arguments):
                left[0] -= 1
                if left[0] == 0:
                    _die()

        sys.addaudithook(watch)
    with suppress(BaseException):  # what fails undisturbed is seen when it is done again
        work.do(home)
    _die()


def _touches(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        path, mode, flags = arguments
        writes = (isinstance(mode, str) and mode.strip("rbt") != "") or bool(flags & (os.O_WRONLY | os.O_RDWR))
        return writes and "/dev/" not in str(path) and "__pycache__" not in str(path)
    return event in TOUCHES


def _die() -> None:
    os.killpg(0, signal.SIGKILL)
