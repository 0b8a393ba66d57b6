"""Abuse of the wire of a centre of stores: whoever asks properly is answered meanwhile and afterwards."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.trial import BROKEN, Trial
from benchmarks.faults.wire import Server, abuse
from retail_assets.serving.processes.processes import answers

QUESTION = b"GET /v1/stores/store-US-001/bundle HTTP/1.1\r\nHost: localhost\r\n\r\n"
UP_WITHIN_S = 120.0


@contextmanager
def centre(root: Path) -> Iterator[int]:
    """The port of `retail stores centre` over a home, as a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "retail_assets.cli", "stores", "centre", "--port", str(port)]
    environment = os.environ | {"RETAIL_HOME": str(root), "RETAIL_ENV": "test"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + UP_WITHIN_S
        while not answers(f"http://127.0.0.1:{port}/livez"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the centre does not answer")
            time.sleep(0.1)
        yield port
    finally:
        child.terminate()
        child.wait(30)


def tried(port: int, seed: int) -> Trial:
    """One abuse, chosen by the seed."""
    found = abuse(Server(port, QUESTION, frozenset({401, 429})), seed)
    problem = "; ".join(dict.fromkeys(found.problems))
    return Trial("wire", seed, f"{found.abuse}: {found.what}", BROKEN if problem else "", problem)
