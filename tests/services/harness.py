"""Starts real services in real processes and asks them over real HTTP."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import psutil

from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.serving.processes.processes import answers, service_spec
from tests.conftest import MACHINE


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(what: Callable[[], bool], within: float, every: float = 0.02) -> bool:
    """Whether `what` becomes true within so many seconds."""
    deadline, pause = time.monotonic() + within, threading.Event()
    while not what():
        if time.monotonic() > deadline:
            return False
        pause.wait(every)
    return True


class Served:
    """A running service: an HTTP client, its process and its log."""

    def __init__(self, product: str, home: Home, environment: dict[str, str] | None = None) -> None:
        self.product = product
        self.home = home
        self.spec = service_spec(product, home, free_port(), PROJECT_ROOT)
        self.client = httpx.Client(base_url=self.spec.url or "", timeout=30, limits=httpx.Limits(keepalive_expiry=1))
        self.spec.log.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.spec.command,
                cwd=PROJECT_ROOT,
                env=os.environ | MACHINE | dict(self.spec.env) | {"RETAIL_ENV": "test"} | (environment or {}),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            assert eventually(self._up, within=120), self.log()
        except BaseException:
            self.stop()
            raise

    def _up(self) -> bool:
        assert self.process.poll() is None, self.log()
        return answers(f"{self.spec.url}/livez")

    def log(self) -> str:
        """Everything the service has printed."""
        return self.spec.log.read_text()

    def worker(self) -> psutil.Process:
        """The process that answers, a child of BentoML's own supervisor."""
        workers = [p for p in psutil.Process(self.process.pid).children() if "_bentoml_impl" in " ".join(p.cmdline())]
        assert len(workers) == 1, workers
        return workers[0]

    def ready(self) -> bool:
        """Whether there is a model to answer with."""
        return answers(f"{self.spec.url}/readyz")

    def metrics(self) -> dict[str, float]:
        """Samples of /metrics: name with labels as printed -> value."""
        lines = [line for line in self.client.get("/metrics").text.splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def stop(self) -> None:
        """SIGTERM, and what is left of the session by SIGKILL."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(product: str, home: Home, environment: dict[str, str] | None = None) -> Iterator[Served]:
    """The service of `product` on `home`, up and stopped again; `environment` is added to that of the tests."""
    served = Served(product, home, environment)
    try:
        yield served
    finally:
        served.stop()
