"""Starts the servers a person works with (`make dev`), watches them, and stops them all together."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import yaml

from retail_assets.core.errors import RetailError
from retail_assets.core.private import private_folder
from retail_assets.resources.environments import Home, keys_file
from retail_assets.serving.processes.products import product as known_product
from retail_assets.serving.processes.products import products
from retail_assets.serving.processes.tether import SUPERVISOR, tethered
from retail_assets.serving.tracing import ENDPOINTS

LOOPBACK = "127.0.0.1"
LOOK_EVERY_S = 0.2
HEALTHY_WITHIN_S = 180.0
STOPPED_WITHIN_S = 20.0
Say = Callable[[str], None]


class ServerError(RetailError):
    """A port that is taken, or a server that did not start, or ended."""


@dataclass(frozen=True)
class ServerSpec:
    """One child process: what to run, where its output goes, and the URL that answers 200 once it is up."""

    name: str
    command: Sequence[str]
    log: Path
    port: int | None = None
    health: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    socket: Path | None = None
    """A socket that it opens once it is ready; what comes after it is started only then."""

    @property
    def url(self) -> str | None:
        """Where a browser or a client finds it."""
        return f"http://{LOOPBACK}:{self.port}" if self.port else None


def require_free(port: int, what: str) -> None:
    """Raises ServerError when something listens on `port` of the loopback interface already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ServerError(
                f"port {port} for {what} is taken by another process",
                where=f"{LOOPBACK}:{port}",
                todo="stop that process (another `make dev`?), or give another port, see `retail dev --help`",
            ) from error


