"""Dagster's UI as `retail dev` starts it answers this machine's own pages, and no others."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from retail_assets.resources.dagster.instance import SETTINGS
from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.serving.processes.processes import answers, dagster_specs
from tests.services.harness import eventually, free_port
from tests.services.wire_client import WireClient

JSON = b"Content-Type: application/json\r\n"
ASKED = b'{"query": "{version}"}'
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-ws\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
FOREIGN = b"Origin: http://evil.example\r\n"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a running UI over an empty workspace, and its log."""
    home = Home.at(tmp_path_factory.mktemp("ui"))
    home.dagster.mkdir()
    (home.dagster / "dagster.yaml").write_bytes(SETTINGS.read_bytes())
    spec = next(s for s in dagster_specs(home, free_port(), PROJECT_ROOT, home.root) if s.name == "dagster")
    (home.root / "workspace.yaml").write_text("load_from: []\n")
    with (home.root / "ui.log").open("wb") as log:
        process = subprocess.Popen(spec.command, env=os.environ | dict(spec.env), cwd=spec.cwd, stdout=log, stderr=log)
    try:
        assert eventually(lambda: answers(f"{spec.url}{spec.health}"), within=120, every=0.2)
        yield spec.port or 0, home.root / "ui.log"
    finally:
        process.terminate()
        process.wait(30)


def status(port: int, line: bytes, *heads: bytes, body: bytes = b"") -> int:
    """The status of the answer to one request."""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    with WireClient(port) as client:
        client.send(line + b" HTTP/1.1\r\n" + b"".join(heads) + length + b"\r\n" + body)
        return client.interim() if UPGRADE in heads else client.answer().status


def test_only_its_own_names_are_answered(ui: tuple[int, Path]) -> None:
    for host, expected in ((b"localhost:%d" % ui[0], 200), (b"127.0.0.1", 200), (b"evil.example", 421), (b"", 421)):
        own = b"Host: " + host + b"\r\n"
        assert status(ui[0], b"GET /server_info", own) == expected
        assert status(ui[0], b"POST /graphql", own, JSON, body=ASKED) == expected
        assert status(ui[0], b"GET /graphql", own, UPGRADE) == (101 if expected == 200 else 403)
    assert status(ui[0], b"GET /server_info", b"Host: localhost\r\n", b"Host: evil.example\r\n") in (400, 421)


def test_pages_of_other_hosts_change_nothing(ui: tuple[int, Path]) -> None:
    own, form = b"Host: localhost\r\n", b"Content-Type: application/x-www-form-urlencoded\r\n"
    assert status(ui[0], b"POST /graphql", own, FOREIGN, JSON, body=ASKED) == 403
    assert status(ui[0], b"POST /graphql", own, FOREIGN, form, body=b"query=%7Bversion%7D") == 403
    assert status(ui[0], b"POST /graphql", own, b"Origin: null\r\n", JSON, body=ASKED) == 403
    assert status(ui[0], b"GET /graphql", own, FOREIGN, UPGRADE) == 403
    its_own = b"Origin: http://localhost:%d\r\n" % ui[0]
    assert status(ui[0], b"POST /graphql", own, its_own, JSON, body=ASKED) == 200
    assert status(ui[0], b"GET /graphql", own, its_own, UPGRADE) == 101


def test_garbage_does_not_fill_its_log(ui: tuple[int, Path]) -> None:
    before = ui[1].stat().st_size
    for _ in range(300):
        with WireClient(ui[0]) as client:
            client.send(b"\x16\x03garbage\r\n\r\n")
            assert client.answer().status == 400
    assert ui[1].stat().st_size - before < 10_000


def test_ui_and_daemon_ask_one_code_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The workspace that `retail dev` writes names a code server that has the graph under its usual name."""
    import yaml
    from dagster._grpc.client import DagsterGrpcClient

    home = Home.at(tmp_path_factory.mktemp("code"))
    home.dagster.mkdir()
    (home.dagster / "dagster.yaml").write_bytes(SETTINGS.read_bytes())
    code, *others = dagster_specs(home, free_port(), PROJECT_ROOT, home.root)
    served = yaml.safe_load((home.root / "workspace.yaml").read_text())["load_from"]
    assert served == [{"grpc_server": {"socket": str(code.socket), "location_name": "retail_assets"}}]
    assert all(str(home.root / "workspace.yaml") in spec.command for spec in others) and len(others) == 2
    assert code.socket is not None
    process = subprocess.Popen(code.command, env=os.environ | dict(code.env), cwd=code.cwd, stderr=subprocess.DEVNULL)
    try:
        assert eventually(code.socket.exists, within=120, every=0.2)
        found = DagsterGrpcClient(socket=str(code.socket)).list_repositories()
        assert "retail_assets.definitions" in found
    finally:
        process.terminate()
        process.wait(30)
