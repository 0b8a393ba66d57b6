"""`retail serve` leaves nobody behind and its port free, whenever and however it is ended, and whoever hangs."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.serving.processes.processes import answers
from retail_assets.serving.processes.tether import tethered
from tests.services.harness import eventually, free_port

SERVE = textwrap.dedent(
    """
    import sys
    from retail_assets import cli
    from retail_assets.serving.processes import processes

    processes.STOPPED_WITHIN_S = 1.0
    sys.argv = ["retail", "serve", "--product", "pricing", "--port", sys.argv[1]]
    cli.main()
    """
)
GONE_WITHIN_S = 30


class Serve:
    """A running `retail serve` of the pricing service, and every process that it has started."""

    def __init__(self, home: Home) -> None:
        self.port = free_port()
        self.seen: dict[int, psutil.Process] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, f"pricing={self.port}"],
            stdout=subprocess.DEVNULL,
            cwd=PROJECT_ROOT,
            env=os.environ | {"RETAIL_HOME": str(home.root), "RETAIL_ENV": "test"},
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup has it ignored
        )

    def children(self) -> list[psutil.Process]:
        """Those that live now, the one that listens before the workers that answer."""
        with suppress(psutil.NoSuchProcess):
            self.seen |= {p.pid: p for p in psutil.Process(self.process.pid).children(recursive=True)}
        return [p for p in self.seen.values() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def workers(self) -> list[psutil.Process]:
        """Those that answer."""
        found = []
        for process in self.children():
            with suppress(psutil.NoSuchProcess):
                if "_bentoml_impl.worker" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def is_up(self) -> bool:
        """Whether it answers."""
        self.children()
        return answers(f"http://127.0.0.1:{self.port}/livez")

    def left_nothing(self) -> bool:
        """Whether the command and all that it had started have ended."""
        return eventually(lambda: self.process.poll() is not None and not self.children(), GONE_WITHIN_S, every=0.1)


@contextmanager
def served(home: Home) -> Iterator[Serve]:
    """`retail serve`, begun; whatever is left of it is killed in the end."""
    made = Serve(home)
    try:
        yield made
    finally:
        made.process.kill()
        for process in made.children():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        made.process.wait()


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    return not any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in psutil.net_connections("tcp"))


@pytest.mark.parametrize(
    ("ends", "hangs"), [(signal.SIGTERM, "worker"), (signal.SIGKILL, "both"), (signal.SIGHUP, "both")]
)
def test_it_ends_while_a_process_hangs(served_home: Home, ends: signal.Signals, hangs: str) -> None:
    with served(served_home) as made:
        assert eventually(made.is_up, within=120, every=0.2)
        stopped = made.workers() if hangs == "worker" else made.children()
        assert stopped
        for process in stopped:
            process.suspend()
        made.process.send_signal(ends)
        assert made.left_nothing(), [process.cmdline() for process in made.children()]
        assert eventually(lambda: is_free(made.port), within=10), "a thread of theirs may end a little later"


@pytest.mark.parametrize(
    ("ends", "moment"),
    [
        (signal.SIGTERM, "a child"),
        (signal.SIGTERM, "a worker"),
        (signal.SIGKILL, "a child"),
        (signal.SIGKILL, "a worker"),
    ],
)
def test_it_ends_while_it_starts(served_home: Home, ends: signal.Signals, moment: str) -> None:
    with served(served_home) as made:
        begun = made.children if moment == "a child" else made.workers
        assert eventually(lambda: bool(begun()), within=60, every=0.01)
        made.process.send_signal(ends)
        assert made.left_nothing(), [process.cmdline() for process in made.children()]
        assert eventually(lambda: is_free(made.port), within=10), "a thread of theirs may end a little later"
        assert ends == signal.SIGKILL or made.process.returncode == 0


def test_asked_again_and_again_it_ends_once(served_home: Home) -> None:
    with served(served_home) as made:
        assert eventually(made.is_up, within=120, every=0.2)
        for _ in range(3):
            made.process.send_signal(signal.SIGTERM)
        assert made.left_nothing(), [process.cmdline() for process in made.children()]
        assert made.process.returncode == 0


def test_a_worker_that_is_replaced_is_tied_too(served_home: Home) -> None:
    with served(served_home) as made:
        assert eventually(made.is_up, within=120, every=0.2)
        (first,) = made.workers()
        first.kill()
        assert eventually(lambda: bool(made.workers()) and made.is_up(), within=120, every=0.2)
        (second,) = made.workers()
        server = psutil.Process(second.ppid())
        second.suspend()
        server.kill()
        assert made.left_nothing(), [process.cmdline() for process in made.children()]


def test_what_starts_after_its_starter_has_ended_does_not_run() -> None:
    command = tethered([sys.executable, "-c", "print('ran')"])
    for starter, said in ((os.getpid(), "ran\n"), (1 << 22, "")):
        parts = [part if part != str(os.getpid()) else str(starter) for part in command]
        assert subprocess.run(parts, capture_output=True, text=True, check=False).stdout == said