def service_spec(product: str, home: Home, port: int, project: Path) -> ServerSpec:
    """The BentoML service of `product` on loopback, with a BentoML home of its own.

    Services that shared one would delete each other's metrics at start.
    """
    private = {
        "RETAIL_HOME": str(home.root),
        "BENTOML_HOME": str(home.root / "services" / product),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    if not any(os.environ.get(name) for name in ENDPOINTS):
        private["OTEL_SDK_DISABLED"] = "true"  # spans that nobody receives would cost a third of a request
    served = known_product(product).service
    command = [sys.executable, "-m", "bentoml", "serve", served, "--host", LOOPBACK, "--port", str(port)]
    return ServerSpec(
        name=product,
        command=[*command, "--working-dir", str(project)],
        log=home.logs / f"{product}.log",
        port=port,
        health="/livez",
        env=private,
        cwd=project,
    )


def dagster_specs(home: Home, port: int, project: Path, folder: Path) -> list[ServerSpec]:
    """Dagster's UI on loopback, the daemon that runs its schedules and sensors, and the code server that both ask.

    Without one of their own, the daemon starts a new code server every minute. `folder` holds its socket, which nobody
    else may open, and the workspace that names it; a socket's path has at most 107 bytes.
    """
    code = (project / "workspace.yaml").read_text(encoding="utf-8")
    module = yaml.safe_load(code)["load_from"][0]["python_module"]
    socket_file, workspace = folder / "code.sock", folder / "workspace.yaml"
    served = {"grpc_server": {"socket": str(socket_file), "location_name": module["location_name"]}}
    workspace.write_text(yaml.safe_dump({"load_from": [served]}), encoding="utf-8")
    env = {"RETAIL_HOME": str(home.root), "DAGSTER_HOME": str(home.dagster)}
    code_server = ["-m", "dagster", "code-server", "start", "-m", module["module_name"], "-s", str(socket_file)]
    code_server += ["--location-name", module["location_name"]]
    ui = ["-m", "retail_assets.serving.processes.dagster_ui", "-w", str(workspace), "-h", LOOPBACK, "-p", str(port)]
    daemon = ["-m", "dagster._daemon", "run", "-w", str(workspace)]
    return [
        ServerSpec(
            "code", [sys.executable, *code_server], home.logs / "code.log", socket=socket_file, env=env, cwd=project
        ),
        ServerSpec("dagster", [sys.executable, *ui], home.logs / "dagster.log", port, "/server_info", env, project),
        ServerSpec("daemon", [sys.executable, *daemon], home.logs / "daemon.log", env=env, cwd=project),
    ]


def dev_servers(home: Home, ports: Mapping[str, int], project: Path, say: Say | None = None) -> int:
    """Runs Dagster's UI, its daemon and every service until SIGINT, SIGTERM or the end of one of them.

    `ports` has the keys `dagster` and every product's name. Returns 0 after a signal, 1 when a server ended by itself;
    raises ServerError, naming the port, when one is taken.
    """
    services = [service_spec(product, home, ports[product], project) for product in products()]
    say = say or _to_stdout
    if keys_file(home).exists():
        say("the services ask for an API key: `retail keys list`")
    with tempfile.TemporaryDirectory(prefix="retail-dev-") as folder:
        specs = dagster_specs(home, ports["dagster"], project, Path(folder))
        return Supervisor([*services, *specs], say).run()


def _to_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Supervisor:
    """Runs servers side by side. None is restarted: when one ends, that is said and the others are stopped."""

    def __init__(self, specs: Sequence[ServerSpec], say: Say) -> None:
        self._specs = specs
        self._say = say
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._signalled = threading.Event()

    def run(self) -> int:
        """Starts, waits until all answer, waits until one ends or a signal comes, stops all. Returns the exit code."""
        for spec in self._specs:
            if spec.port:
                require_free(spec.port, spec.name)
        with self._signals():
            try:
                for spec in self._specs:
                    if not self._signalled.is_set():
                        self._start(spec)
                        self._wait_for_socket(spec)
                self._wait_until_healthy()
                return self._watch()
            except ServerError as error:
                self._say(str(error))
                return 1
            finally:
                self._stop_all()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Notes every signal that asks for the end; that of a closed terminal is ignored where nohup asks for it."""
        wanted = [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT]
        wanted += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
        before = {number: signal.signal(number, lambda *_: self._signalled.set()) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, spec: ServerSpec) -> None:
        private_folder(spec.log.parent)
        with spec.log.open("ab") as log:
            self._children[spec.name] = subprocess.Popen(
                tethered(spec.command),
                cwd=spec.cwd,
                env=os.environ | dict(spec.env) | {SUPERVISOR: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_for_socket(self, spec: ServerSpec) -> None:
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while spec.socket and not spec.socket.exists() and not self._signalled.wait(LOOK_EVERY_S):
            self._require_alive()
            if time.monotonic() > deadline:
                raise ServerError(f"{spec.name} is not ready after {HEALTHY_WITHIN_S:.0f} s", where=str(spec.log))

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        waiting = [spec for spec in self._specs if spec.health]
        while waiting and not self._signalled.wait(LOOK_EVERY_S):
            self._require_alive()
            for spec in [spec for spec in waiting if answers(f"{spec.url}{spec.health}")]:
                waiting.remove(spec)
                self._say(f"{spec.name:12} {spec.url}")
            if waiting and time.monotonic() > deadline:
                raise ServerError(
                    f"{waiting[0].name} does not answer after {HEALTHY_WITHIN_S:.0f} s", where=str(waiting[0].log)
                )
        if not self._signalled.is_set():
            self._say(f"logs in {self._specs[0].log.parent}; Ctrl-C stops everything")

    def _watch(self) -> int:
        while not self._signalled.wait(LOOK_EVERY_S):
            self._require_alive()
        return 0

    def _require_alive(self) -> None:
        for spec in [spec for spec in self._specs if spec.name in self._children]:
            code = self._children[spec.name].poll()
            if code is not None:
                tail = spec.log.read_text(errors="replace").splitlines()[-5:]
                raise ServerError(
                    f"{spec.name} ended with code {code}; the others are stopped too",
                    where=str(spec.log),
                    todo="\n".join(["its last lines:", *tail]),
                )

    def _stop_all(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOPPED_WITHIN_S
        for name, child in self._children.items():
            try:
                child.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                self._say(f"{name} does not stop and is killed")
            _kill_group(child)
            child.wait()


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """Ends what is left of a child's session; its workers in sessions of their own are tied to it (see tether.py)."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def answers(url: str) -> bool:
    """Whether `url` answers with a 2xx status within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, OSError, HTTPException):  # nobody there, or not one who speaks HTTP
        return False
