"""The files in deployments/monitoring: checked by the real tools, and one real alert from a service to Alertmanager."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from retail_assets.resources.environments import PROJECT_ROOT, Home
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.counts import Counts
from retail_assets.serving.gateway.keys import KeyStore
from retail_assets.serving.service_metrics import ServiceMetrics
from tests.services.harness import eventually, free_port, serving

FOLDER = PROJECT_ROOT / "deployments" / "monitoring"
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
TOOLS = all(map(shutil.which, ("prometheus", "promtool", "amtool"))) and ALERTMANAGER is not None
needs_tools = pytest.mark.skipif(
    not TOOLS, reason="needs Prometheus and Alertmanager: apt-get install prometheus prometheus-alertmanager"
)
NAMES = re.compile(r"\bretail_[a-z0-9_]+")


def tool(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Runs a tool in the folder of the files."""
    return subprocess.run([*map(str, command)], cwd=FOLDER, capture_output=True, text=True, check=False)


@needs_tools
def test_the_rules_are_valid_and_do_what_they_say() -> None:
    checked, tried = (
        tool("promtool", "check", "rules", "alerts.yml"),
        tool("promtool", "test", "rules", "alerts_test.yml"),
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tried.returncode == 0, tried.stdout + tried.stderr


@needs_tools
def test_the_configurations_are_valid(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.yml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "metrics.key").write_text("rk_x")
    checked = tool("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = tool("amtool", "check-config", "alertmanager.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_is_tried_and_says_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    tried = {
        case["alertname"]
        for test in yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tried == set(alerts)
    for alert in alerts.values():
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert set(alert["annotations"]) == {"summary", "todo"}


@pytest.mark.parametrize("name", ["alerts.yml", "grafana-services.json"])
def test_files_name_only_metrics_that_services_show(tiny_home: Path, name: str) -> None:
    from retail_assets.resources.environments import Environment
    from retail_assets.resources.lake import Lake
    from retail_assets.serving.runtime import Runtime

    home = Home.at(tiny_home)
    runtime: Runtime[Any] = Runtime(
        "pricing", Environment(name="test", home=home, lake=Lake.at(home.lake)), lambda *_: None
    )
    runtime.metrics.counts = Counts()
    runtime.metrics.request("/price", 200, 0.001)
    shown = {line.split("{")[0].split(" ")[0] for line in runtime.metrics.text().splitlines() if line[:1] != "#"}
    named = set(NAMES.findall((FOLDER / name).read_text())) - {"retail_services"}
    named = {metric for metric in named if f"product:{metric}:" not in (FOLDER / name).read_text() or metric in shown}
    assert named <= shown, named - shown
    assert len(named) >= 8


def test_the_dashboard_shows_what_a_service_is_judged_by() -> None:
    dashboard = json.loads((FOLDER / "grafana-services.json").read_text())
    titles = {panel["title"] for panel in dashboard["panels"]}
    assert len(titles) == len(dashboard["panels"]) == len({panel["id"] for panel in dashboard["panels"]})
    assert {"Errors", "Latency", "Decisions by version", "Decisions by arm", "Time since gold was seen"} <= titles
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in dashboard["panels"])


@contextmanager
def running(folder: Path, name: str, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A server process whose output goes to a file."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([*command], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def receiver() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A webhook: its port and the alerts it was told, each with the path."""
    told: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.extend(alert | {"path": self.path} for alert in body["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing to standard error."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port, told
    server.shutdown()
    server.server_close()
    thread.join()


@needs_tools
def test_an_alert_of_a_real_service_reaches_people(tiny_copy: Home, tmp_path: Path) -> None:
    """A service that asks for keys, with nothing live: Prometheus has a key, Alertmanager tells the pager."""
    shutil.rmtree(tiny_copy.lake / "ops" / "releases")
    keys = KeyStore(tiny_copy.root / "keys.json")
    _, secret = keys.add("prometheus", frozenset({"metrics"}), ServingConfig.load_file())
    prometheus, alertmanager = free_port(), free_port()
    (tmp_path / "metrics.key").write_text(secret)
    with serving("pricing", tiny_copy) as served, receiver() as (hook, told):
        _, _, address = (served.spec.url or "").partition("//")
        _write_fast(tmp_path, {"127.0.0.1:3002": address, "127.0.0.1:9093": f"127.0.0.1:{alertmanager}"}, hook)
        data = tmp_path / "data"
        with (
            running(tmp_path, "alertmanager", str(ALERTMANAGER), "--config.file=alertmanager.yml",
                    f"--storage.path={data / 'am'}", f"--web.listen-address=127.0.0.1:{alertmanager}",
                    "--cluster.listen-address="),
            running(tmp_path, "prometheus", "prometheus", "--config.file=prometheus.yml",
                    f"--storage.tsdb.path={data / 'p'}", f"--web.listen-address=127.0.0.1:{prometheus}"),
        ):  # fmt: skip
            assert eventually(lambda: up(prometheus, address) == "1", within=60, every=0.2)
            assert eventually(
                lambda: any(a["labels"]["alertname"] == "NothingLive" for a in told), within=60, every=0.2
            )
    alert = next(a for a in told if a["labels"]["alertname"] == "NothingLive")
    assert (alert["path"], alert["status"], alert["labels"]["product"]) == ("/page", "firing", "pricing")
    assert alert["annotations"]["summary"] == f"pricing on {address} has no model to answer with"


def up(prometheus: int, address: str) -> str | None:
    """Whether Prometheus reached the service in its last scrape; None before the first, and while it starts itself."""
    try:
        answer = httpx.get(
            f"http://127.0.0.1:{prometheus}/api/v1/query", params={"query": f'up{{instance="{address}"}}'}
        )
    except httpx.TransportError:
        return None
    result = answer.json()["data"]["result"] if answer.is_success else []
    return result[0]["value"][1] if result else None


def _write_fast(folder: Path, addresses: dict[str, str], hook: int) -> None:
    """The files of the folder with the addresses of this test, and seconds instead of minutes."""
    for name in ("alerts.yml", "prometheus.yml", "alertmanager.yml"):
        text = (FOLDER / name).read_text()
        for told, real in addresses.items():
            text = text.replace(told, real)
        text = text.replace('"127.0.0.1:3001", ', "").replace("127.0.0.1:5001", f"127.0.0.1:{hook}")
        text = re.sub(r"(interval|for|group_wait|evaluation_interval|scrape_interval): \d+(s|m)\b", r"\1: 1s", text)
        (folder / name).write_text(text)


def test_a_scrape_of_one_process_shows_what_all_have_counted(tmp_path: Path) -> None:
    """The rest of the processes are told apart by their ids; one that is gone keeps its counts but not its gauges."""
    from retail_assets.serving.counts import Siblings

    def made(live: float) -> ServiceMetrics:
        gauges = {"model_live": ("1 when live", live), "decision_log_backlog_rows": ("rows", 5.0)}
        return ServiceMetrics("pricing", lambda: gauges, lambda: {"version": "v"}, Siblings(tmp_path, "pricing"))

    first, second = made(live=1.0), made(live=0.0)
    assert second._siblings is not None
    for process in (os.getppid(), 2**22 + 1):  # one that lives, one that cannot
        second._siblings._own = second._siblings._folder / f"{process}.json"
        second.counts = Counts()
        second.request("/price", 503, 0.3)
        second.decided(2, "v", "canary")
        second.publish()
    first.request("/price", 200, 0.003)
    text = first.text()
    assert 'retail_requests_total{product="pricing",route="/price",status="503"} 2.0' in text
    assert 'retail_decisions_total{arm="canary",product="pricing",version="v"} 4.0' in text
    assert 'retail_request_seconds_count{product="pricing"} 3.0' in text
    assert 'retail_model_live{product="pricing"} 0.0' in text, "the least: one process has nothing to answer with"
    assert 'retail_decision_log_backlog_rows{product="pricing"} 10.0' in text, "of the two that live"
