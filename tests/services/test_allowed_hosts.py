"""RETAIL_ALLOWED_HOSTS adds names to services and to the centre, and one that is no name is said before they start."""

import os
import subprocess

import pytest

from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.connections.hosts import HostError
from retail_assets.serving.processes.processes import service_spec
from tests.services.centre import centre_of
from tests.services.harness import free_port, serving
from tests.services.wire_client import WireClient

NAMES = "prices.example.com, *.shop.example"


def status(port: int, host: str) -> int:
    """How a request by this name is answered."""
    with WireClient(port) as client:
        client.send(f"GET /version HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return client.answer().status


def test_a_service_answers_to_names_that_were_added(served_home: Home) -> None:
    with serving("pricing", served_home, {"RETAIL_ALLOWED_HOSTS": NAMES}) as served:
        port = served.spec.port or 0
        for host in (
            "prices.example.com",
            "PRICES.example.com:443",
            "a.shop.example",
            f"localhost:{port}",
            "127.0.0.1",
        ):
            assert status(port, host) == 200, host
        for host in ("example.com", "evil.example", "prices.example.com.evil.example"):
            assert status(port, host) == 421, host
        assert 'retail_requests_total{product="pricing",route="other",status="421"}' in served.metrics()


def test_so_does_the_centre(served_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_ALLOWED_HOSTS", NAMES)
    with centre_of(served_home) as url:
        port = int(url.rsplit(":", 1)[1])
        assert [status(port, host) for host in ("prices.example.com", "localhost", "evil.example")] == [404, 404, 421]


def test_what_is_no_name_is_said_at_the_start(served_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"RETAIL_ALLOWED_HOSTS": "https://prices.example.com"}
    spec = service_spec("pricing", served_home, free_port(), PROJECT_ROOT)
    done = subprocess.run(
        spec.command,
        env=os.environ | dict(spec.env) | {"RETAIL_ENV": "test"} | wrong,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "is not the name of a host" in done.stderr and "RETAIL_ALLOWED_HOSTS" in done.stderr
    assert "Traceback" not in done.stderr
    monkeypatch.setenv("RETAIL_ALLOWED_HOSTS", wrong["RETAIL_ALLOWED_HOSTS"])
    with pytest.raises(HostError):
        ServingConfig.load_file().centre_manners()
