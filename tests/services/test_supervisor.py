"""`make dev` starts its servers together, says where they are, and never leaves one behind."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.serving.processes.processes import ServerError, dev_servers, require_free, service_spec
from retail_assets.serving.processes.products import ProductError, ports_of, products
from tests.services.harness import eventually, free_port

SUPERVISE = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from retail_assets.serving.processes.processes import ServerSpec, Supervisor

    folder, mode, *ports = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    serve = "import http.server as h; h.HTTPServer(('127.0.0.1', {}), h.SimpleHTTPRequestHandler).serve_forever()"
    dies = "import sys; sys.exit('the disk is full')"
    specs = [
        ServerSpec(f"web-{p}", [sys.executable, "-c", serve.format(p)], folder / f"web-{p}.log", p, "/", cwd=folder)
        for p in ports
    ]
    if mode == "dies":
        specs.append(ServerSpec("batch", [sys.executable, "-c", dies], folder / "batch.log"))
    say = lambda line: (sys.stdout.write(line + "\\n"), sys.stdout.flush())
    sys.exit(Supervisor(specs, say).run())
    """
)


def is_free(port: int) -> bool:
    """Whether nothing listens on `port` any more."""
    try:
        require_free(port, "a test")
    except ServerError:
        return False
    return True


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def supervise(folder: Path, mode: str, *ports: int) -> "subprocess.Popen[str]":
    """Starts a supervisor of one web server per port, plus one that dies at once in mode `dies`."""
    command = [sys.executable, "-c", SUPERVISE, str(folder), mode, *map(str, ports)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)


def lines_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    """Lines the process prints up to the first that holds `text`."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"ended without {text!r}: {lines}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_server(tmp_path: Path, number: signal.Signals) -> None:
    ports = (free_port(), free_port())
    process = supervise(tmp_path, "stays", *ports)
    said = "".join(lines_until(process, "Ctrl-C"))
    children = psutil.Process(process.pid).children(recursive=True)
    assert all(f"http://127.0.0.1:{port}" in said for port in ports)
    assert len(children) == len(ports)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not [child for child in children if child.is_running()]


def test_a_server_that_ends_is_named_with_its_log_and_the_others_stop(tmp_path: Path) -> None:
    port = free_port()
    process = supervise(tmp_path, "dies", port)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "batch ended with code 1" in said
    assert str(tmp_path / "batch.log") in said
    assert "the disk is full" in said
    require_free(port, "the web server that was stopped")


def test_a_server_killed_later_is_named(tmp_path: Path) -> None:
    ports = (free_port(), free_port())
    process = supervise(tmp_path, "stays", *ports)
    lines_until(process, "Ctrl-C")
    victim, *others = psutil.Process(process.pid).children()
    victim.kill()
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "ended with code -9" in said
    assert not [child for child in others if child.is_running()]


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path, taken_port: int) -> None:
    home = Home.at(tmp_path)
    ports = {"dagster": free_port(), "forecasting": taken_port, "pricing": free_port()}
    with pytest.raises(ServerError, match=f"port {taken_port} for forecasting is taken"):
        dev_servers(home, ports, PROJECT_ROOT)
    assert not home.logs.exists()


def test_services_bind_loopback_keep_metrics_apart_and_send_no_telemetry(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    specs = [service_spec(product, home, 4000, PROJECT_ROOT) for product in ("forecasting", "pricing")]
    for spec in specs:
        assert spec.command[spec.command.index("--host") + 1] == "127.0.0.1"
        assert spec.env["BENTOML_DO_NOT_TRACK"] == "True"
    assert specs[0].env["BENTOML_HOME"] != specs[1].env["BENTOML_HOME"]
    assert os.environ.get("BENTOML_HOME") not in {spec.env["BENTOML_HOME"] for spec in specs}


def test_services_end_when_what_started_them_is_killed(served_home: Home) -> None:
    port = free_port()
    command = [sys.executable, "-m", "retail_assets.cli", "serve", "--product", "pricing", "--port", f"pricing={port}"]
    environment = os.environ | {"RETAIL_HOME": str(served_home.root)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT, env=environment)
    lines_until(process, "Ctrl-C")
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    process.wait()
    assert eventually(lambda: not [c for c in children if c.is_running() and c.status() != "zombie"], within=60)
    # A process of many threads counts as a zombie a moment before the last of them lets go of the port.
    assert eventually(lambda: is_free(port), within=10)


@pytest.mark.parametrize("text", ["pricing", "pricing=", "pricing=x", "pricing=70000", "prices=3002"])
def test_a_port_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(ProductError, match=text.partition("=")[0]):
        ports_of([text])


def test_a_product_is_a_folder(tmp_path: Path) -> None:
    for name, port in (("fraud", "3003"), ("search", "3004")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "bentofile.yaml"
        file.write_text(f'service: "bento.{name}.service:Service"\nlabels: {{port: "{port}"}}\n')
    assert {p.name: p.port for p in products(tmp_path).values()} == {"fraud": 3003, "search": 3004}
    products.cache_clear()
    file.write_text('service: "bento.search.service:Service"\nlabels: {port: "3003"}\n')
    with pytest.raises(ProductError, match="both answer on port 3003"):
        products(tmp_path)
    products.cache_clear()
    file.write_text("labels: {port: 3004}\n")
    with pytest.raises(ProductError, match="does not name its service"):
        products(tmp_path)
