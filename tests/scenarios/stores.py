"""Stores that run by themselves: `retail serve` with its service behind a line, and shoppers who ask it."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from retail_assets.resources.environments import PROJECT_ROOT, Home
from tests.scenarios.lines import Line
from tests.services.harness import eventually, free_port

UP_WITHIN_S = 180.0


class Store:
    """One store: its home, its line, its processes."""

    def __init__(self, store_id: str, root: Path, line: Line, centre_port: int, token: str) -> None:
        self.store_id, self.target = store_id, f"store-{store_id}"
        self.home, self.line = Home.at(root), line
        self._centre, self._token = line.url(centre_port), token
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(parents=True)

    @property
    def url(self) -> str:
        """Its pricing service, for those inside."""
        return f"http://127.0.0.1:{self._port}"

    def start(self, rate: float | None = None) -> None:
        """Begins to run; `rate` is the most kilobytes a second it may fetch."""
        command = [sys.executable, "-m", "retail_assets.cli", "serve", "--target", self.target, "--centre",
                   self._centre, "--product", "pricing", "--port", f"pricing={self._port}"]  # fmt: skip
        command += ["--rate", str(rate)] if rate else []
        own = {"RETAIL_HOME": str(self.home.root), "RETAIL_STORE_TOKEN": self._token, "RETAIL_ENV": "test"}
        with (self.home.root / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.line.command(command), cwd=PROJECT_ROOT, env=os.environ | own, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def log(self) -> str:
        """Everything it has printed."""
        logs = [self.home.root / "serve.log", self.home.logs / "pricing.log"]
        return "\n".join(log.read_text(errors="replace")[-3000:] for log in logs if log.exists())

    def kill(self) -> None:
        """kill -9 of everything that runs in the store, at once."""
        for process in self._everything():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def terminate(self) -> None:
        """SIGTERM, as a service manager does."""
        for process in self._everything()[:1]:
            process.terminate()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left a minute later."""
        self.terminate()
        psutil.wait_procs(self._everything(), timeout=60)
        self.kill()

    def _everything(self) -> list[psutil.Process]:
        assert self._process is not None
        if self._process.poll() is not None:
            return []
        mother = psutil.Process(self._process.pid)
        return [mother, *mother.children(recursive=True)]

    def partial_bytes(self) -> int:
        """What has arrived of the file that is being fetched."""
        return sum(path.stat().st_size for path in (self.home.root / "store" / "incoming").glob("*.partial"))


class Shopper(threading.Thread):
    """Asks a store the same question again and again from inside; keeps the ids and versions of the answers."""

    def __init__(self, store: Store, sku: str, pause_s: float = 0.01) -> None:
        super().__init__(name=f"shopper-{store.store_id}", daemon=True)
        self.store = store
        self.answered: list[tuple[str, str]] = []
        self.statuses: Counter[int] = Counter()
        self._question = {"store_id": store.store_id, "sku": sku}
        self._pause = pause_s
        self._enough = threading.Event()

    def run(self) -> None:
        """The loop; status 0 is a request without an answer, after the store has come up."""
        self.store.line.enter()
        with httpx.Client(base_url=self.store.url, timeout=30) as client:
            while not self._enough.wait(self._pause):
                self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        try:
            response = client.post("/price", json=self._question)
        except httpx.TransportError:
            self.statuses[0] += bool(self.answered)
            return
        self.statuses[response.status_code] += 1
        if response.status_code == 200:
            answer: dict[str, Any] = response.json()
            self.answered.append((answer["decision_id"], answer["model_version"]))

    @property
    def version(self) -> str | None:
        """What the last answer came from."""
        return self.answered[-1][1] if self.answered else None

    def sees(self, version: str, within: float = UP_WITHIN_S) -> bool:
        """Whether an answer comes from that version."""
        return eventually(lambda: self.version == version, within)

    def gets_answers(self, count: int, within: float = UP_WITHIN_S) -> bool:
        """Whether so many more answers come."""
        wanted = len(self.answered) + count
        return eventually(lambda: len(self.answered) >= wanted, within)

    def stop(self) -> None:
        """Ends the loop."""
        self._enough.set()
        self.join()
