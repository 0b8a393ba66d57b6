"""A process that ends with the one that started it, however that ends, and whatever keeps either busy.

A service that was asked to end may hang, and a supervisor may be killed: neither can then be relied on to notice. The
kernel can (Linux: PR_SET_PDEATHSIG, which holds across exec). Where there is no such call, StartedBy looks.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

import psutil

SUPERVISOR = "RETAIL_SUPERVISOR"
"""Set for its children: the process id of a Supervisor, without which a service does not go on."""

SERVER = "RETAIL_SERVER"
"""Set for what a tethered command starts: the process id of that command."""

PR_SET_PDEATHSIG = 1
_THEN_RUN = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, int(signal.SIGKILL), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("what started this process has ended")
os.environ["{SERVER}"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def tethered(command: Sequence[str]) -> list[str]:
    """`command`, which begins with the path of a program, as a command that does not outlive this process.

    To be started from the main thread: the kernel goes by the thread that started a process, not by its process.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _THEN_RUN, str(os.getpid()), *command]


class StartedBy:
    """What a service does not outlive: BentoML's process that started it and, where there is one, its Supervisor."""

    def __init__(self) -> None:
        parent = os.getppid()
        server = int(os.environ.get(SERVER, parent))
        # Process 1 adopts what is left behind, also before the one that was left is gone from the table of processes.
        orphaned = server != parent and (parent == 1 or not psutil.pid_exists(server))
        self._parent = server if orphaned else parent
        number = int(os.environ.get(SUPERVISOR, self._parent))
        self._supervisor = psutil.Process(number) if psutil.pid_exists(number) else None

    def tie(self) -> None:
        """From here on the kernel kills this process when the one that started it ends, where it can."""
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if self.gone():  # before the kernel was told
            self.stop()

    def gone(self) -> bool:
        """Whether one of them has ended, or had before this process began."""
        supervised = self._supervisor is not None and self._supervisor.is_running()
        return os.getppid() != self._parent or not supervised

    def stop(self) -> None:
        """Asks BentoML's process to end, which ends its services, or this one where that is gone."""
        os.kill(self._parent if os.getppid() == self._parent else os.getpid(), signal.SIGTERM)
