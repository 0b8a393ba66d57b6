"""Every abuse of benchmarks/faults/wire.py against a real service that has few descriptors."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from benchmarks.faults.wire import ABUSES, Server, abuse
from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.serving.processes.processes import answers, service_spec
from tests.services.harness import eventually, free_port

DESCRIPTORS = 400


@pytest.fixture(scope="module")
def server(served_home: Home) -> Iterator[tuple[Server, Home]]:
    """The pricing service with so many descriptors that half heads once took them all."""
    spec = service_spec("pricing", served_home, free_port(), PROJECT_ROOT)
    few = ["bash", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "bash", *spec.command]
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    with (served_home.logs / "abused.log").open("wb") as log:
        process = subprocess.Popen(
            few,
            env=os.environ | dict(spec.env) | {"RETAIL_ENV": "test"},
            cwd=PROJECT_ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert eventually(lambda: answers(f"{spec.url}/readyz"), within=120, every=0.2)
        yield Server(spec.port or 0), served_home
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ABUSES)
def test_it_goes_on_answering_others(server: tuple[Server, Home], name: str) -> None:
    found = abuse(server[0], seed=1, name=name)
    assert not found.problems, found


def test_it_has_nothing_to_log(server: tuple[Server, Home]) -> None:
    """After all of the above: what strangers send is counted, not written down."""
    log = (server[1].logs / "abused.log").read_text()
    assert "Traceback" not in log
    assert len(log) < 50_000
